"""The scores that a checkpoint publishes, as columns."""

from dataclasses import dataclass

import numpy as np

from pipelines.policy import Policy
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
        begin, signal, heat, total = contributed(self.heat + self.held, policy)
        same = np.zeros(k, np.int64)
        return {
            "customer_id": self.customers,
            "scored_at": self.scored_ms,
            "score": -100.0 * np.expm1(-total / scale),
            "band": TextColumn.chosen(policy.band_names, self.band.astype(np.int64)),
            "heat": total,
            "scale": scale,
            "contributions": contribution_column(begin, signal, heat, policy),
            "interactions": self.interactions,
            "segment": NullableColumn(TextColumn.chosen(policy.segment_names, self.segment), self.segment > 0),
            "policy": TextColumn.chosen((policy.digest,), same),
        }


def contribute(
    heat: Float64s, cap: Float64s, factor: Float64s, by_name: Int64s, begin: Int32s, signal: Int64s, value: Float64s,
    total: Float64s,
) -> None:  # fmt: skip
    """List the signals with heat of each row, in descending capped heat, ties by name, and add the capped heats.

    heat: float64[k, s]. cap: float64[s]. factor: float64[s], 1, or for a relief below 0 what it takes away: it is
    listed with its capped heat times the factor. by_name: int64[s], the signals in the order of their names.
    begin: int32[k + 1], begin[0] = 0; signal: int64, value: float64, room for k * s; total: float64[k], at least 0.
    All written.
    """
    at = 0
    for i in range(heat.shape[0]):
        total[i] = 0.0
        for s in range(heat.shape[1]):
            if heat[i, s] > 0.0:
                total[i] += factor[s] * min(heat[i, s], cap[s])
        total[i] = max(0.0, total[i])
        for j in range(by_name.shape[0]):
            s = by_name[j]
            if heat[i, s] > 0.0:
                listed = heat[i, s] if factor[s] > 0.0 else factor[s] * min(heat[i, s], cap[s])
                place = at
                while place > begin[i] and min(value[place - 1], cap[signal[place - 1]]) < min(listed, cap[s]):
                    signal[place] = signal[place - 1]
                    value[place] = value[place - 1]
                    place -= 1
                signal[place] = s
                value[place] = listed
                at += 1
        begin[i + 1] = at


contribute_compiled = compiled(contribute, allocates=False)


def contributed(heat: Float64s, policy: Policy) -> tuple[Int32s, Int64s, Float64s, Float64s]:
    """Begin (int32[k + 1]), signal and heat of the contributions, and capped heat (float64[k]) of float64[k, s]."""
    k, signals = heat.shape
    begin, total = np.zeros(k + 1, np.int32), np.empty(k)
    signal, value = np.empty(k * signals, np.int64), np.empty(k * signals)
    contribute_compiled(heat, policy.cap, policy.factor, policy.by_name, begin, signal, value, total)
    return begin, signal[: begin[-1]], value[: begin[-1]], total


def contribution_column(begin: Int32s, signal: Int64s, heat: Float64s, policy: Policy) -> ListColumn:
    """The contributions that ``contributed`` found."""
    entries: dict[str, ValueColumn] = {
        "signal": TextColumn.chosen(policy.signal_names, signal),
        "heat": heat,
        "half_life_s": policy.half_life_ms[signal] / 1000.0,
        "cap": policy.cap[signal],
    }
    return ListColumn(begin, entries)


def decayed_to(heat: Float64s, age_ms: Int64s, policy: Policy) -> Float64s:
    """Heats ``age_ms`` (int64[k], >= 0) later: float64[k, s], heat * 2 ** -(age / half-life)."""
    if not age_ms.any():
        return heat
    later: Float64s = heat * np.exp2(-age_ms[:, None] / policy.half_life_ms)
    return later
