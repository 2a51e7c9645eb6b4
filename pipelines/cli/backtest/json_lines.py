"""Columns of an Avro schema as lines of JSON: no object is made for a record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.cli.backtest.json_kernels import join_compiled, quote_compiled, quoted_size_compiled
from schemas.arrays import Bytes, Int32s, Int64s
from schemas.columnar.plan import branches, kind_of
from schemas.columnar.writer import Column, ListColumn, NullableColumn, TextColumn

Said = Callable[[Any], TextColumn]
"""How the numbers of a column are said."""


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a record. numbers: for what is no text. items: of an array of records, else None."""

    name: str
    numbers: Said
    items: "JsonLines | None"

    @classmethod
    def of(cls, field: Any) -> "_Field":
        _, schema = branches(field["type"])
        kind = kind_of(schema)
        items = JsonLines(schema["items"]["fields"]) if kind == "array" else None
        is_time = isinstance(schema, dict) and schema.get("logicalType") == "timestamp-millis"
        return cls(field["name"], _times if is_time else _flags if kind == "boolean" else _numbers, items)


class JsonLines:
    """Records as JSON, by the fields of their Avro schema: times in RFC 3339, UTC, with milliseconds."""

    def __init__(self, fields: Sequence[Any]) -> None:
        self._fields = [_Field.of(field) for field in fields]

    def of(self, n: int, columns: Mapping[str, Column]) -> list[bytes]:
        """N records, each with the end of its line. columns: by field name, one for each field of the schema."""
        lines = self.joined(n, columns, "\n")
        whole = lines.data.tobytes()
        return [whole[a:b] for a, b in zip(lines.start.tolist(), (lines.start + lines.length).tolist(), strict=True)]

    def joined(self, n: int, columns: Mapping[str, Column], end: str) -> TextColumn:
        """N records one behind the other, each with the same behind it."""
        before, between, parts = "{", [], list[TextColumn]()
        for field in self._fields:
            column = columns[field.name]
            said = None if column is None else self._said(field, column)
            before += f'"{field.name}":'
            if said is None:
                before += "null" if column is None else "[]"
            elif isinstance(column, ListColumn):
                between.append(before + "[")
                before, parts = "]", [*parts, said]
            else:
                between.append(before)
                before, parts = "", [*parts, said]
            before += ","
        return _joined(n, [*between, before[:-1] + "}" + end], parts)

    def _said(self, field: _Field, column: Column) -> TextColumn | None:
        """What stands for each value of a column; None where all lists are empty."""
        if isinstance(column, ListColumn):
            return _lists(field, column)
        if isinstance(column, NullableColumn):
            values = self._said(field, column.values)
            return values and _or_null(values, column)
        return _quoted(column) if isinstance(column, TextColumn) else field.numbers(column)


def _lists(field: _Field, column: ListColumn) -> TextColumn | None:
    """The entries of each list, with commas between them."""
    count = int(column.begin[-1])
    if field.items is None or not count:
        return None
    entries = field.items.joined(count, column.entries, ",")
    ends = np.append(entries.start, entries.start[-1] + entries.length[-1])
    begin, end = ends[column.begin[:-1]], ends[column.begin[1:]]
    return TextColumn(entries.data, begin, np.maximum(end - begin - 1, 0).astype(np.int32))  # without the last comma


def _or_null(values: TextColumn, column: NullableColumn) -> TextColumn:
    if column.there.all():
        return values
    data = np.append(values.data, np.frombuffer(b"null", np.uint8))
    start = np.where(column.there, values.start, values.data.shape[0])
    return TextColumn(data, start, np.where(column.there, values.length, 4).astype(np.int32))


def _joined(n: int, between: Sequence[str], parts: Sequence[TextColumn]) -> TextColumn:
    """What stands between the parts of a record, and the parts of each, one behind the other."""
    literals = TextColumn.of(between)
    data = np.concatenate([literals.data, *(part.data for part in parts)])
    base = np.cumsum([literals.data.shape[0], *(part.data.shape[0] for part in parts)])
    start, length = np.empty((n, len(parts)), np.int64), np.empty((n, len(parts)), np.int32)
    for k, part in enumerate(parts):
        start[:, k], length[:, k] = part.start + base[k], part.length
    size = length.sum(axis=1, dtype=np.int64) + literals.data.shape[0]
    out = np.empty(int(size.sum()), np.uint8)
    join_compiled(data, literals.length, start, length, out)
    return TextColumn(out, np.cumsum(size) - size, size.astype(np.int32))


def _quoted(column: TextColumn) -> TextColumn:
    """Texts in quotes."""
    start, length = column.start, column.length
    out = np.empty(quoted_size_compiled(column.data, start, length), np.uint8)
    begin: Int64s = np.empty(start.shape[0], np.int64)
    size: Int32s = np.empty(start.shape[0], np.int32)
    quote_compiled(column.data, start, length, out, begin, size)
    return TextColumn(out, begin, size)


def _times(values: Any) -> TextColumn:
    """Times of the years 0 to 9999."""
    said = np.datetime_as_string(values.astype("datetime64[ms]"), unit="ms")
    n, width = said.shape[0], said.dtype.itemsize // 4
    letters = said.view(np.uint32).reshape(n, width).astype(np.uint8)
    size = (letters != 0).sum(axis=1)
    out: Bytes = np.empty((n, width + 3), np.uint8)
    out[:, 0] = ord('"')
    out[:, 1:-2] = letters
    rows = np.arange(n)
    out[rows, size + 1], out[rows, size + 2] = ord("Z"), ord('"')
    return TextColumn(out.reshape(-1), rows * (width + 3), (size + 3).astype(np.int32))


def _flags(values: Any) -> TextColumn:
    return TextColumn.chosen(("false", "true"), (np.asarray(values) != 0).astype(np.int64))


def _numbers(values: Any) -> TextColumn:
    return TextColumn.of(list(map(repr, values.tolist())))
