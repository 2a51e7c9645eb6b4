"""Clocks: what a customer waits for, when it is due, and what pauses it (design, section 6).

A clock is an item (pipelines/fold/items.py). Nothing here looks at a clock of the wall: what is due is found from the
items, and fired in the order of its time.
"""

from pipelines.fold.items import (
    AT,
    BREACHED,
    BROKEN_AT,
    CASE,
    CLOCK,
    DEADLINE,
    DUE,
    ENDS,
    FLAGS,
    LEFT,
    LEVEL,
    MOVED,
    MOVED_AT,
    NEVER,
    PAUSED,
    PAUSED_AT,
    SAID_BROKEN,
    SESSION,
    TAG,
    WARN,
    WARN_FOR,
    WARNED,
    new_item,
    number_of,
    tag_of,
    touch,
)
from pipelines.policy.calendars import after_business_days, after_working_ms, before_working_ms, working_ms_between
from pipelines.policy.rules import (
    AGAIN,
    BUSINESS_DAYS,
    BY_CASE,
    BY_CUSTOMER,
    BY_SESSION,
    CALENDAR,
    CLOCK_BREAK,
    CLOCK_CLOSE,
    CLOCK_OPEN,
    CLOCK_PAUSE,
    CLOCK_RESET,
    CLOCK_RESUME,
    MATCH,
    OP,
    PROMISE_MS,
    TAKES_DEADLINE,
    TARGET,
    WARN_MS,
    Rules,
    clock_word,
    rule_word,
)
from schemas.arrays import Int64s
from schemas.compiled import step


@step
def clock_key(item: Int64s, match: int) -> int:
    """What the opening and the closing of a clock share; 0 when it is not told."""
    if match == BY_CUSTOMER:
        return 0
    if match == BY_SESSION:
        return item[SESSION] if item[SESSION] != 0 else item[CASE]
    return item[CASE] if item[CASE] != 0 else item[SESSION]


@step
def is_named(item: Int64s, event: Int64s, match: int) -> bool:
    """Whether an interaction names a clock: by its case or session; or the customer has but one. match: BY_CASE ..."""
    if match == BY_CASE and event[CASE] == 0:
        return event[SESSION] != 0 and item[SESSION] == event[SESSION]
    return match == BY_CUSTOMER or (clock_key(event, match) != 0 and clock_key(item, match) == clock_key(event, match))


@step
def may_be_meant(item: Int64s, event: Int64s, match: int) -> bool:
    """Whether an interaction that names no clock may speak of this one: it does not say otherwise.

    Only a case tells clocks of cases apart: what names none may speak of any.
    """
    if match == BY_CASE:
        return event[CASE] == 0 or item[CASE] == 0
    return clock_key(event, match) == 0 or clock_key(item, match) == 0


@step
def open_clock(items: Int64s, count: int, number: int, event: Int64s, rules: Rules) -> int:
    """Place of the oldest open clock that an interaction names; else, that it may mean; below 0 for none."""
    match, meant = clock_word(rules, number, MATCH), -1
    for at in range(count):
        item = items[at]
        if item[TAG] != tag_of(CLOCK, number) or item[ENDS] != 0 or item[AT] > event[AT]:
            continue
        if is_named(item, event, match):
            return at
        if meant < 0 and may_be_meant(item, event, match):
            meant = at
    return meant


@step
def same_clock(items: Int64s, count: int, number: int, event: Int64s, due_ms: int, rules: Rules) -> int:
    """Place of the oldest open clock of the same case or session, or of none as the interaction; below 0 for none.

    due_ms: of the one that it would open. Promises of a told time that are of none are told apart by it.
    """
    match = clock_word(rules, number, MATCH)
    key = clock_key(event, match)
    apart = key == 0 and match != BY_CUSTOMER and clock_word(rules, number, TAKES_DEADLINE) != 0
    for at in range(count):
        is_open = items[at, TAG] == tag_of(CLOCK, number) and items[at, ENDS] == 0 and items[at, AT] <= event[AT]
        if is_open and clock_key(items[at], match) == key and (not apart or items[at, DUE] == due_ms):
            return at
    return -1


@step
def promised_ms(number: int, event: Int64s, r: int, rules: Rules) -> int:
    """The deadline of a clock that an interaction opens by rule r; NEVER for none."""
    calendar = clock_word(rules, number, CALENDAR)
    if clock_word(rules, number, TAKES_DEADLINE) != 0 and event[DEADLINE] != 0:
        return max(event[DEADLINE], event[AT])
    if rule_word(rules, r, BUSINESS_DAYS) > 0:
        return after_business_days(rules.calendars, calendar, event[AT], rule_word(rules, r, BUSINESS_DAYS))
    if rule_word(rules, r, PROMISE_MS) > 0:
        return after_working_ms(rules.calendars, calendar, event[AT], rule_word(rules, r, PROMISE_MS))
    return NEVER


