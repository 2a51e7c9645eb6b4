"""The customers of one source partition: a batch in, outputs out. Pure: time comes with records and with advance."""

from dataclasses import dataclass

import numpy as np

from pipelines.alerts import Alert
from pipelines.bands import Crossings, band_alerts
from pipelines.interactions import InteractionBatch
from pipelines.layouts import RowColumns
from pipelines.policy import Policy
from pipelines.scores import ScoreColumns, decayed_to
from pipelines.scoring import cool_rows_compiled, find_quiet_compiled, score_interactions_compiled
from pipelines.signals import Vocabulary
from pipelines.state import CustomerRows
from pipelines.text_table import ELSEWHERE
from pipelines.windows import NO_TIME, WaitWindows, WindowState
from schemas.arrays import Int64s
from schemas.columnar.writer import TextColumn

_CROSSINGS = 4096  # room for crossings in one call of a kernel; more calls follow when it is full
_LOOKED_AT = 65_536  # rows that one advance looks at for quiet customers, a fraction of a millisecond
_FORGOTTEN = 8_192  # of them at most


@dataclass(frozen=True, slots=True)
class Applied:
    """What a batch led to. misrouted: int64[k], rows of the batch whose customers belong to another partition."""

    alerts: list[Alert]
    misrouted: Int64s
    unknown_kinds: int
    late: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed since the last checkpoint, copied: the partition may go on.

    rows: those of ``scores.customers``. forgotten: customers that are not remembered any more; they come first, for
    one of them may have come back.
    """

    scores: ScoreColumns
    rows: RowColumns
    forgotten: list[bytes]
    windows: list[WindowState]
    watermark_ms: int
    advanced_ms: int

    def __bool__(self) -> bool:
        return bool(len(self.scores) or self.windows or self.forgotten)


class CustomerPartition:
    """State of partition ``number`` of ``partitions`` under a policy. Not thread-safe."""

    def __init__(self, number: int, partitions: int, policy: Policy) -> None:
        self.number = number
        self.partitions = partitions
        self.policy = policy
        self.rows = CustomerRows(policy.signal_names, len(policy.band_names))
        self.windows = WaitWindows(policy.file.windows.length, policy.file.windows.lateness)
        self.advanced_ms = NO_TIME
        self._vocabulary = Vocabulary(policy)
        self._cooled: dict[int, int] = {}  # row -> when time alone changed its band
        self._forgotten: list[bytes] = []
        self._looked_to = 0

    def apply(self, batch: InteractionBatch) -> Applied:
        """Count a batch of accepted interactions, in offset order."""
        row = self.rows.customers.add(
            batch.data,
            batch.customer.start,
            batch.customer.length,
            partition=self.number,
            partitions=self.partitions,
        )
        misrouted = np.flatnonzero(row == ELSEWHERE)
        if misrouted.shape[0]:
            here = np.flatnonzero(row != ELSEWHERE)
            batch, row = batch.take(here), row[here]
        self.rows.make_room()
        kind = self._vocabulary.kinds(batch)
        signal, points = self._vocabulary.weighed(kind, batch.duration_ms)
        alerts: list[Alert] = []
        done, policy, rows = 0, self.policy, self.rows
        crossed = Crossings.room(_CROSSINGS, len(policy.signals))
        while done < len(batch):
            episodes = rows.episodes.records
            done, count = score_interactions_compiled(
                done, row, batch.occurred_ms, signal, points, policy.half_life_ms, policy.cap, policy.enter_heat,
                policy.leave_heat, policy.quiet_ms, policy.file.bands.cooldown, rows.heat, rows.updated_ms,
                rows.interactions, rows.band, rows.dirty, rows.episode_of, episodes["opened_ms"],
                episodes["closed_ms"], crossed.event, crossed.row, crossed.at_ms, crossed.before, crossed.after,
                crossed.heat,
            )  # fmt: skip
            alerts.extend(band_alerts(crossed, count, batch, rows, policy))
        late = self.windows.late
        self.windows.add(batch, self._vocabulary.waits(kind))
        return Applied(alerts, misrouted, int((kind < 0).sum()), self.windows.late - late)

    def advance(self, to_ms: int) -> list[Alert]:
        """Let time pass to ``to_ms``: nothing that was appended before it is still to come.

        Bands that decay has ended are left, at the millisecond at which it did. The watermark follows ``to_ms`` at
        the distance of the lateness: without newer interactions a window closes when its end is twice that old.
        Some of the customers that any interaction that can still come would find forgotten are removed.
        """
        if to_ms <= self.advanced_ms:
            return []
        self.advanced_ms = to_ms
        self.windows.advance(to_ms - self.windows.lateness_ms)
        alerts: list[Alert] = []
        policy, rows = self.policy, self.rows
        banded = np.flatnonzero(rows.band[: rows.numbers]).astype(np.int32)
        crossed = Crossings.room(_CROSSINGS, len(policy.signals))
        done = 0
        while done < banded.shape[0]:
            done, count = cool_rows_compiled(
                done, banded, to_ms, policy.half_life_ms, policy.cap, policy.leave_heat, rows.heat, rows.updated_ms,
                rows.band, rows.dirty, crossed.event, crossed.row, crossed.at_ms, crossed.before, crossed.after,
                crossed.heat,
            )  # fmt: skip
            alerts.extend(band_alerts(crossed, count, None, rows, policy))
            for k in range(count):
                self._cooled[int(crossed.row[k])] = int(crossed.at_ms[k])
        self._forget_quiet(to_ms - policy.file.acceptance.max_age)
        return alerts

    def _forget_quiet(self, at_ms: int) -> None:
        """Look at the next rows; what happens from now on happens at ``at_ms`` or later."""
        policy, rows = self.policy, self.rows
        first = self._looked_to if self._looked_to < rows.numbers else 0
        self._looked_to = min(first + _LOOKED_AT, rows.numbers)
        found, episodes = np.empty(_FORGOTTEN, np.int64), rows.episodes.records
        count = find_quiet_compiled(
            first, self._looked_to, at_ms, policy.quiet_ms, policy.file.bands.cooldown, rows.updated_ms,
            rows.interactions, rows.band, rows.dirty, rows.episode_of, episodes["opened_ms"], episodes["closed_ms"],
            found,
        )  # fmt: skip
        if count:
            self._forgotten += TextColumn(*rows.customers.texts(found[:count])).raw()
            rows.forget(found[:count])

    @property
    def forgets(self) -> bool:
        """Whether there are customers that the log has to forget."""
        return bool(self._forgotten)

    def take_changes(self) -> Changes:
        """Copy what has changed since the last call."""
        numbers = self.rows.take_dirty()
        scored_ms = self.rows.updated_ms[numbers]
        if self._cooled:
            cooled = np.array([self._cooled.get(int(r), NO_TIME) for r in numbers], np.int64)
            scored_ms = np.maximum(scored_ms, cooled)
            self._cooled.clear()
        age_ms = scored_ms - self.rows.updated_ms[numbers]
        scores = ScoreColumns(
            customers=TextColumn(*self.rows.customers.texts(numbers)),
            scored_ms=scored_ms,
            heat=decayed_to(self.rows.heat[numbers], age_ms, self.policy),
            interactions=self.rows.interactions[numbers],
            band=self.rows.band[numbers],
        )
        forgotten, self._forgotten = self._forgotten, []
        return Changes(
            scores=scores,
            rows=self.rows.columns(numbers),
            forgotten=forgotten,
            windows=self.windows.take_dirty(),
            watermark_ms=self.windows.watermark_ms,
            advanced_ms=self.advanced_ms,
        )

    def restore_times(self, *, watermark_ms: int, advanced_ms: int) -> None:
        """Take watermark and time back from the partition's header."""
        self.windows.watermark_ms = watermark_ms
        self.advanced_ms = advanced_ms
