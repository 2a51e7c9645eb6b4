"""One customer folded again with what is new, in the scratch.

``fold_customer`` works on copies: nothing of the customer has changed when it finds that there is no room.
``blocks.write_block`` then puts the result back.
"""

from pipelines.blocks import (
    BASE,
    BEFORE,
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
from pipelines.fold import apply_event, next_due, settle
from pipelines.items import (
    ASSUMED,
    AT,
    CASE_ITEM,
    ENDS,
    FAILED,
    FIRED,
    HEAT_COUNT,
    ID,
    NEVER,
    ORPHANS,
    RAISED,
    RETRACTED,
    REVISION,
    SHOWN,
    STATUS,
    UNDECIDED,
    WIDE,
    drop_item,
    is_full,
    kind_of,
)
from pipelines.rules import HORIZON_MS, Rules, section
from pipelines.telling import Notes, expires_ms, find_alert, find_wanted, has_room
from schemas.arrays import Int64s
from schemas.compiled import step


@step
def insert_event(scratch: Scratch, event: Int64s) -> bool:
    """Put an interaction in its place among the recent ones, by time and id; whether it is the last thing."""
    n, recent = scratch.count[RECENT], scratch.lists[RECENT]
    at = n
    while at > 0 and (
        recent[at - 1, AT] > event[AT] or (recent[at - 1, AT] == event[AT] and recent[at - 1, ID] > event[ID])
    ):
        for w in range(WIDE):
            recent[at, w] = recent[at - 1, w]
        at -= 1
    for w in range(WIDE):
        recent[at, w] = event[w]
    scratch.count[RECENT] = n + 1
    return at == n and event[AT] > scratch.count[FIRED]


@step
def copy_items(items: Int64s, count: int, out: Int64s) -> None:
    """Copy the first items of a list."""
    for k in range(count):
        for w in range(WIDE):
            out[k, w] = items[k, w]


@step
def fold_customer(known: int, now_ms: int, rules: Rules, scratch: Scratch, notes: Notes) -> bool:
    """Bring ``live`` up to ``now_ms``, included; whether there was room for what follows.

    known: how many of the recent interactions ``live`` knows; below 0 when one came late: then it is made again from
    ``base``. ``heats`` becomes what the recent ones have added, ``wanted`` the alerts that should stand.
    """
    counts = scratch.count
    recent, live = scratch.lists[RECENT], scratch.lists[LIVE]
    heats, wanted = scratch.lists[HEAT_LIST], scratch.lists[WANTED]
    n = counts[LIVE]
    if known < 0:
        n = counts[BASE]
        copy_items(scratch.lists[BASE], n, live)
        counts[HEAT_COUNT] = 0
    else:
        copy_items(scratch.lists[BEFORE], counts[BEFORE], heats)
        counts[HEAT_COUNT] = counts[BEFORE]
    for k in range(max(known, 0), counts[RECENT]):
        n = settle(live, n, recent[k, AT], rules, heats, counts)
        n = apply_event(live, n, recent[k], rules, heats, counts)
    n = settle(live, n, now_ms + 1, rules, heats, counts)
    counts[LIVE], counts[HEAT_LIST] = n, counts[HEAT_COUNT]
    counts[WANTED] = find_wanted(live, n, rules, wanted)
    full = is_full(live) or is_full(heats) or is_full(wanted)
    if full or max(counts[WANTED] + counts[TOLD_LIST], counts[HEAT_COUNT]) + SPARE > live.shape[0]:
        counts[NEED_ITEMS] = 2 * live.shape[0]
        return False
    if not has_room(notes, counts[WANTED], counts[TOLD_LIST], n, longest_text(scratch)):
        counts[NEED_NOTES] = 1
        return False
    return True


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
    tallies = counts[ORPHANS], counts[FAILED], counts[UNDECIDED], counts[ASSUMED], counts[FIRED]
    counts[HEAT_COUNT] = 0
    if kept == 0 and counts[FIRED] < limit_ms:
        copy_items(lists[LIVE], counts[LIVE], lists[BASE])
        counts[BASE], counts[SETTLED] = counts[LIVE], counts[HEAT_LIST]
    else:
        n = counts[BASE]
        for k in range(old):
            n = settle(lists[BASE], n, recent[k, AT], rules, heats, counts)
            n = apply_event(lists[BASE], n, recent[k], rules, heats, counts)
        n = settle(lists[BASE], n, limit_ms, rules, heats, counts)
        counts[BASE], counts[SETTLED] = n, counts[HEAT_COUNT]
    counts[ORPHANS], counts[FAILED], counts[UNDECIDED], counts[ASSUMED] = tallies[0], tallies[1], tallies[2], tallies[3]
    counts[FIRED] = tallies[4]
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
def forget_expired(before_ms: int, rules: Rules, scratch: Scratch) -> None:
    """Drop what was over before a time, with what was told of it; base and live agree on that."""
    counts, told = scratch.count, scratch.lists[TOLD_LIST]
    live, wanted = scratch.lists[LIVE], scratch.lists[WANTED]
    at = 0
    while at < counts[TOLD_LIST]:
        over = told[at, STATUS] == RETRACTED and told[at, RAISED] < before_ms
        w = find_alert(wanted, counts[WANTED], told[at])
        if w >= 0:
            over = expires_ms(live[wanted[w, REVISION]], rules) < before_ms
        if over:
            counts[TOLD_LIST] = drop_item(told, counts[TOLD_LIST], at)
        else:
            at += 1
    for k in (BASE, LIVE):
        counts[k] = keep_closed(scratch.lists[k], counts[k])
        at = 0
        while at < counts[k]:
            if expires_ms(scratch.lists[k, at], rules) < before_ms:
                counts[k] = drop_item(scratch.lists[k], counts[k], at)
            else:
                at += 1


@step
def next_look(rules: Rules, scratch: Scratch) -> int:
    """When time changes something, or something can be forgotten; NEVER when all wait for an interaction."""
    counts, base, told = scratch.count, scratch.lists[BASE], scratch.lists[TOLD_LIST]
    due_ms, _ = next_due(scratch.lists[LIVE], counts[LIVE], rules)
    horizon = section(rules, HORIZON_MS)
    if counts[RECENT] > 0:
        return min(due_ms, scratch.lists[RECENT, counts[RECENT] - 1, AT] + horizon + 1)
    if counts[HEAT_LIST] > counts[SETTLED]:
        return min(due_ms, counts[FIRED] + horizon + 1)
    last_ms = 0
    for at in range(counts[BASE]):
        last_ms = max(last_ms, expires_ms(base[at], rules))
    for at in range(counts[TOLD_LIST]):
        if told[at, STATUS] == RETRACTED:
            last_ms = max(last_ms, told[at, RAISED])
    return min(due_ms, last_ms + horizon + 1 if last_ms < NEVER else NEVER)
