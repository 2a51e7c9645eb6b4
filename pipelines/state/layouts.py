"""How a customer's row is stored, by layout. Every one that was ever released is read; here 1 and 2 are, and written.

A stored row is ``layout (u16), signals (u32)`` and what the layout says, little-endian; ``signals`` identifies the
names of the signals in heat order, which the partition's header spells out. docs/state.md has every byte.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.fold.scoring import EPISODE_AT, HEAT, INTERACTIONS, NEWEST_MS, UPDATED
from pipelines.state.pool import NONE, take_place
from schemas.arrays import Bytes, Int32s, Int64s
from schemas.compiled import compiled
from schemas.words import word_at

NEWEST = 2
LAYOUTS = (1, 2, 3, 4)  # 4 is that of pipelines/state/whole_rows.py, 3 that of pipelines/state/unpacked_rows.py

PREFIX = np.dtype([("layout", "<u2"), ("signals", "<u4")])
EPISODE = np.dtype([("opened_ms", "<i8"), ("closed_ms", "<i8"), ("revision", "<i4")])
"""A customer's last band alert: when it began (0 for none), when it was resolved (0 while it stands), last revision."""

_SECTION = np.dtype([("kind", "u1"), ("bytes", "<u2")])
_EPISODE_SECTION = 1
_WITH_EPISODE = np.dtype([("section", _SECTION), ("episode", EPISODE)])

_PREFIX_BITS = np.uint64(0xFFFFFFFFFFFF)  # of a word that begins with a prefix
_SECTION_BITS = np.uint64(0xFFFFFF)  # of a word that begins with a section
_EPISODE_HEAD = np.uint64(_EPISODE_SECTION | EPISODE.itemsize << 8)


def copy_out(data: Bytes, start: Int64s, out: Bytes) -> None:
    """Copy what begins at each start (int64[k]) of data (uint8[b]) to the rows of out, uint8[k, w]."""
    for i in range(start.shape[0]):
        for b in range(out.shape[1]):
            out[i, b] = data[start[i] + b]


copy_out_compiled = compiled(copy_out)


def copy_in(rows: Bytes, start: Int64s, out: Bytes) -> None:
    """Copy each row of uint8[k, w] to ``out`` (uint8[b]), from start[i] on (int64[k])."""
    for i in range(start.shape[0]):
        for b in range(rows.shape[1]):
            out[start[i] + b] = rows[i, b]


copy_in_compiled = compiled(copy_in)


def copy_parts(data: Bytes, start: Int64s, length: Int32s, begin: Int64s, out: Bytes) -> None:
    """Copy values, start int64[k] and length int32[k] in data (uint8[b]), to ``out`` from begin[i] on (int64[k])."""
    for i in range(start.shape[0]):
        for b in range(length[i]):
            out[begin[i] + b] = data[start[i] + b]


copy_parts_compiled = compiled(copy_parts)


