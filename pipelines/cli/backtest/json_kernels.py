"""JSON by the byte: texts in quotes, and records put together from their parts."""

from schemas.arrays import Bytes, Int32s, Int64s
from schemas.compiled import compiled, step

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


def join(data: Bytes, literal: Int32s, start: Int64s, length: Int32s, out: Bytes) -> None:
    """Write n records of k parts: literal, part, literal ... part, literal.

    data: first the literals, one behind the other (literal: int32[k + 1], their lengths); the parts are at ``start``
    (int64[n, k]) with ``length`` (int32[n, k]).
    """
    at = 0
    for i in range(start.shape[0]):
        said = 0
        for k in range(literal.shape[0]):
            for b in range(literal[k]):
                out[at + b] = data[said + b]
            said += literal[k]
            at += literal[k]
            if k < start.shape[1]:
                first = start[i, k]
                for b in range(length[i, k]):
                    out[at + b] = data[first + b]
                at += length[i, k]


quoted_size_compiled = compiled(quoted_size, allocates=False)
quote_compiled = compiled(quote, allocates=False)
join_compiled = compiled(join, allocates=False)
