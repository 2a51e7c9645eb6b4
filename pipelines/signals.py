"""What an interaction adds: the signal that its kind feeds, and how many points."""

import math

import numpy as np

from pipelines.index import TextIndex
from pipelines.interactions import InteractionBatch
from pipelines.policy import Policy
from schemas.arrays import Bools, Float64s, Int16s, Int32s, Int64s
from schemas.compiled import compiled

NO_SIGNAL = -1


def weigh(
    kind: Int32s,
    duration_ms: Int64s,
    signal_of_kind: Int16s,
    weight: Float64s,
    tolerated_ms: Float64s,
    signal: Int16s,
    points: Float64s,
) -> None:
    """Find signal and points of each interaction.

    kind: int32[n], number in the policy's vocabulary or below 0. duration_ms: int64[n], below 0 when not told.
    signal_of_kind: int16[v]. weight: float64[s]. tolerated_ms: float64[s], 0 for magnitude one; else the magnitude
    is log2(duration / tolerated), at least 0: each doubling of the wait counts once (schemas/policy/default.yaml).
    signal: int16[n], NO_SIGNAL for kinds that feed none; points: float64[n]. Both written.
    """
    for i in range(kind.shape[0]):
        signal[i] = NO_SIGNAL
        points[i] = 0.0
        if kind[i] < 0:
            continue
        s = signal_of_kind[kind[i]]
        signal[i] = s
        if s < 0:
            continue
        if tolerated_ms[s] == 0.0:
            points[i] = weight[s]
        elif duration_ms[i] > tolerated_ms[s]:
            points[i] = weight[s] * math.log2(duration_ms[i] / tolerated_ms[s])


weigh_compiled = compiled(weigh)


class Vocabulary:
    """The kinds that a policy speaks of, numbered, and what they feed."""

    def __init__(self, policy: Policy) -> None:
        fed = {kind: s for s, signal in enumerate(policy.signals) for kind in signal.kinds}
        kinds = list(dict.fromkeys([*fed, *policy.file.windows.kinds]))
        self._index = TextIndex(kinds)
        self._signal_of_kind = np.array([fed.get(kind, NO_SIGNAL) for kind in kinds], np.int16)
        self._is_wait = np.array([kind in policy.file.windows.kinds for kind in kinds], np.bool_)
        self._weight = np.array([s.weight for s in policy.signals], np.float64)
        self._tolerated_ms = np.array([s.tolerated or 0 for s in policy.signals], np.float64)

    def kinds(self, batch: InteractionBatch) -> Int32s:
        """int32[n]: number of each kind, below 0 for those that the policy does not know."""
        return self._index.find(batch.data, batch.kind.start, batch.kind.length)

    def weighed(self, kind: Int32s, duration_ms: Int64s) -> tuple[Int16s, Float64s]:
        """Signal and points of each interaction, int16[n] and float64[n]."""
        signal, points = np.empty(kind.shape[0], np.int16), np.empty(kind.shape[0], np.float64)
        weigh_compiled(kind, duration_ms, self._signal_of_kind, self._weight, self._tolerated_ms, signal, points)
        return signal, points

    def waits(self, kind: Int32s) -> Bools:
        """bool[n]: which interactions are waits that belong to a window."""
        told: Bools = (kind >= 0) & self._is_wait[np.maximum(kind, 0)]
        return told
