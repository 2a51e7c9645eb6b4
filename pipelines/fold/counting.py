"""The loop over interactions: heat and bands of each, and for those of whom something is open the fold.

Both kernels stop where there is no room for what an interaction may lead to, or where crossings have to be taken
first, and are called again for the rest: nothing has changed of the interaction at which they stop.
"""

from pipelines.fold.blocks import (
    RECENT,
    WANTED,
    has_words,
    is_loadable,
    load_block,
)
from pipelines.fold.facts import EVENT_ID, NO_SEGMENT, SEGMENT_CODE
from pipelines.fold.folding import fold_customer, insert_event, is_last, set_tallies, settle_rested, tallies_of, uncount
from pipelines.fold.items import NEVER, NEXT_MS, SEEN, SEEN_MS, held_at
from pipelines.fold.matching import Arrivals, look_ahead, make_event, matched, points_of
from pipelines.fold.notes import ROWS_USED
from pipelines.fold.put_back import list_risen, put_back
from pipelines.fold.scoring import (
    BLOCK,
    EPISODE_AT,
    HEAT,
    INTERACTIONS,
    LEFT,
    LEFT_BITS,
    NEWEST_MS,
    SEGMENT,
    SEGMENT_MS,
    UPDATED,
    Rows,
    Senses,
    add_heat,
    bring_to,
    cool,
    fall,
    is_forgotten,
    rise,
    signals_of,
)
from pipelines.fold.timers import pop_timer, wake
from pipelines.fold.work import DUPLICATES, FOLDED, Work, may_go_on
from pipelines.policy.rules import HAS_DETAILS, OP, SIGNAL, TARGET, Rules, first_rule, rule_word, section
from schemas.arrays import Int64s
from schemas.compiled import compiled, step

TOLD_BEFORE = 3
"""Column of ``Arrivals.time``: how many crossings there are before it, and from NOTED_BITS on the rows of notes."""
NOTED_BITS = 32
SENT_TWICE = -2  # the kind of what has been counted before


@step
def pass_time(row: int, to_ms: int, k: int, senses: Senses, rules: Rules, rows: Rows, work: Work) -> tuple[bool, int]:
    """Let happen, one after the other, what is due of a row before ``to_ms``; whether there was room, and crossings."""
    signals, arena, scratch = signals_of(senses), work.blocks.arena, work.scratch
    while True:
        block = rows.words[row, BLOCK]
        if block == 0 or arena[block + NEXT_MS] >= to_ms:
            return True, k
        due_ms = arena[block + NEXT_MS]
        if not may_go_on(k, senses, work):
            return False, k
        if not load_block(block, signals, arena, scratch):
            return False, k
        tallies = tallies_of(scratch.count)
        ready = fold_customer(scratch.count[RECENT], due_ms, due_ms, True, rules, scratch, work.notes)
        if not (ready and has_words(signals, work.blocks, scratch)):
            set_tallies(scratch.count, tallies)
            return False, k
        seen_ms = max(arena[block + SEEN_MS], due_ms)
        k = cool(row, 0, due_ms, k, senses, rows, arena, held_at(block), work.crossed)
        if due_ms > rows.words[row, UPDATED]:
            bring_to(row, due_ms, senses, rows)  # bands are judged as of now, also when no heat is added
        k = put_back(row, -1, NEVER, due_ms, due_ms, seen_ms, False, k, senses, rules, rows, work)


@step
def is_repeated(row: int, event_id: int, senses: Senses, rows: Rows) -> bool:
    """Whether the interaction is one of the last that were counted."""
    if event_id == 0 or rows.words[row, INTERACTIONS] == 0:
        return False
    first = HEAT + signals_of(senses)
    found = False
    for j in range(rows.remembered):
        found = found or rows.words[row, first + j] == event_id
    return found


@step
def forget(row: int, rows: Rows) -> None:
    """Let a row be that of a new customer."""
    e = rows.words[row, EPISODE_AT]
    for j in range(INTERACTIONS, rows.words.shape[1]):
        if j != EPISODE_AT:
            rows.words[row, j] = 0
    if e > 0:
        rows.episodes[e, 0] = 0


