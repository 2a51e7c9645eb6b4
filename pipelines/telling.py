"""Which alerts should stand, by what is open of a customer, against those that have been told.

Alerts are not raised where something happens: after each fold what should stand is compared with what was told, and
the difference is told. So a late interaction retracts what should never have been said, and a restart repeats nothing.
"""

from typing import NamedTuple

import numpy as np

from pipelines.clocks import steps_of
from pipelines.items import (
    AT,
    BREACHED,
    CASE,
    CASE_ITEM,
    CLOCK,
    CLOCK_BREACHED,
    CLOCK_WARNING,
    CONTACT_ITEM,
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
    PAUSED,
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
    TEXT,
    TOLD,
    TOLD_DUE,
    TOLD_LEVEL,
    TOUCHED,
    TRIED_KIND,
    TRIED_LENGTH,
    TRIED_TEXT,
    WARN,
    WARNED,
    WIDE,
    find_item,
    is_told_of,
    kind_of,
    mark_full,
    number_of,
    tag_of,
    text_length,
)
from pipelines.rules import (
    COUNT,
    REPEAT_MS,
    STILL,
    Rules,
    clock_word,
    section,
)
from pipelines.scoring import HEAT as HEAT_AT
from pipelines.scoring import SEGMENT, Rows
from schemas.arrays import Bytes, Float64s, Int64s
from schemas.bits import as_float
from schemas.compiled import step

# columns of a row: what it is, what it says, and behind it its texts
WHAT, NOTE, LISTED = 0, 0, 1
(
    NOTE_ROW, NOTE_TYPE, NOTE_CLOCK, NOTE_STATUS, NOTE_REVISION, NOTE_RAISED, NOTE_DUE, NOTE_LEVEL,
    NOTE_AT, NOTE_PAUSED, NOTE_SEGMENT, NOTE_BAND, NOTE_AFTER, NOTE_CASE, NOTE_CASE_BYTES,
) = range(1, 16)  # fmt: skip
LISTED_CLOCK, LISTED_AT, LISTED_DUE, LISTED_TRIED, LISTED_TRIED_BYTES, LISTED_KIND = range(1, 7)
TEXTS_AT, TEXTS = 16, 6
_COLUMNS = TEXTS_AT + 1 + TEXTS
ROWS_USED, TEXT_USED, CROSSED = 0, 1, 2
MOST_LISTED = 32
"""Open clocks that an alert lists, those that were opened first."""
_MOST_ROWS = 1 + MOST_LISTED + 16 + 1  # of a note: itself, clocks, contacts, and room for the text of a case


class Notes(NamedTuple):
    """What is to be told: revisions of alerts that are made into words outside of the kernel.

    row: int64[c, 23], notes, each followed by the open clocks and earlier contacts that it lists; from TEXTS_AT on
    where its texts begin in ``text`` (uint8[b]), and the length of each. heat: float64[c, s], the heats of a note.
    used: int64[3], rows and bytes, and how many crossings of bands came before.
    """

    row: Int64s
    heat: Float64s
    text: Bytes
    used: Int64s


def new_notes(size: int, signals: int) -> Notes:
    """Room for ``size`` rows."""
    row, text = np.zeros((size, _COLUMNS), np.int64), np.zeros(size * 128, np.uint8)
    return Notes(row, np.zeros((size, signals)), text, np.zeros(3, np.int64))


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
                raised_ms = item[ENDS] if ended == RESOLVED else item[DUE] if breached else item[WARN]
                n = want(wanted, n, item, at, CLOCK_WARNING, status, raised_ms, 1)
                wanted[n - 1, AT] = item[WARN]
            if breached:
                raised_ms = item[ENDS] if ended == RESOLVED else item[DUE]
                n = want(wanted, n, item, at, CLOCK_BREACHED, ended, raised_ms, 1)
                wanted[n - 1, AT] = item[DUE]
            if item[LEVEL] > 0:
                status = ended if ended == RESOLVED else ESCALATED if item[LEVEL] > 1 else OPENED
                raised_ms = item[ENDS] if ended == RESOLVED else said_at(item, item[LEVEL], rules)
                n = want(wanted, n, item, at, STILL_WAITING, status, raised_ms, item[LEVEL])
                wanted[n - 1, AT] = said_at(item, 1, rules)
        elif kind == REPEAT:
            status = ended if ended == RESOLVED else ESCALATED if item[LEVEL] > section(rules, COUNT) else OPENED
            raised_ms = item[ENDS] if ended == RESOLVED else item[LAST]
            n = want(wanted, n, item, at, REPEAT_CONTACT, status, raised_ms, item[LEVEL])
        elif kind == MENTION_ITEM:
            raised_ms = item[ENDS] if ended == RESOLVED else item[AT]
            n = want(wanted, n, item, at, SOCIAL_RISK, ended, raised_ms, 1)
    return n


