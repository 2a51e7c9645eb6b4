"""The customers of one source partition: a batch in, outputs out. Pure: time comes with records and with advance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.alerts.bands import band_alerts
from pipelines.alerts.desk import Desk, Said
from pipelines.alerts.listings import Lister
from pipelines.alerts.noted import NotedAlerts
from pipelines.alerts.open_clocks import OpenClocks, Opened, open_clocks, opened
from pipelines.alerts.tables import Alerts
from pipelines.applied import Applied, RareCounts
from pipelines.fold.counting import (
    NOTED_BITS,
    SENT_TWICE,
    TOLD_BEFORE,
    count_interactions_compiled,
    fire_timers_compiled,
)
from pipelines.fold.facts import RATED, FactReader
from pipelines.fold.matching import Arrivals
from pipelines.fold.notes import ROWS_USED
from pipelines.fold.replies import UnknownReplies
from pipelines.fold.scores import ScoreColumns
from pipelines.fold.scoring import (
    CROSSED_MS,
    CROSSED_ROW,
    cool_rows_compiled,
    copy_heats_compiled,
    find_quiet_compiled,
    senses_of,
)
from pipelines.fold.work import DUPLICATES, Work
from pipelines.incidents.source import IncidentChanges, IncidentSource
from pipelines.intake.index import TextIndex
from pipelines.intake.interactions import NO_TIME, InteractionBatch
from pipelines.intake.text_table import ELSEWHERE
from pipelines.policy.policy import Policy
from pipelines.state.layouts import RowColumns
from pipelines.state.room import Room
from pipelines.state.rows import CustomerRows
from pipelines.state.whole_rows import CopiedRows, form_of
from pipelines.windows import WaitWindows, WindowState
from schemas.arrays import Int64s
from schemas.columnar.writer import TextColumn

_LOOKED_AT = 65_536  # rows that one advance looks at for quiet customers, a fraction of a millisecond
_FORGOTTEN = 8_192  # of them at most


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed since the last checkpoint, copied: the partition may go on.

    newest_ms: int64[k], the newest interaction of each of ``scores.customers``. rows: theirs, as columns, or as they
    are stored when something may be open. forgotten: customers that are not remembered any more; they come first, for
    one of them may have come back. told: windows of which the second stage hears; what it does not hear yet is
    ``untold``. incidents: None when the policy has none. desk: keys and values of the state.
    """

    scores: ScoreColumns
    newest_ms: Int64s
    rows: RowColumns | CopiedRows
    forgotten: list[bytes]
    windows: list[WindowState]
    told: list[WindowState]
    untold: bool
    watermark_ms: int
    advanced_ms: int
    incidents: IncidentChanges | None = None
    desk: Sequence[tuple[bytes, bytes | None]] = ()

    def __bool__(self) -> bool:
        parts = (len(self.scores), self.windows, self.forgotten, self.desk)
        return any(parts) or bool(self.incidents and self.incidents.stored)


