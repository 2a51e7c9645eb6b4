"""What interactions are acceptable, judged against the broker's append time and never against a clock of ours."""

from dataclasses import dataclass

import numpy as np

from schemas.arrays import Bools, Bytes, Float64s, Int32s, Int64s
from schemas.compiled import compiled

MAX_CUSTOMER_BYTES = 512
LAST_MS = 7_258_118_400_000
"""2200-01-01: no time that is told is of then or later."""
MAX_DURATION_MS = 10 * 365 * 86_400_000  # 10 years: the sum of a window's waits stays far below 2 ** 63


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far event time may be from append time, in ms."""

    max_age_ms: int
    max_ahead_ms: int


def refuse(
    customer_length: Int32s,
    occurred_ms: Int64s,
    append_ms: Int64s,
    duration_ms: Int64s,
    has_duration: Bools,
    max_age_ms: int,
    max_ahead_ms: int,
    refused: Bytes,
) -> None:
    """Write why each interaction is refused: uint8[n], 0 accepted, 1 customer, 2 too old, 3 too far ahead, 4 duration.

    customer_length: int32[n], bytes of the customer id. occurred_ms, append_ms, duration_ms: int64[n].
    has_duration: bool[n]. refused: all 0 when called.
    """
    for i in range(occurred_ms.shape[0]):
        if customer_length[i] < 1 or customer_length[i] > MAX_CUSTOMER_BYTES:
            refused[i] = 1
        elif occurred_ms[i] < append_ms[i] - max_age_ms:
            refused[i] = 2
        elif occurred_ms[i] > append_ms[i] + max_ahead_ms:
            refused[i] = 3
        elif has_duration[i] and (duration_ms[i] < 0 or duration_ms[i] > MAX_DURATION_MS):
            refused[i] = 4


refuse_compiled = compiled(refuse)


def off_scale(sentiment: Float64s) -> Bools:
    """bool[n]: which sentiments are told (no NaN) and do not lie on the scale from -1 (hostile) to 1 (delighted)."""
    off: Bools = np.abs(sentiment) > 1.0
    return off