@step
def said_at(item: Int64s, level: int, rules: Rules) -> int:
    """When it was said for the ``level``-th time that the customer still waits."""
    number = number_of(item)
    steps = steps_of(number, rules)
    if level <= steps:
        return item[AT] + clock_word(rules, number, STILL + level - 1)
    return item[DUE] + (level - steps) * clock_word(rules, number, REPEAT_MS)


@step
def find_alert(alerts: Int64s, count: int, alert: Int64s, near: int) -> int:
    """Place of the same alert among some that were told or should stand, below 0 for none; looked for from ``near``."""
    for k in range(count):
        at = near + k if near + k < count else near + k - count
        if alerts[at, ID] == alert[ID] and alerts[at, TAG] == alert[TAG] and alerts[at, KEY] == alert[KEY]:
            return at
    return -1


@step
def is_alert_of(item: Int64s, told: Int64s) -> bool:
    """Whether an alert that was told should stand by an item of the same event."""
    alert, kind = number_of(told), kind_of(item)
    if alert == REPEAT_CONTACT:
        return kind == REPEAT and item[SUBJECT] == told[KEY]
    if alert == SOCIAL_RISK:
        return kind == MENTION_ITEM
    if kind != CLOCK or number_of(item) != told[KEY]:
        return False
    if alert == STILL_WAITING:
        return item[LEVEL] > 0
    return item[FLAGS] & (WARNED if alert == CLOCK_WARNING else BREACHED) != 0


@step
def new_row(what: int, item: Int64s, text: Bytes, notes: Notes) -> int:
    """Begin a row of the notes with an item's texts; return its place."""
    n, at = notes.used[ROWS_USED], notes.used[TEXT_USED]
    notes.used[ROWS_USED] = n + 1
    notes.row[n, :] = 0
    notes.row[n, WHAT], notes.row[n, TEXTS_AT] = what, at
    start, total = item[TEXT], 0
    for k in range(TEXTS):
        length = text_length(item, k)
        notes.row[n, TEXTS_AT + 1 + k] = length
        total += length
    for b in range(total):
        notes.text[at + b] = text[start + b]
    notes.used[TEXT_USED] = at + total
    return n


@step
def write_case(n: int, told: Int64s, items: Int64s, count: int, text: Bytes, notes: Notes) -> None:
    """Note the id of the case that an alert is about: a mention names none, but the customer has one."""
    to = notes.used[TEXT_USED]
    notes.row[n, NOTE_CASE] = notes.row[n, TEXTS_AT] + text_length(told, 0)
    notes.row[n, NOTE_CASE_BYTES] = text_length(told, 1)
    if number_of(told) != SOCIAL_RISK:
        return
    at = find_item(items, count, tag_of(CASE_ITEM, 0), CASE, told[CASE])
    if at >= 0:
        start, length = items[at, TEXT] + text_length(items[at], 0), text_length(items[at], 1)
        for b in range(length):
            notes.text[to + b] = text[start + b]
        notes.row[n, NOTE_CASE], notes.row[n, NOTE_CASE_BYTES] = to, length
        notes.used[TEXT_USED] = to + length


