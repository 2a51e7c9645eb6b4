"""One customer folded again with what is new, in the scratch.

``fold_customer`` works on copies: nothing of the customer has changed when it finds that there is no room.
``blocks.write_block`` then puts the result back.
"""

import numpy as np

from pipelines.fold.blocks import (
    BASE,
    BEFORE,
    DUE_MS,
    HEAT_LIST,
    LIVE,
    MOST_CLOSED,
    MOST_RECENT,
    NEED_ITEMS,
    NEED_NOTES,
    RECENT,
    SETTLED,
    SPARE,
    TOLD_LIST,
    WANTED,
    Scratch,
    longest_text,
)
from pipelines.fold.fold import apply_event, settle, settle_now
from pipelines.fold.items import (
    ASSUMED,
    AT,
    CASE_ITEM,
    CLOCK,
    CONTACT_ITEM,
    ENDS,
    FAILED,
    FIRED,
    FLAGS,
    GIVEN_UP,
    HEAT_COUNT,
    HELD,
    ID,
    LAST,
    LEVEL,
    MENTION_ITEM,
    NEVER,
    ORPHANS,
    RAISED,
    REPEAT,
    RESOLVED,
    RETRACTED,
    SHOWN,
    STATUS,
    STREAK,
    TAG,
    TOUCHED,
    UNDECIDED,
    WIDE,
    drop_item,
    is_full,
    is_told_of,
    kind_of,
    number_of,
)
from pipelines.fold.notes import Notes, has_room
from pipelines.fold.telling import find_wanted, may_raise
from pipelines.policy.rules import EXPIRES_MS, HORIZON_MS, REOPEN_MS, WITHIN_MS, Rules, phase_of, section, signal_number
from schemas.arrays import Int64s
from schemas.compiled import step

REST_MS = 6 * 3_600_000
"""How long the interactions of a customer who rests are kept as if they could be put right: see next_look."""


@step
def comes_before(event: Int64s, other: Int64s, rules: Rules) -> bool:
    """Whether an interaction comes before another one: by time; of one millisecond, by what it does, then by its id."""
    if event[AT] != other[AT]:
        return event[AT] < other[AT]
    phase, others = phase_of(rules, number_of(event)), phase_of(rules, number_of(other))
    return phase < others if phase != others else event[ID] < other[ID]


@step
def is_last(scratch: Scratch, event: Int64s, rules: Rules) -> bool:
    """Whether an interaction comes behind the recent ones, and behind what time has done."""
    n = scratch.count[RECENT]
    behind = n == 0 or not comes_before(event, scratch.lists[RECENT, n - 1], rules)
    return behind and event[AT] > scratch.count[FIRED]


@step
def insert_event(scratch: Scratch, event: Int64s, rules: Rules) -> None:
    """Put an interaction in its place among the recent ones."""
    n, recent = scratch.count[RECENT], scratch.lists[RECENT]
    at = n
    while at > 0 and comes_before(event, recent[at - 1], rules):
        for w in range(WIDE):
            recent[at, w] = recent[at - 1, w]
        at -= 1
    for w in range(WIDE):
        recent[at, w] = event[w]
    scratch.count[RECENT] = n + 1


@step
def copy_items(items: Int64s, count: int, out: Int64s) -> None:
    """Copy the first items of a list."""
    for k in range(count):
        for w in range(WIDE):
            out[k, w] = items[k, w]


@step
def fold_again(now_ms: int, over: bool, rules: Rules, scratch: Scratch) -> int:
    """Make ``live`` and the heats again from ``base`` and the recent interactions; return the count of items."""
    counts, live, heats, recent = scratch.count, scratch.lists[LIVE], scratch.lists[HEAT_LIST], scratch.lists[RECENT]
    n = counts[BASE]
    copy_items(scratch.lists[BASE], n, live)
    counts[HEAT_COUNT] = 0
    for k in range(counts[RECENT]):
        n, _ = settle(live, n, recent[k, AT], rules, heats, counts)
        n = apply_event(live, n, recent[k], rules, heats, counts)
    n, counts[DUE_MS] = settle_now(live, n, now_ms, over, rules, heats, counts)
    return n


@step
def uncount(now_ms: int, over: bool, rules: Rules, scratch: Scratch) -> None:
    """Take out of the tallies what the recent interactions have added: they are folded again. ``live`` is gone then."""
    counts, before = scratch.count, tallies_of(scratch.count)
    fired_ms = counts[FIRED]
    fold_again(now_ms, over, rules, scratch)
    after = tallies_of(counts)
    counts[ORPHANS], counts[FAILED] = 2 * before[0] - after[0], 2 * before[1] - after[1]
    counts[UNDECIDED], counts[ASSUMED] = 2 * before[2] - after[2], 2 * before[3] - after[3]
    counts[GIVEN_UP], counts[FIRED] = 2 * before[4] - after[4], fired_ms


