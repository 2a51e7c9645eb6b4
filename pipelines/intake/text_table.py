"""The kernels of the index: an open-addressing table of texts over one arena of bytes.

An entry of the table is ``number + 1`` in its upper 32 bits and the lower 32 bits of the text's hash below; 0 is free.
A table that is nearly full is followed by one of twice its size, into which each call moves a few of its entries: no
call pays for all of them. Meanwhile a text may stand in both. Texts lie in slots of 16, 32, ... bytes; a text that is
removed leaves its slot and its number to the next one of that size.
"""

import numpy as np

from schemas.arrays import Bytes, Int32s, Int64s, UInt64s
from schemas.compiled import compiled, step
from schemas.words import copy_bytes, word_at

ABSENT = -1
ELSEWHERE = -2  # the text belongs to another partition

SLOT_BYTES = 16

_K1 = np.uint64(0x9E3779B97F4A7C15)
_K2 = np.uint64(0xD6E8FEB86659FD93)
_TAG = np.uint64(0xFFFFFFFF)
_TOGETHER = 32  # texts whose memory is asked for at a time
_REMOVED = np.uint64(1)  # number + 1 is 0, but it is not free: who searches goes on behind it


@step
def text_hash(data: Bytes, start: int, length: int) -> np.uint64:
    """Return 64 well-mixed bits of data[start:start + length] (multiply and fold, eight bytes a step).

    The last step takes the last eight bytes, whether or not some of them were taken before.
    """
    h = np.uint64(length) * _K1
    at = start
    stop = start + length
    while at + 8 <= stop:
        h = (h ^ word_at(data, at)) * _K1
        h ^= h >> np.uint64(29)
        at += 8
    if at < stop:
        word = np.uint64(0)
        if length > 8:
            word = word_at(data, stop - 8)
        else:
            for k in range(length):
                word |= np.uint64(data[at + k]) << np.uint64(8 * k)
        h = (h ^ word) * _K1
        h ^= h >> np.uint64(29)
    h *= _K2
    return h ^ (h >> np.uint64(32))


@step
def same_text(data: Bytes, start: int, arena: Bytes, begin: int, length: int) -> bool:
    """Whether data[start:start + length] is arena[begin:begin + length]."""
    k = 0
    while k + 8 <= length:
        if word_at(data, start + k) != word_at(arena, begin + k):
            return False
        k += 8
    if length > 8:  # the last eight bytes, some of them once more
        return bool(word_at(data, start + length - 8) == word_at(arena, begin + length - 8))
    while k < length:
        if data[start + k] != arena[begin + k]:
            return False
        k += 1
    return True


@step
def find(
    data: Bytes, start: int, length: int, h: np.uint64, table: UInt64s, arena: Bytes, span: Int32s
) -> tuple[int, int]:
    """Return the number of a text, or ABSENT, and its place in the table, or the free one behind its last look."""
    mask = np.uint64(table.shape[0] - 1)
    tag = h & _TAG
    place = tag & mask
    while True:
        entry = table[place]
        if entry == np.uint64(0):
            return ABSENT, int(place)
        if entry & _TAG == tag and entry > _TAG:
            number = int(entry >> np.uint64(32)) - 1
            begin = int(span[number, 0]) * SLOT_BYTES
            if span[number, 1] == length and same_text(data, start, arena, begin, length):
                return number, int(place)
        place = (place + np.uint64(1)) & mask


@step
def murmur2(data: Bytes, start: int, length: int) -> int:
    """Return Kafka's murmur2 of data[start:start + length] as 31 bits: the partitioner of Java and aiokafka."""
    m = np.uint32(0x5BD1E995)
    h = np.uint32(0x9747B28C) ^ np.uint32(length)
    whole = length - length % 4
    for at in range(start, start + whole, 4):
        k = (
            np.uint32(data[at])
            | np.uint32(data[at + 1]) << np.uint32(8)
            | np.uint32(data[at + 2]) << np.uint32(16)
            | np.uint32(data[at + 3]) << np.uint32(24)
        )
        k = np.uint32(k * m)
        k ^= k >> np.uint32(24)
        h = np.uint32(np.uint32(h * m) ^ np.uint32(k * m))
    tail = start + whole
    rest = length % 4
    if rest == 3:
        h ^= np.uint32(data[tail + 2]) << np.uint32(16)
    if rest >= 2:
        h ^= np.uint32(data[tail + 1]) << np.uint32(8)
    if rest >= 1:
        h = np.uint32((h ^ np.uint32(data[tail])) * m)
    h ^= h >> np.uint32(13)
    h = np.uint32(h * m)
    h ^= h >> np.uint32(15)
    return int(h & np.uint32(0x7FFFFFFF))


murmur2_compiled = compiled(murmur2)


@step
def enter(table: UInt64s, entry: np.uint64) -> None:
    """Write an entry whose text is not in the table to the first free place from its own on."""
    mask = np.uint64(table.shape[0] - 1)
    place = entry & _TAG & mask
    while table[place] != np.uint64(0):
        place = (place + np.uint64(1)) & mask
    table[place] = entry


@step
def take_out(table: UInt64s, place: int) -> None:
    """Free a place, and bring those behind it that stand there because of it as near to their own as they can be."""
    mask = np.uint64(table.shape[0] - 1)
    hole = np.uint64(place)
    at = (hole + np.uint64(1)) & mask
    while table[at] != np.uint64(0):
        own = table[at] & _TAG & mask
        if (at - own) & mask >= (at - hole) & mask:  # its own place is not behind the hole
            table[hole] = table[at]
            hole = at
        at = (at + np.uint64(1)) & mask
    table[hole] = np.uint64(0)


