"""One customer's block: taken apart into the scratch, and written back."""

from typing import NamedTuple

import numpy as np

from pipelines.items import (
    CLASS,
    CONTACT_ITEM,
    FIRED,
    FIRED_MS,
    HEAD,
    HELD,
    NEXT_MS,
    POINTS,
    SEEN_MS,
    TAG,
    TEXT,
    TEXT_BYTES,
    TRIED_LENGTH,
    TRIED_TEXT,
    WIDE,
    give_block,
    held_at,
    kind_of,
    number_of,
    size_class,
    take_block,
    texts_length,
)
from schemas.arrays import Bytes, Int64s
from schemas.bits import as_float, as_word
from schemas.compiled import step

LISTS = 5
"""Lists that a block keeps: BASE ... LIVE."""
MOST_RECENT = 32
"""Interactions of a customer that can be put right; of more, the older half is for good."""
MOST_CLOSED = 16
"""Closed cases of a customer, and estimates, that are remembered for what may come back to them."""
MAX_EVENT_TEXT = 16_384
SPARE = 48
"""More items than an interaction, and the clocks that run out before it, may add to a list."""

BASE, RECENT, BEFORE, TOLD_LIST, LIVE, HEAT_LIST, WANTED, TEXT_USED, SETTLED = range(9)
NEED_ITEMS, NEED_WORDS, NEED_NOTES, NEED_TEXT = range(9, 13)
COUNTS = 19


class Blocks(NamedTuple):
    """The side store: see pipelines/items.py."""

    arena: Int64s
    free: Int64s


class Scratch(NamedTuple):
    """Copies of one customer's lists and texts.

    lists: int64[7, m, WIDE], by the constants BASE ... WANTED. text: uint8[b]. count: int64[19]: how long each list
    is, how many bytes of text, how many heats are settled; what there was no room for (NEED_); what has been counted
    for good (fold.ORPHANS ...).
    """

    lists: Int64s
    text: Bytes
    count: Int64s  # type: ignore[assignment]  # tuples have a method of that name, which nobody asks for


def new_scratch(items: int, text_bytes: int) -> Scratch:
    """Room for so many items in each list."""
    lists = np.zeros((7, items, WIDE), np.int64)
    return Scratch(lists, np.zeros(text_bytes, np.uint8), np.zeros(COUNTS, np.int64))


@step
def load_block(block: int, signals: int, arena: Int64s, scratch: Scratch) -> bool:
    """Copy a block's lists and texts to the scratch; whether they fit, with what may be added."""
    counts = scratch.count
    counts[: SETTLED + 1] = 0
    for k in range(7):
        scratch.lists[k, scratch.lists.shape[1] - 1, TAG] = 0  # not full
    counts[FIRED] = 0
    if block == 0:
        return True
    most = SPARE
    for k in range(LISTS):
        most = max(most, arena[block + k] + SPARE)
    text_bytes = arena[block + TEXT_BYTES]
    if most > scratch.lists.shape[1] or text_bytes + MAX_EVENT_TEXT > scratch.text.shape[0]:
        counts[NEED_ITEMS] = max(counts[NEED_ITEMS], 2 * most)
        counts[NEED_TEXT] = max(counts[NEED_TEXT], text_bytes + MAX_EVENT_TEXT)
        return False
    at = block + HEAD + signals
    for k in range(LISTS):
        n = arena[block + k]
        for i in range(n):
            for w in range(WIDE):
                scratch.lists[k, i, w] = arena[at + w]
            at += WIDE
        counts[k] = n
    read_text(arena, at, text_bytes, scratch.text)
    counts[TEXT_USED], counts[FIRED] = text_bytes, arena[block + FIRED_MS]
    return True


@step
def longest_text(scratch: Scratch) -> int:
    """Most bytes that the texts of an item have."""
    most = 0
    for at in range(scratch.count[LIVE]):
        item = scratch.lists[LIVE, at]
        total = texts_length(item)
        if kind_of(item) == CONTACT_ITEM:
            total += item[TRIED_LENGTH]
        most = max(most, total)
    for at in range(scratch.count[TOLD_LIST]):
        most = max(most, texts_length(scratch.lists[TOLD_LIST, at]))
    return most


@step
def hold(scratch: Scratch, signals: int, arena: Int64s, at: int) -> None:
    """Write what open cases hold of each signal to ``arena``, from ``at`` on."""
    for s in range(signals):
        arena[at + s] = 0
    live = scratch.lists[LIVE]
    for k in range(scratch.count[LIVE]):
        if kind_of(live[k]) == HELD:
            to = at + number_of(live[k])
            arena[to] = as_word(as_float(arena[to]) + as_float(live[k, POINTS]))