@step
def fold_customer(
    known: int, next_ms: int, now_ms: int, over: bool, rules: Rules, scratch: Scratch, notes: Notes
) -> bool:  # fmt: skip
    """Bring ``live`` up to ``now_ms``; whether there was room for what follows. over: see ``fold.settle_now``.

    known: how many of the recent interactions ``live`` knows; below 0 when one came late: then it is made again from
    ``base``. next_ms: nothing of ``live`` is due before.
    ``heats`` becomes what the recent ones have added, ``wanted`` the alerts that should stand: those that are new or
    changed, or all of them when ``live`` is made again.
    """
    counts = scratch.count
    recent, live = scratch.lists[RECENT], scratch.lists[LIVE]
    heats, wanted = scratch.lists[HEAT_LIST], scratch.lists[WANTED]
    if known < 0:
        n = fold_again(now_ms, over, rules, scratch)
    else:
        n = counts[LIVE]
        copy_items(scratch.lists[BEFORE], counts[BEFORE], heats)
        counts[HEAT_COUNT] = counts[BEFORE]
        for k in range(known, counts[RECENT]):
            if next_ms < recent[k, AT]:
                n, _ = settle(live, n, recent[k, AT], rules, heats, counts)
            n = apply_event(live, n, recent[k], rules, heats, counts)
        n, counts[DUE_MS] = settle_now(live, n, now_ms, over, rules, heats, counts)
    counts[LIVE], counts[HEAT_LIST] = n, counts[HEAT_COUNT]
    counts[WANTED] = find_wanted(live, n, rules, wanted, known < 0)
    full = is_full(live) or is_full(heats) or is_full(wanted)
    if full or max(counts[WANTED] + counts[TOLD_LIST], counts[HEAT_COUNT]) + SPARE > live.shape[0]:
        counts[NEED_ITEMS] = 2 * live.shape[0]
        return False
    alerts = counts[WANTED] + (counts[TOLD_LIST] if known < 0 else 0)
    if alerts > 0 and not has_room(notes, alerts, longest_text(scratch)):
        counts[NEED_NOTES] = 1
        return False
    return True


@step
def tallies_of(counts: Int64s) -> tuple[int, int, int, int, int]:
    """What has been counted for good."""
    return counts[ORPHANS], counts[FAILED], counts[UNDECIDED], counts[ASSUMED], counts[GIVEN_UP]


@step
def set_tallies(counts: Int64s, tallies: tuple[int, int, int, int, int]) -> None:
    """Let it be as it was: the same is folded again."""
    counts[ORPHANS], counts[FAILED], counts[UNDECIDED], counts[ASSUMED], counts[GIVEN_UP] = tallies


@step
def settle_base(now_ms: int, rules: Rules, scratch: Scratch) -> None:
    """Let the interactions that are beyond correction be for good, and drop what is over for so long.

    These are the ones before the correction horizon; and the older half, when there are more than MOST_RECENT.
    """
    counts, lists = scratch.count, scratch.lists
    recent, heats = lists[RECENT], lists[BEFORE]  # what was added before is not needed any more
    limit_ms = now_ms - section(rules, HORIZON_MS)
    old = 0
    while old < counts[RECENT] and recent[old, AT] < limit_ms:
        old += 1
    if counts[RECENT] - old > MOST_RECENT:
        old = counts[RECENT] - MOST_RECENT // 2
        limit_ms = recent[old, AT]
    elif old < counts[RECENT]:
        limit_ms = min(limit_ms, recent[old, AT])
    kept = counts[RECENT] - old
    tallies, fired_ms = tallies_of(counts), counts[FIRED]
    counts[HEAT_COUNT] = 0
    if kept == 0 and counts[FIRED] < limit_ms:
        copy_items(lists[LIVE], counts[LIVE], lists[BASE])
        counts[BASE], counts[SETTLED] = counts[LIVE], counts[HEAT_LIST]
    else:
        n = counts[BASE]
        for k in range(old):
            n, _ = settle(lists[BASE], n, recent[k, AT], rules, heats, counts)
            n = apply_event(lists[BASE], n, recent[k], rules, heats, counts)
        n, _ = settle(lists[BASE], n, limit_ms, rules, heats, counts)
        counts[BASE], counts[SETTLED] = n, counts[HEAT_COUNT]
    set_tallies(counts, tallies)
    counts[FIRED] = fired_ms
    for k in range(counts[BASE]):
        if is_told_of(lists[BASE, k]):
            lists[BASE, k, FLAGS] &= ~TOUCHED
    for k in range(kept):
        for w in range(WIDE):
            recent[k, w] = recent[k + old, w]
    counts[RECENT] = kept
    forget_expired(limit_ms, rules, scratch)


