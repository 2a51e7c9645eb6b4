"""What is to be told: rows of numbers and texts that kernels note, and of which alerts are made outside of them."""

from typing import NamedTuple

import numpy as np

from pipelines.fold.contacts import MOST_CONTACTS
from pipelines.fold.items import (
    AT,
    BREACHED,
    CASE,
    CASE_ITEM,
    CLOCK,
    CONTACT_ITEM,
    DUE,
    ENDS,
    FLAGS,
    ID,
    KEY,
    LEFT,
    MAX_TEXT_BYTES,
    MENTION_ITEM,
    MOVED,
    MOVED_AT,
    NEVER,
    PAUSED,
    PAUSED_AT,
    REPEAT_CONTACT,
    REVISION,
    SOCIAL_RISK,
    SUBJECT,
    TEXT,
    TOLD_DUE,
    TOLD_LEVEL,
    TRIED_KIND,
    TRIED_LENGTH,
    TRIED_TEXT,
    find_item,
    kind_of,
    number_of,
    tag_of,
    text_length,
)
from pipelines.fold.scoring import HEAT as HEAT_AT
from pipelines.fold.scoring import SEGMENT, Rows
from schemas.arrays import Bytes, Float64s, Int64s
from schemas.bits import as_float
from schemas.compiled import step
from schemas.words import copy_bytes

# columns of a row: what it is, what it says, and behind it its texts
WHAT, NOTE, LISTED, RISEN = 0, 0, 1, 2
(
    NOTE_ROW, NOTE_TYPE, NOTE_CLOCK, NOTE_STATUS, NOTE_REVISION, NOTE_RAISED, NOTE_DUE, NOTE_LEVEL,
    NOTE_WAITED, NOTE_PAUSED, NOTE_SEGMENT, NOTE_BAND, NOTE_AFTER, NOTE_CASE, NOTE_CASE_BYTES, NOTE_LEFT,
) = range(1, 17)  # fmt: skip
LISTED_CLOCK, LISTED_AT, LISTED_DUE, LISTED_KIND = range(1, 5)
TEXTS_AT, TEXTS = 17, 6
SHOWN_AT = TEXTS_AT + 1 + TEXTS
"""Where the texts that are shown of a note or a RISEN begin, and the length of each: subject, channel, touchpoint."""
_COLUMNS = SHOWN_AT + 4
_SUBJECT, _CHANNEL, _PLACE = 2, 3, 4
_UNKNOWN = tuple(b"unknown")
ROWS_USED, TEXT_USED, CROSSED = 0, 1, 2
MOST_LISTED = 32
"""Open clocks that an alert lists, those that were opened first."""
_MOST_ROWS = 1 + MOST_LISTED + MOST_CONTACTS + 1  # of a note: itself, clocks, contacts, and room for the text of a case
_MOST_TEXT = (MOST_LISTED + 2 * MOST_CONTACTS) * MAX_TEXT_BYTES  # of what is listed: case; channel and what was tried


class Notes(NamedTuple):
    """What is to be told: revisions of alerts that are made into words outside of the kernel.

    row: int64[c, 28], notes, and crossings into a band that alerts (RISEN, whose number is NOTE_AFTER), each followed
    by the open clocks and earlier contacts that it lists; from TEXTS_AT on where its texts begin in ``text``
    (uint8[b]), and the length of each: event_id, case_id, subject, channel, touchpoint, tried; from SHOWN_AT on those
    that are shown. heat: float64[c, 2, s], the heats of a note, and of them what open cases hold.
    used: int64[3], rows and bytes, and how many crossings of bands came before.
    """

    row: Int64s
    heat: Float64s
    text: Bytes
    used: Int64s


def new_notes(size: int, signals: int) -> Notes:
    """Room for ``size`` rows."""
    row, text = np.zeros((size, _COLUMNS), np.int64), np.zeros(size * 128, np.uint8)
    return Notes(row, np.zeros((size, 2, signals)), text, np.zeros(3, np.int64))


@step
def begin_row(what: int, notes: Notes) -> int:
    """Begin a row of the notes, without texts; return its place."""
    n = notes.used[ROWS_USED]
    notes.used[ROWS_USED] = n + 1
    notes.row[n, :] = 0
    notes.row[n, WHAT], notes.row[n, TEXTS_AT] = what, notes.used[TEXT_USED]
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
        copy_bytes(text, start, length, notes.text, to)
        notes.row[n, NOTE_CASE], notes.row[n, NOTE_CASE_BYTES] = to, length
        notes.used[TEXT_USED] = to + length


@step
def says(item: Int64s, k: int, text: Bytes) -> bool:
    """Whether the interaction that made an item told text k: a place that is ``unknown`` was not told."""
    length = text_length(item, k)
    unknown = length == len(_UNKNOWN)
    for b in range(len(_UNKNOWN) if unknown else 0):
        unknown = unknown and text[start_of(item, k) + b] == _UNKNOWN[b]
    return length > 0 and not unknown


