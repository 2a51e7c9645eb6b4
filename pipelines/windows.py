"""Wait windows of one source partition: tumbling, in event time, cumulative (design, section 6).

A wait belongs to the window in which it began. The watermark is the newest event time, but never beyond the append
time of its record, so that one fast clock cannot close everybody's windows. A window takes interactions until
the watermark has passed its end by the lateness; then it is closed, and what comes later is counted as late.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.intake.index import TextIndex
from pipelines.intake.interactions import ABANDONED, ANSWERED, NO_TIME, InteractionBatch
from schemas.arrays import Bools, Bytes, Int8s, Int32s, Int64s
from schemas.compiled import compiled

_EMPTY = -1
TO_STORE, TO_TELL = 1, 2  # a window has changed since it was stored, and since others were told of it
_NAME_PREFIX = 4  # a place is named by the bytes of its touchpoint's length, the touchpoint and the channel


@dataclass(frozen=True, slots=True)
class WaitCounts:
    """Integer counts of a window; those of several partitions add."""

    answered: int
    abandoned: int
    other_ends: int
    wait_sum_ms: int
    wait_max_ms: int

    @property
    def offered(self) -> int:
        """Waits that began in the window: all are known when they are over."""
        return self.answered + self.abandoned + self.other_ends

    def __add__(self, other: "WaitCounts") -> "WaitCounts":
        return WaitCounts(
            self.answered + other.answered,
            self.abandoned + other.abandoned,
            self.other_ends + other.other_ends,
            self.wait_sum_ms + other.wait_sum_ms,
            max(self.wait_max_ms, other.wait_max_ms),
        )


NO_WAITS = WaitCounts(0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class WindowState:
    """One window as a partition knows it."""

    touchpoint: str
    channel: str
    start_ms: int
    counts: WaitCounts
    closed: bool = False


def add_waits(
    is_wait: Bools,
    place: Int32s,
    occurred_ms: Int64s,
    append_ms: Int64s,
    duration_ms: Int64s,
    outcome: Int8s,
    length_ms: int,
    lateness_ms: int,
    watermark_ms: int,
    slot_key: Int64s,
    counts: Int64s,
    dirty: Bytes,
) -> tuple[int, int, int]:
    """Add the waits of a batch to their windows, in offset order.

    Returns the watermark, how many waits were late, and how many windows are new.

    is_wait: bool[n]. place: int32[n]. occurred_ms, append_ms, duration_ms: int64[n]. outcome: int8[n].
    slot_key: int64[c, 2], place and start of the window in each slot of an open-addressing table, place -1 for none;
    it has room for the batch. counts: int64[c, 5], answered, abandoned, other ends, sum and max of the waits in ms.
    dirty: uint8[c], TO_STORE and TO_TELL. The last three are updated in place.
    """
    late = 0
    new = 0
    mask = slot_key.shape[0] - 1
    for i in range(occurred_ms.shape[0]):
        watermark_ms = max(watermark_ms, min(occurred_ms[i], append_ms[i]))
        if not is_wait[i]:
            continue
        start_ms = occurred_ms[i] - occurred_ms[i] % length_ms
        if start_ms + length_ms + lateness_ms <= watermark_ms:
            late += 1
            continue
        slot = (np.int64(place[i]) * 1_000_003 + start_ms // length_ms) & mask
        while slot_key[slot, 0] >= 0 and (slot_key[slot, 0] != place[i] or slot_key[slot, 1] != start_ms):
            slot = (slot + 1) & mask
        new += slot_key[slot, 0] < 0
        slot_key[slot, 0] = place[i]
        slot_key[slot, 1] = start_ms
        end = outcome[i]
        counts[slot, 0 if end == ANSWERED else 1 if end == ABANDONED else 2] += 1
        counts[slot, 3] += duration_ms[i]
        counts[slot, 4] = max(counts[slot, 4], duration_ms[i])
        dirty[slot] = TO_STORE | TO_TELL
    return watermark_ms, late, new


add_waits_compiled = compiled(add_waits)


class WaitWindows:
    """The open windows of a partition."""

    def __init__(self, length_ms: int, lateness_ms: int) -> None:
        self.length_ms = length_ms
        self.lateness_ms = lateness_ms
        self.watermark_ms = NO_TIME
        self.late = 0
        self.untold = False  # whether open windows have changed since they were taken to be told
        self._places = TextIndex()
        self._new_table(64)

    def add(self, batch: InteractionBatch, is_wait: Bools) -> None:
        """Add the waits among a batch, bool[n]; every interaction moves the watermark."""
        is_wait = is_wait & (batch.duration_ms >= 0)
        place = self._place_numbers(batch, is_wait)
        waits = int(is_wait.sum())
        self._make_room(waits)
        self.untold |= waits > 0
        watermark_ms, late, new = add_waits_compiled(
            is_wait, place, batch.occurred_ms, batch.append_ms, batch.duration_ms, batch.outcome, self.length_ms,
            self.lateness_ms, self.watermark_ms, self._key, self._counts, self._dirty,
        )  # fmt: skip
        self.watermark_ms = int(watermark_ms)
        self.late += int(late)
        self._open += int(new)

    def advance(self, watermark_ms: int) -> None:
        """Move the watermark when time itself tells that nothing older will come."""
        self.watermark_ms = max(self.watermark_ms, watermark_ms)

    def closing(self) -> bool:
        """Whether the watermark has passed windows that have not been told to be closed."""
        ends = self._key[:, 1] + self.length_ms + self.lateness_ms
        return bool(((self._key[:, 0] != _EMPTY) & (ends <= self.watermark_ms)).any())

    def take_dirty(self) -> list[WindowState]:
        """Windows that changed or were closed since the last call, in the order of place and start; closed ones go."""
        closes = self._key[:, 1] + self.length_ms + self.lateness_ms <= self.watermark_ms
        closed = (self._key[:, 0] != _EMPTY) & closes
        changed = self._in_order(np.flatnonzero((self._dirty & TO_STORE != 0) | closed))
        states = [self._state(slot, closed=bool(closed[slot])) for slot in changed]
        self._dirty &= TO_TELL
        if closed.any():
            self._rebuild(~closed)
            self.untold = bool((self._dirty & TO_TELL).any())
        return states

    def take_untold(self) -> list[WindowState]:
        """Open windows that changed since the last call; those that closed meanwhile were told by ``take_dirty``."""
        changed = self._in_order(np.flatnonzero(self._dirty & TO_TELL))
        self._dirty &= TO_STORE
        self.untold = False
        return [self._state(slot, closed=False) for slot in changed]

    def _in_order(self, slots: Int64s) -> list[int]:
        """Slots in the order of place and start."""
        in_order: list[int] = slots[np.lexsort((self._key[slots, 1], self._key[slots, 0]))].tolist()
        return in_order

    def restore(self, windows: list[WindowState], *, told: bool = True) -> None:
        """Take open windows back. told: whether others know them as they are."""
        self.untold = bool(windows) and not told
        for window in windows:
            self._make_room(1)
            touchpoint = window.touchpoint.encode()
            raw = len(touchpoint).to_bytes(_NAME_PREFIX, "little") + touchpoint + window.channel.encode()
            name = np.frombuffer(raw, np.uint8)
            place = int(self._places.add(name, np.zeros(1, np.int64), np.array([len(name)], np.int32))[0])
            self._dirty[self._insert(place, window.start_ms, window.counts)] = 0 if told else TO_TELL

    def states(self) -> Iterator[WindowState]:
        """Every open window."""
        for slot in np.flatnonzero(self._key[:, 0] != _EMPTY):
            yield self._state(int(slot), closed=False)

    def _state(self, slot: int, *, closed: bool) -> WindowState:
        name = self._places.raw(int(self._key[slot, 0]))
        end = _NAME_PREFIX + int.from_bytes(name[:_NAME_PREFIX], "little")
        touchpoint, channel = name[_NAME_PREFIX:end].decode(), name[end:].decode()
        counts = WaitCounts(*(int(c) for c in self._counts[slot]))
        return WindowState(touchpoint, channel, int(self._key[slot, 1]), counts, closed)

    def _place_numbers(self, batch: InteractionBatch, is_wait: Bools) -> Int32s:
        """int32[n]: a number for each pair of touchpoint and channel."""
        place = np.zeros(len(batch), np.int32)
        waits = np.flatnonzero(is_wait)
        if waits.shape[0] == 0:
            return place
        touchpoint, channel = batch.touchpoint.take(waits), batch.channel.take(waits)
        lengths = touchpoint.length + channel.length + _NAME_PREFIX
        start = (np.cumsum(lengths) - lengths).astype(np.int64)
        names = np.empty(int(lengths.sum()), np.uint8)
        join_names_compiled(
            batch.data, touchpoint.start, touchpoint.length, channel.start, channel.length, start, names
        )
        place[waits] = self._places.add(names, start, lengths.astype(np.int32))
        return place

    def _new_table(self, slots: int) -> None:
        self._key: Int64s = np.full((slots, 2), _EMPTY, np.int64)
        self._counts: Int64s = np.zeros((slots, 5), np.int64)
        self._dirty: Bytes = np.zeros(slots, np.uint8)
        self._open = 0

    def _make_room(self, more: int) -> None:
        need = self._open + more  # a batch may open as many windows as it has waits, but rarely more than a few
        if need * 2 > self._key.shape[0]:
            self._rebuild(np.ones(self._key.shape[0], np.bool_), 1 << (need * 2 - 1).bit_length())

    def _rebuild(self, keep: Bools, slots: int | None = None) -> None:
        key, counts, dirty = self._key, self._counts, self._dirty
        kept = np.flatnonzero((key[:, 0] != _EMPTY) & keep)
        self._new_table(slots or max(64, 1 << (len(kept) * 4).bit_length()))
        for slot in kept:
            to = self._insert(int(key[slot, 0]), int(key[slot, 1]), None)
            self._counts[to] = counts[slot]
            self._dirty[to] = dirty[slot]

    def _insert(self, place: int, start_ms: int, counts: WaitCounts | None) -> int:
        mask = self._key.shape[0] - 1
        slot = (place * 1_000_003 + start_ms // self.length_ms) & mask  # as in add_waits
        while self._key[slot, 0] != _EMPTY:
            slot = (slot + 1) & mask
        self._key[slot] = (place, start_ms)
        self._open += 1
        if counts is not None:
            self._counts[slot] = (
                counts.answered, counts.abandoned, counts.other_ends, counts.wait_sum_ms, counts.wait_max_ms
            )  # fmt: skip
        return int(slot)


def join_names(
    data: Bytes,
    first_start: Int64s,
    first_length: Int32s,
    second_start: Int64s,
    second_length: Int32s,
    start: Int64s,
    out: Bytes,
) -> None:
    """Write the names of places to ``out``: the length of the first text, the first, the second, from start[i] on."""
    for i in range(start.shape[0]):
        at = start[i]
        for k in range(4):
            out[at + k] = (first_length[i] >> (8 * k)) & 255
        at += 4
        for k in range(first_length[i]):
            out[at + k] = data[first_start[i] + k]
        at += first_length[i]
        for k in range(second_length[i]):
            out[at + k] = data[second_start[i] + k]


join_names_compiled = compiled(join_names)
