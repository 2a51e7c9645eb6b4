"""Which alerts should stand, by what is open of a customer, against those that have been told.

Alerts are not raised where something happens: after each fold what should stand is compared with what was told, and
the difference is told. So a late interaction retracts what should never have been said, and a restart repeats nothing.
"""

from pipelines.fold.clock_times import breach_ms, said_at
from pipelines.fold.items import (
    AT,
    BREACHED,
    CASE,
    CLOCK,
    CLOCK_BREACHED,
    CLOCK_WARNING,
    DISMISSED,
    DUE,
    ENDS,
    ESCALATED,
    FLAGS,
    HANDLING,
    ID,
    KEY,
    LAST,
    LEVEL,
    MASK,
    MENTION_ITEM,
    NEVER,
    OPENED,
    RAISED,
    REPEAT,
    REPEAT_CONTACT,
    RESOLVED,
    RETRACTED,
    REVISION,
    SOCIAL_RISK,
    STATUS,
    STILL_WAITING,
    SUBJECT,
    TAG,
    TOLD,
    TOLD_DUE,
    TOLD_LEVEL,
    TOUCHED,
    WARN,
    WARNED,
    WIDE,
    is_told_of,
    kind_of,
    mark_full,
    number_of,
    tag_of,
)
from pipelines.fold.notes import Notes, write_note
from pipelines.fold.scoring import Rows
from pipelines.policy.rules import (
    COUNT,
    Rules,
    section,
)
from schemas.arrays import Bytes, Int64s
from schemas.compiled import step


@step
def want(wanted: Int64s, n: int, item: Int64s, at: int, alert: int, status: int, raised_ms: int, level: int) -> int:
    """Append an alert that should stand, of the item at ``at``; return how many there are."""
    if n >= wanted.shape[0] - 2:
        mark_full(wanted)
        return n
    w = wanted[n]
    for k in range(WIDE):
        w[k] = item[k] if k < MASK else 0
    w[TAG] = tag_of(TOLD, alert)
    w[KEY] = item[SUBJECT] if alert == REPEAT_CONTACT else number_of(item)
    w[STATUS], w[RAISED], w[REVISION], w[TOLD_LEVEL] = status, raised_ms, at, level
    w[TOLD_DUE] = item[DUE] if kind_of(item) == CLOCK and item[DUE] < NEVER else 0
    return n + 1


@step
def raised_at(clock: Int64s, said_ms: int) -> int:
    """Time of the newest revision of an alert of a clock: when it said that, or ended, but no sooner than it said it.

    said_ms: NEVER when the policy that let it say so was another one.
    """
    if clock[ENDS] == 0:
        return said_ms
    return max(said_ms, clock[ENDS]) if said_ms < NEVER else clock[ENDS]


@step
def find_wanted(items: Int64s, count: int, rules: Rules, wanted: Int64s, every: bool) -> int:
    """List the alerts that should stand by what is open: TOLD items, with the place of their item as revision.

    every: also those of items that have not been touched; none is afterwards.
    """
    n = 0
    for at in range(count):
        item = items[at]
        if not is_told_of(item) or not (every or item[FLAGS] & TOUCHED != 0):
            continue
        item[FLAGS] &= ~TOUCHED
        kind = kind_of(item)
        ended = RESOLVED if kind in (CLOCK, REPEAT, MENTION_ITEM) and item[ENDS] != 0 else OPENED
        if kind == CLOCK:
            breached = item[FLAGS] & BREACHED != 0
            if item[FLAGS] & WARNED != 0:
                status = ended if ended == RESOLVED else ESCALATED if breached else OPENED
                raised_ms = raised_at(item, breach_ms(item) if breached else item[WARN])
                n = want(wanted, n, item, at, CLOCK_WARNING, status, raised_ms, 1)
                wanted[n - 1, AT] = item[WARN]
            if breached:
                n = want(wanted, n, item, at, CLOCK_BREACHED, ended, raised_at(item, breach_ms(item)), 1)
                wanted[n - 1, AT] = breach_ms(item)
            if item[LEVEL] > 0:
                status = ended if ended == RESOLVED else ESCALATED if item[LEVEL] > 1 else OPENED
                said_ms, _ = said_at(items, at, item[LEVEL], rules.words)
                n = want(wanted, n, item, at, STILL_WAITING, status, raised_at(item, said_ms), item[LEVEL])
                wanted[n - 1, AT], _ = said_at(items, at, 1, rules.words)
        elif kind == REPEAT:
            further = item[LEVEL] > section(rules, COUNT) or item[LAST] > item[AT]  # that may be of another policy
            status = ended if ended == RESOLVED else ESCALATED if further else OPENED
            raised_ms = item[ENDS] if ended == RESOLVED else item[LAST]
            n = want(wanted, n, item, at, REPEAT_CONTACT, status, raised_ms, item[LEVEL])
        elif kind == MENTION_ITEM:
            raised_ms = item[ENDS] if ended == RESOLVED else item[AT]
            n = want(wanted, n, item, at, SOCIAL_RISK, ended, raised_ms, 1)
    return n