@step
def write_note(
    row: int, told: Int64s, status: int, raised_ms: int, arena: Int64s, held: int, rows: Rows,
    items: Int64s, count: int, text: Bytes, notes: Notes,
) -> None:  # fmt: skip
    """Note a revision of an alert, with the clocks that are open and the contacts that came before."""
    n = new_row(NOTE, told, text, notes)
    out = notes.row
    out[n, NOTE_ROW], out[n, NOTE_TYPE] = row, number_of(told)
    out[n, NOTE_CLOCK], out[n, NOTE_STATUS], out[n, NOTE_REVISION] = told[KEY], status, told[REVISION]
    out[n, NOTE_RAISED], out[n, NOTE_DUE], out[n, NOTE_LEVEL] = raised_ms, told[TOLD_DUE], told[TOLD_LEVEL]
    out[n, NOTE_AT], out[n, NOTE_AFTER] = told[AT], notes.used[CROSSED]
    out[n, NOTE_SEGMENT], out[n, NOTE_BAND] = rows.words[row, SEGMENT], rows.band[row]
    for s in range(notes.heat.shape[1]):
        notes.heat[n, s] = as_float(rows.words[row, HEAT_AT + s]) + as_float(arena[held + s])
    write_case(n, told, items, count, text, notes)
    clocks = 0
    last_ms = 0  # of the contacts that a repeated one speaks of
    for at in range(count):
        same = kind_of(items[at]) == CONTACT_ITEM and items[at, SUBJECT] == told[SUBJECT]
        if same and items[at, AT] <= raised_ms:
            last_ms = max(last_ms, items[at, AT])
    for at in range(count):
        kind, number = kind_of(items[at]), number_of(items[at])
        if kind == CLOCK and items[at, ID] == told[ID] and number == told[KEY]:
            out[n, NOTE_PAUSED], out[n, NOTE_AT] = items[at, PAUSED], items[at, AT]
        about = kind == CONTACT_ITEM and items[at, ID] != told[ID] and items[at, AT] <= raised_ms
        if number_of(told) == REPEAT_CONTACT:
            about = kind == CONTACT_ITEM and items[at, SUBJECT] == told[SUBJECT] and items[at, AT] < last_ms
        if not about:
            if kind != CLOCK or items[at, ENDS] != 0 or clocks == MOST_LISTED:
                continue
            clocks += 1
        k = new_row(LISTED, items[at], text, notes)
        out[k, LISTED_CLOCK], out[k, LISTED_AT] = number if kind == CLOCK else -1, items[at, AT]
        out[k, LISTED_DUE] = items[at, DUE] if kind == CLOCK and items[at, DUE] < NEVER else 0
        if about:
            start, length, to = items[at, TRIED_TEXT], items[at, TRIED_LENGTH], notes.used[TEXT_USED]
            out[k, LISTED_TRIED], out[k, LISTED_TRIED_BYTES], out[k, LISTED_KIND] = to, length, items[at, TRIED_KIND]
            for b in range(length):
                notes.text[to + b] = text[start + b]
            notes.used[TEXT_USED] = to + length


@step
def has_room(notes: Notes, alerts: int, text_bytes: int) -> bool:
    """Whether what may be noted of so many alerts fits."""
    most = 2 * alerts * _MOST_ROWS
    return (
        notes.used[ROWS_USED] + most <= notes.row.shape[0]
        and notes.used[TEXT_USED] + most * (text_bytes + 1) <= notes.text.shape[0]
    )


@step
def is_silenced(told: Int64s, status: int) -> bool:
    """Whether a team has dismissed an alert that stands, and goes on."""
    return told[HANDLING] & DISMISSED != 0 and max(status, told[STATUS]) <= ESCALATED


@step
def tell(
    row: int, now_ms: int, arena: Int64s, held: int, rows: Rows, items: Int64s, count: int,
    wanted: Int64s, wants: int, told: Int64s, tolds: int, text: Bytes, notes: Notes, every: bool,
) -> int:  # fmt: skip
    """Note what differs between the alerts that should stand and those told; return how many are told now.

    arena, held: where what open cases hold stands. rows: all of them.
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
            write_note(row, told[k], RETRACTED, now_ms, arena, held, rows, items, count, text, notes)
    near = 0
    for w in range(wants):
        status = wanted[w, STATUS]
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
        ) or is_silenced(told[at], status):
            continue
        before = told[at, STATUS] if told[at, REVISION] > 0 else RETRACTED
        told[at, TOLD_LEVEL], told[at, TOLD_DUE] = wanted[w, TOLD_LEVEL], wanted[w, TOLD_DUE]
        if before == RETRACTED and status != OPENED:  # it was opened meanwhile, and went on
            told[at, REVISION] += 1
            write_note(row, told[at], OPENED, first_ms, arena, held, rows, items, count, text, notes)
        told[at, REVISION] += 1
        write_note(row, told[at], status, wanted[w, RAISED], arena, held, rows, items, count, text, notes)
        told[at, STATUS], told[at, RAISED] = wanted[w, STATUS], wanted[w, RAISED]
    return tolds