@step
def is_closed(item: Int64s) -> bool:
    """Whether an item is a closed case, or an estimate."""
    return (kind_of(item) == CASE_ITEM and item[ENDS] != 0) or kind_of(item) == SHOWN


@step
def keep_closed(items: Int64s, count: int) -> int:
    """Drop the oldest closed cases, and estimates, that are too many; return the count of items."""
    closed = 0
    for at in range(count):
        closed += is_closed(items[at])
    at = 0
    while closed > MOST_CLOSED:
        if is_closed(items[at]):
            count = drop_item(items, count, at)
            closed -= 1
        else:
            at += 1
    return count


@step
def expires_ms(item: Int64s, rules: Rules) -> int:
    """When an item is over for good: what comes later than the correction horizon after it does not find it."""
    kind = kind_of(item)
    if kind in (CLOCK, MENTION_ITEM):
        return item[ENDS] if item[ENDS] != 0 else NEVER
    if kind == CASE_ITEM:
        return item[ENDS] + section(rules, REOPEN_MS) if item[ENDS] != 0 else NEVER
    if kind == CONTACT_ITEM:
        return item[AT] + section(rules, WITHIN_MS)
    if kind == REPEAT:
        return item[LAST] + section(rules, WITHIN_MS)
    if kind == STREAK and item[LEVEL] == 0:
        return item[LAST]
    if kind in (STREAK, SHOWN):
        return item[LAST] + np.int64(signal_number(rules, number_of(item), EXPIRES_MS))
    return NEVER


@step
def forget_expired(before_ms: int, rules: Rules, scratch: Scratch) -> None:
    """Drop what was over before a time, with what was told of it; base and live agree on that."""
    counts, told = scratch.count, scratch.lists[TOLD_LIST]
    live = scratch.lists[LIVE]
    at = 0
    while at < counts[TOLD_LIST]:
        over = told[at, STATUS] == RETRACTED and told[at, RAISED] < before_ms
        if told[at, STATUS] >= RESOLVED:  # of others the item is open
            for k in range(counts[LIVE]):
                if live[k, ID] == told[at, ID] and may_raise(live[k], told[at]):
                    over = expires_ms(live[k], rules) < before_ms
                    break
        if over:
            counts[TOLD_LIST] = drop_item(told, counts[TOLD_LIST], at)
        else:
            at += 1
    for k in (BASE, LIVE):
        counts[k] = keep_closed(scratch.lists[k], counts[k])
        at = 0
        while at < counts[k]:
            held = scratch.lists[k, at, TAG] & 255 == HELD
            if not held and expires_ms(scratch.lists[k, at], rules) < before_ms:
                counts[k] = drop_item(scratch.lists[k], counts[k], at)
            else:
                at += 1


@step
def settle_rested(now_ms: int, rules: Rules, scratch: Scratch) -> None:
    """Let the recent interactions be for good, if all are beyond correction, as ``next_look`` would have by now."""
    counts, lists = scratch.count, scratch.lists
    n, limit_ms = counts[RECENT], now_ms - section(rules, HORIZON_MS)
    if n > 0 and lists[RECENT, n - 1, AT] < limit_ms and counts[FIRED] < limit_ms:
        copy_items(lists[LIVE], counts[LIVE], lists[BASE])
        counts[BASE], counts[RECENT], counts[BEFORE] = counts[LIVE], 0, 0
        forget_expired(limit_ms, rules, scratch)


@step
def next_look(quiet_ms: int, rules: Rules, scratch: Scratch) -> int:
    """When time changes something, or something can be forgotten; NEVER when all wait for an interaction.

    Of a customer who rests, the recent interactions stay for REST_MS after the time in which they can be put right:
    most come back before that. quiet_ms: after it the customer may be forgotten.
    """
    counts, base, told = scratch.count, scratch.lists[BASE], scratch.lists[TOLD_LIST]
    due_ms = counts[DUE_MS]
    horizon = section(rules, HORIZON_MS)
    if counts[RECENT] > 0:
        rest_ms = max(0, min(REST_MS, quiet_ms - horizon - 1))
        return min(due_ms, scratch.lists[RECENT, counts[RECENT] - 1, AT] + horizon + 1 + rest_ms)
    if counts[HEAT_LIST] > counts[SETTLED]:
        return min(due_ms, counts[FIRED] + horizon + 1)
    last_ms = 0
    for at in range(counts[BASE]):
        last_ms = max(last_ms, expires_ms(base[at], rules))
    for at in range(counts[TOLD_LIST]):
        if told[at, STATUS] == RETRACTED:
            last_ms = max(last_ms, told[at, RAISED])
    return min(due_ms, last_ms + horizon + 1 if last_ms < NEVER else NEVER)
