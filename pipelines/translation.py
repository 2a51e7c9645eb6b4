"""State that was written under another policy: heats, segments and clocks are taken over by name.

What may still be put right is for good then: an interaction that comes late is not folded with those before the change.
Clocks and signals that the new policy does not know are dropped, and what was told of such a clock stays as it is.
Where it knows no cases, what open ones hold begins to decay.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from pipelines.fold.blocks import BASE, LIVE, TOLD_LIST, contents_of, new_block
from pipelines.fold.clock_times import said_at
from pipelines.fold.fold import next_due
from pipelines.fold.items import (
    CASE_ITEM,
    CLOCK,
    ESCALATED,
    FIRED_MS,
    HELD,
    ID,
    KEY,
    LEVEL,
    NEVER,
    NEXT_MS,
    OPENED,
    PAUSED_AT,
    RAISED,
    REPEAT_CONTACT,
    SEEN_MS,
    SHOWN,
    SOCIAL_RISK,
    STATUS,
    STILL_WAITING,
    STREAK,
    TAG,
    TOLD_LEVEL,
    is_told_of,
    kind_of,
    number_of,
    tag_of,
    touch,
)
from pipelines.fold.scoring import BLOCK, EPISODE_AT, HEAT, INTERACTIONS, LEFT, SEGMENT
from pipelines.fold.telling import may_raise
from pipelines.fold.timers import wake, with_room
from pipelines.partition import CustomerPartition
from pipelines.policy.policy import Policy, parse_policy
from pipelines.state.rows import CustomerRows
from schemas.arrays import Bytes, Int32s, Int64s


class Translation:
    """Takes rows that were written under other policies, whose texts are known by their form.

    advanced_ms: up to when time had passed for all of them.
    """

    def __init__(self, core: CustomerPartition, policies: Mapping[int, str], advanced_ms: int) -> None:
        self._core = core
        self._policies = policies
        self._advanced_ms = advanced_ms

    def take(self, form: int, numbers: Int64s, data: Bytes, start: Int64s, length: Int32s) -> None:
        """Take stored rows, int64[k], each number once.

        Raises:
            ValueError: the policy of the form is not known, or a row is broken.
        """
        if form not in self._policies:
            raise ValueError(f"a stored row was written under the policy {form:08x}, whose text is not kept")
        before = parse_policy(self._policies[form], f"the policy {form:08x}")
        theirs = CustomerRows(before.signal_names, len(before.band_names), before.remembered)
        names = TextNames(numbers.shape[0])
        own = theirs.customers.add(names.data, names.start, names.length).astype(np.int64)
        theirs.make_room()
        theirs.put_whole(own, data, start, length)
        self._rows(numbers, own, theirs, before)

    def _rows(self, numbers: Int64s, own: Int64s, theirs: CustomerRows, before: Policy) -> None:
        rows, policy = self._core.rows, self._core.policy
        ours, words = rows.kernel.words, theirs.kernel.words
        rows.forget_parts(numbers)
        ours[numbers] = 0
        ours[numbers, :HEAT] = words[own, :HEAT]
        ours[numbers, BLOCK] = ours[numbers, LEFT] = 0
        signal = _moved(before.signal_names, policy.signal_names)
        heat = theirs.heat[own] if policy.file.cases is not None else theirs.heat[own] + theirs.held(own)
        for was, now in enumerate(signal):
            if now >= 0:
                rows.heat[numbers, now] = heat[:, was]
        segment = np.maximum(_moved(before.segment_names, policy.segment_names), 0)
        ours[numbers, SEGMENT] = segment[words[own, SEGMENT]]
        first, second = HEAT + len(policy.signals), HEAT + len(before.signals)
        count = words[own, INTERACTIONS]
        for ago in range(1, 1 + min(rows.remembered, theirs.remembered)):  # event ids, the last ones
            known = np.flatnonzero(count >= ago)
            was, now = (count[known] - ago) % theirs.remembered, (count[known] - ago) % rows.remembered
            ours[numbers[known], first + now] = words[own[known], second + was]
        rows.band[numbers] = np.minimum(theirs.band[own], len(policy.band_names) - 1)
        for number, row in zip(numbers.tolist(), own.tolist(), strict=True):
            episode = theirs.episode(row)
            ours[number, EPISODE_AT] = 0
            if episode.opened_ms:
                rows.set_episode(number, episode)
            block = int(words[row, BLOCK])
            if block and policy.needs_details:
                self._block(number, theirs.blocks.arena, block, before, signal)

    def _block(self, number: int, arena: Int64s, block: int, before: Policy, signal: Int64s) -> None:
        """Take over what is open: live is base now."""
        rows, policy = self._core.rows, self._core.policy
        clock = _moved(tuple(before.file.clocks), tuple(policy.file.clocks))
        lists, text = contents_of(block, len(before.signals), arena)
        live = [item for item in (_translated(i, clock, signal) for i in lists[LIVE]) if item is not None]
        if policy.file.cases is None:  # none is open any more, and nothing is held
            live = [item for item in live if kind_of(item) not in (CASE_ITEM, HELD)]
        told = [item for item in lists[TOLD_LIST] if _renamed(item, clock)]
        seen_ms, fired_ms = int(arena[block + SEEN_MS]), int(arena[block + FIRED_MS])
        for item in live:
            if kind_of(item) == CLOCK and item[LEVEL] > 0:
                _go_on_saying(item, told, max(seen_ms, fired_ms, self._advanced_ms), policy)
            if is_told_of(item):
                touch(item)  # by the new policy other alerts may stand
        due_ms, _ = next_due(np.array(live, np.int64), len(live), policy.compiled.rules.words)
        next_ms = min(int(arena[block + NEXT_MS]), due_ms)  # a fold relies on it
        rows.timers = with_room(rows.timers, 1)
        rows.blocks, new = new_block(
            {BASE: live, TOLD_LIST: told, LIVE: live},
            text,
            seen_ms=seen_ms,
            next_ms=next_ms,
            fired_ms=fired_ms,
            signals=len(policy.signals),
            blocks=rows.blocks,
        )
        rows.kernel.words[number, BLOCK] = new
        if next_ms < NEVER:
            wake(rows.timers, rows.kernel.alarm, number, next_ms)


class TextNames:
    """k different texts, for rows that need an index."""

    def __init__(self, count: int) -> None:
        raw = [f"{n:x}".encode() for n in range(count)]
        self.length = np.array([len(r) for r in raw], np.int32)
        self.start = (np.cumsum(self.length) - self.length).astype(np.int64)
        self.data = np.frombuffer(b"".join(raw), np.uint8)


def _moved(before: Sequence[str], after: Sequence[str]) -> Int64s:
    """int64[before]: the number that each name has now, -1 for none."""
    return np.array([after.index(name) if name in after else -1 for name in before], np.int64)


def _translated(item: Int64s, clock: Int64s, signal: Int64s) -> Int64s | None:
    """The item with the numbers of the new policy; None when it has none."""
    kind = kind_of(item)
    if kind in (CLOCK, HELD, STREAK, SHOWN):
        now = int((clock if kind == CLOCK else signal)[number_of(item)])
        if now < 0:
            return None
        item[TAG] = tag_of(kind, now)
    return item


def _go_on_saying(item: Int64s, told: Sequence[Int64s], now_ms: int, policy: Policy) -> None:
    """Let a clock that has said that the customer still waits say next what is still to come by the new policy."""
    stands_ms = int(item[PAUSED_AT]) or now_ms
    item[LEVEL] = 0
    while said_at(item[None, :], 0, int(item[LEVEL]) + 1, policy.compiled.rules.words)[0] <= stands_ms:
        item[LEVEL] += 1
    item[LEVEL] = max(1, item[LEVEL])
    for one in told:
        if one[ID] == item[ID] and number_of(one) == STILL_WAITING and may_raise(item, one):
            one[TOLD_LEVEL] = item[LEVEL]
            if one[STATUS] in (OPENED, ESCALATED):  # as the new policy would have told it: nothing is said again
                one[STATUS] = ESCALATED if item[LEVEL] > 1 else OPENED
                one[RAISED], _ = said_at(item[None, :], 0, int(item[LEVEL]), policy.compiled.rules.words)


def _renamed(told: Int64s, clock: Int64s) -> bool:
    """Give what was told of a clock its number; whether there is one."""
    if number_of(told) in (REPEAT_CONTACT, SOCIAL_RISK):
        return True
    told[KEY] = clock[told[KEY]]
    return bool(told[KEY] >= 0)