@step
def set_due(item: Int64s, due_ms: int, after_ms: int, rules: Rules) -> None:
    """Give a clock its deadline, and the time of its warning, if working time passes from ``after_ms`` until then."""
    item[DUE] = due_ms
    item[WARN] = 0
    touch(item)
    if item[WARN_FOR] > 0 and due_ms < NEVER:
        calendar = clock_word(rules, number_of(item), CALENDAR)
        warn_ms = before_working_ms(rules.calendars, calendar, due_ms, item[WARN_FOR])
        item[WARN] = warn_ms if working_ms_between(rules.calendars, calendar, after_ms, warn_ms) > 0 else 0


@step
def begin_clock(items: Int64s, count: int, number: int, event: Int64s, r: int, rules: Rules) -> int:
    """Open a clock with an interaction, by rule r; return the count."""
    count = new_item(items, count, tag_of(CLOCK, number), event)
    item = items[count - 1]
    item[WARN_FOR] = rule_word(rules, r, WARN_MS)
    set_due(item, promised_ms(number, event, r, rules), event[AT], rules)
    return count


@step
def note_left(item: Int64s, at_ms: int, rules: Rules) -> None:
    """Keep what is left of the working time of a clock that stands still from ``at_ms`` on."""
    if item[DUE] < NEVER:
        calendar = clock_word(rules, number_of(item), CALENDAR)
        item[LEFT] = working_ms_between(rules.calendars, calendar, at_ms, max(at_ms, item[DUE]))


@step
def pause_clock(item: Int64s, at_ms: int, rules: Rules) -> None:
    """Stop a clock; what is left of its working time is left when it goes on."""
    if item[PAUSED_AT] == 0 and item[ENDS] == 0:
        item[PAUSED_AT] = at_ms
        note_left(item, at_ms, rules)


@step
def resume_clock(item: Int64s, at_ms: int, rules: Rules) -> None:
    """Let a clock go on: its deadline moves."""
    if item[PAUSED_AT] != 0 and item[ENDS] == 0:
        item[PAUSED] += at_ms - item[PAUSED_AT]
        item[PAUSED_AT] = 0
        if item[DUE] < NEVER and item[FLAGS] & (BREACHED | SAID_BROKEN) == 0:
            calendar = clock_word(rules, number_of(item), CALENDAR)
            due_ms = after_working_ms(rules.calendars, calendar, at_ms, item[LEFT])
            if item[FLAGS] & WARNED != 0:  # it is told again with what is left
                item[DUE], item[MOVED_AT] = due_ms, at_ms
                item[FLAGS] |= MOVED
                touch(item)
            else:
                set_due(item, due_ms, item[AT] if item[WARN] != 0 else due_ms, rules)  # no promise is longer by it
                item[LEFT] = 0


@step
def move_clock(item: Int64s, op: int, at_ms: int, rules: Rules) -> None:
    """Pause or resume a clock."""
    if op == CLOCK_PAUSE:
        pause_clock(item, at_ms, rules)
    else:
        resume_clock(item, at_ms, rules)


@step
def move_clocks(items: Int64s, count: int, number: int, op: int, event: Int64s, rules: Rules) -> None:
    """Pause or resume the clocks that an interaction names; if it names no case or session, the oldest that can be."""
    match, oldest, named = clock_word(rules, number, MATCH), -1, False
    for at in range(count):
        item = items[at]
        is_open = item[TAG] == tag_of(CLOCK, number) and item[ENDS] == 0
        if not is_open or (op == CLOCK_RESUME and item[PAUSED_AT] == 0):
            continue
        if is_named(item, event, match):
            named = True
            move_clock(item, op, event[AT], rules)
        elif oldest < 0:
            oldest = at
    anonymous = clock_key(event, match) == 0 or (match == BY_CASE and event[CASE] == 0)
    if anonymous and not named and oldest >= 0:
        move_clock(items[oldest], op, event[AT], rules)


@step
def end_clock(item: Int64s, at_ms: int) -> None:
    """Close a clock."""
    if item[PAUSED_AT] != 0:
        item[PAUSED] += max(0, at_ms - item[PAUSED_AT])
        item[PAUSED_AT] = 0
    item[ENDS] = at_ms
    touch(item)


@step
def stand_by(items: Int64s, count: int, same: int, event: Int64s, number: int, r: int, rules: Rules) -> int:
    """Note an opening that does nothing, as ``same`` is open, as a clock of no length; return the count.

    A session has one wait at a time: when the older one is closed at that very millisecond, this one has begun.
    """
    if clock_word(rules, number, MATCH) != BY_SESSION or items[same, AT] == event[AT]:
        return count
    count = begin_clock(items, count, number, event, r, rules)
    items[count - 1, ENDS] = event[AT]
    return count


