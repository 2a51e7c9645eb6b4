"""Cases: while one is open its friction does not decay, and when it is closed nothing of it is waited for."""

from pipelines.fold.clocks import end_clock
from pipelines.fold.items import (
    AT,
    BREACHED,
    CASE,
    CASE_ITEM,
    CHANNEL,
    CLOCK,
    DUE,
    ENDS,
    FLAGS,
    HEAT,
    HEAT_COUNT,
    HELD,
    MASK,
    MENTION_ITEM,
    NEVER,
    PAUSED_AT,
    POINTS,
    REPEAT,
    SAID_BROKEN,
    SESSION,
    SILENT_AT,
    SUBJECT,
    TAG,
    drop_item,
    find_item,
    kind_of,
    mark_full,
    new_item,
    number_of,
    tag_of,
    touch,
)
from pipelines.policy.rules import (
    CASE_ANSWERED,
    CASE_CUSTOMER,
    CASE_OPEN,
    CASE_REOPEN,
    CASE_RESOLVE,
    OP,
    REOPEN_MS,
    RESOLVED_TOO,
    SILENCE_MS,
    SWITCHED,
    Rules,
    clock_word,
    derived_weight,
    first_rule,
    rule_word,
    section,
)
from schemas.arrays import Int64s
from schemas.bits import as_float, as_word
from schemas.compiled import step


@step
def note_heat(heats: Int64s, tally: Int64s, signal: int, points: float, at_ms: int, case: int) -> None:
    """Note that heat is added from ``at_ms`` on. case: the one that holds it, 0 for none."""
    n = tally[HEAT_COUNT]
    if n >= heats.shape[0] - 2:
        mark_full(heats)
        return
    heats[n, :] = 0
    heats[n, TAG], heats[n, AT], heats[n, CASE] = tag_of(HEAT, signal), at_ms, case
    heats[n, POINTS] = as_word(points)
    tally[HEAT_COUNT] = n + 1


@step
def add_points(
    items: Int64s,
    count: int,
    heats: Int64s,
    tally: Int64s,
    signal: int,
    points: float,
    at_ms: int,
    case: int,
    relief: bool,
) -> int:
    """Add heat from ``at_ms`` on, or to what the open case holds; return the count of items."""
    if points == 0.0:
        return count
    if case != 0 and not relief:
        c = find_item(items, count, tag_of(CASE_ITEM, 0), CASE, case)
        if c >= 0 and items[c, ENDS] == 0:
            h = find_item(items, count, tag_of(HELD, signal), CASE, case)
            if h < 0:
                if count >= items.shape[0] - 2:
                    mark_full(items)
                    return count
                items[count, :] = 0
                items[count, TAG], items[count, AT], items[count, CASE] = tag_of(HELD, signal), at_ms, case
                h = count
                count += 1
            items[h, POINTS] = as_word(as_float(items[h, POINTS]) + points)
            note_heat(heats, tally, signal, points, at_ms, case)
            return count
    note_heat(heats, tally, signal, points, at_ms, 0)
    return count


@step
def unnamed_case(items: Int64s, count: int, event: Int64s, rules: Rules) -> int:
    """The case that an interaction means which names none, 0 for none; of its session, if one was opened there.

    What resolves means the oldest that is open, what opens again the one that ended last, within REOPEN_MS.
    """
    first, reopens, resolves = first_rule(rules, number_of(event)), False, False
    for r in range(first, first_rule(rules, number_of(event) + 1)):
        if (event[MASK] >> (r - first)) & 1:
            reopens = reopens or rule_word(rules, r, OP) == CASE_REOPEN
            resolves = resolves or rule_word(rules, r, OP) == CASE_RESOLVE
    for anywhere in range(int(event[SESSION] == 0), 2):
        case, last_ms = 0, event[AT] - section(rules, REOPEN_MS)
        for at in range(count if reopens or resolves else 0):
            item = items[at]
            if item[TAG] != tag_of(CASE_ITEM, 0) or (anywhere == 0 and item[SESSION] != event[SESSION]):
                continue
            if resolves and item[ENDS] == 0:
                return item[CASE]
            if reopens and item[ENDS] >= last_ms:
                case, last_ms = item[CASE], item[ENDS]
        if case != 0:
            return case
    return 0


