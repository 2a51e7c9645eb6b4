"""What is open of a customer, as items in a block of the side store (docs/state.md).

An item is WIDE words of int64: clocks, cases, contacts, what was told of them, and the interactions of the last
minutes, from which all of it can be made again when a late one comes. A block is a head of HEAD words, the heat that
open cases hold (a word for each signal), the items, packed (pipelines/fold/packing.py), and the bytes of their texts.

The items of a block stand in five lists, one behind the other:
  recent    the interactions (EVENT) that may still be put right, by event time and event id
  heats     the heat that they, and the clocks that ran out since then, have added (HEAT)
  told      the alerts that have been told (TOLD)
  live      what is open now: base, and what recent has done to it
  base      what was open before these interactions
"""

import numpy as np

from schemas.arrays import Int64s
from schemas.compiled import step

WIDE = 18

# every item
TAG, AT, ID, CASE, SESSION, SUBJECT, TEXT, LENGTHS, LENGTHS2 = range(9)
# EVENT
MASK, POINTS1, POINTS2, DEADLINE, NUMBER1, NUMBER2, CHANNEL, PLACE, SEEN = range(9, 18)
# CLOCK: ends_ms 0 while it is open; level: how often it was said that the customer still waits
DUE, WARN, ENDS, FLAGS, LEVEL, PAUSED_AT, PAUSED, LEFT, WARN_FOR = range(9, 18)
BROKEN_AT = MOVED_AT = WARN_FOR
"""Of a clock that will not be warned of any more: when it was SAID_BROKEN; of one that is MOVED, when it went on."""
WARNED, BREACHED, TOUCHED, SAID_BROKEN, MOVED = 1, 2, 4, 8, 16
"""Flags of a clock; TOUCHED also of REPEAT and MENTION, while what is told of them may have to be told anew.

SAID_BROKEN: somebody said before the deadline that the promise is broken. MOVED: it had been warned of when it stood
still.
"""
# CASE: ends_ms 0 while it is open
SILENT_AT = 9  # and ENDS, CHANNEL
# CONTACT: TRIED_TEXT, TRIED_LENGTH; CHANNEL
TRIED_TEXT, TRIED_LENGTH, TRIED_KIND = 9, 10, 12
# REPEAT: LEVEL, LAST, ENDS; MENTION: ENDS; SEARCH: LEVEL; STREAK: LEVEL, PLACE, LAST; SHOWN (an estimate): NUMBER1
LAST = 9
# HELD and HEAT: the points as a float's bits, the signal in the tag. HEAT of a case is what that holds; BAND: 1 and in
# which band the customer was before it, 0 when that is not known
POINTS, BAND = 9, 10
# TOLD: which alert (ID and KEY), how it was told, what a team did with it
KEY, STATUS, RAISED, REVISION, TOLD_LEVEL, TOLD_DUE, HANDLING = range(9, 16)
DISMISSED = 1

EVENT, CLOCK, CASE_ITEM, CONTACT_ITEM, REPEAT, MENTION_ITEM, SEARCH_ITEM, STREAK, SHOWN, HELD, HEAT, TOLD = range(1, 13)

OPENED, ESCALATED, RESOLVED, RETRACTED = 0, 1, 2, 3
CLOCK_WARNING, CLOCK_BREACHED, STILL_WAITING, REPEAT_CONTACT, SOCIAL_RISK = 0, 1, 2, 3, 4

# what a fold counts, in the scratch
HEAT_COUNT, ORPHANS, FAILED, UNDECIDED, ASSUMED, GIVEN_UP, FIRED = range(13, 20)

# the head of a block, behind how long each of its five lists is
SEEN_MS, NEXT_MS, TEXT_BYTES, CLASS, FIRED_MS, ITEM_WORDS, TEXT_KEPT = range(5, 12)
"""ITEM_WORDS: how many words the items take. TEXT_KEPT: bytes of text that somebody had when they were looked at."""
HEAD = 12
USED = 64

NEVER = 2**62
_AT_FIRST = 1 << 22
"""Words of a new arena: of so many the C library maps pages for them alone, and each is taken when it is used first."""
MAX_TEXT_BYTES = 512
"""Of a text that is kept with what is open; longer ones are cut, their hashes are those of the whole."""


@step
def tag_of(kind: int, number: int) -> int:
    """Tag of an item: its kind and a number, of the clock, signal or alert."""
    return kind | number << 8