def take_rows(
    data: Bytes,
    start: Int64s,
    length: Int32s,
    number: Int32s,
    form: np.uint64,
    signals: int,
    bands: int,
    first: int,
    rows: Int64s,
    band: Bytes,
    last: Int64s,
    episodes: Int64s,
    free: Int64s,
    used: Int64s,
    others: Int64s,
) -> int:
    """Put stored rows of layout 2 that have the signals of ``rows`` into memory as they are.

    data: uint8[b]; value i is data[start[i]:start[i] + length[i]] and number[i]'s, int64[n], int32[n] and int32[n], in
    the order of the log. Length -1 is no value; a number below 0 is left out. form: the prefix of rows of layout 2 with
    our signals, as a number. bands: how many the policy has. first: number of record 0.
    rows: int64[m, w], the words of scoring.Rows, ``signals`` heats among them. band: uint8[m].
    last: int64[m], by row the number of its last record, inverted when that has no value.
    episodes: int64[p, 3], the words of a pool's records, of which n can be taken; free, used: see pool.Pool.
    others: int64[n], written: which records (i) have a value of another form. Returns how many.
    """
    plain = 23 + 8 * signals
    left = 0
    for i in range(start.shape[0]):
        r = number[i]
        if r < 0:
            continue
        if length[i] < 0:
            last[r] = ~(first + i)
            continue
        last[r] = first + i
        at = start[i]
        more = at + plain  # the section of an episode: kind, bytes; when it began and ended, its revision
        told = length[i] == plain + 23 and word_at(data, more) & _SECTION_BITS == _EPISODE_HEAD
        told = told and word_at(data, more + 3) != 0
        if not (told or length[i] == plain) or word_at(data, at) & _PREFIX_BITS != form:
            others[left] = i
            left += 1
            continue
        place = rows[r, EPISODE_AT]
        if told:
            if place == NONE:
                place = take_place(free, used)
            rows[r, EPISODE_AT] = place
            episodes[place, 0] = np.int64(word_at(data, more + 3))
            episodes[place, 1] = np.int64(word_at(data, more + 11))
            episodes[place, 2] = np.int64(word_at(data, more + 15) >> np.uint64(32))  # its last four bytes
        elif place != 0:
            for k in range(episodes.shape[1]):
                episodes[place, k] = 0
            free[used[1]] = place
            used[1] += 1
            rows[r, EPISODE_AT] = 0
        # behind the prefix: time and count, the band, the heats (head_dtype)
        rows[r, UPDATED] = np.int64(word_at(data, at + 6))
        rows[r, NEWEST_MS] = rows[r, UPDATED]
        rows[r, INTERACTIONS] = np.int64(word_at(data, at + 14))
        band[r] = min(int(data[at + 22]), bands - 1)
        for s in range(signals):
            rows[r, HEAT + s] = np.int64(word_at(data, at + 23 + 8 * s))
    return left


take_rows_compiled = compiled(take_rows)


def signals_id(names: Sequence[str]) -> int:
    """CRC-32 of the signals' names in heat order: which heats a stored row has."""
    return zlib.crc32("\x1f".join(names).encode())


def head_dtype(layout: int, signals: int) -> np.dtype[np.void]:
    """What every row of a layout has behind its prefix; layout 2 goes on with sections."""
    heat = ("heat", "<f8", (signals,))
    if layout == 1:
        times = [("updated_ms", "<i8"), ("interactions", "<i8"), ("opened_ms", "<i8"), ("closed_ms", "<i8")]
        return np.dtype([*times, ("revision", "<i4"), ("band", "u1"), ("unused", "u1", (3,)), heat])
    return np.dtype([("updated_ms", "<i8"), ("interactions", "<i8"), ("band", "u1"), heat])


def plain_form(signals: int) -> np.uint64:
    """Prefix of rows of the newest layout as ``take_rows`` compares it. signals: ``signals_id`` of their heats."""
    return np.uint64(NEWEST | signals << 16)


@dataclass(frozen=True, slots=True)
class RowColumns:
    """k rows. head: [k] of ``head_dtype(2, signals)``. episode: [k] of EPISODE, zero where there is none."""

    head: npt.NDArray[np.void]
    episode: npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class StoredRows:
    """k stored rows, one behind the other in ``data``: row i ends before end[i], int64[k]."""

    data: bytes
    end: Int64s

    def values(self) -> list[bytes]:
        """The bytes of each."""
        ends = self.end.tolist()
        return [self.data[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)] if ends else []


