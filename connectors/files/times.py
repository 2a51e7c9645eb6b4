"""Times in files to epoch milliseconds: RFC 3339, epoch numbers, local times of a zone, formats of strptime."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.files.texts import text_parts
from schemas.acceptance import LAST_MS
from schemas.arrays import Bools, Bytes, Float64s, Int32s, Int64s
from schemas.compiled import compiled, step
from schemas.dates import day_number

NO_TIME, WITH_OFFSET, LOCAL, EPOCH = range(4)
"""What a text was found to be."""

FIRST_MS = 0
"""1970 and 2200: what is outside is no time at which anything happened to a customer."""

EPOCH_UNITS = {"s": 1000.0, "ms": 1.0, "us": 0.001, "ns": 0.000001}
"""Milliseconds of what numbers may count."""

_SLOT_MS = 900_000  # offsets of zones change at whole quarters of an hour
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUICK = re.compile(r"(?:[^%]|%[YmdHMS])*")  # what Arrow's strptime reads as Python's does


@step
def digits(data: Bytes, at: int, count: int, end: int) -> int:
    """Number that ``count`` digits from ``at`` on are, -1 when they are none."""
    if at + count > end:
        return -1
    number = 0
    for k in range(at, at + count):
        digit = int(data[k]) - 48
        if digit < 0 or digit > 9:
            return -1
        number = number * 10 + digit
    return number


def read_times(data: Bytes, start: Int64s, length: Int32s, at_ms: Int64s, found: Bytes) -> None:
    """Read each text as an RFC 3339 time or a number.

    start: int64[n], length: int32[n]. found: uint8[n], NO_TIME, WITH_OFFSET, LOCAL or EPOCH; at_ms: int64[n], epoch
    milliseconds, those that a clock on the wall would show for LOCAL, the number as it is for EPOCH. Both written.

    A blank may stand for the T, seconds and their fraction may be missing; what is finer than a millisecond is cut off.
    """
    for i in range(start.shape[0]):
        at, end = start[i], start[i] + length[i]
        found[i], at_ms[i] = 0, 0
        count = end - at
        if 0 < count <= 18 or (count == 19 and data[at] < 57):  # less than 9e18, as nanoseconds are
            number = digits(data, at, count, end)
            if number >= 0:
                found[i], at_ms[i] = 3, number
                continue
        if count < 16 or data[at + 4] != 45 or data[at + 7] != 45 or data[at + 13] != 58:
            continue
        if data[at + 10] not in (84, 116, 32):
            continue
        day = day_number(digits(data, at, 4, end), digits(data, at + 5, 2, end), digits(data, at + 8, 2, end))
        hour, minute = digits(data, at + 11, 2, end), digits(data, at + 14, 2, end)
        if day < 0 or hour < 0 or hour > 23 or minute < 0 or minute > 59:
            continue
        ms = ((day * 24 + hour) * 60 + minute) * 60_000
        at += 16
        if at < end and data[at] == 58:
            second = digits(data, at + 1, 2, end)
            if second < 0 or second > 60:
                continue
            ms += second * 1000
            at += 3
            if at + 1 < end and data[at] in (46, 44) and digits(data, at + 1, 1, end) >= 0:
                at += 1
                unit = 100
                while at < end and digits(data, at, 1, end) >= 0:
                    ms += digits(data, at, 1, end) * unit
                    unit //= 10
                    at += 1
        if at == end:
            found[i], at_ms[i] = 2, ms
        elif data[at] in (90, 122):
            if at + 1 == end:
                found[i], at_ms[i] = 1, ms
        elif data[at] in (43, 45):
            minus = data[at] == 45
            hours = digits(data, at + 1, 2, end)
            at += 3
            if at < end and data[at] == 58:
                at += 1
            minutes = 0
            if at < end:
                minutes = digits(data, at, 2, end)
                at += 2
            if at == end and 0 <= hours <= 23 and 0 <= minutes <= 59:
                offset_ms = (hours * 60 + minutes) * 60_000
                found[i], at_ms[i] = 1, (ms + offset_ms if minus else ms - offset_ms)


read_times_compiled = compiled(read_times)


def times_of_texts(texts: pa.Array) -> tuple[Int64s, Bytes]:
    """Milliseconds and what was found, as ``read_times`` writes them; NO_TIME for null."""
    parts = text_parts(texts)
    at_ms, found = np.empty(len(texts), np.int64), np.empty(len(texts), np.uint8)
    read_times_compiled(parts.data, parts.start, parts.length, at_ms, found)
    return at_ms, found


def ms_of_whole(counted: Int64s, epoch: str) -> Int64s:
    """Epoch milliseconds of whole numbers that count units of EPOCH_UNITS since 1970, cut to the millisecond."""
    if epoch == "s":
        return np.clip(counted, -1, LAST_MS) * 1000
    return counted // round(EPOCH_UNITS["ms"] / EPOCH_UNITS[epoch])


def ms_of_numbers(counted: Float64s, epoch: str) -> Int64s:
    """As ``ms_of_whole``, of finite numbers that may have a fraction.

    A double of seconds or nanoseconds is off by a part of a microsecond, so 1772445600.123 lies before the millisecond
    that it names: of these the nearest microsecond is cut.
    """
    us = np.clip(counted * (1000.0 * EPOCH_UNITS[epoch]), -1000.0, 1000.0 * LAST_MS)
    return (np.rint(us) if epoch in ("s", "ns") else np.floor(us)).astype(np.int64) // 1000


def times_of_format(texts: pa.Array, form: str) -> tuple[Int64s, Bytes]:
    """As ``times_of_texts``, of texts in a format of strptime."""
    if _QUICK.fullmatch(form):
        read = pc.strptime(texts, format=form, unit="s", error_is_null=True)
        there = read.is_valid().to_numpy(zero_copy_only=False) & ~_carried_over(texts, read, form)
        return read.cast(pa.int64()).fill_null(0).to_numpy() * 1000, np.where(there, LOCAL, NO_TIME).astype(np.uint8)
    encoded = texts.dictionary_encode()
    each = [_formatted(text, form) for text in encoded.dictionary.to_pylist()]
    ms, kinds = (np.array([one[k] for one in each] + [NO_TIME], np.int64) for k in range(2))
    number = encoded.indices.cast(pa.int64()).fill_null(len(each)).to_numpy()
    return ms[number], kinds[number].astype(np.uint8)


def _carried_over(texts: pa.Array, read: pa.Array, form: str) -> Bools:
    """bool[n]: times of days that do not exist, which Arrow takes for the first days of the next month."""
    over = np.zeros(len(texts), np.bool_)
    early = np.flatnonzero(pc.day(read).fill_null(31).to_numpy() <= 3)
    said, meant = texts.take(pa.array(early)), pc.strftime(read.take(pa.array(early)), form)
    strange = pc.not_equal(said, meant)
    words = said.filter(strange).to_pylist()
    wrong = {word: _formatted(word, form)[1] == NO_TIME for word in set(words)}
    over[early[strange.to_numpy(zero_copy_only=False)]] = [wrong[word] for word in words]
    return over


def _formatted(text: str, form: str) -> tuple[int, int]:
    try:
        said = datetime.strptime(text, form)  # noqa: DTZ007 - whether it has a zone is what we ask
    except ValueError:
        return 0, NO_TIME
    if said.tzinfo is None:
        return (said.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1), LOCAL
    return (said - _EPOCH) // timedelta(milliseconds=1), WITH_OFFSET


def utc_of_local(local_ms: Int64s, zone: ZoneInfo) -> tuple[Int64s, Bools]:
    """Epoch milliseconds of times on a wall clock, int64[n], and which there are, bool[n].

    An hour that comes twice is the first one; one that is left out does not exist.
    """
    slots, number = np.unique(local_ms // _SLOT_MS, return_inverse=True)
    offset_ms, exists = np.zeros(slots.shape[0], np.int64), np.ones(slots.shape[0], np.bool_)
    for k, slot in enumerate(slots.tolist()):
        wall = (_EPOCH + timedelta(milliseconds=slot * _SLOT_MS)).replace(tzinfo=zone)
        offset_ms[k] = (wall.utcoffset() or timedelta()) // timedelta(milliseconds=1)
        exists[k] = wall.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None)
    return local_ms - offset_ms[number], exists[number]
