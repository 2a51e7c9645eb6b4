"""What is to be told: rows of numbers and texts that kernels note, and of which alerts are made outside of them."""

from typing import NamedTuple

import numpy as np

from pipelines.items import (
    AT,
    CASE,
    CASE_ITEM,
    CLOCK,
    CONTACT_ITEM,
    DUE,
    ENDS,
    ID,
    KEY,
    LEFT,
    NEVER,
    PAUSED,
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
from pipelines.scoring import HEAT as HEAT_AT
from pipelines.scoring import SEGMENT, Rows
from schemas.arrays import Bytes, Float64s, Int64s
from schemas.bits import as_float
from schemas.compiled import step

# columns of a row: what it is, what it says, and behind it its texts
WHAT, NOTE, LISTED = 0, 0, 1
(
    NOTE_ROW, NOTE_TYPE, NOTE_CLOCK, NOTE_STATUS, NOTE_REVISION, NOTE_RAISED, NOTE_DUE, NOTE_LEVEL,
    NOTE_AT, NOTE_PAUSED, NOTE_SEGMENT, NOTE_BAND, NOTE_AFTER, NOTE_CASE, NOTE_CASE_BYTES, NOTE_LEFT,
) = range(1, 17)  # fmt: skip
LISTED_CLOCK, LISTED_AT, LISTED_DUE, LISTED_TRIED, LISTED_TRIED_BYTES, LISTED_KIND = range(1, 7)
TEXTS_AT, TEXTS = 17, 6
_COLUMNS = TEXTS_AT + 1 + TEXTS
ROWS_USED, TEXT_USED, CROSSED = 0, 1, 2
MOST_LISTED = 32
"""Open clocks that an alert lists, those that were opened first."""
_MOST_ROWS = 1 + MOST_LISTED + 16 + 1  # of a note: itself, clocks, contacts, and room for the text of a case


class Notes(NamedTuple):
    """What is to be told: revisions of alerts that are made into words outside of the kernel.

    row: int64[c, 24], notes, each followed by the open clocks and earlier contacts that it lists; from TEXTS_AT on
    where its texts begin in ``text`` (uint8[b]), and the length of each. heat: float64[c, 2, s], the heats of a
    note, and of them what open cases hold.
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
    out[n, NOTE_AT], out[n, NOTE_AFTER], out[n, NOTE_LEFT] = told[AT], notes.used[CROSSED], told[TOLD_DUE] - raised_ms
    out[n, NOTE_SEGMENT], out[n, NOTE_BAND] = rows.words[row, SEGMENT], rows.band[row]
    for s in range(notes.heat.shape[2]):
        kept = as_float(arena[held + s])
        notes.heat[n, 0, s], notes.heat[n, 1, s] = as_float(rows.words[row, HEAT_AT + s]) + kept, kept
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
            if items[at, LEFT] > 0:  # it had been warned of, and stood still then
                out[n, NOTE_LEFT] = items[at, LEFT]
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