@step
def find_alert(alerts: Int64s, count: int, alert: Int64s, near: int) -> int:
    """Place of the same alert among some that were told or should stand, below 0 for none; looked for from ``near``."""
    for k in range(count):
        at = near + k if near + k < count else near + k - count
        if alerts[at, ID] == alert[ID] and alerts[at, TAG] == alert[TAG] and alerts[at, KEY] == alert[KEY]:
            return at
    return -1


@step
def may_raise(item: Int64s, told: Int64s) -> bool:
    """Whether an item of the same event is the one of which an alert speaks, whether or not it should stand now."""
    alert, kind = number_of(told), kind_of(item)
    if alert == REPEAT_CONTACT:
        return kind == REPEAT and item[SUBJECT] == told[KEY]
    if alert == SOCIAL_RISK:
        return kind == MENTION_ITEM
    return kind == CLOCK and number_of(item) == told[KEY]


@step
def is_silenced(told: Int64s, status: int) -> bool:
    """Whether a team has dismissed an alert that stands, and goes on."""
    return told[HANDLING] & DISMISSED != 0 and max(status, told[STATUS]) <= ESCALATED


@step
def tell(
    row: int, now_ms: int, arena: Int64s, held: int, rows: Rows, within_ms: int, items: Int64s, count: int,
    wanted: Int64s, wants: int, told: Int64s, tolds: int, text: Bytes, notes: Notes, every: bool,
) -> int:  # fmt: skip
    """Note what differs between the alerts that should stand and those told; return how many are told now.

    arena, held: where what open cases hold stands. rows: all of them. within_ms: see write_note.
    items: what is open, int64[*, WIDE]. wanted, told: TOLD items; ``told`` is updated.
    every: whether all that should stand are wanted, so that others are retracted.
    """
    near = 0
    for k in range(tolds if every else 0):
        if told[k, STATUS] == RETRACTED:
            continue
        at = find_alert(wanted, wants, told[k], near)
        near = max(at, 0)
        if at < 0:
            told[k, REVISION] += 1
            told[k, STATUS], told[k, RAISED] = RETRACTED, now_ms
            write_note(row, told[k], RETRACTED, now_ms, arena, held, rows, within_ms, items, count, text, notes)
    near = 0
    for w in range(wants):
        status = wanted[w, STATUS]
        if wanted[w, RAISED] == NEVER:  # the policy that said it was another one
            continue
        at = find_alert(told, tolds, wanted[w], near)
        near = max(at, 0)
        first_ms = wanted[w, AT]
        if at < 0:
            at = tolds
            for j in range(WIDE):
                told[at, j] = wanted[w, j]
            told[at, REVISION] = 0
            tolds += 1
        elif (
            told[at, STATUS] == status
            and told[at, TOLD_LEVEL] == wanted[w, TOLD_LEVEL]
            and (told[at, TOLD_DUE] == wanted[w, TOLD_DUE] or status == RESOLVED)
            and (told[at, RAISED] == wanted[w, RAISED] or not every)
            and (told[at, CASE] == wanted[w, CASE] or number_of(told[at]) != SOCIAL_RISK)
        ) or is_silenced(told[at], status):
            continue
        before = told[at, STATUS] if told[at, REVISION] > 0 else RETRACTED
        told[at, TOLD_LEVEL], told[at, TOLD_DUE] = wanted[w, TOLD_LEVEL], wanted[w, TOLD_DUE]
        told[at, CASE] = wanted[w, CASE]  # of a mention, what comes late can show that it was another one
        if before == RETRACTED and status != OPENED:  # it was opened meanwhile, and went on
            told[at, REVISION] += 1
            write_note(row, told[at], OPENED, first_ms, arena, held, rows, within_ms, items, count, text, notes)
        told[at, REVISION] += 1
        write_note(row, told[at], status, wanted[w, RAISED], arena, held, rows, within_ms, items, count, text, notes)
        told[at, STATUS], told[at, RAISED] = wanted[w, STATUS], wanted[w, RAISED]
    return tolds
