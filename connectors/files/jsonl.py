"""JSONL: Arrow reads a piece at once; one that has a problem is read line by line."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json

from connectors.files.attributes import scalar_text
from connectors.files.blocks import Block
from connectors.files.lines import Piece, pieces, rows_of
from connectors.files.mapping import ATTRIBUTES
from connectors.files.rejects import RejectedRow
from connectors.files.sources import Source, chunks
from connectors.files.transcoding import no_text
from schemas.arrays import Bytes
from schemas.compiled import compiled
from schemas.errors import InputUnreadable

Path = tuple[str, ...]

_MOST_NESTED = 100  # objects and lists within each other; Arrow goes down for each of them
_TOO_DEEP = "the line has too many objects and lists within each other"
_EXACT = 1e15  # what is larger may be a number of many digits that a double does not hold


def jsonl_blocks(source: Source, encoding: str) -> Iterator[Block]:
    """The rows of a file of one JSON object a line."""
    known: set[Path] = set()
    for number, piece in enumerate(pieces(chunks(source, encoding), None)):
        begin = piece.data.lstrip().split(b"\n", 1)[0].rstrip() if number == 0 else b""
        if begin[:1] == b"[":
            raise InputUnreadable(f"{source.name} is one JSON array: write one object a line (jq -c '.[]' does it)")
        if begin == b"{":
            raise InputUnreadable(f"{source.name} has objects over several lines: write one a line (jq -c . does it)")
        batch = _read(piece, known)
        if batch is None:
            yield _line_by_line(source.name, piece, known, encoding)
        else:
            yield Block(source.name, piece.n, _columns(batch), piece.places)


def deepest(data: Bytes) -> int:
    """How many objects and lists of JSON stand within each other at most."""
    depth, most, quoted, i = 0, 0, False, 0
    while i < data.shape[0]:
        byte = data[i]
        if byte == 10:  # texts do not go on in the next line
            depth, quoted = 0, False
        elif quoted:
            if byte == 92:  # a backslash, and what it stands before
                i += 1
            quoted = byte != 34
        elif byte == 34:
            quoted = True
        elif byte in (91, 123):
            depth += 1
            most = max(most, depth)
        elif byte in (93, 125):
            depth -= 1
        i += 1
    return most


deepest_compiled = compiled(deepest)


def _columns(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    flat = _flat(batch)
    told = zip(flat.schema.names, flat.columns, strict=True)
    return {name: array for name, array in told if not pa.types.is_list(array.type)}


def _read(piece: Piece, known: set[Path]) -> pa.RecordBatch | None:
    """All rows of a piece, or None where a look at each line is needed. known: fields that look like times, updated."""
    data = piece.places.data
    # one object a line, and no line of two
    behind = piece.places.end - 2
    first, last = data[piece.places.start], data[np.where(data[behind] == ord("\r"), behind - 1, behind)]
    if not ((first == ord("{")) & (last == ord("}"))).all():
        return None
    if deepest_compiled(data) > _MOST_NESTED:
        return None
    try:
        piece.data.decode()
        table = _parsed(piece.data, known)
        times = _times(table.schema)
        if times:
            known |= times
            table = _parsed(piece.data, known)
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    if table.num_rows != piece.n:
        return None
    batch = table.combine_chunks().to_batches()[0]
    return batch if _holds(batch) else None


def _parsed(data: bytes, known: set[Path]) -> pa.Table:
    explicit = pa.schema(_as_texts(known)) if known else None
    return pa.json.read_json(
        pa.BufferReader(data),
        pa.json.ReadOptions(use_threads=False, block_size=len(data) + 1),
        pa.json.ParseOptions(explicit_schema=explicit, unexpected_field_behavior="infer"),
    )


def _times(kind: Any, path: Path = ()) -> set[Path]:
    """Which fields Arrow took for times, which loses how they were written."""
    found: set[Path] = set()
    for field in kind:
        here = (*path, field.name)
        if pa.types.is_struct(field.type):
            found |= _times(field.type, here)
        elif pa.types.is_timestamp(field.type):
            found.add(here)
    return found


def _as_texts(paths: set[Path]) -> list[pa.Field]:
    """Fields that say of each path that it is a text."""
    within: dict[str, set[Path]] = {}
    for name, *rest in sorted(paths):
        within.setdefault(name, set())
        if rest:
            within[name].add(tuple(rest))
    return [pa.field(name, pa.struct(_as_texts(inner)) if inner else pa.utf8()) for name, inner in within.items()]


def _flat(batch: pa.RecordBatch) -> pa.RecordBatch:
    while any(pa.types.is_struct(field.type) for field in batch.schema):
        arrays, names = [], []
        for field, array in zip(batch.schema, batch.columns, strict=True):
            if pa.types.is_struct(field.type):
                arrays += array.flatten()
                names += [f"{field.name}.{inner.name}" for inner in field.type]
            else:
                arrays.append(array)
                names.append(field.name)
        batch = pa.RecordBatch.from_arrays(arrays, names=names)
    return batch


def _holds(batch: pa.RecordBatch) -> bool:
    """Whether the columns hold what the lines say: no numbers of too many digits, no objects as attributes."""
    for field, array in zip(batch.schema, batch.columns, strict=True):
        if pa.types.is_struct(field.type):
            if field.name == ATTRIBUTES and any(pa.types.is_nested(inner.type) for inner in field.type):
                return False
            if not _holds(pa.RecordBatch.from_arrays(array.flatten(), names=[f.name for f in field.type])):
                return False
        elif pa.types.is_floating(field.type):
            values = array.fill_null(0.0).to_numpy()
            if not (np.abs(values) < _EXACT).all():
                return False
    return len(set(batch.schema.names)) == len(batch.schema.names)


def _line_by_line(file: str, piece: Piece, known: set[Path], encoding: str) -> Block:
    """The rows of a piece that are objects; where the others were all that was wrong, as they would be without them."""
    rows: list[dict[str, str]] = []
    kept: list[int] = []
    broken: list[RejectedRow] = []
    places = piece.places
    for i in range(piece.n):
        try:
            rows.append(_row(piece.data[places.start[i] : places.end[i]], encoding))
        except (ValueError, RecursionError) as error:
            error = ValueError(_TOO_DEEP) if isinstance(error, RecursionError) else error
            broken.append(RejectedRow(file, places.line(i), str(error), places.raw(i)))
        else:
            kept.append(i)
    taken = places.take(np.array(kept, np.int64))
    if kept and broken:
        good = b"".join(piece.data[places.start[i] : places.end[i]] for i in kept)
        batch = _read(Piece(good, rows_of(good, 1, None)[0], odd=False), known)
        if batch is not None:
            return Block(file, len(rows), _columns(batch), taken, broken)
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: pa.array([row.get(name) for row in rows], pa.utf8()) for name in names}
    return Block(file, len(rows), columns, taken, broken)


def _row(line: bytes, encoding: str) -> dict[str, str]:
    try:
        said = json.loads(line.decode().rstrip("\r\n"))
    except UnicodeDecodeError as error:
        raise ValueError(f"the line is {no_text(error, encoding)}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"the line is no JSON: {error.msg} at character {error.pos + 1}") from error
    if not isinstance(said, dict):
        raise ValueError(  # noqa: TRY004 - a broken line, not a broken call
            f"the line must be a JSON object, not {type(said).__name__}"
        )
    row = dict(_named("", said))
    try:
        "".join(row.values()).encode()
        "".join(row).encode()
    except UnicodeEncodeError as error:
        raise ValueError("the line has half of a surrogate pair, which is no text") from error
    return row


def _named(prefix: str, said: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in said.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and prefix != f"{ATTRIBUTES}.":
            yield from _named(f"{name}.", value)
        elif not isinstance(value, list) or prefix == f"{ATTRIBUTES}.":
            text = scalar_text(value)
            if text is not None:
                yield name, text