@step
def fold_event(
    i: int, mask: int, advanced_ms: int, senses: Senses, rules: Rules, rows: Rows, arrivals: Arrivals, work: Work
) -> tuple[bool, int, int, bool]:
    """Fold an interaction with what is open of its customer, in the scratch.

    Returns whether there was room, up to when time has passed for the customer, what has been seen of it, and whether
    the interaction was late.
    """
    signals, scratch, arena = signals_of(senses), work.scratch, work.blocks.arena
    block = rows.words[arrivals.row[i], BLOCK]
    if not load_block(block, signals, arena, scratch):
        return False, 0, 0, False
    event = scratch.lists[WANTED, 0]  # nothing is wanted yet
    make_event(i, mask, arrivals, rules, scratch, event)
    settle_rested(max(event[SEEN] - 1, advanced_ms), rules, scratch)
    seen_ms = event[SEEN] if block == 0 else max(event[SEEN], arena[block + SEEN_MS])
    now_ms, over = max(seen_ms, advanced_ms), advanced_ms >= seen_ms
    known, tallies = scratch.count[RECENT], tallies_of(scratch.count)
    last = is_last(scratch, event, rules)
    if not last:
        uncount(now_ms, over, rules, scratch)  # it is all folded again
    insert_event(scratch, event, rules)
    next_ms = arena[block + NEXT_MS] if block != 0 else NEVER
    ready = fold_customer(known if last else -1, next_ms, now_ms, over, rules, scratch, work.notes)
    ready = ready and has_words(signals, work.blocks, scratch)
    if not ready:
        set_tallies(scratch.count, tallies)
    return ready, now_ms, seen_ms, not last


