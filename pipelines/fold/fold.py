"""What an interaction does to what is open of a customer, and what time does: one step of the fold.

The state of a customer is the fold of its interactions in the order of their event time, and of the clocks that ran
out between them. Whoever keeps the interactions of the last minutes can make it again when a late one comes, so the
order of arrival does not count (pipelines/fold/folding.py does).
"""

from pipelines.fold.cases import add_points, close_case, do_case, note_channel, unnamed_case
from pipelines.fold.clock_times import breach_ms, clock_due, said_at
from pipelines.fold.clocks import do_clock, end_clock
from pipelines.fold.contacts import make_contact, note_tried
from pipelines.fold.items import (
    ASSUMED,
    AT,
    BREACHED,
    CASE,
    CASE_ITEM,
    CLOCK,
    CONTACT_ITEM,
    ENDS,
    FAILED,
    FIRED,
    FLAGS,
    GIVEN_UP,
    HELD,
    LAST,
    LEVEL,
    MASK,
    MENTION_ITEM,
    NEVER,
    NUMBER1,
    NUMBER2,
    ORPHANS,
    REPEAT,
    SAID_BROKEN,
    SEARCH_ITEM,
    SESSION,
    SHOWN,
    SILENT_AT,
    TAG,
    UNDECIDED,
    WARN,
    WARNED,
    drop_item,
    find_item,
    kind_of,
    new_item,
    number_of,
    tag_of,
    touch,
)
from pipelines.fold.mentions import answer_mention, make_mention
from pipelines.fold.signals import do_signal, find_streak
from pipelines.policy.rules import (
    ASSUMED_MS,
    CASE_ANSWERED,
    CASE_OPEN,
    CASE_RESOLVE,
    CLOCK_CLOSE,
    CLOCK_OPEN,
    CLOCK_RESUME,
    CONTACT,
    DEFLECT,
    DEFLECTED,
    ESTIMATE,
    FAILED_MS,
    MENTION,
    MENTION_ANSWER,
    MOST_FED,
    OP,
    SEARCH,
    SIGNAL,
    STREAK_END,
    TARGET,
    TRIED,
    WITHIN_MS,
    Rules,
    clock_points,
    clock_signal,
    derived_weight,
    first_rule,
    is_relief,
    rule_word,
    section,
    section_at,
)
from schemas.arrays import Int64s
from schemas.bits import as_float, as_word
from schemas.compiled import step

MOST_OPEN = 256
"""Cases of a customer that are open, and clocks and mentions: with one more the oldest ends. Nobody has so many; who
has is a customer_id that many share, and would slow down everybody else of the partition."""


@step
def item_due(items: Int64s, at: int, words: Int64s) -> int:
    """When time alone changes an item next. words: those of the rules."""
    kind = items[at, TAG] & 255
    if kind in (HELD, CONTACT_ITEM):
        return NEVER
    if kind == SEARCH_ITEM:
        return items[at, LAST] + words[section_at(ASSUMED_MS)]
    if kind not in (CLOCK, CASE_ITEM, REPEAT) or items[at, ENDS] != 0:
        return NEVER
    if kind == CLOCK:
        return clock_due(items, at, words)
    if kind == REPEAT:
        return items[at, LAST] + words[section_at(WITHIN_MS)]
    return items[at, SILENT_AT] if items[at, SILENT_AT] != 0 else NEVER


@step
def next_due(items: Int64s, count: int, words: Int64s) -> tuple[int, int]:
    """When time alone changes something next, and which item; of several the one that is first."""
    due_ms, which = NEVER, -1
    for at in range(count):
        own_ms = item_due(items, at, words)
        if own_ms < due_ms:
            due_ms, which = own_ms, at
    return due_ms, which