@step
def start_of(item: Int64s, k: int) -> int:
    """Where text k of an item begins."""
    start = item[TEXT]
    for before in range(k):
        start += text_length(item, before)
    return start


@step
def newest_that_says(items: Int64s, count: int, at_ms: int, k: int, text: Bytes) -> int:
    """Place of the newest clock, case, contact or mention, up to a time, that says text k; below 0 for none."""
    newest = -1
    for at in range(count):
        of_interaction = kind_of(items[at]) in (CLOCK, CASE_ITEM, CONTACT_ITEM, MENTION_ITEM)
        newer = newest < 0 or items[at, AT] >= items[newest, AT]
        if of_interaction and newer and items[at, AT] <= at_ms and says(items[at], k, text):
            newest = at
    return newest


@step
def show(n: int, k: int, item: Int64s, text: Bytes, notes: Notes) -> None:
    """Show text k of an item, behind those that are shown of row n."""
    to, length = notes.used[TEXT_USED], text_length(item, k)
    copy_bytes(text, start_of(item, k), length, notes.text, to)
    notes.row[n, SHOWN_AT + 1 + k - _SUBJECT] = length
    notes.used[TEXT_USED] = to + length


@step
def show_with_case(n: int, told: Int64s, items: Int64s, case: int, text: Bytes, notes: Notes) -> None:
    """Show the subject, channel and touchpoint of an alert; those of its case, if that is known, which it has not."""
    row, lacks = notes.row[n], False
    for k in range(_SUBJECT, _PLACE + 1):
        lacks = lacks or not says(told, k, text)
    if case < 0 or not lacks:  # as they lie there
        row[SHOWN_AT] = row[TEXTS_AT] + text_length(told, 0) + text_length(told, 1)
        for k in range(_SUBJECT, _PLACE + 1):
            row[SHOWN_AT + 1 + k - _SUBJECT] = text_length(told, k)
        return
    row[SHOWN_AT] = notes.used[TEXT_USED]
    for k in range(_SUBJECT, _PLACE + 1):
        of_case = not says(told, k, text) and says(items[case], k, text)
        show(n, k, items[case] if of_case else told, text, notes)


@step
def is_about(contact: Int64s, told: Int64s, case_subject: int) -> bool:
    """Whether a contact, which has a subject, is about what an alert is about: its subject, its case or that of it."""
    if told[SUBJECT] == 0 and told[CASE] == 0:
        return True
    return contact[SUBJECT] in (told[SUBJECT], case_subject) or (told[CASE] != 0 and contact[CASE] == told[CASE])


@step
def write_note(
    row: int, told: Int64s, status: int, raised_ms: int, arena: Int64s, held: int, rows: Rows, within_ms: int,
    items: Int64s, count: int, text: Bytes, notes: Notes,
) -> None:  # fmt: skip
    """Note a revision of an alert, with the clocks that are open and the contacts about it that came before.

    within_ms: for how long a contact counts.
    """
    n = begin_row(NOTE, notes)
    out, start = notes.row, told[TEXT]
    for k in range(TEXTS):
        add_text(n, k, start, text_length(told, k), text, notes)
        start += text_length(told, k)
    out[n, NOTE_ROW], out[n, NOTE_TYPE] = row, number_of(told)
    out[n, NOTE_CLOCK], out[n, NOTE_STATUS], out[n, NOTE_REVISION] = told[KEY], status, told[REVISION]
    out[n, NOTE_RAISED], out[n, NOTE_DUE], out[n, NOTE_LEVEL] = raised_ms, told[TOLD_DUE], told[TOLD_LEVEL]
    out[n, NOTE_AFTER], out[n, NOTE_LEFT] = notes.used[CROSSED], told[TOLD_DUE] - raised_ms
    out[n, NOTE_SEGMENT], out[n, NOTE_BAND] = rows.words[row, SEGMENT], rows.band[row]
    for s in range(notes.heat.shape[2]):
        kept = as_float(arena[held + s])
        notes.heat[n, 0, s], notes.heat[n, 1, s] = as_float(rows.words[row, HEAT_AT + s]) + kept, kept
    out[n, NOTE_WAITED] = raised_ms - told[AT]
    write_case(n, told, items, count, text, notes)
    case = find_item(items, count, tag_of(CASE_ITEM, 0), CASE, told[CASE]) if told[CASE] != 0 else -1
    case_subject = items[case, SUBJECT] if case >= 0 else 0
    show_with_case(n, told, items, case, text, notes)
    clocks = 0
    last = -1  # of the contacts that a repeated one speaks of
    for at in range(count):
        same = kind_of(items[at]) == CONTACT_ITEM and items[at, SUBJECT] == told[SUBJECT]
        if same and items[at, AT] <= raised_ms and (last < 0 or items[at, AT] >= items[last, AT]):
            last = at
    for at in range(count):
        item, kind = items[at], kind_of(items[at])
        if kind == CLOCK:
            if item[ID] == told[ID] and number_of(item) == told[KEY]:
                out[n, NOTE_PAUSED], out[n, NOTE_WAITED] = item[PAUSED], raised_ms - item[AT]
                if item[LEFT] > 0 or item[FLAGS] & MOVED != 0:  # it had been warned of, and stood still then
                    out[n, NOTE_LEFT] = item[LEFT]
                if item[FLAGS] & MOVED != 0:
                    out[n, NOTE_WAITED] = max(raised_ms, item[MOVED_AT]) - item[AT]
                if out[n, NOTE_PAUSED] > out[n, NOTE_WAITED]:  # it stood still behind that time
                    out[n, NOTE_PAUSED] = 0
            clocks = list_clock(clocks, item, text, notes)
        elif kind == CONTACT_ITEM:
            about = item[ID] != told[ID] and item[AT] <= raised_ms and is_about(item, told, case_subject)
            if number_of(told) == REPEAT_CONTACT:
                about = item[SUBJECT] == told[SUBJECT] and item[AT] <= raised_ms and at != last
            if about and raised_ms - item[AT] < within_ms:
                list_contact(item, text, notes)