class CustomerPartition:
    """State of partition ``number`` of ``partitions`` under a policy. Not thread-safe."""

    def __init__(self, number: int, partitions: int, policy: Policy) -> None:
        self.number = number
        self.partitions = partitions
        self.policy = policy
        self.rows = CustomerRows(policy.signal_names, len(policy.band_names), policy.remembered)
        self.windows = WaitWindows(policy.file.windows.length, policy.file.windows.lateness)
        section = policy.file.incidents
        self.incidents = IncidentSource(section, self.rows.customers) if section is not None else None
        self.desk = Desk(policy, number, partitions)
        self.advanced_ms = NO_TIME
        self.whole = policy.needs_details
        self.form = form_of(policy.digest)
        self._senses = senses_of(policy)
        self._reader = FactReader(policy.file, policy.compiled.attributes, policy.compiled.deadline)
        self._kinds = TextIndex(policy.compiled.kinds)
        self._is_wait = np.array([kind in policy.file.windows.kinds for kind in policy.compiled.kinds], np.bool_)
        self._unknown_replies = UnknownReplies(policy.compiled)
        self._room = Room(len(policy.signals))
        self._noted, self._lister = NotedAlerts(policy), Lister(policy)
        self._cooled: dict[int, int] = {}  # row -> when time alone changed its band
        self._forgotten: list[bytes] = []
        self._looked_to = 0

    def apply(self, batch: InteractionBatch, passed_ms: Int64s | None = None) -> Applied:
        """Count a batch of accepted interactions, in offset order.

        passed_ms: int64[n], up to when time passes for the customer of each interaction before that is counted: clocks
        and bands are then as if ``advance`` had been called between any two. None lets time pass with advance alone.
        """
        passed_ms = np.full(len(batch), NO_TIME) if passed_ms is None else passed_ms
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
            batch, row, passed_ms = batch.take(here), row[here], passed_ms[here]
        self.rows.make_room()
        facts = self._reader.read(batch)
        unrated = np.flatnonzero(facts.number[:, RATED] < 0)
        if unrated.shape[0]:
            good = np.flatnonzero(~(facts.number[:, RATED] < 0))
            batch, row, passed_ms = batch.take(good), row[good], passed_ms[good]
            facts = self._reader.read(batch)
        kind = self._kinds.find(batch.data, batch.kind.start, batch.kind.length)
        before = self._rare_so_far()
        marks, said = self.desk.acts(batch)
        unknown = int((kind < 0).sum() - (kind[marks] < 0).sum() - (kind[said] < 0).sum())
        time = np.column_stack([batch.occurred_ms, batch.append_ms, batch.duration_ms, np.zeros_like(batch.append_ms)])
        arrivals = Arrivals(batch.data, row, kind, time, facts)
        alerts, done, room = Alerts(), 0, self._room
        for mark in (*marks.tolist(), None):
            part = arrivals if mark is None else arrivals._replace(row=row[: mark + 1])
            while done < part.row.shape[0]:
                work, first = room.give(self.rows), done
                done, count = count_interactions_compiled(
                    done, part, self.advanced_ms, passed_ms, self._senses, self.policy.compiled.rules, self.rows.kernel,
                    work,
                )  # fmt: skip
                spoken = said[(said >= first) & (said < done)]
                alerts.add(self._told(work, count, batch, self._said(spoken, done, batch, arrivals)))
            if mark is not None and kind[mark] != SENT_TWICE:
                alerts.add(self.desk.take_mark(batch, mark, int(row[mark]), self.rows, room))
        self.windows.add(batch, (kind >= 0) & self._is_wait[np.maximum(kind, 0)])
        if self.incidents is not None:
            self.incidents.add(batch, row)
        rare = self._rare_so_far().since(before)
        of_batch = RareCounts(
            unknown_kinds=unknown,
            bad_deadlines=self._reader.bad_deadlines,
            bad_shipping=self._reader.bad_shipping,
            unknown_replies=self._unknown_replies.count(kind, facts),
            unknown_questions=self._reader.unknown_questions,
        )
        return Applied(alerts, misrouted, unrated, rare.plus(of_batch))

    def _rare_so_far(self) -> RareCounts:
        """What is counted on and on."""
        return RareCounts(
            duplicates=int(self._room.counted[DUPLICATES]),
            late=self.windows.late,
            unknown_marks=self.desk.unknown_marks,
            bad_preferences=self.desk.preferences.bad,
            given_up=self.tally["given_up"],
        )

    def advance(self, to_ms: int) -> Alerts:
        """Let time pass to ``to_ms``: nothing that was appended before it is still to come.

        Clocks that have run out say so, and bands that decay has ended are left, at the millisecond at which it did.
        The watermark follows ``to_ms`` at the distance of the lateness: without newer interactions a window closes
        when its end is twice that old. Some of the customers that any interaction that can still come would find
        forgotten are removed.
        """
        if to_ms <= self.advanced_ms:
            return Alerts()
        from_ms, self.advanced_ms = self.advanced_ms, to_ms
        self.windows.advance(to_ms - self.windows.lateness_ms)
        self.desk.advance(to_ms)
        if self.incidents is not None:
            self.incidents.advance(to_ms)
        alerts = Alerts()
        room, rows, ready = self._room, self.rows, False
        while not ready:
            work = room.give(rows)
            ready, count = fire_timers_compiled(to_ms, self._senses, self.policy.compiled.rules, rows.kernel, work)
            alerts.add(self._told(work, count, None))
        banded = np.flatnonzero(rows.band[: rows.numbers])
        done = 0
        while done < banded.shape[0]:
            work = room.give(rows)
            done, count = cool_rows_compiled(
                done, banded, from_ms, to_ms, self._senses, rows.kernel, rows.blocks.arena, work.crossed
            )
            for crossing in work.crossed.word[:count].tolist():
                self._cooled[crossing[CROSSED_ROW]] = crossing[CROSSED_MS]
            alerts.add(self._told(work, count, None))
        self._forget_quiet(to_ms - self.policy.file.acceptance.max_age)
        return alerts

    @property
    def tally(self) -> dict[str, int]:
        """What has been counted of searches and of closings without an opening."""
        return self._room.tally

    def listed_clocks(self) -> tuple[OpenClocks, TextColumn]:
        """The clocks that are open now, as columns, and whose each is."""
        listed = open_clocks(self.rows)
        return listed, TextColumn(*self.rows.customers.texts(listed.row))

    def opened(self, customer: bytes) -> Opened:
        """What is open of a customer now."""
        text = np.frombuffer(customer, np.uint8)
        row = self.rows.customers.find(text, np.zeros(1, np.int64), np.full(1, text.shape[0], np.int32)).item()
        return opened(row, self.rows, self.policy) if row >= 0 else Opened()

    @property
    def next_due_ms(self) -> int | None:
        """The earliest time at which a clock or a case of anybody may have something to say; decay is not counted."""
        timers = self.rows.timers
        return int(timers[1, 0]) if timers[0, 0] else None

    def _said(self, which: Int64s, done: int, batch: InteractionBatch, arrivals: Arrivals) -> list[Said]:
        """What customers have said in interactions, int64[k], that were counted in a call which stopped at ``done``."""
        said = []
        for i in which.tolist():
            if batch.details is not None and arrivals.kind[i] != SENT_TWICE:
                who = self.rows.customers.text(int(arrivals.row[i]))
                one = Said(who, batch.details.attributes(batch.data, i), int(batch.occurred_ms[i]))
                if i + 1 < done:
                    before = int(arrivals.time[i + 1, TOLD_BEFORE])
                    one = one._replace(bands=before & ((1 << NOTED_BITS) - 1), notes=before >> NOTED_BITS)
                said.append(one)
        return said

    def _told(self, work: Work, crossings: int, batch: InteractionBatch | None, said: Sequence[Said] = ()) -> Alerts:
        """The alerts that a call of a kernel has led to."""
        if not (crossings or work.notes.used[ROWS_USED] or said):
            return Alerts()
        listings = self._lister.of(work.notes)
        bands = band_alerts(work.crossed, crossings, batch, self.rows, self.policy, self.desk.memory, listings)
        noted = self._noted.of(work.notes, self.rows, listings) if work.notes.used[ROWS_USED] else None
        return self.desk.told(bands, noted, said)

    def _forget_quiet(self, at_ms: int) -> None:
        """Look at the next rows; what happens from now on happens at ``at_ms`` or later."""
        rows = self.rows
        first = self._looked_to if self._looked_to < rows.numbers else 0
        self._looked_to = min(first + _LOOKED_AT, rows.numbers)
        found = np.empty(_FORGOTTEN, np.int64)
        count = find_quiet_compiled(first, self._looked_to, at_ms, self._senses, rows.kernel, found)
        if count:
            self._forgotten += TextColumn(*rows.customers.texts(found[:count])).raw()
            rows.forget(found[:count])

    @property
    def untold(self) -> bool:
        """Whether the second stage has not heard of something that is stored, or will be."""
        return self.windows.untold or (self.incidents is not None and self.incidents.untold)

    @property
    def forgets(self) -> bool:
        """Whether there are customers that the log has to forget."""
        return bool(self._forgotten)

    def take_changes(self, *, whole: bool = True, stored: bool = True) -> Changes:
        """Copy what has changed since the last call.

        Of windows that are still open, and of slots of incidents, the second stage needs to hear now and then only, for
        what it hears is cumulative: when it is ``whole``. Of windows that were closed it hears at once. stored: whether
        somebody keeps the state; without it there are no rows, and nothing of incidents to be stored.
        """
        numbers = self.rows.take_dirty()
        scored_ms = self.rows.updated_ms[numbers]
        if self._cooled:
            cooled = np.fromiter(self._cooled, np.int64, len(self._cooled))
            cooled_ms = np.fromiter(self._cooled.values(), np.int64, len(self._cooled))
            here = np.isin(cooled, numbers)  # others were forgotten
            at = np.searchsorted(numbers, cooled[here])
            scored_ms[at] = np.maximum(scored_ms[at], cooled_ms[here])
            self._cooled.clear()
        heat, held = np.empty((2, numbers.shape[0], len(self.policy.signals)))
        copy_heats_compiled(numbers, scored_ms, self._senses, self.rows.kernel, self.rows.blocks.arena, heat, held)
        scores = ScoreColumns(
            customers=TextColumn(*self.rows.customers.texts(numbers)),
            scored_ms=scored_ms,
            heat=heat,
            held=held,
            interactions=self.rows.interactions[numbers],
            band=self.rows.band[numbers],
            segment=self.rows.segments(numbers),
        )
        forgotten, self._forgotten = self._forgotten, []
        kept = numbers if stored else numbers[:0]
        windows = self.windows.take_dirty()
        told = [w for w in windows if w.closed] + (self.windows.take_untold() if whole else [])
        return Changes(
            scores=scores,
            newest_ms=self.rows.newest_ms[numbers],
            rows=self.rows.copied(kept, self.form) if self.whole else self.rows.columns(kept),
            forgotten=forgotten,
            windows=windows,
            told=told,
            untold=self.windows.untold,
            watermark_ms=self.windows.watermark_ms,
            advanced_ms=self.advanced_ms,
            incidents=None if self.incidents is None else self.incidents.take_changes(whole=whole, stored=stored),
            desk=self.desk.take_changes(),
        )

    def restore_times(self, *, watermark_ms: int, advanced_ms: int) -> None:
        """Take watermark and time back from the partition's header."""
        self.windows.watermark_ms = watermark_ms
        self.advanced_ms = advanced_ms
