"""Layout 3: a customer's row with everything that is open, for policies with more than signals (docs/state.md).

A value is ``layout (u16), form (u32), band (u8), flags (u8)`` and words of int64, little-endian: five of the row, the
heats, the ids; an episode if flag 1 is set; the block if flag 2 is. The form identifies the policy: numbers in a block
are its numbers.
"""

import zlib

import numpy as np

from pipelines.items import CLASS, HEAD, NEVER, NEXT_MS, TEXT_BYTES, USED, WIDE, size_class, take_block
from pipelines.layouts import StoredRows
from pipelines.scoring import BLOCK, EPISODE_AT, HEAT, INTERACTIONS, NEWEST_MS, SEGMENT, SEGMENT_MS, UPDATED, Rows
from pipelines.timers import push_timer
from schemas.arrays import Bytes, Int32s, Int64s
from schemas.compiled import compiled, step
from schemas.words import word_at

LAYOUT = 3
FIXED_BYTES = 8
_EPISODE, _OPEN = 1, 2
_ROW_WORDS = (UPDATED, NEWEST_MS, INTERACTIONS, SEGMENT, SEGMENT_MS)


def form_of(digest: str) -> int:
    """Number of the policy under which a row was written."""
    return zlib.crc32(digest.encode())


@step
def block_words(arena: Int64s, block: int, signals: int) -> int:
    """How many words of a block are used."""
    items = 0
    for k in range(5):
        items += arena[block + k]
    return HEAD + signals + items * WIDE + (arena[block + TEXT_BYTES] + 7) // 8


@step
def put_word(out: Bytes, at: int, word: int) -> None:
    """Write a word, the lowest byte first."""
    for b in range(8):
        out[at + b] = (word >> (8 * b)) & 255


def store_sizes(numbers: Int64s, rows: Rows, arena: Int64s, signals: int, size: Int64s) -> None:
    """Write the size of each stored row, int64[k]."""
    for i in range(numbers.shape[0]):
        r = numbers[i]
        words = len(_ROW_WORDS) + signals + rows.remembered
        e = rows.words[r, EPISODE_AT]
        if e > 0 and rows.episodes[e, 0] != 0:
            words += 3
        if rows.words[r, BLOCK] != 0:
            words += block_words(arena, rows.words[r, BLOCK], signals)
        size[i] = FIXED_BYTES + 8 * words


store_sizes_compiled = compiled(store_sizes)


def store_rows(numbers: Int64s, rows: Rows, arena: Int64s, signals: int, form: int, start: Int64s, out: Bytes) -> None:
    """Write rows, int64[k], to ``out`` (uint8[b]) from start[i] on."""
    for i in range(numbers.shape[0]):
        r, at = numbers[i], start[i]
        out[at], out[at + 1] = LAYOUT, 0
        for b in range(4):
            out[at + 2 + b] = (form >> (8 * b)) & 255
        out[at + 6] = rows.band[r]
        e, block = rows.words[r, EPISODE_AT], rows.words[r, BLOCK]
        told = e > 0 and rows.episodes[e, 0] != 0
        out[at + 7] = (_EPISODE if told else 0) | (_OPEN if block != 0 else 0)
        at += FIXED_BYTES
        for column in _ROW_WORDS:
            put_word(out, at, rows.words[r, column])
            at += 8
        for column in range(HEAT, HEAT + signals + rows.remembered):
            put_word(out, at, rows.words[r, column])
            at += 8
        if told:
            for k in range(3):
                put_word(out, at, rows.episodes[e, k])
                at += 8
        if block != 0:
            for k in range(block_words(arena, block, signals)):
                put_word(out, at, arena[block + k])
                at += 8


store_rows_compiled = compiled(store_rows)


def stored(numbers: Int64s, rows: Rows, arena: Int64s, signals: int, form: int) -> StoredRows:
    """Store some rows, int64[k]."""
    size = np.zeros(numbers.shape[0], np.int64)
    store_sizes_compiled(numbers, rows, arena, signals, size)
    end = np.cumsum(size)
    out = np.empty(int(end[-1]) if numbers.shape[0] else 0, np.uint8)
    store_rows_compiled(numbers, rows, arena, signals, form, end - size, out)
    return StoredRows(out.tobytes(), end)


@step
def long_at(data: Bytes, at: int) -> int:
    """The word at a place, as int64."""
    word: int = np.int64(word_at(data, at))  # type: ignore[assignment]  # compiled, it is one
    return word


def take_whole_rows(
    data: Bytes, start: Int64s, length: Int32s, number: Int64s, place: Int64s, signals: int, bands: int, rows: Rows,
    arena: Int64s, free: Int64s, timers: Int64s,
) -> int:  # fmt: skip
    """Put stored rows into empty ones; returns which one (i) is broken, below 0 for none.

    data: uint8[b]; row i is data[start[i]:start[i] + length[i]] and number[i]'s, int64[k], each once. place: int64[k],
    places of episodes that each may take. arena, timers: with room for all.
    """
    for i in range(start.shape[0]):
        at, end, r = start[i], start[i] + length[i], number[i]
        need = FIXED_BYTES + 8 * (len(_ROW_WORDS) + signals + rows.remembered)
        if length[i] < need:
            return i
        flags = data[at + 7]
        rows.band[r] = min(int(data[at + 6]), bands - 1)
        at += FIXED_BYTES
        for column in _ROW_WORDS:
            rows.words[r, column] = long_at(data, at)
            at += 8
        for column in range(HEAT, HEAT + signals + rows.remembered):
            rows.words[r, column] = long_at(data, at)
            at += 8
        rows.words[r, EPISODE_AT], rows.words[r, BLOCK] = 0, 0
        if flags & _EPISODE:
            if at + 24 > end:
                return i
            rows.words[r, EPISODE_AT] = place[i]
            for k in range(3):
                rows.episodes[place[i], k] = long_at(data, at)
                at += 8
        if flags & _OPEN:
            count = (end - at) // 8
            if count < HEAD + signals:
                return i
            block = take_block(count, arena, free)
            for k in range(count):
                if k != CLASS:
                    arena[block + k] = long_at(data, at)
                at += 8
            if block_words(arena, block, signals) != count or arena[block + CLASS] != size_class(count):
                return i
            rows.words[r, BLOCK] = block
            if arena[block + NEXT_MS] < NEVER:
                push_timer(timers, arena[block + NEXT_MS], r)
        if at != end:
            return i
    return -1


take_whole_rows_compiled = compiled(take_whole_rows)


def words_for(length: Int32s) -> int:
    """Words of an arena that so many stored rows may need: blocks have room to grow."""
    return int(2 * length.astype(np.int64).sum() // 8 + 64 * length.shape[0])


def arena_used(free: Int64s) -> int:
    """Words of an arena that are used."""
    return int(free[USED])