@step
def write_risen(
    crossing: int, at_ms: int, within_ms: int, items: Int64s, count: int, text: Bytes, notes: Notes
) -> None:  # fmt: skip
    """Note for an alert of a band what is open, and which contacts there were, when it was entered, and where."""
    n = begin_row(RISEN, notes)
    notes.row[n, NOTE_AFTER], notes.row[n, SHOWN_AT] = crossing, notes.used[TEXT_USED]
    for k in range(_CHANNEL, _PLACE + 1):
        newest = newest_that_says(items, count, at_ms, k, text)
        if newest >= 0:
            show(n, k, items[newest], text, notes)
    clocks = 0
    for at in range(count):
        if kind_of(items[at]) == CLOCK:
            clocks = list_clock(clocks, items[at], text, notes)
        elif kind_of(items[at]) == CONTACT_ITEM and 0 <= at_ms - items[at, AT] < within_ms:
            list_contact(items[at], text, notes)


@step
def list_clock(clocks: int, item: Int64s, text: Bytes, notes: Notes) -> int:
    """List a clock, if it is open and not too many are listed; return how many are."""
    if item[ENDS] != 0 or clocks == MOST_LISTED:
        return clocks
    k = begin_row(LISTED, notes)
    out = notes.row[k]
    out[LISTED_CLOCK], out[LISTED_AT] = number_of(item), item[AT]
    stands_still = item[PAUSED_AT] != 0 and item[FLAGS] & BREACHED == 0  # when it will be due nobody knows
    out[LISTED_DUE] = item[DUE] if item[DUE] < NEVER and not stands_still else 0
    add_text(k, 1, item[TEXT] + text_length(item, 0), text_length(item, 1), text, notes)
    return clocks + 1


@step
def list_contact(item: Int64s, text: Bytes, notes: Notes) -> None:
    """List a contact, and what was tried."""
    k = begin_row(LISTED, notes)
    out = notes.row[k]
    out[LISTED_CLOCK], out[LISTED_AT], out[LISTED_KIND] = -1, item[AT], item[TRIED_KIND]
    start = item[TEXT] + text_length(item, 0) + text_length(item, 1) + text_length(item, 2)
    add_text(k, 3, start, text_length(item, 3), text, notes)
    add_text(k, 5, item[TRIED_TEXT], item[TRIED_LENGTH], text, notes)


@step
def add_text(k: int, which: int, start: int, length: int, text: Bytes, notes: Notes) -> None:
    """Copy text ``which`` of row k, behind those before it."""
    to = notes.used[TEXT_USED]
    copy_bytes(text, start, length, notes.text, to)
    notes.row[k, TEXTS_AT + 1 + which] = length
    notes.used[TEXT_USED] = to + length


@step
def may_list(notes: Notes) -> bool:
    """Whether there is room for what one crossing may list."""
    return (
        notes.used[ROWS_USED] + _MOST_ROWS <= notes.row.shape[0]
        and notes.used[TEXT_USED] + _MOST_TEXT <= notes.text.shape[0]
    )


@step
def has_room(notes: Notes, alerts: int, text_bytes: int) -> bool:
    """Whether what may be noted of so many alerts, and listed of a crossing before them, fits."""
    most = 2 * alerts * _MOST_ROWS
    return (
        notes.used[ROWS_USED] + _MOST_ROWS + most <= notes.row.shape[0]
        and notes.used[TEXT_USED] + _MOST_TEXT + most * (text_bytes + 1) <= notes.text.shape[0]
    )