@step
def look_ahead(
    data: Bytes,
    start: Int64s,
    length: Int32s,
    wanted: Bytes,
    first: int,
    table: UInt64s,
    span: Int32s,
    arena: Bytes,
    hashes: UInt64s,
    seen: UInt64s,
) -> None:
    """Hash the next texts, and touch what ``find`` will look at: memory brings it for all at a time.

    hashes, seen: uint64[_TOGETHER], written: the hash of each text that is wanted, and what is there.
    """
    mask = np.uint64(table.shape[0] - 1)
    stop = min(first + hashes.shape[0], start.shape[0])
    for i in range(first, stop):
        if wanted[i]:
            h = text_hash(data, start[i], length[i])
            hashes[i - first] = h
            seen[i - first] = table[h & mask]
        else:
            seen[i - first] = 0
    for i in range(stop - first):
        if seen[i] > _TAG:
            seen[i] = np.uint64(span[(seen[i] >> np.uint64(32)) - np.uint64(1), 0])
    for i in range(stop - first):
        seen[i] = arena[seen[i] * np.uint64(SLOT_BYTES)]


def number_texts(
    data: Bytes,
    start: Int64s,
    length: Int32s,
    wanted: Bytes,
    partition: int,
    partitions: int,
    add: bool,
    table: UInt64s,
    older: UInt64s,
    arena: Bytes,
    span: Int32s,
    free: Int32s,
    used: Int64s,
    number: Int32s,
) -> None:
    """Give each text its number, adding those that are new.

    data: uint8[b]; text i is data[start[i]:start[i] + length[i]], int64[n] and int32[n]. wanted: uint8[n], others
    get ABSENT. With partitions > 0 a new text that murmur2 gives another partition is not added: ELSEWHERE.
    table, older: uint64[2 ** k], see above; ``older`` is being moved into ``table``, or has one free place.
    arena: uint8[c]. span: int32[m, 2], where the text of a number lies, in slots, and its length in bytes; of a free
    number -2 minus the next free one of its size. free: int32[f], by size in slots the first free number, or
    ABSENT. used: int64[3], numbers given so far, slots given so far, texts that are there. There is room for n more
    texts; all of them are updated in place. number: int32[n], written.
    """
    hashes = np.empty(_TOGETHER, np.uint64)
    seen = np.empty(_TOGETHER, np.uint64)
    for i in range(start.shape[0]):
        if i % _TOGETHER == 0:
            look_ahead(data, start, length, wanted, i, table, span, arena, hashes, seen)
        number[i] = ABSENT
        if not wanted[i]:
            continue
        h = hashes[i % _TOGETHER]
        found, place = find(data, start[i], length[i], h, table, arena, span)
        if found == ABSENT and older.shape[0] > 1:
            found, _ = find(data, start[i], length[i], h, older, arena, span)
        if found == ABSENT and add:
            if partitions > 0 and murmur2(data, start[i], length[i]) % partitions != partition:
                number[i] = ELSEWHERE
                continue
            size = (length[i] + SLOT_BYTES - 1) // SLOT_BYTES
            found = free[size]
            if found >= 0:
                free[size] = -2 - span[found, 1]
            else:
                found = used[0]
                span[found, 0] = used[1]
                used[0] += 1
                used[1] += size
            used[2] += 1
            table[place] = (np.uint64(found + 1) << np.uint64(32)) | (h & _TAG)
            span[found, 1] = length[i]
            begin = np.int64(span[found, 0]) * SLOT_BYTES
            for k in range(length[i]):
                arena[begin + k] = data[start[i] + k]
        number[i] = found


number_texts_compiled = compiled(number_texts)


def move_entries(older: UInt64s, first: int, places: int, table: UInt64s) -> None:
    """Enter what stands in older[first:first + places] into ``table`` too. Shapes as above."""
    for place in range(first, min(first + places, older.shape[0])):
        if older[place] > _TAG:
            enter(table, older[place])


move_entries_compiled = compiled(move_entries)


def remove_texts(
    numbers: Int64s, table: UInt64s, older: UInt64s, arena: Bytes, span: Int32s, free: Int32s,
    used: Int64s,
) -> None:  # fmt: skip
    """Forget the texts of some numbers (int64[k], each there and once); shapes as above."""
    for i in range(numbers.shape[0]):
        number = numbers[i]
        length = span[number, 1]
        begin = int(span[number, 0]) * SLOT_BYTES
        h = text_hash(arena, begin, length)
        found, place = find(arena, begin, length, h, table, arena, span)
        if found >= 0:
            take_out(table, place)
        if older.shape[0] > 1:
            found, place = find(arena, begin, length, h, older, arena, span)
            if found >= 0:  # nothing may move in it: entries that were not moved yet could be passed over
                older[place] = _REMOVED
        size = (length + SLOT_BYTES - 1) // SLOT_BYTES
        span[number, 1] = -2 - free[size]
        free[size] = number
        used[2] -= 1


remove_texts_compiled = compiled(remove_texts)


def copy_texts(arena: Bytes, span: Int32s, numbers: Int64s, start: Int64s, length: Int32s, out: Bytes) -> None:
    """Copy the texts of some numbers (int64[k]) to ``out``, each from start[i] on (int64[k]), length[i] (int32[k])."""
    for i in range(numbers.shape[0]):
        copy_bytes(arena, int(span[numbers[i], 0]) * SLOT_BYTES, length[i], out, start[i])


copy_texts_compiled = compiled(copy_texts)