@step
def read_text(arena: Int64s, at: int, size: int, out: Bytes) -> None:
    """Copy the bytes that words hold, the lowest first."""
    for k in range(size):
        out[k] = (arena[at + k // 8] >> (8 * (k % 8))) & 255


@step
def store_text(arena: Int64s, at: int, size: int, text: Bytes) -> None:
    """Put bytes into words, the lowest first."""
    for k in range((size + 7) // 8):
        word = np.uint64(0)
        for b in range(min(8, size - 8 * k)):
            word |= np.uint64(text[8 * k + b]) << np.uint64(8 * b)
        arena[at + k] = np.int64(word)


@step
def keep_texts(
    items: Int64s, count: int, scratch: Scratch, out: Bytes, used: int, moved: Int64s, moves: int
) -> tuple[int, int]:
    """Copy the texts of a list to ``out``; items that share theirs go on sharing. moved: int64[*, 2], from and to."""
    for at in range(count):
        item = items[at]
        total = texts_length(item)
        if total > 0:
            used, moves, item[TEXT] = keep_text(item[TEXT], total, scratch.text, out, used, moved, moves)
        if kind_of(item) == CONTACT_ITEM and item[TRIED_LENGTH] > 0:
            used, moves, item[TRIED_TEXT] = keep_text(
                item[TRIED_TEXT], item[TRIED_LENGTH], scratch.text, out, used, moved, moves
            )
    return used, moves


@step
def keep_text(
    start: int, length: int, text: Bytes, out: Bytes, used: int, moved: Int64s, moves: int
) -> tuple[int, int, int]:
    """Copy one text, unless it is there; return the bytes used, how many have moved, and where it is."""
    for k in range(moves):
        if moved[k, 0] == start and moved[k, 2] == length:
            return used, moves, moved[k, 1]
    for b in range(length):
        out[used + b] = text[start + b]
    if moves < moved.shape[0]:
        moved[moves, 0], moved[moves, 1], moved[moves, 2] = start, used, length
        moves += 1
    return used + length, moves, used


@step
def words_needed(signals: int, scratch: Scratch) -> int:
    """Words of the largest block that the scratch may become: texts are not shared."""
    counts = scratch.count
    items = (
        counts[RECENT] + counts[HEAT_LIST] + counts[TOLD_LIST] + counts[WANTED] + 2 * max(counts[BASE], counts[LIVE])
    )
    items += SPARE
    return HEAD + signals + items * WIDE + (items * (longest_text(scratch) + 8) + counts[TEXT_USED]) // 8 + 2


@step
def write_block(
    block: int, signals: int, seen_ms: int, next_ms: int, blocks: Blocks, scratch: Scratch, out: Bytes,
    moved: Int64s,
) -> int:  # fmt: skip
    """Put the scratch back as the customer's block; return where it is now, 0 when nothing is left."""
    counts, arena = scratch.count, blocks.arena
    heats = counts[HEAT_LIST] - counts[SETTLED]
    if counts[BASE] + counts[RECENT] + counts[TOLD_LIST] + counts[LIVE] + heats == 0:
        if block != 0:
            give_block(block, arena, blocks.free)
        return 0
    used, moves = 0, 0
    for k in (BASE, RECENT, TOLD_LIST, LIVE):
        used, moves = keep_texts(scratch.lists[k], counts[k], scratch, out, used, moved, moves)
    items = counts[BASE] + counts[RECENT] + heats + counts[TOLD_LIST] + counts[LIVE]
    words = HEAD + signals + items * WIDE + (used + 7) // 8
    if block != 0 and arena[block + CLASS] != size_class(words):
        give_block(block, arena, blocks.free)
        block = 0
    if block == 0:
        block = take_block(words, arena, blocks.free)
    arena[block + SEEN_MS], arena[block + NEXT_MS] = seen_ms, next_ms
    arena[block + TEXT_BYTES], arena[block + FIRED_MS] = used, counts[FIRED]
    hold(scratch, signals, arena, held_at(block))
    at = block + HEAD + signals
    for k in range(LISTS):
        source, skipped = (HEAT_LIST, counts[SETTLED]) if k == BEFORE else (k, 0)
        arena[block + k] = heats if k == BEFORE else counts[k]
        for i in range(arena[block + k]):
            for w in range(WIDE):
                arena[at + w] = scratch.lists[source, skipped + i, w]
            at += WIDE
    store_text(arena, at, used, out)
    return block
