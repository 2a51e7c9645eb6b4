"""Texts to dense numbers: customer to row, touchpoint to code. An open-addressing table over one arena of bytes.

A Python dict of strings costs about 150 bytes and half a microsecond for each text; this one costs the text and
28 bytes, and is asked by kernels.
"""

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from schemas.arrays import Bytes, Int32s, Int64s, UInt64s
from schemas.compiled import compiled, step

T = TypeVar("T", bound=np.generic)

ABSENT = -1
ELSEWHERE = -2  # the text belongs to another partition

_K1 = np.uint64(0x9E3779B97F4A7C15)
_K2 = np.uint64(0xD6E8FEB86659FD93)


@step
def text_hash(data: Bytes, start: int, length: int) -> np.uint64:
    """Return 64 well-mixed bits of data[start:start + length] (multiply and fold, eight bytes a step)."""
    h = np.uint64(length) * _K1
    at = start
    stop = start + length
    while at < stop:
        word = np.uint64(0)
        for k in range(min(8, stop - at)):
            word |= np.uint64(data[at + k]) << np.uint64(8 * k)
        h = (h ^ word) * _K1
        h ^= h >> np.uint64(29)
        at += 8
    h *= _K2
    return h ^ (h >> np.uint64(32))


@step
def find(
    data: Bytes, start: int, length: int, h: np.uint64, table: Int32s, hashes: UInt64s, arena: Bytes, ends: Int64s
) -> tuple[int, int]:
    """Return the number of a text, or ABSENT, and its place in the table."""
    mask = np.int64(table.shape[0] - 1)
    place = np.int64(h & np.uint64(mask))
    while True:
        number = table[place]
        if number < 0:
            return ABSENT, int(place)
        if hashes[number] == h:
            begin = ends[number]
            if ends[number + 1] - begin == length:
                k = 0
                while k < length and arena[begin + k] == data[start + k]:
                    k += 1
                if k == length:
                    return int(number), int(place)
        place = (place + 1) & mask


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


def number_texts(
    data: Bytes,
    start: Int64s,
    length: Int32s,
    wanted: Bytes,
    partition: int,
    partitions: int,
    add: bool,
    table: Int32s,
    hashes: UInt64s,
    arena: Bytes,
    ends: Int64s,
    count: int,
    number: Int32s,
) -> int:
    """Give each text its number, adding those that are new; return how many texts there are now.

    data: uint8[b]; text i is data[start[i]:start[i] + length[i]], int64[n] and int32[n]. wanted: uint8[n], others
    get ABSENT. With partitions > 0 a new text that murmur2 gives another partition is not added: ELSEWHERE.
    table: int32[2 ** k], number or -1. hashes: uint64[m]. arena: uint8[c]; ends: int64[m + 1], text j is
    arena[ends[j]:ends[j + 1]]. All have room for n more texts; updated in place. number: int32[n], written.
    """
    for i in range(start.shape[0]):
        number[i] = ABSENT
        if not wanted[i]:
            continue
        h = text_hash(data, start[i], length[i])
        found, place = find(data, start[i], length[i], h, table, hashes, arena, ends)
        if found == ABSENT and add:
            if partitions > 0 and murmur2(data, start[i], length[i]) % partitions != partition:
                found = ELSEWHERE
            else:
                found = count
                count += 1
                table[place] = found
                hashes[found] = h
                begin = ends[found]
                for k in range(length[i]):
                    arena[begin + k] = data[start[i] + k]
                ends[found + 1] = begin + length[i]
        number[i] = found
    return count


number_texts_compiled = compiled(number_texts)


def refill(table: Int32s, hashes: UInt64s, count: int) -> None:
    """Enter the first ``count`` hashes into an empty table, int32[2 ** k] of -1."""
    mask = np.int64(table.shape[0] - 1)
    for number in range(count):
        place = np.int64(hashes[number] & np.uint64(mask))
        while table[place] >= 0:
            place = (place + 1) & mask
        table[place] = number


refill_compiled = compiled(refill)


