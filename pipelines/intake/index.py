"""Texts to dense numbers: customer to row, touchpoint to code.

A Python dict of bytes costs about 130 bytes and a third of a microsecond for each text, and holds the GIL; this one
costs the text and about 25 bytes, and kernels ask it (tests/bench/bench_index.py measures both, and others).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from pipelines.intake.text_table import (
    ABSENT,
    SLOT_BYTES,
    copy_texts_compiled,
    move_entries_compiled,
    number_texts_compiled,
    remove_texts_compiled,
)
from schemas.arrays import Bytes, Int32s, Int64s, UInt64s
from schemas.errors import InvariantBroken
from schemas.growing import grown

MAX_BYTES = 4096
"""Of a text that is numbered; our own bounds for what comes in are far below it."""

_MOVED_PER_TEXT = 8  # a table of s places is moved before the next one, of 2 s, is full: 2 would do
_FIRST_PLACES = 64
_AT_ONCE = 16_384  # texts between two looks at the room: what many new ones need is taken step by step


def _no_table() -> UInt64s:
    return np.zeros(1, np.uint64)


@dataclass(slots=True)
class TextIndex:
    """Numbers texts 0, 1, 2, ... in the order in which they come; numbers of removed texts are given again."""

    texts_at_first: Iterable[str] = ()
    _table: UInt64s = field(default_factory=lambda: np.zeros(_FIRST_PLACES, np.uint64))
    _older: UInt64s = field(default_factory=_no_table)
    _moved: int = 0
    _arena: Bytes = field(default_factory=lambda: np.zeros(1024, np.uint8))
    _span: Int32s = field(default_factory=lambda: np.zeros((32, 2), np.int32))
    _free: Int32s = field(default_factory=lambda: np.full(MAX_BYTES // SLOT_BYTES + 1, ABSENT, np.int32))
    _used: Int64s = field(default_factory=lambda: np.zeros(3, np.int64))

    def __post_init__(self) -> None:
        encoded = [t.encode() for t in self.texts_at_first]
        if encoded:
            lengths = np.array([len(t) for t in encoded], np.int32)
            start = np.concatenate([[0], np.cumsum(lengths[:-1])]).astype(np.int64)
            self.add(np.frombuffer(b"".join(encoded), np.uint8), start, lengths)

    def __len__(self) -> int:
        return int(self._used[2])

    @property
    def numbers(self) -> int:
        """How many numbers have been given: all are below it."""
        return int(self._used[0])

    def text(self, number: int) -> str:
        """Return the text of a number."""
        return self.raw(number).decode()

    def raw(self, number: int) -> bytes:
        """Return the bytes of a number's text."""
        slot, length = self._span[number].tolist()
        return self._arena[slot * SLOT_BYTES : slot * SLOT_BYTES + length].tobytes()

    def add_text(self, text: str) -> int:
        """The number of one text, which is added if it is new."""
        raw = np.frombuffer(text.encode(), np.uint8)
        return int(self.add(raw, np.zeros(1, np.int64), np.full(1, raw.shape[0], np.int32))[0])

    def lengths(self, numbers: Int64s) -> Int32s:
        """Bytes of the texts of some numbers, int64[k]."""
        lengths: Int32s = self._span[numbers, 1]
        return lengths

    def texts(self, numbers: Int64s) -> tuple[Bytes, Int64s, Int32s]:
        """Return copies of the texts of some numbers, int64[k]: the bytes, and start and length of each in them."""
        length = self._span[numbers, 1]
        ends = np.cumsum(length, dtype=np.int64)
        start = ends - length
        out = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
        copy_texts_compiled(self._arena, self._span, numbers, start, length, out)
        return out, start, length

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

        Raises:
            InvariantBroken: a text is longer than MAX_BYTES; none has been added.
        """
        longest = int((length if wanted is None else length[wanted != 0]).max(initial=0))
        if longest > MAX_BYTES:  # the kernels look by its size among the slots that are free
            raise InvariantBroken(f"a text to be numbered has {longest} bytes, at most {MAX_BYTES} are allowed")
        number = np.empty(start.shape[0], np.int32)
        for at in range(0, start.shape[0], _AT_ONCE):
            part = slice(at, at + _AT_ONCE)
            self._make_room(length[part])
            some = None if wanted is None else wanted[part]
            number[part] = self._number(data, start[part], length[part], some, partition, partitions, add=True)
        return number

    def find(self, data: Bytes, start: Int64s, length: Int32s, *, wanted: Bytes | None = None) -> Int32s:
        """Return the number of each text, int32[n], ABSENT for those that are not there."""
        return self._number(data, start, length, wanted, 0, 0, add=False)

    def remove(self, numbers: Int64s) -> None:
        """Forget some numbers (int64[k], each there and once) and their texts; others will have them."""
        remove_texts_compiled(numbers, self._table, self._older, self._arena, self._span, self._free, self._used)

    def keep(self, numbers: Int64s) -> None:
        """Forget all but some numbers, int64[k]."""
        others = self._span[: self.numbers, 1] >= 0  # of removed ones it is below
        others[numbers] = False
        self.remove(np.flatnonzero(others))

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
        number_texts_compiled(
            data, start, length, every, partition, partitions, add, self._table, self._older, self._arena, self._span,
            self._free, self._used, number,
        )  # fmt: skip
        return number

    def _make_room(self, length: Int32s) -> None:
        texts = length.shape[0]
        numbers, slots, there = (int(n) for n in self._used)
        self._span = grown(self._span, numbers + texts)
        more = (slots + texts) * SLOT_BYTES + int(np.maximum(length, 0).sum())
        self._arena = grown(self._arena, more)
        self._move(texts * _MOVED_PER_TEXT)
        if (there + texts) * 5 > self._table.shape[0] * 3:
            self._move(self._older.shape[0])  # long over: it is a quarter of what was added since
            self._older, self._moved = self._table, 0
            places = self._table.shape[0]
            while (there + texts) * 5 > places * 3:
                places *= 2
            self._table = np.zeros(places, np.uint64)  # memory that is touched when it is written
            self._move(texts * _MOVED_PER_TEXT)

    def _move(self, places: int) -> None:
        if self._older.shape[0] == 1:
            return
        move_entries_compiled(self._older, self._moved, places, self._table)
        self._moved += places
        if self._moved >= self._older.shape[0]:
            self._older, self._moved = _no_table(), 0
