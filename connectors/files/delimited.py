"""CSV: Arrow reads a piece at once; one that has a problem is read row by row.

Blanks around a text, or the name of a column, are not part of it: people align what they write.
"""

import csv
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from connectors.files.blocks import Block, LinePlaces, named_again, raw_text
from connectors.files.lines import Piece, pieces, rows_of
from connectors.files.rejects import RejectedRow
from connectors.files.sources import Source, chunks
from connectors.files.transcoding import no_text
from connectors.files.values import blank_is_null
from schemas.errors import InputUnreadable

DELIMITERS = (",", ";", "\t", "|")

csv.field_size_limit(1 << 40)  # a row that Arrow reads is not refused where it is read alone

_BLANKS = " \t\u00a0"

_LOOK = 32 << 10  # bytes in which rows are looked for; behind each row that is broken they are looked for again


def csv_blocks(source: Source, encoding: str, delimiter: str | None) -> Iterator[Block]:
    """The rows of a file whose first row names the columns. delimiter: None finds it in the first row."""
    header, line, rest = _header(chunks(source, encoding))
    if header is None:
        return
    between = delimiter or max(DELIMITERS, key=_unquoted(header).count)
    if "\r" in _unquoted(header):
        raise InputUnreadable(f"{source.name} ends its lines with carriage returns alone: save it with line feeds")
    said = [name.strip(_BLANKS) or f"_{k}" for k, name in enumerate(next(csv.reader([header], delimiter=between)))]
    names = [named_again(name, said[:k].count(name) + 1) for k, name in enumerate(said)]
    for piece in pieces(rest, between, line):
        columns = None if piece.odd else _read(piece, names, between)
        if columns is not None:
            yield Block(source.name, piece.n, columns, piece.places)
        else:
            yield _row_by_row(source.name, piece, names, between, encoding)


def _header(content: Iterator[bytes]) -> tuple[str | None, int, Iterator[bytes]]:
    """The first row that is not blank, the number of the line after it, and what comes then."""
    held, line, row = b"", 1, b""
    for chunk in content:
        held += chunk
        while b"\n" in held:
            first, _, held = held.partition(b"\n")
            line += 1
            row += first + b"\n"
            if row.count(b'"') % 2 and len(row) < _LOOK:  # a name may go on in the next line
                continue
            text, row = _decoded(row), b""
            if text and not text.lower().startswith("sep="):  # a line of Excel's, for Excel
                return text, line, _behind(held, content)
    text = _decoded(row + held)
    return text or None, line, iter(())


def _decoded(raw: bytes) -> str:
    return raw.decode(errors="replace").strip("\r\n ")


def _behind(begin: bytes, content: Iterator[bytes]) -> Iterator[bytes]:
    yield begin
    yield from content


def _unquoted(header: str) -> str:
    return "".join(header.split('"')[::2])


def _read(piece: Piece, names: list[str], delimiter: str) -> dict[str, pa.Array] | None:
    """The columns of a piece, or None where a look at each row is needed."""
    odd: list[object] = []

    def note(row: object) -> str:
        odd.append(row)
        return "skip"

    try:
        table = pa.csv.read_csv(
            pa.BufferReader(piece.data),
            pa.csv.ReadOptions(use_threads=False, block_size=len(piece.data) + 1, column_names=names),
            pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note),
            pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.utf8()), strings_can_be_null=True, null_values=[""]
            ),
        )
    except pa.ArrowInvalid:
        return None
    if odd or table.num_rows != piece.n:
        return None
    return {
        name: blank_is_null(pc.utf8_trim(column.combine_chunks(), characters=_BLANKS))
        for name, column in zip(names, table.columns, strict=True)
    }


def _row_by_row(file: str, piece: Piece, names: list[str], delimiter: str, encoding: str) -> Block:
    rows: list[list[str | None]] = []
    kept: list[tuple[int, int, int]] = []
    broken: list[RejectedRow] = []
    data, at, line, length = piece.data, int(piece.places.start[0]), int(piece.places.number[0]), _LOOK
    while at < len(data):
        places, rest, rest_line, _ = rows_of(data[at : at + length], line, delimiter)
        if at + length < len(data):
            if not rest:  # no row ends so soon
                length *= 4
                continue
        elif rest < len(data) - at:
            places = _with_rest(places, len(data) - at, rest, rest_line)
            rest = len(data) - at
        after, line_after, length = at + rest, rest_line, _LOOK
        for i in range(len(places.start)):
            start, end = at + int(places.start[i]), at + int(places.end[i])
            raw = data[start:end]
            reason = _taken(raw, names, delimiter, encoding, rows)
            number = places.line(i)
            if reason is None:
                kept.append((start, end, number))
                continue
            first = raw.index(b"\n") + 1 if b"\n" in raw else len(raw)
            broken.append(RejectedRow(file, number, reason, raw_text(raw[:first])))
            if first < len(raw):  # a quote that is not closed takes the rows behind it along: go on with the next line
                after, line_after = start + first, number + 1
                break
        at, line = after, line_after
    columns = {name: pa.array([row[k] for row in rows], pa.utf8()) for k, name in enumerate(names)}
    where = np.array(kept, np.int64).reshape(-1, 3)
    return Block(file, len(rows), columns, LinePlaces(piece.places.data, where[:, 0], where[:, 1], where[:, 2]), broken)


def _with_rest(places: LinePlaces, length: int, rest: int, line: int) -> LinePlaces:
    """The rows, and what has no end as one more."""
    return LinePlaces(
        places.data, np.append(places.start, rest), np.append(places.end, length), np.append(places.number, line)
    )


def _taken(raw: bytes, names: list[str], delimiter: str, encoding: str, rows: list[list[str | None]]) -> str | None:
    """Why a row cannot be read; None when it is one more of ``rows``."""
    try:
        found = list(csv.reader([raw.decode()], delimiter=delimiter, strict=True))
    except UnicodeDecodeError as error:
        return f"the row is {no_text(error, encoding)}"
    except csv.Error as error:
        said = "a quote is open" if "end of data" in str(error) else str(error)
        return f"the row is no CSV: {said}"
    if len(found) != 1 or len(found[0]) != len(names):
        count = len(found[0]) if found else 0
        return f"the row has {count} columns, and the first row names {len(names)}"
    rows.append([text.strip(_BLANKS) or None for text in found[0]])
    return None
