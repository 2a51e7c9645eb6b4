"""Layout 4: a customer's row with everything that is open, for policies with more than signals (docs/state.md).

A value is ``layout (u16), form (u32), band (u8), flags (u8)`` and words of int64, little-endian: five of the row, the
heats, the ids; an episode if flag 1 is set; when a band was left if flag 4 is; the block if flag 2 is. The form
identifies the policy: numbers in a block are its numbers.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from pipelines.fold.blocks import BASE, LISTS, LIVE, RECENT
from pipelines.fold.items import (
    CLASS,
    HEAD,
    ITEM_WORDS,
    NEVER,
    NEXT_MS,
    TEXT_BYTES,
    USED,
    copy_words,
    take_block,
)
from pipelines.fold.packing import are_items
from pipelines.fold.scoring import (
    BLOCK,
    EPISODE_AT,
    HEAT,
    INTERACTIONS,
    LEFT,
    NEWEST_MS,
    SEGMENT,
    SEGMENT_MS,
    UPDATED,
    Rows,
)
from pipelines.fold.timers import wake
from pipelines.state.layouts import StoredRows
from schemas.arrays import Bytes, Int32s, Int64s
from schemas.compiled import compiled, step
from schemas.words import word_at

LAYOUT = 4
FIXED_BYTES = 8
HAS_EPISODE, IS_OPEN, HAS_LEFT = 1, 2, 4
"""Flags of a row."""
_ROW_WORDS = (UPDATED, NEWEST_MS, INTERACTIONS, SEGMENT, SEGMENT_MS)


def form_of(digest: str) -> int:
    """Number of the policy under which a row was written."""
    return zlib.crc32(digest.encode())


def fixed_words(rows: Rows) -> int:
    """Words of a stored row before its episode."""
    return FIXED_BYTES // 8 + len(_ROW_WORDS) + rows.words.shape[1] - HEAT


@step
def block_words(arena: Int64s, block: int, signals: int) -> int:
    """How many words of a block are used."""
    return HEAD + signals + arena[block + ITEM_WORDS] + (arena[block + TEXT_BYTES] + 7) // 8


def store_size(numbers: Int64s, rows: Rows, arena: Int64s, signals: int) -> int:
    """Words that some rows take when they are stored, at most. int64[k]."""
    words = 0
    for i in range(numbers.shape[0]):
        r = numbers[i]
        words += FIXED_BYTES // 8 + len(_ROW_WORDS) + signals + rows.remembered + 4
        block = rows.words[r, BLOCK]
        if block != 0:
            words += block_words(arena, block, signals)
    return words


store_size_compiled = compiled(store_size, allocates=False)


def copy_rows(numbers: Int64s, rows: Rows, arena: Int64s, signals: int, form: int, words: Int64s, end: Int64s) -> None:
    """Copy rows, int64[k], to ``words`` (room for store_size) one behind the other; end: int64[k], words, written."""
    at = 0
    for i in range(numbers.shape[0]):
        r = numbers[i]
        e, block = rows.words[r, EPISODE_AT], rows.words[r, BLOCK]
        told = e > 0 and rows.episodes[e, 0] != 0
        left = rows.words[r, LEFT] != 0
        flags = (HAS_EPISODE if told else 0) | (IS_OPEN if block != 0 else 0) | (HAS_LEFT if left else 0)
        words[at] = LAYOUT | form << 16 | np.int64(rows.band[r]) << 48 | flags << 56
        at += 1
        for column in _ROW_WORDS:
            words[at] = rows.words[r, column]
            at += 1
        for column in range(HEAT, HEAT + signals + rows.remembered):
            words[at] = rows.words[r, column]
            at += 1
        if told:
            for k in range(3):
                words[at] = rows.episodes[e, k]
                at += 1
        if left:
            words[at] = rows.words[r, LEFT]
            at += 1
        if block != 0:
            count = block_words(arena, block, signals)
            copy_words(arena, block, count, words, at)
            at += count
        end[i] = at


copy_rows_compiled = compiled(copy_rows, allocates=False)


@dataclass(frozen=True, slots=True)
class CopiedRows:
    """k rows as they are stored, one behind the other in ``words``: row i ends before end[i]."""

    words: Int64s
    end: Int64s

    def stored(self) -> StoredRows:
        """Their bytes; in any thread."""
        return StoredRows(self.words[: int(self.end[-1]) if self.end.shape[0] else 0].tobytes(), 8 * self.end)


def copied(numbers: Int64s, rows: Rows, arena: Int64s, signals: int, form: int) -> CopiedRows:
    """Copy some rows, int64[k]."""
    words = np.empty(store_size_compiled(numbers, rows, arena, signals), np.int64)
    end = np.empty(numbers.shape[0], np.int64)
    copy_rows_compiled(numbers, rows, arena, signals, form, words, end)
    return CopiedRows(words, end)


@step
def long_at(data: Bytes, at: int) -> int:
    """The word at a place, as int64."""
    word: int = np.int64(word_at(data, at))  # type: ignore[assignment]  # compiled, it is one
    return word


@step
def is_sound(arena: Int64s, block: int, signals: int) -> bool:
    """Whether a block that was stored has the items that its head says."""
    at = block + HEAD + signals
    stop = at + arena[block + ITEM_WORDS]
    for k in range(RECENT, LISTS):
        at = are_items(arena, at, stop, arena[block + k], -1)
        if at < 0:
            return False
    return are_items(arena, at, stop, arena[block + BASE], arena[block + LIVE]) == stop


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
        rows.words[r, EPISODE_AT], rows.words[r, BLOCK], rows.words[r, LEFT] = 0, 0, 0
        if flags & HAS_EPISODE:
            if at + 24 > end:
                return i
            rows.words[r, EPISODE_AT] = place[i]
            for k in range(3):
                rows.episodes[place[i], k] = long_at(data, at)
                at += 8
        if flags & HAS_LEFT:
            if at + 8 > end:
                return i
            rows.words[r, LEFT] = long_at(data, at)
            at += 8
        if flags & IS_OPEN:
            count = (end - at) // 8
            if count < HEAD + signals:
                return i
            block = take_block(count, arena, free)
            for k in range(count):
                if k != CLASS:
                    arena[block + k] = long_at(data, at)
                at += 8
            if block_words(arena, block, signals) != count or not is_sound(arena, block, signals):
                return i
            rows.words[r, BLOCK] = block
            if arena[block + NEXT_MS] < NEVER:
                wake(timers, rows.alarm, r, arena[block + NEXT_MS])
        if at != end:
            return i
    return -1


take_whole_rows_compiled = compiled(take_whole_rows, allocates=False)


def words_for(length: Int32s) -> int:
    """Words of an arena that so many stored rows may need: blocks have room to grow."""
    return int(2 * length.astype(np.int64).sum() // 8 + 64 * length.shape[0])


def arena_used(free: Int64s) -> int:
    """Words of an arena that are used."""
    return int(free[USED])
