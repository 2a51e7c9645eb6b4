"""The first stage of incidents: what one source partition has seen at each place, in fixed slots of event time.

A place is a touchpoint, or a subject, of one rule. What is told of a slot is cumulative, and made so that those of
all source partitions add: ``tried[k]`` customers tried in the slot who had not in the ``k`` slots before, so that
distinct customers of a lookback of n slots are the sum of tried[0] of its first, tried[1] of its second ... and
tried[n - 1] of its last slot. A customer is always in one partition. Nothing depends on the order of arrival within
the lateness, and the observations that are stored (state.py) bring all of it back.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pipelines.incidents.kernel import (
    CUSTOMER_BITS,
    FAILURE,
    move_entries_compiled,
    move_slots_compiled,
    observe_compiled,
)
from pipelines.intake.index import TextIndex
from pipelines.intake.interactions import NO_TIME, Texts
from pipelines.policy.incident_model import Incidents
from schemas.arrays import Bytes, Int16s, Int32s, Int64s

MOST_MEMBERS = 1000
"""Customers of a slot that are told by name; they are counted beyond it."""

_FREE = -1
_SMALLEST = 64
_AT_ONCE = 8192  # interactions between two looks at the room: each may be of a new slot


class SlotState(NamedTuple):
    """What a source partition knows of a slot of a place.

    tried, failed: as above, as many as the rule's lookback has slots; who failed has tried. attempted: customers with
    an attempt that did not fail at once. members: customers who failed, in the order of their first failures.
    """

    rule: str
    place: str
    start_ms: int
    tried: tuple[int, ...]
    failed: tuple[int, ...]
    attempted: int
    members: tuple[str, ...]


class Observations(NamedTuple):
    """What was seen for the first time: numbers of rule, place and customer, the slot, and the role; all [n]."""

    rule: Int64s
    place: Int64s
    customer: Int64s
    slot: Int64s
    role: Int64s


class IncidentSlots:
    """The slots of one source partition that can still change."""

    def __init__(self, incidents: Incidents) -> None:
        self.slot_ms = incidents.slot
        self.lateness_ms = incidents.lateness
        self.seen_ms = NO_TIME
        self.late = 0
        self.rules = tuple(incidents.rules)
        self.places = TextIndex()
        self._lookback = np.array([r.lookback // incidents.slot for r in incidents.rules.values()], np.int64)
        self._longest = int(self._lookback.max())
        self._entries = _table(_SMALLEST, 4)
        self._entered = 0
        self._new_slots(_SMALLEST)
        self._told_from = NO_TIME
        self._journal: list[Int64s] = []
        self._members: dict[tuple[int, int], list[int]] = {}

    def add(
        self,
        data: Bytes,
        place: Texts,
        rule: Int16s,
        role: Bytes,
        customer: Int32s,
        occurred_ms: Int64s,
        append_ms: Int64s,
    ) -> None:
        """Add n interactions in offset order: number of the rule (below 0 for none) and role of each.

        data: uint8[b], in which the places lie; an interaction without one counts for no rule. customer: number that
        a customer keeps as long as it is not forgotten.
        """
        for at in range(0, rule.shape[0], _AT_ONCE):
            part = slice(at, at + _AT_ONCE)
            journal = self._observe(
                data, Texts(place.start[part], place.length[part]), rule[part], role[part], customer[part],
                occurred_ms[part], append_ms[part], self.lateness_ms,
            )  # fmt: skip
            if journal.shape[0]:
                self._journal.append(journal)

    def advance(self, to_ms: int) -> None:
        """Nothing that was appended before ``to_ms`` is still to come."""
        self.seen_ms = max(self.seen_ms, to_ms)

    @property
    def changed(self) -> bool:
        """Whether there are observations to be stored, of slots to be told."""
        return bool(self._journal)

    @property
    def untold(self) -> bool:
        """Whether slots have changed since they were taken to be told."""
        return bool(self._dirty.any())

    def take_observations(self) -> Observations:
        """What was seen for the first time since the last call: to be stored, or the slots could not be restored."""
        taken = np.concatenate(self._journal) if self._journal else np.zeros((0, 4), np.int64)
        self._journal.clear()
        self._remember(taken)
        rules = len(self.rules)
        return Observations(taken[:, 0] % rules, taken[:, 0] // rules, taken[:, 1], taken[:, 2], taken[:, 3])

    def take_slots(self, names: Callable[[Int64s], Sequence[str]]) -> list[SlotState]:
        """Slots that changed since the last call, by rule, place and time. After take_observations.

        names: ids of customers by their numbers.
        """
        rows = np.flatnonzero(self._dirty)
        told = sorted(self._states(rows, names))
        self._dirty[:] = 0
        oldest = self.oldest_open
        if oldest > self._told_from:
            self._told_from = oldest
            self._rebuild_slots(oldest)
            self._members = {key: who for key, who in self._members.items() if key[1] >= oldest}
        return told

    def tell_again(self, told_ms: int) -> None:
        """Take all slots for changed that could still change when ``seen_ms`` was ``told_ms``."""
        self._dirty[:] = (self._key[:, 0] != _FREE) & (self._key[:, 1] >= self._open_at(told_ms))

    @property
    def oldest_open(self) -> int:
        """Number of the first slot that can still change."""
        return self._open_at(self.seen_ms)

    def _open_at(self, seen_ms: int) -> int:
        return (seen_ms - self.lateness_ms) // self.slot_ms

    def oldest_needed(self, seen_ms: int) -> int:
        """Number of the first slot whose observations restore those that can change when ``seen_ms`` was seen."""
        return self._open_at(seen_ms) - self._longest

    def restore(self, seen: Observations, data: Bytes, place: Texts, seen_ms: int) -> None:
        """Take back what was seen up to ``seen_ms``; rules and customers by the numbers that they have now.

        data, place: the names of the places.
        """
        at_ms = seen.slot * self.slot_ms
        ever = 2**62  # nothing that was stored is late
        journal = self._observe(
            data, place, seen.rule.astype(np.int16), seen.role.astype(np.uint8), seen.customer.astype(np.int32), at_ms,
            at_ms, ever,
        )  # fmt: skip
        self.seen_ms = seen_ms
        self._remember(journal)
        self._dirty[:] = 0

    def _observe(
        self, data: Bytes, place: Texts, rule: Int16s, role: Bytes, customer: Int32s, occurred_ms: Int64s,
        append_ms: Int64s, lateness_ms: int,
    ) -> Int64s:  # fmt: skip
        is_of_rule = (rule >= 0) & (place.length > 0)
        wanted = int(is_of_rule.sum())
        what: Int64s = np.full(rule.shape[0], _FREE, np.int64)
        if wanted:
            self._make_room(wanted)
            which = np.flatnonzero(is_of_rule)
            number = self.places.add(data, place.start[which], place.length[which])
            what[which] = number.astype(np.int64) * len(self.rules) + rule[which]
        journal = np.empty((wanted, 4), np.int64)
        seen_ms, late, entries, slots, told = observe_compiled(
            what, role, customer, occurred_ms, append_ms, len(self.rules), self._lookback, self.slot_ms, lateness_ms,
            self.seen_ms, self._entries, self._key, self._counts, self._dirty, journal,
        )  # fmt: skip
        self.seen_ms = int(seen_ms)
        self.late += int(late)
        self._entered += int(entries)
        self._open += int(slots)
        return journal[:told].copy() if told < wanted else journal

    def _remember(self, journal: Int64s) -> None:
        """Keep who failed, by place and slot."""
        failed = journal[journal[:, 3] == FAILURE]
        if failed.shape[0] == 0:
            return
        order = np.lexsort((failed[:, 2], failed[:, 0]))  # stable
        failed = failed[order]
        begins = np.flatnonzero(np.r_[True, (np.diff(failed[:, [0, 2]], axis=0) != 0).any(axis=1)])
        for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), failed.shape[0]], strict=True):
            members = self._members.setdefault((int(failed[begin, 0]), int(failed[begin, 2])), [])
            members.extend(failed[begin : min(end, begin + MOST_MEMBERS - len(members)), 1].tolist())

    def _states(self, rows: Int64s, names: Callable[[Int64s], Sequence[str]]) -> Iterator[SlotState]:
        longest = self._longest
        for rule, name in enumerate(self.rules):
            of_rule = rows[self._key[rows, 0] % len(self.rules) == rule]
            if of_rule.shape[0] == 0:
                continue
            lookback, counts = int(self._lookback[rule]), self._counts[of_rule]
            tried, failed = _longer(counts[:, :lookback]), _longer(counts[:, longest : longest + lookback])
            keys: list[tuple[int, int]] = list(map(tuple, self._key[of_rule].tolist()))
            members = [self._members.get(key, ()) for key in keys]
            ids, end = names(np.array([m for of_slot in members for m in of_slot], np.int64)), 0
            for k, (what, slot) in enumerate(keys):
                begin, end = end, end + len(members[k])
                place, attempted = self.places.text(what // len(self.rules)), int(counts[k, 2 * longest])
                of_slot = tuple(tried[k]), tuple(failed[k]), attempted, tuple(ids[begin:end])
                yield SlotState(name, place, slot * self.slot_ms, *of_slot)

    def _new_slots(self, slots: int) -> None:
        self._key = _table(slots, 2)
        self._counts: Int32s = np.zeros((slots, 2 * self._longest + 1), np.int32)
        self._dirty: Bytes = np.zeros(slots, np.uint8)
        self._open = 0

    def _make_room(self, more: int) -> None:
        """Room for ``more`` interactions, each of which may be of a new customer and a new slot."""
        if (self._entered + more) * 2 > self._entries.shape[0]:
            entries, oldest = self._entries, self.oldest_needed(self.seen_ms)
            kept = int(((entries[:, 0] != _FREE) & (entries[:, 1] >= oldest)).sum())
            self._entries = _table(_room(kept + more, 4), 4)
            self._entered = int(move_entries_compiled(entries, oldest, self._entries))
            self._forget_places()
        if (self._open + more) * 2 > self._key.shape[0]:
            self._rebuild_slots(self.oldest_open, more)

    def _forget_places(self) -> None:
        """Forget the names of places of which nothing is kept."""
        customers, slots = (table[table[:, 0] != _FREE, 0] for table in (self._entries, self._key))
        members = np.fromiter((what for what, _ in self._members), np.int64, len(self._members))
        journal = (part[:, 0] for part in self._journal)
        self.places.keep(np.concatenate([customers >> CUSTOMER_BITS, slots, members, *journal]) // len(self.rules))

    def _rebuild_slots(self, oldest: int, more: int = 0) -> None:
        key, counts, dirty = self._key, self._counts, self._dirty
        keep = (key[:, 0] != _FREE) & ((key[:, 1] >= oldest) | (dirty != 0))
        kept = int(keep.sum())
        first = int(key[keep, 1].min()) if kept else oldest  # a closed slot that is still to be told stays
        self._new_slots(_room(int(((key[:, 0] != _FREE) & (key[:, 1] >= first)).sum()) + more, 4))
        self._open = int(move_slots_compiled(key, counts, dirty, first, self._key, self._counts, self._dirty))


def _table(rows: int, columns: int) -> Int64s:
    table: Int64s = np.zeros((rows, columns), np.int64)
    table[:, 0] = _FREE
    return table


def _room(entries: int, times: int) -> int:
    return max(_SMALLEST, 1 << (entries * times - 1).bit_length())


def _longer(by_gap: Int32s) -> list[list[int]]:
    """Of each row how many had a gap of more than 0, 1, 2 ... slots: column g - 1 counts those with a gap of g."""
    longer: list[list[int]] = np.cumsum(by_gap[:, ::-1], axis=1)[:, ::-1].tolist()
    return longer