@step
def fire(items: Int64s, count: int, at: int, due_ms: int, rules: Rules, heats: Int64s, tally: Int64s) -> int:
    """Let happen what is due of an item; return the count."""
    item = items[at]
    tally[FIRED] = due_ms
    kind = kind_of(item)
    if kind == CASE_ITEM:
        return close_case(items, count, at, due_ms, True, rules, heats, tally)
    if kind == REPEAT:
        item[ENDS] = due_ms
        touch(item)
        return count
    if kind == SEARCH_ITEM:
        tally[ASSUMED] += 1
        return drop_item(items, count, at)
    number = number_of(item)
    touch(item)
    if item[WARN] == due_ms and item[FLAGS] & (WARNED | BREACHED) == 0:
        item[FLAGS] |= WARNED
        return count
    breaks = breach_ms(item) == due_ms and item[FLAGS] & BREACHED == 0
    if breaks:
        item[FLAGS] |= BREACHED
    else:
        item[LEVEL] += 1
        _, again = said_at(items, at, item[LEVEL], rules.words)
        if not again:
            return count
    case = item[CASE]
    for k in range(MOST_FED):
        s = clock_signal(rules, number, k)
        if s >= 0:
            points = clock_points(rules, number, k, not breaks)
            count = add_points(items, count, heats, tally, s, points, due_ms, case, is_relief(rules, s))
    return count


@step
def settle(items: Int64s, count: int, before_ms: int, rules: Rules, heats: Int64s, tally: Int64s) -> tuple[int, int]:
    """Let happen everything that is due before a time, in its order; return the count, and what is due next when."""
    while True:
        due_ms, which = next_due(items, count, rules.words)
        if due_ms >= before_ms:
            return count, due_ms
        count = fire(items, count, which, due_ms, rules, heats, tally)


@step
def settle_now(
    items: Int64s, count: int, now_ms: int, over: bool, rules: Rules, heats: Int64s, tally: Int64s
) -> tuple[int, int]:  # fmt: skip
    """Let happen what is due up to ``now_ms``; return the count, and what is due next when.

    over: whether that millisecond is over. As long as it is not, an interaction may still close what is due: only what
    was opened, or said to be broken, in it happens.
    """
    count, due_ms = settle(items, count, now_ms + int(over), rules, heats, tally)
    at = 0
    while due_ms == now_ms and at < count:
        item = items[at]
        of_now = item[AT] == now_ms or (kind_of(item) == CLOCK and item[FLAGS] & SAID_BROKEN != 0)
        if of_now and item_due(items, at, rules.words) == now_ms:
            count = fire(items, count, at, now_ms, rules, heats, tally)
            count, due_ms = settle(items, count, now_ms, rules, heats, tally)
            at = 0
        else:
            at += 1
    return count, due_ms


@step
def do_other(
    items: Int64s, count: int, op: int, target: int, event: Int64s, rules: Rules, heats: Int64s, tally: Int64s
) -> int:
    """Carry out what a rule says of searches, estimates, rows of failures and mentions; return the count."""
    if op in (SEARCH, DEFLECT):
        at = find_item(items, count, tag_of(SEARCH_ITEM, 0), TAG, tag_of(SEARCH_ITEM, 0))
        if op == SEARCH:
            if at < 0:
                count = new_item(items, count, tag_of(SEARCH_ITEM, 0), event)
                at = count - 1
            items[at, LAST] = event[AT]
            items[at, LEVEL] += 1
        elif at >= 0 and event[AT] - items[at, LAST] <= section(rules, FAILED_MS):
            count = drop_item(items, count, at)
            tally[FAILED] += 1
            s = section(rules, DEFLECTED)
            if s >= 0:
                count = add_points(
                    items, count, heats, tally, s, derived_weight(rules, 2), event[AT], event[CASE], False
                )
        elif at >= 0:
            count = drop_item(items, count, at)
            tally[UNDECIDED] += 1
    elif op == STREAK_END:
        at = find_streak(items, count, target, event)
        if at >= 0:
            items[at, LEVEL] = 0
    elif op == ESTIMATE:
        at = find_item(items, count, tag_of(SHOWN, target), SESSION, event[SESSION])
        if at < 0:
            count = new_item(items, count, tag_of(SHOWN, target), event)
            at = count - 1
            items[at, NUMBER1] = 0
        items[at, LAST] = event[AT]
        shown = as_float(event[NUMBER2])
        if shown > as_float(items[at, NUMBER1]):  # not so for NaN
            items[at, NUMBER1] = as_word(shown)
    elif op == MENTION_ANSWER:
        answer_mention(items, count, event)
    elif op == MENTION:
        count = make_mention(items, count, event, rules)
    return count