@step
def kind_of(item: Int64s) -> int:
    """EVENT, CLOCK ..."""
    return item[TAG] & 255


@step
def number_of(item: Int64s) -> int:
    """Number of the clock, signal, alert or kind of interaction."""
    return item[TAG] >> 8


@step
def text_length(item: Int64s, k: int) -> int:
    """Bytes of text k of an item: event_id, case_id, subject, channel, touchpoint, tried."""
    word = item[LENGTHS2 - 1] if k < 3 else item[LENGTHS2]
    return (word >> (20 * (k % 3))) & 0xFFFFF


@step
def texts_length(item: Int64s) -> int:
    """Bytes of all texts of an item, which lie one behind the other."""
    total = 0
    for k in range(6):
        total += text_length(item, k)
    return total


@step
def find_item(items: Int64s, count: int, tag: int, column: int, value: int) -> int:
    """Place of the newest item of a tag whose column is ``value``, below 0 for none. items: int64[*, WIDE]."""
    for at in range(count - 1, -1, -1):
        if items[at, TAG] == tag and items[at, column] == value:
            return at
    return -1


@step
def mark_full(items: Int64s) -> None:
    """Note in the last place of a list that there was no room."""
    items[items.shape[0] - 1, TAG] = -1


@step
def is_full(items: Int64s) -> bool:
    """Whether there was no room."""
    return items[items.shape[0] - 1, TAG] == -1


@step
def new_item(items: Int64s, count: int, tag: int, event: Int64s) -> int:
    """Append an item that an interaction makes, with its time, identities and texts; return the count.

    When the list is full, it is marked as that and what follows is worth nothing: the fold is done again with room.
    """
    if count >= items.shape[0] - 2:
        mark_full(items)
        count = 0
    for w in range(WIDE):
        items[count, w] = event[w] if w < MASK else 0
    items[count, TAG] = tag
    return count + 1


@step
def copy_words(source: Int64s, at: int, count: int, out: Int64s, to: int) -> None:
    """Copy so many words."""
    taken, put = source[at : at + count], out[to : to + count]  # indices that cannot be below 0 make it fast
    for w in range(count):
        put[w] = taken[w]


@step
def touch(item: Int64s) -> None:
    """Note that what is told of a clock, a repeated contact or a mention has to be looked at."""
    item[FLAGS] |= TOUCHED


@step
def is_told_of(item: Int64s) -> bool:
    """Whether alerts speak of the item: it may be touched."""
    kind = kind_of(item)
    return kind in (CLOCK, REPEAT, MENTION_ITEM)


@step
def drop_item(items: Int64s, count: int, at: int) -> int:
    """Take an item out, the others keep their order; return the count."""
    for k in range(at, count - 1):
        for w in range(WIDE):  # an array that is put into another one would be counted
            items[k, w] = items[k + 1, w]
    return count - 1


@step
def size_class(words: int) -> int:
    """Blocks have 2 ** class words."""
    c = 6
    while 1 << c < words:
        c += 1
    return c


@step
def take_block(words: int, arena: Int64s, free: Int64s) -> int:
    """Take a block of so many words; the caller has seen to it that there is room. free: int64[65], see new_arena."""
    c = size_class(words)
    at = free[c]
    if at != 0:
        free[c] = arena[at]
    else:
        at = free[USED]
        free[USED] += 1 << c
    arena[at : at + HEAD] = 0
    arena[at + CLASS] = c
    return at


@step
def give_block(at: int, arena: Int64s, free: Int64s) -> None:
    """Give a block back."""
    c = arena[at + CLASS]
    arena[at] = free[c]
    free[c] = at


@step
def held_at(block: int) -> int:
    """Where the heat that open cases hold stands; of block 0, nobody's, it is 0."""
    return block + HEAD


@step
def work_at(signals: int) -> int:
    """Where a kernel keeps what open cases hold while it works on a row."""
    return HEAD + signals


@step
def saved_at(signals: int) -> int:
    """Where a kernel keeps the heats of a row, and behind them what open cases hold, while it tries something."""
    return HEAD + 2 * signals


def new_arena(signals: int) -> tuple[Int64s, Int64s]:
    """An arena with the empty block 0; the heads of the free lists by class, and at USED how much of it is used."""
    free = np.zeros(65, np.int64)
    free[USED] = HEAD + 4 * signals
    return np.zeros(_AT_FIRST, np.int64), free
