"""Text in pieces that hold whole rows, and where each row begins."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from connectors.files.blocks import LinePlaces
from schemas.arrays import Bytes, Int64s
from schemas.compiled import compiled

_LONGEST_ROW = 16 << 20  # a quote that is never closed would hold the rest of the file
_LONGEST_LINE = 256 << 20
_NO_QUOTE = 256


def find_rows(
    data: Bytes, quote: int, delimiter: int, start: Int64s, end: Int64s, line: Int64s, first_line: int
) -> tuple[int, int, int, int]:
    """Find the rows of ``data`` that are not blank; they end with a line feed outside of quotes.

    Returns how many there are, where the first one begins that has no end, the number of its line, and how many rows
    have something between a closing quote and the end of its field: a quote that was left open ends at the next one,
    wherever that is.

    quote: 34, or 256 when there are none: a field that begins with it ends with it, doubled it is one of the text.
    start, end, line: int64[r], written for as many rows as there are; r is enough for each line feed.
    """
    rows, odd = 0, 0
    begin, number, lines = 0, first_line, first_line
    quoted, field_begins, blank, closed, strange = False, True, True, False, False
    i = 0
    while i < data.shape[0]:
        byte = int(data[i])
        if quoted:
            if byte == quote:
                if i + 1 < data.shape[0] and data[i + 1] == quote:
                    i += 1
                else:
                    quoted, closed = False, True
            elif byte == 10:
                lines += 1
        elif byte == 10:
            lines += 1
            if not blank:
                start[rows], end[rows], line[rows] = begin, i + 1, number
                rows += 1
                odd += strange
            begin, number, field_begins, blank, closed, strange = i + 1, lines, True, True, False, False
        else:
            if byte == quote and field_begins:
                quoted = True
            field_begins = byte == delimiter
            strange = strange or (closed and not field_begins and byte != 13)
            closed = closed and not field_begins
            if byte not in (13, 32, 9):
                blank = False
        i += 1
    return rows, begin, number, odd


find_rows_compiled = compiled(find_rows)


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole rows of a text, which are not blank. odd: something stands behind a closing quote of one of them."""

    data: bytes
    places: LinePlaces
    odd: bool

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.places.start)


def rows_of(data: bytes, first_line: int, delimiter: str | None) -> tuple[LinePlaces, int, int, int]:
    """The rows that end in ``data``, where the rest begins, its line, and how many are odd. delimiter: None: no CSV."""
    raw = np.frombuffer(data, np.uint8)
    room = data.count(b"\n")
    start, end, line = (np.empty(room, np.int64) for _ in range(3))
    quote = _NO_QUOTE if delimiter is None else ord('"')
    rows, rest, rest_line, odd = find_rows_compiled(raw, quote, ord(delimiter or "\0"), start, end, line, first_line)
    return LinePlaces(raw, start[:rows], end[:rows], line[:rows]), int(rest), int(rest_line), int(odd)


def pieces(chunks: Iterable[bytes], delimiter: str | None, first_line: int = 1) -> Iterator[Piece]:
    """Cut a text into pieces."""
    held, line = b"", first_line
    for chunk in chunks:
        data = held + chunk
        places, rest, rest_line, odd = rows_of(data, line, delimiter)
        if rest:
            data, held, line = data[:rest], data[rest:], rest_line
            if len(places.start):
                yield Piece(data, places, odd > 0)
        elif len(data) > _LONGEST_ROW and (first := data.find(b"\n") + 1):
            yield _unended(data[:first], line)  # what stands behind it are rows, which begin with a line
            held, line = data[first:], line + 1
        elif len(data) > _LONGEST_LINE:
            yield _unended(data, line)
            held = b""
        else:
            held = data
    if held.strip():
        yield _last(held, line, delimiter)


def _last(data: bytes, line: int, delimiter: str | None) -> Piece:
    data += b"" if data.endswith(b"\n") else b"\n"
    places, rest, _, odd = rows_of(data, line, delimiter)
    return Piece(data, places, odd > 0) if rest == len(data) else _unended(data, line)


def _unended(data: bytes, line: int) -> Piece:
    """Everything as one row, for whoever reads it to find out what is wrong."""
    raw = np.frombuffer(data, np.uint8)
    start, end, number = (np.array([n], np.int64) for n in (0, len(data), line))
    return Piece(data, LinePlaces(raw, start, end, number), odd=True)
