"""Interactions for tests of the core: drawn at random, as the model takes them and as columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from pipelines.intake.interactions import OUTCOMES, UNKNOWN_MS, Details, InteractionBatch, Texts
from pipelines.policy.policy import parse_policy
from schemas.arrays import Float64s, Int64s

Record = dict[str, Any]  # Avro field names

BEGIN_MS = 1_790_000_000_123
MINUTE_MS = 60_000

_TEXTS = {"customer": "customer_id", "kind": "kind", "channel": "channel", "touchpoint": "touchpoint"}

# short half-lives, so that a few interactions lead through all bands and out of them again
POLICY_TEXT = """
version: 1
score: {scale: 20}
signals:
  wait: {kinds: [wait.measured, wait.on_hold], weight: 6, half_life: 10m, cap: 25, magnitude: wait, tolerated: 30s}
  form_failure: {kinds: [form.failed], weight: 7.5, half_life: 3m, cap: 20}
  return: {kinds: [return.requested], weight: 9, half_life: 2h, cap: 30}
bands:
  cooldown: 5m
  levels:
    - {name: warm, enter: 25, leave: 15}
    - {name: hot, enter: 50, leave: 35, priority: 2, action: Call the customer.}
    - {name: breaking, enter: 75, leave: 60, priority: 1, action: Call the customer now.}
windows: {kinds: [wait.measured, queue.left], length: 1m, lateness: 3m}
acceptance: {max_age: 1d, max_ahead: 5m}
retention: {quiet: 60h}
"""
POLICY = parse_policy(POLICY_TEXT, "tests/batches.py")


@dataclass(frozen=True)
class Event:
    """An interaction and when the broker appended it."""

    record: Record
    append_ms: int


@dataclass(frozen=True)
class Tick:
    """Time passes to ``to_ms``."""

    to_ms: int


Step = Event | Tick


def event(kind: str, occurred_ms: int, *, append_ms: int | None = None, **fields: Any) -> Event:
    """An interaction of ana in a shop, appended as it happens unless told otherwise."""
    record = {
        "customer_id": "ana",
        "kind": kind,
        "channel": "web",
        "touchpoint": "shop",
        "occurred_at": occurred_ms,
        "duration_ms": None,
        "attributes": {},
        **fields,
    }
    return Event(record, occurred_ms if append_ms is None else append_ms)


def batch_of(events: Sequence[Event], first_offset: int = 0) -> InteractionBatch:
    """The columns of accepted interactions."""
    data = bytearray()

    def texts(name: str) -> Texts:
        start, length = [], []
        for e in events:
            raw = e.record[name].encode()
            start.append(len(data))
            length.append(len(raw))
            data.extend(raw)
        return Texts(np.array(start, np.int64), np.array(length, np.int32))

    def longs(values: list[int]) -> Int64s:
        return np.array(values, np.int64)

    def told(name: str) -> Texts:
        found = [(e.record.get(name) or "").encode() for e in events]
        start = [len(data) + sum(map(len, found[:n])) for n in range(len(found))]
        data.extend(b"".join(found))
        return Texts(np.array(start, np.int64), np.array([len(raw) for raw in found], np.int32))

    def floats(name: str) -> Float64s:
        return np.array([np.nan if e.record.get(name) is None else e.record[name] for e in events], np.float64)

    columns = {name: texts(field) for name, field in _TEXTS.items()}
    entries = [entry for e in events for entry in (e.record.get("attributes") or {}).items()]
    counts = [len(e.record.get("attributes") or {}) for e in events]
    keys, values = ([{"text": entry[n]} for entry in entries] for n in (0, 1))
    details = Details(
        event_id=told("event_id"),
        session_id=told("session_id"),
        case_id=told("case_id"),
        subject=told("subject"),
        segment=told("segment"),
        amount=floats("amount"),
        rating=floats("rating"),
        sentiment=floats("sentiment"),
        reach=longs([-1 if e.record.get("reach") is None else e.record["reach"] for e in events]),
        entry_start=(np.cumsum(counts) - counts).astype(np.int64),
        entry_count=np.array(counts, np.int32),
        entry_key=_entries(data, keys),
        entry_value=_entries(data, values),
    )
    durations = [e.record["duration_ms"] for e in events]
    outcomes = [e.record["attributes"].get("outcome") for e in events]
    return InteractionBatch(
        data=np.frombuffer(bytes(data), np.uint8),
        offset=np.arange(first_offset, first_offset + len(events)),
        append_ms=longs([e.append_ms for e in events]),
        occurred_ms=longs([e.record["occurred_at"] for e in events]),
        duration_ms=longs([UNKNOWN_MS if d is None else d for d in durations]),
        outcome=np.array([OUTCOMES.index(o) if o in OUTCOMES else -1 for o in outcomes], np.int8),
        details=details,
        **columns,
    )


def _entries(data: bytearray, entries: Sequence[dict[str, str]]) -> Texts:
    found = [entry["text"].encode() for entry in entries]
    length = np.array([len(raw) for raw in found], np.int32)
    start = len(data) + (np.cumsum(length) - length).astype(np.int64)
    data.extend(b"".join(found))
    return Texts(start, length)


CUSTOMERS = ("ana", "çağla", "İpek Şahin", "a-customer-with-a-name-of-more-than-eight-bytes")
_KINDS = ("wait.measured", "wait.on_hold", "form.failed", "return.requested", "queue.left", "newsletter.read", "")
_TOUCHPOINTS = ("shop", "", "ödeme/taksit", 'a"b\\c\n\x1f\0{}', "shopweb")
_CHANNELS = ("web", "phone", "")
_DURATIONS = st.one_of(
    st.none(),
    st.sampled_from([0, 1, 29_999, 30_000, 30_001, 60_000, 10 * 365 * 86_400_000]),
    st.integers(0, 3_600_000),
)
_LAGS_MS = st.one_of(
    st.just(0),
    st.integers(-5 * MINUTE_MS, 5 * MINUTE_MS),
    st.integers(0, 86_400_000),
)
_OUTCOMES = st.sampled_from([*OUTCOMES, None, "nobody knows"])


@st.composite
def journeys(draw: st.DrawFn, *, most: int = 40, ticks: bool = True, leaps: bool = True) -> list[Step]:
    """Up to ``most`` accepted interactions of a few customers, late and early ones among them, and time passing.

    leaps: sometimes so much time that customers are forgotten.
    """
    passes = [0, 0, 1, 700, 20_000, MINUTE_MS, 10 * MINUTE_MS, *([61 * 60 * MINUTE_MS] if leaps else [])]
    steps: list[Step] = []
    now_ms = BEGIN_MS
    for _ in range(draw(st.integers(0, most))):
        now_ms += draw(st.sampled_from(passes))
        if ticks and draw(st.integers(0, 5)) == 0:
            steps.append(Tick(now_ms))
            continue
        outcome = draw(_OUTCOMES)
        steps.append(
            event(
                draw(st.sampled_from(_KINDS)),
                now_ms - draw(_LAGS_MS),
                append_ms=now_ms,
                customer_id=draw(st.sampled_from(CUSTOMERS)),
                channel=draw(st.sampled_from(_CHANNELS)),
                touchpoint=draw(st.sampled_from(_TOUCHPOINTS)),
                duration_ms=draw(_DURATIONS),
                attributes={} if outcome is None else {"outcome": outcome},
            )
        )
    return steps
