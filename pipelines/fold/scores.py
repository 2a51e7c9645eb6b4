"""The scores that a checkpoint publishes, as columns."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipelines.policy.policy import Policy
from schemas.arrays import Bytes, Float64s, Int32s, Int64s
from schemas.columnar.writer import Column, ListColumn, NullableColumn, TextColumn, ValueColumn
from schemas.compiled import compiled


@dataclass(frozen=True, slots=True)
class ScoreColumns:
    """k customers as of ``scored_ms`` (int64[k]).

    customers: k texts. heat, held: float64[k, s], what decays, as of scored_ms, and what open cases hold.
    interactions: int64[k]. band: uint8[k]. segment: int64[k].
    """

    customers: TextColumn
    scored_ms: Int64s
    heat: Float64s
    held: Float64s
    interactions: Int64s
    band: Bytes
    segment: Int64s

    def __len__(self) -> int:
        return int(self.scored_ms.shape[0])

    def columns(self, policy: Policy) -> dict[str, Column]:
        """Columns of schemas/avro/score.avsc: score = 100 * (1 - exp(-heat / scale)), heat as in ``contribute``."""
        k, scale = len(self), policy.scale[self.segment]
        made = contributed(with_held(self.heat, self.held), policy)
        same = np.zeros(k, np.int64)
        return {
            "customer_id": self.customers,
            "scored_at": self.scored_ms,
            "score": -100.0 * np.expm1(-made.total / scale),
            "band": TextColumn.chosen(policy.band_names, self.band.astype(np.int64)),
            "heat": made.total,
            "scale": scale,
            "contributions": contribution_column(made, policy),
            "interactions": self.interactions,
            "segment": NullableColumn(TextColumn.chosen(policy.segment_names, self.segment), self.segment > 0),
            "policy": TextColumn.chosen((policy.digest,), same),
        }


class Contributed(NamedTuple):
    """What the heats of k rows are made of: entries begin[i] ... begin[i + 1] - 1 are those of row i.

    begin: int32[k + 1]. signal: int64[e]. heat, held: float64[e], before the cap, and of it what open cases hold.
    total: float64[k], the capped heat of each row.
    """

    begin: Int32s
    signal: Int64s
    heat: Float64s
    held: Float64s
    total: Float64s


def with_held(heat: Float64s, held: Float64s) -> Float64s:
    """float64[k, 2, s]: the heats of signals, and of them what open cases hold. heat: float64[k, s], what decays."""
    return np.stack((heat + held, held), axis=1)


def contribute(
    heat: Float64s, cap: Float64s, factor: Float64s, by_name: Int64s, begin: Int32s, signal: Int64s, value: Float64s,
    kept: Float64s, total: Float64s,
) -> None:  # fmt: skip
    """List the signals with heat of each row, in descending capped heat, ties by name, and add the capped heats.

    heat: float64[k, 2, s], see with_held. cap: float64[s]. factor: float64[s], 1, or for a relief below 0 what it takes
    away: it is listed with its capped heat times the factor. by_name: int64[s], the signals in the order of names.
    begin: int32[k + 1], begin[0] = 0; signal: int64, value, kept (of it what is held): float64, room for k * s;
    total: float64[k], at least 0. All written.
    """
    at = 0
    for i in range(heat.shape[0]):
        total[i] = 0.0
        for s in range(heat.shape[2]):
            if heat[i, 0, s] > 0.0:
                total[i] += factor[s] * min(heat[i, 0, s], cap[s])
        total[i] = max(0.0, total[i])
        for j in range(by_name.shape[0]):
            s = by_name[j]
            own = heat[i, 0, s]
            if own > 0.0:
                listed = own if factor[s] > 0.0 else factor[s] * min(own, cap[s])
                place = at
                while place > begin[i] and min(value[place - 1], cap[signal[place - 1]]) < min(listed, cap[s]):
                    signal[place], value[place], kept[place] = signal[place - 1], value[place - 1], kept[place - 1]
                    place -= 1
                signal[place], value[place], kept[place] = s, listed, heat[i, 1, s]
                at += 1
        begin[i + 1] = at


contribute_compiled = compiled(contribute, allocates=False)


def contributed(heat: Float64s, policy: Policy) -> Contributed:
    """What float64[k, 2, s], see with_held, are made of."""
    k, _, signals = heat.shape
    begin, total = np.zeros(k + 1, np.int32), np.empty(k)
    signal, value, kept = np.empty(k * signals, np.int64), np.empty(k * signals), np.empty(k * signals)
    contribute_compiled(heat, policy.cap, policy.factor, policy.by_name, begin, signal, value, kept, total)
    return Contributed(begin, signal[: begin[-1]], value[: begin[-1]], kept[: begin[-1]], total)


def contribution_column(made: Contributed, policy: Policy) -> ListColumn:
    """The contributions that ``contributed`` found."""
    entries: dict[str, ValueColumn] = {
        "signal": TextColumn.chosen(policy.signal_names, made.signal),
        "heat": made.heat,
        "half_life_s": policy.half_life_ms[made.signal] / 1000.0,
        "cap": policy.cap[made.signal],
        "held": made.held,
    }
    return ListColumn(made.begin, entries)


def decayed_to(heat: Float64s, age_ms: Int64s, policy: Policy) -> Float64s:
    """Heats ``age_ms`` (int64[k], >= 0) later: float64[k, s], heat * 2 ** -(age / half-life)."""
    if not age_ms.any():
        return heat
    later: Float64s = heat * np.exp2(-age_ms[:, None] / policy.half_life_ms)
    return later
