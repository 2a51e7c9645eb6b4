"""JSON by the byte: texts in quotes, and records put together from their parts."""

from schemas.arrays import Bytes, Int32s, Int64s
from schemas.compiled import compiled, step
from schemas.words import copy_bytes

TIME_BYTES = 26
_DAY_MS = 86_400_000
_QUOTE, _BACKSLASH, _SPACE = 0x22, 0x5C, 0x20


@step
def short_escape(byte: int) -> int:
    """The letter that stands behind a backslash for a byte, 0 for none."""
    if byte in (_QUOTE, _BACKSLASH):
        return byte
    if byte == 0x08:
        return 0x62  # b
    if byte == 0x09:
        return 0x74  # t
    if byte == 0x0A:
        return 0x6E  # n
    if byte == 0x0C:
        return 0x66  # f
    return 0x72 if byte == 0x0D else 0  # r


def quoted_size(data: Bytes, start: Int64s, length: Int32s) -> int:
    """Bytes of n texts in quotes (start: int64[n], length: int32[n])."""
    total = 2 * int(start.shape[0])
    for i in range(start.shape[0]):
        total += int(length[i])
        for b in range(start[i], start[i] + length[i]):
            if short_escape(data[b]) != 0:
                total += 1
            elif data[b] < _SPACE:
                total += 5
    return total


def quote(data: Bytes, start: Int64s, length: Int32s, out: Bytes, begin: Int64s, size: Int32s) -> None:
    """Write n texts in quotes to ``out``, and where each begins and how long it is to ``begin`` and ``size``."""
    at = 0
    for i in range(start.shape[0]):
        begin[i] = at
        out[at] = _QUOTE
        at += 1
        for b in range(start[i], start[i] + length[i]):
            byte = data[b]
            letter = short_escape(byte)
            if letter != 0:
                out[at], out[at + 1] = _BACKSLASH, letter
                at += 2
            elif byte < _SPACE:
                out[at], out[at + 1], out[at + 2], out[at + 3] = _BACKSLASH, 0x75, 0x30, 0x30  # \u00
                out[at + 4], low = 0x30 + (byte >> 4), byte & 15
                out[at + 5] = 0x30 + low if low < 10 else 0x57 + low
                at += 6
            else:
                out[at] = byte
                at += 1
        out[at] = _QUOTE
        at += 1
        size[i] = at - begin[i]


def join(data: Bytes, literal: Int32s, start: Int64s, length: Int32s, to: Int64s, out: Bytes) -> None:
    """Write n records of k parts: literal, part, literal ... part, literal; each to ``to``, int64[n].

    data: first the literals, one behind the other (literal: int32[k + 1], their lengths); the parts are at ``start``
    (int64[n, k]) with ``length`` (int32[n, k]).
    """
    for i in range(start.shape[0]):
        at, said = to[i], 0
        for k in range(literal.shape[0]):
            copy_bytes(data, said, literal[k], out, at)
            said += literal[k]
            at += literal[k]
            if k < start.shape[1]:
                copy_bytes(data, start[i, k], length[i, k], out, at)
                at += length[i, k]


@step
def put_digits(number: int, count: int, out: Bytes, at: int) -> None:
    """Write so many digits of a number."""
    for k in range(count - 1, -1, -1):
        out[at + k] = 0x30 + number % 10
        number //= 10


def write_times(at_ms: Int64s, out: Bytes) -> None:
    """Write n times of the years 0 to 9999 in quotes, TIME_BYTES each: "2026-09-21T14:13:20.000Z".

    The date of a day is by Howard Hinnant, chrono-Compatible Low-Level Date Algorithms (civil_from_days).
    """
    for i in range(at_ms.shape[0]):
        day, rest = at_ms[i] // _DAY_MS, at_ms[i] % _DAY_MS
        since = day + 719_468  # 0000-03-01
        era = since // 146_097
        of_era = since - era * 146_097
        year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
        of_year = of_era - (365 * year + year // 4 - year // 100)
        shifted = (5 * of_year + 2) // 153
        month = shifted + 3 if shifted < 10 else shifted - 9
        at = i * TIME_BYTES
        out[at], out[at + 5], out[at + 8], out[at + 11] = _QUOTE, 0x2D, 0x2D, 0x54  # - - T
        out[at + 14], out[at + 17], out[at + 20], out[at + 24], out[at + 25] = 0x3A, 0x3A, 0x2E, 0x5A, _QUOTE  # : : . Z
        put_digits(year + era * 400 + (1 if month <= 2 else 0), 4, out, at + 1)
        put_digits(month, 2, out, at + 6)
        put_digits(of_year - (153 * shifted + 2) // 5 + 1, 2, out, at + 9)
        put_digits(rest // 3_600_000, 2, out, at + 12)
        put_digits(rest // 60_000 % 60, 2, out, at + 15)
        put_digits(rest // 1000 % 60, 2, out, at + 18)
        put_digits(rest % 1000, 3, out, at + 21)


write_times_compiled = compiled(write_times, allocates=False)
quoted_size_compiled = compiled(quoted_size, allocates=False)
quote_compiled = compiled(quote, allocates=False)
join_compiled = compiled(join, allocates=False)