def count_interactions(
    first: int,
    arrivals: Arrivals,
    advanced_ms: int,
    passed_ms: Int64s,
    senses: Senses,
    rules: Rules,
    rows: Rows,
    work: Work,
) -> tuple[int, int]:
    """Add interactions ``first`` ... n - 1 to their customers' rows, in offset order.

    advanced_ms: up to when time has passed for everybody. passed_ms: int64[n], up to when it passes for the customer
    of each interaction before this is counted, when that is later. rows and work are updated in place; what was sent
    twice gets the kind SENT_TWICE.

    Returns how many interactions are done, less than n when the crossings have to be taken first or room is needed,
    and how many crossings there are.
    """
    signals, crossed, arena = signals_of(senses), work.crossed, work.blocks.arena
    words, k, looked_to = rows.words, 0, first
    for i in range(first, arrivals.row.shape[0]):
        if i == looked_to:
            looked_to = look_ahead(i, arrivals, rows, arena, work.counted)
        if not may_go_on(k, senses, work):
            return i, k
        arrivals.time[i, TOLD_BEFORE] = k | work.notes.used[ROWS_USED] << NOTED_BITS
        r, kind, at_ms, event_id = (
            arrivals.row[i],
            arrivals.kind[i],
            arrivals.time[i, 0],
            arrivals.facts.word[i, EVENT_ID],
        )
        if is_repeated(r, event_id, senses, rows):
            work.counted[DUPLICATES] += 1
            arrivals.kind[i] = SENT_TWICE
            continue
        if words[r, INTERACTIONS] == 0:
            words[r, UPDATED], words[r, NEWEST_MS] = at_ms, at_ms
        seen_ms, so_far_ms = min(at_ms, arrivals.time[i, 1]), max(advanced_ms, passed_ms[i])
        before_ms = max(seen_ms, so_far_ms + 1)
        if words[r, BLOCK] != 0 and before_ms > arena[words[r, BLOCK] + NEXT_MS]:
            ready, k = pass_time(r, before_ms, k, senses, rules, rows, work)
            if not (ready and may_go_on(k, senses, work)):
                return i, k
        if so_far_ms > advanced_ms:
            k = cool(r, 0, so_far_ms, k, senses, rows, arena, held_at(words[r, BLOCK]), crossed)
        if at_ms - words[r, NEWEST_MS] > senses.quiet_ms and words[r, BLOCK] == 0:
            k = cool(r, 0, at_ms, k, senses, rows, arena, held_at(0), crossed)
            if k > 0:
                return i, k  # what has been crossed may be this row's alert: it has to be known first
            if is_forgotten(r, at_ms, senses, rows):
                forget(r, rows)
        mask = matched(i, kind, arrivals.facts, rules) if kind >= 0 else 0
        folded, now_ms, late = mask != 0 and section(rules, HAS_DETAILS) != 0, 0, False
        if folded:
            ready, now_ms, seen_ms, late = fold_event(i, mask, so_far_ms, senses, rules, rows, arrivals, work)
            if not ready:
                return i, k
        elif words[r, BLOCK] != 0 and not is_loadable(words[r, BLOCK], arena, work.scratch):
            return i, k  # what is open may have to be listed
        held = held_at(words[r, BLOCK])
        if at_ms > words[r, UPDATED]:
            k = cool(r, 0, at_ms, k, senses, rows, arena, held, crossed)
            bring_to(r, at_ms, senses, rows)
        words[r, NEWEST_MS] = max(words[r, NEWEST_MS], at_ms)
        if rows.remembered > 0:
            words[r, HEAT + signals + words[r, INTERACTIONS] % rows.remembered] = event_id
        words[r, INTERACTIONS] += 1
        rows.dirty[r] = 1
        segment = arrivals.facts.code[i, SEGMENT_CODE]
        changed = False
        newer = at_ms > words[r, SEGMENT_MS] or (at_ms == words[r, SEGMENT_MS] and segment > words[r, SEGMENT])
        if segment != NO_SEGMENT and newer:
            changed = segment != words[r, SEGMENT]
            words[r, SEGMENT], words[r, SEGMENT_MS] = segment, at_ms
        if folded:
            work.counted[FOLDED] += 1
            judged_ms = max(words[r, UPDATED], words[r, LEFT] >> LEFT_BITS)
            late_ms = at_ms if late or at_ms < judged_ms else NEVER
            k = put_back(r, i, late_ms, so_far_ms, now_ms, seen_ms, late, k, senses, rules, rows, work)
            continue
        begin = first_rule(rules, kind) if mask != 0 else 0
        while mask != 0:
            if mask & 1 and rule_word(rules, begin, OP) == SIGNAL:
                points = points_of(i, begin, arrivals.time[i, 2], arrivals.facts, rules)
                if points > 0.0:
                    add_heat(r, rule_word(rules, begin, TARGET), points, at_ms, senses, rows)
                    changed = True
            mask >>= 1
            begin += 1
        if changed:
            before = k
            k = rise(r, i, k, senses, rows, arena, held, crossed)
            if k > before and words[r, BLOCK] != 0 and load_block(words[r, BLOCK], signals, arena, work.scratch):
                list_risen(before, k, senses, rules, work)
            k = fall(r, i, k, senses, rows, arena, held, crossed)
    return arrivals.row.shape[0], k


count_interactions_compiled = compiled(count_interactions, allocates=False)


def fire_timers(to_ms: int, senses: Senses, rules: Rules, rows: Rows, work: Work) -> tuple[bool, int]:
    """Let happen what is due up to ``to_ms``, included; whether all is done, and how many crossings there are."""
    k, timers, arena = 0, work.timers, work.blocks.arena
    while timers[0, 0] > 0 and timers[1, 0] <= to_ms:
        due_ms, row = timers[1, 0], timers[1, 1]
        if rows.alarm[row] != due_ms:
            pop_timer(timers)
            continue
        block = rows.words[row, BLOCK]
        if block != 0 and arena[block + NEXT_MS] <= due_ms:  # else the row waits for something later now
            ready, k = pass_time(row, due_ms + 1, k, senses, rules, rows, work)
            if not ready:
                return False, k
        pop_timer(timers)  # the row has set no other one: its alarm was before what it waits for now
        rows.alarm[row] = 0
        block = rows.words[row, BLOCK]
        if block != 0 and arena[block + NEXT_MS] < NEVER:
            wake(timers, rows.alarm, row, arena[block + NEXT_MS])
    return True, k


fire_timers_compiled = compiled(fire_timers, allocates=False)