@step
def outlives_silence(clock: Int64s, at_ms: int, rules: Rules) -> bool:
    """Whether a clock goes on when silence ends its case: a promise, not yet due, that no resolution keeps."""
    runs = clock[PAUSED_AT] == 0 and clock[FLAGS] & (BREACHED | SAID_BROKEN) == 0 and at_ms < clock[DUE] < NEVER
    return runs and clock_word(rules, number_of(clock), RESOLVED_TOO) == 0


@step
def close_case(
    items: Int64s, count: int, c: int, at_ms: int, silent: bool, rules: Rules, heats: Int64s, tally: Int64s
) -> int:  # fmt: skip
    """Close a case: its friction begins to decay, nothing of it is waited for; return the count.

    silent: nobody has said that it is over: what was promised is still to be done.
    """
    case = items[c, CASE]
    items[c, ENDS] = at_ms
    items[c, SILENT_AT] = 0
    for at in range(count):
        kind = kind_of(items[at])
        ours = items[at, CASE] == case or (kind == REPEAT and items[at, SUBJECT] == items[c, SUBJECT])
        if ours and kind in (MENTION_ITEM, REPEAT) and items[at, ENDS] == 0:
            items[at, ENDS] = at_ms
            touch(items[at])
        elif ours and kind == CLOCK and items[at, ENDS] == 0 and items[at, AT] <= at_ms:
            goes_on = silent and outlives_silence(items[at], at_ms, rules)
            if not goes_on:
                end_clock(items[at], at_ms)
    at = 0
    while at < count:
        if kind_of(items[at]) == HELD and items[at, CASE] == case:
            signal, points = number_of(items[at]), as_float(items[at, POINTS])
            count = drop_item(items, count, at)
            note_heat(heats, tally, signal, -points, at_ms, case)
            note_heat(heats, tally, signal, points, at_ms, 0)
        else:
            at += 1
    return count


@step
def note_channel(items: Int64s, count: int, of: int, event: Int64s, rules: Rules, heats: Int64s, tally: Int64s) -> int:
    """The customer speaks on a channel, after ``of``, a case or contact: perhaps on another one; return the count."""
    s = section(rules, SWITCHED)
    switched = items[of, CHANNEL] != 0 and event[CHANNEL] != 0 and items[of, CHANNEL] != event[CHANNEL]
    if event[CHANNEL] != 0:
        items[of, CHANNEL] = event[CHANNEL]
    if switched and s >= 0:
        count = add_points(items, count, heats, tally, s, derived_weight(rules, 1), event[AT], event[CASE], False)
    return count


@step
def do_case(items: Int64s, count: int, op: int, event: Int64s, rules: Rules, heats: Int64s, tally: Int64s) -> int:
    """Carry out what a rule says of a case; return the count."""
    case = event[CASE]
    if case == 0:
        return count
    c = find_item(items, count, tag_of(CASE_ITEM, 0), CASE, case)
    is_open = c >= 0 and items[c, ENDS] == 0
    if op in (CASE_OPEN, CASE_REOPEN):
        if is_open:
            return count
        again = c >= 0 and (op == CASE_REOPEN or event[AT] - items[c, ENDS] <= section(rules, REOPEN_MS))
        if again:
            items[c, ENDS] = 0
        else:
            if c >= 0:
                count = drop_item(items, count, c)
            count = new_item(items, count, tag_of(CASE_ITEM, 0), event)
            items[count - 1, CHANNEL] = event[CHANNEL]
    elif is_open and op == CASE_CUSTOMER:
        items[c, SILENT_AT] = 0
        count = note_channel(items, count, c, event, rules, heats, tally)
    elif is_open and op == CASE_ANSWERED and section(rules, SILENCE_MS) > 0:
        items[c, SILENT_AT] = event[AT] + section(rules, SILENCE_MS)
    return count