def write_rows(rows: RowColumns, layout: int, signals: int) -> StoredRows:
    """Store rows in a layout that is written. signals: ``signals_id`` of their heats."""
    k, heats = rows.head.shape[0], rows.head.dtype["heat"].shape[0]
    fixed = np.dtype([("prefix", PREFIX), ("head", head_dtype(layout, heats))])
    whole = np.zeros(k, fixed)
    whole["prefix"]["layout"], whole["prefix"]["signals"] = layout, signals
    for name in ("updated_ms", "interactions", "band", "heat"):
        whole["head"][name] = rows.head[name]
    if layout == 1:
        for name in EPISODE.names or ():
            whole["head"][name] = rows.episode[name]
        return StoredRows(whole.tobytes(), np.arange(1, k + 1, dtype=np.int64) * fixed.itemsize)
    told = np.flatnonzero(rows.episode["opened_ms"])
    more = np.zeros(told.shape[0], _WITH_EPISODE)
    more["section"]["kind"], more["section"]["bytes"] = _EPISODE_SECTION, EPISODE.itemsize
    more["episode"] = rows.episode[told]
    length = np.full(k, fixed.itemsize, np.int64)
    length[told] += _WITH_EPISODE.itemsize
    end = np.cumsum(length)
    out = np.empty(int(end[-1]) if k else 0, np.uint8)
    start = end - length
    copy_in_compiled(_bytes(whole), start, out)
    copy_in_compiled(_bytes(more), start[told] + fixed.itemsize, out)
    return StoredRows(out.tobytes(), end)


def forms(data: Bytes, start: Int64s, length: Int32s) -> npt.NDArray[np.void]:
    """Prefix of each value, [k] of PREFIX.

    Raises:
        ValueError: a value is too short to have one, or has a layout that we do not know.
    """
    if length.shape[0] and int(length.min()) < PREFIX.itemsize:
        raise ValueError(f"a stored row has only {int(length.min())} bytes")
    found = _taken(data, start, PREFIX)
    unknown = (found["layout"] < LAYOUTS[0]) | (found["layout"] > LAYOUTS[-1])
    if unknown.any():
        layout = found["layout"][unknown][0]
        raise ValueError(
            f"a stored row has layout {layout}, this version reads {LAYOUTS[0]} to {LAYOUTS[-1]}: it was written "
            "by a newer one. Start that version again (docs/operations.md: how to upgrade with a way back)"
        )
    return found


def read_rows(data: Bytes, start: Int64s, length: Int32s, layout: int, signals: int) -> RowColumns:
    """Read values of one form: data[start[i]:start[i] + length[i]], prefix included. signals: how many heats.

    Raises:
        ValueError: a value has a length that its layout does not give, or a section that we do not know.
    """
    head = head_dtype(layout, signals)
    fixed = PREFIX.itemsize + head.itemsize
    wrong = (length != fixed) if layout == 1 else (length != fixed) & (length != fixed + _WITH_EPISODE.itemsize)
    if wrong.any():
        raise ValueError(f"a stored row of layout {layout} and {signals} signals has {length[wrong][0]} bytes")
    found = _taken(data, start + PREFIX.itemsize, head)
    episode = np.zeros(start.shape[0], EPISODE)
    if layout == 1:
        for name in EPISODE.names or ():
            episode[name] = found[name]
        newest = np.zeros(start.shape[0], head_dtype(NEWEST, signals))
        for name in newest.dtype.names or ():
            newest[name] = found[name]
        return RowColumns(newest, episode)
    told = np.flatnonzero(length > fixed)
    more = _taken(data, start[told] + fixed, _WITH_EPISODE)
    section = more["section"]
    if ((section["kind"] != _EPISODE_SECTION) | (section["bytes"] != EPISODE.itemsize)).any():
        raise ValueError("a stored row has a section that this version does not know")
    episode[told] = more["episode"]
    return RowColumns(found, episode)


def copied(data: Bytes, start: Int64s, length: Int32s) -> tuple[Bytes, Int64s]:
    """Copies of some values, one behind the other, and where each begins, int64[k]."""
    end = np.cumsum(length, dtype=np.int64)
    begin = end - length
    out = np.empty(int(end[-1]) if end.shape[0] else 0, np.uint8)
    copy_parts_compiled(data, start, length, begin, out)
    return out, begin


def _taken(data: Bytes, start: Int64s, dtype: np.dtype[np.void]) -> npt.NDArray[np.void]:
    """[k] of dtype from data[start[i]:]."""
    found = np.empty(start.shape[0], dtype)
    copy_out_compiled(data, start, _bytes(found))
    return found


def _bytes(records: npt.NDArray[np.void]) -> Bytes:
    """uint8[k, w]: the same memory."""
    return records.view(np.uint8).reshape(records.shape[0], records.dtype.itemsize)