def copy_texts(arena: Bytes, ends: Int64s, numbers: Int64s, start: Int64s, out: Bytes) -> None:
    """Copy the texts of some numbers (int64[k]) to ``out``, each from start[i] on (int64[k])."""
    for i in range(numbers.shape[0]):
        begin = ends[numbers[i]]
        for k in range(ends[numbers[i] + 1] - begin):
            out[start[i] + k] = arena[begin + k]


copy_texts_compiled = compiled(copy_texts)


class TextIndex:
    """Numbers texts 0, 1, 2, ... in the order in which they come."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.count = 0
        self._table = np.full(64, -1, np.int32)
        self._hashes = np.zeros(32, np.uint64)
        self._arena = np.zeros(1024, np.uint8)
        self._ends = np.zeros(33, np.int64)
        encoded = [t.encode() for t in texts]
        if encoded:
            lengths = np.array([len(t) for t in encoded], np.int32)
            start = np.concatenate([[0], np.cumsum(lengths[:-1])]).astype(np.int64)
            self.add(np.frombuffer(b"".join(encoded), np.uint8), start, lengths)

    def __len__(self) -> int:
        return self.count

    def text(self, number: int) -> str:
        """Return the text of a number."""
        return self.raw(number).decode()

    def raw(self, number: int) -> bytes:
        """Return the bytes of a number's text."""
        return self._arena[self._ends[number] : self._ends[number + 1]].tobytes()

    def texts(self, numbers: Int64s) -> tuple[Bytes, Int64s, Int32s]:
        """Return copies of the texts of some numbers, int64[k]: the bytes, and start and length of each in them."""
        length = self._ends[numbers + 1] - self._ends[numbers]
        start = np.cumsum(length) - length
        out = np.empty(int(length.sum()), np.uint8)
        copy_texts_compiled(self._arena, self._ends, numbers, start, out)
        return out, start, length.astype(np.int32)

    def add(
        self,
        data: Bytes,
        start: Int64s,
        length: Int32s,
        *,
        wanted: Bytes | None = None,
        partition: int = 0,
        partitions: int = 0,
    ) -> Int32s:
        """Return the number of each text, int32[n]: new ones are added, ABSENT where not wanted.

        With ``partitions`` > 0 new texts that belong to another partition than ``partition`` get ELSEWHERE.
        """
        texts = int(start.shape[0])
        self._make_room(texts, int(np.maximum(length, 0).sum()))
        return self._number(data, start, length, wanted, partition, partitions, add=True)

    def find(self, data: Bytes, start: Int64s, length: Int32s, *, wanted: Bytes | None = None) -> Int32s:
        """Return the number of each text, int32[n], ABSENT for those that are not there."""
        return self._number(data, start, length, wanted, 0, 0, add=False)

    def _number(
        self,
        data: Bytes,
        start: Int64s,
        length: Int32s,
        wanted: Bytes | None,
        partition: int,
        partitions: int,
        *,
        add: bool,
    ) -> Int32s:
        number = np.empty(start.shape[0], np.int32)
        every = np.ones(start.shape[0], np.uint8) if wanted is None else wanted
        self.count = int(
            number_texts_compiled(
                data, start, length, every, partition, partitions, add, self._table, self._hashes, self._arena,
                self._ends, self.count, number,
            )
        )  # fmt: skip
        return number

    def _make_room(self, texts: int, size: int) -> None:
        need = self.count + texts
        if need > self._hashes.shape[0]:
            room = max(need, self._hashes.shape[0] * 2)
            self._hashes = _grown(self._hashes, room)
            self._ends = _grown(self._ends, room + 1)
        if need * 2 > self._table.shape[0]:
            self._table = np.full(1 << int(need * 2 - 1).bit_length(), -1, np.int32)
            refill_compiled(self._table, self._hashes, self.count)
        used = int(self._ends[self.count]) + size
        if used > self._arena.shape[0]:
            self._arena = _grown(self._arena, max(used, self._arena.shape[0] * 2))


def _grown(array: npt.NDArray[T], room: int) -> npt.NDArray[T]:
    larger = np.zeros(room, array.dtype)
    larger[: array.shape[0]] = array
    return larger