@step
def begin_next(items: Int64s, count: int, closed: int, rules: Rules) -> None:
    """Open the clock of a session that began at the very millisecond at which the one before it was closed."""
    old = items[closed]
    match = clock_word(rules, number_of(old), MATCH)
    if match != BY_SESSION or old[AT] == old[ENDS]:
        return
    for at in range(count):
        item = items[at]
        begins_then = item[TAG] == old[TAG] and item[AT] == old[ENDS] and item[ENDS] == old[ENDS]
        if begins_then and clock_key(item, match) == clock_key(old, match):
            item[ENDS] = 0
            return


@step
def reset_clock(items: Int64s, count: int, at: int, event: Int64s, r: int, rules: Rules) -> int:
    """Give a clock the deadline that an interaction tells, by rule r; return the count.

    One that has been warned of is over: the clock goes on as another, so that it is warned of the new one.
    """
    old, number = items[at], number_of(items[at])
    if old[FLAGS] & WARNED != 0:
        count = begin_clock(items, count, number, event, r, rules)
        item = items[count - 1]
        item[AT], item[LEVEL], item[PAUSED], item[PAUSED_AT] = old[AT], old[LEVEL], old[PAUSED], old[PAUSED_AT]
        old[PAUSED_AT] = 0
        end_clock(old, event[AT])
    else:
        item = old
        set_due(item, max(event[DEADLINE], event[AT]), event[AT], rules)
    if item[PAUSED_AT] != 0:
        note_left(item, event[AT], rules)
    return count


@step
def hasten_clock(items: Int64s, count: int, at: int, due_ms: int, event: Int64s, r: int, rules: Rules) -> int:
    """Bring the deadline of a clock that runs forward to one that is promised now, by rule r; return the count."""
    item = items[at]
    if item[PAUSED_AT] != 0 or due_ms >= item[DUE]:
        return count
    if item[FLAGS] & WARNED != 0:
        return reset_clock(items, count, at, event, r, rules)
    item[WARN_FOR] = rule_word(rules, r, WARN_MS)
    set_due(item, due_ms, event[AT], rules)
    return count


@step
def say_broken(item: Int64s, at_ms: int) -> None:
    """Somebody says that a promise is broken; its deadline stays, if it has one."""
    stands_still = item[PAUSED_AT] != 0  # its deadline, which may be over by now, will move
    if item[DUE] >= NEVER:
        item[DUE] = at_ms
    if at_ms < item[DUE] or stands_still:
        item[FLAGS] = (item[FLAGS] | SAID_BROKEN) & ~MOVED
        item[BROKEN_AT] = at_ms
    touch(item)


@step
def do_clock(items: Int64s, count: int, r: int, event: Int64s, rules: Rules) -> tuple[int, int]:
    """Carry out what a rule says of a clock; return the count, and how long a closed one had run, below 0 for none."""
    op, number = rule_word(rules, r, OP), rule_word(rules, r, TARGET)
    ran_ms = -1
    if op == CLOCK_OPEN:
        due_ms = promised_ms(number, event, r, rules)
        same = same_clock(items, count, number, event, due_ms, rules)
        if same >= 0 and items[same, FLAGS] & (BREACHED | SAID_BROKEN) != 0:  # it stays so until it is kept
            return stand_by(items, count, same, event, number, r, rules), ran_ms
        if same >= 0 and clock_word(rules, number, AGAIN) == 0:
            count = stand_by(items, count, same, event, number, r, rules)
            return hasten_clock(items, count, same, due_ms, event, r, rules), ran_ms
        if same >= 0:
            end_clock(items[same], event[AT])
        return begin_clock(items, count, number, event, r, rules), ran_ms
    at = open_clock(items, count, number, event, rules)
    if op in (CLOCK_PAUSE, CLOCK_RESUME):
        move_clocks(items, count, number, op, event, rules)
        return count, ran_ms
    if at < 0:
        if op == CLOCK_BREAK:
            count = begin_clock(items, count, number, event, r, rules)
            set_due(items[count - 1], event[AT], event[AT], rules)
        return count, ran_ms
    if op == CLOCK_CLOSE:
        ran_ms = event[AT] - items[at, AT]
        end_clock(items[at], event[AT])
        begin_next(items, count, at, rules)
    elif items[at, FLAGS] & (BREACHED | SAID_BROKEN) != 0:
        return count, ran_ms
    elif op == CLOCK_BREAK:
        say_broken(items[at], event[AT])
    elif op == CLOCK_RESET and event[DEADLINE] != 0:
        count = reset_clock(items, count, at, event, r, rules)
    return count, ran_ms