@step
def give_up(items: Int64s, count: int, at_ms: int, rules: Rules, heats: Int64s, tally: Int64s) -> int:
    """End what has been open for longest, of more than MOST_OPEN cases, or clocks and mentions; return the count."""
    cases, others, k = 0, 0, 0
    for at in range(count):
        cases += kind_of(items[at]) == CASE_ITEM and items[at, ENDS] == 0
    while cases > MOST_OPEN:
        if kind_of(items[k]) == CASE_ITEM and items[k, ENDS] == 0:
            count = close_case(items, count, k, at_ms, False, rules, heats, tally)  # what it held is behind it
            cases -= 1
            tally[GIVEN_UP] += 1
        k += 1
    for at in range(count):
        others += kind_of(items[at]) in (CLOCK, MENTION_ITEM) and items[at, ENDS] == 0
    k = 0
    while others > MOST_OPEN:
        kind = kind_of(items[k])
        if kind in (CLOCK, MENTION_ITEM) and items[k, ENDS] == 0:
            if kind == CLOCK:
                end_clock(items[k], at_ms)
            else:
                items[k, ENDS] = at_ms
                touch(items[k])
            others -= 1
            tally[GIVEN_UP] += 1
        k += 1
    return count


@step
def apply_event(items: Int64s, count: int, event: Int64s, rules: Rules, heats: Int64s, tally: Int64s) -> int:
    """Carry out the rules that an interaction fulfils, in their order; return the count of items."""
    first, end = first_rule(rules, number_of(event)), first_rule(rules, number_of(event) + 1)
    named = event[CASE]
    if named == 0:
        event[CASE] = unnamed_case(items, count, event, rules)
    c = find_item(items, count, tag_of(CASE_ITEM, 0), CASE, event[CASE]) if event[CASE] != 0 else -1
    in_case = c >= 0 and items[c, ENDS] == 0
    ran_ms, case_age_ms, stored, closes = -1, -1, 0, False
    for r in range(first, end):
        if (event[MASK] >> (r - first)) & 1 == 0:
            continue
        op = rule_word(rules, r, OP)
        if op == SIGNAL:
            count, stored = do_signal(items, count, r, event, stored, ran_ms, case_age_ms, rules, heats, tally)
        elif op == CASE_RESOLVE:
            c = find_item(items, count, tag_of(CASE_ITEM, 0), CASE, event[CASE]) if event[CASE] != 0 else -1
            if c >= 0 and items[c, ENDS] == 0 and items[c, AT] <= event[AT]:
                case_age_ms = event[AT] - items[c, AT]
                count = close_case(items, count, c, event[AT], False, rules, heats, tally)
        elif op <= CASE_ANSWERED:
            if op == CASE_OPEN and in_case:
                count = note_channel(items, count, c, event, rules, heats, tally)
            count = do_case(items, count, op, event, rules, heats, tally)
        elif op == CONTACT:
            count = make_contact(items, count, event, in_case, rules, heats, tally)
        elif op == TRIED:
            note_tried(items, count, event)
        elif CLOCK_RESUME <= op <= CLOCK_OPEN:
            count, ran = do_clock(items, count, r, event, rules)
            ran_ms = max(ran_ms, ran)
            closes = closes or op == CLOCK_CLOSE
        else:
            count = do_other(items, count, op, rule_word(rules, r, TARGET), event, rules, heats, tally)
    if closes and ran_ms < 0:
        tally[ORPHANS] += 1
    event[CASE] = named
    return give_up(items, count, event[AT], rules, heats, tally) if count > MOST_OPEN else count
