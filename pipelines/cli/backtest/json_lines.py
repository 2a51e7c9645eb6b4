"""Columns of an Avro schema as lines of JSON: no object is made for a record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.cli.backtest.json_kernels import (
    TIME_BYTES,
    join_compiled,
    quote_compiled,
    quoted_size_compiled,
    write_times_compiled,
)
from schemas.arrays import Bytes, Int32s, Int64s
from schemas.columnar.plan import branches, kind_of
from schemas.columnar.writer import Column, ListColumn, NullableColumn, TextColumn

Said = Callable[[Any], TextColumn]
"""How the numbers of a column are said."""


@dataclass(frozen=True, slots=True)
class Lines:
    """n records that are not put together yet: literal, part, literal ... part, literal.

    data: first the literals, one behind the other; literal: int32[k + 1], their lengths. start: int64[n, k], length:
    int32[n, k], the parts. size: int64[n], bytes of each record.
    """

    data: Bytes
    literal: Int32s
    start: Int64s
    length: Int32s
    size: Int64s

    def write(self, to: Int64s, out: Bytes) -> None:
        """Put each record together at a place of its own, int64[n]."""
        join_compiled(self.data, self.literal, self.start, self.length, to, out)


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

    def joined(self, n: int, columns: Mapping[str, Column], end: str) -> TextColumn:
        """N records one behind the other, as ``lines``."""
        lines = self.lines(n, columns, end)
        out, start = np.empty(int(lines.size.sum()), np.uint8), np.cumsum(lines.size) - lines.size
        lines.write(start, out)
        return TextColumn(out, start, lines.size.astype(np.int32))

    def lines(self, n: int, columns: Mapping[str, Column], end: str) -> Lines:
        """N records, each with ``end`` behind it. columns: by name, one for each field."""
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
        return _lines_of(n, [*between, before[:-1] + "}" + end], parts)

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


def _lines_of(n: int, between: Sequence[str], parts: Sequence[TextColumn]) -> Lines:
    """What stands between the parts of a record, and the parts of each."""
    literals = TextColumn.of(between)
    data = np.concatenate([literals.data, *(part.data for part in parts)])
    base = np.cumsum([literals.data.shape[0], *(part.data.shape[0] for part in parts)])
    start, length = np.empty((n, len(parts)), np.int64), np.empty((n, len(parts)), np.int32)
    for k, part in enumerate(parts):
        start[:, k], length[:, k] = part.start + base[k], part.length
    size = length.sum(axis=1, dtype=np.int64) + literals.data.shape[0]
    return Lines(data, literals.length, start, length, size)


def _quoted(column: TextColumn) -> TextColumn:
    """Texts in quotes."""
    start, length = column.start, column.length
    out = np.empty(quoted_size_compiled(column.data, start, length), np.uint8)
    begin: Int64s = np.empty(start.shape[0], np.int64)
    size: Int32s = np.empty(start.shape[0], np.int32)
    quote_compiled(column.data, start, length, out, begin, size)
    return TextColumn(out, begin, size)


def in_order(some: Sequence[Lines], order: Int64s) -> memoryview:
    """All records one behind the other. order: int64[n], their numbers from the first of the first on."""
    size = np.concatenate([lines.size for lines in some])
    to = np.empty_like(size)
    to[order] = np.cumsum(size[order]) - size[order]
    out = np.empty(int(size.sum()), np.uint8)
    ends = np.cumsum([lines.size.shape[0] for lines in some])
    for lines, places in zip(some, np.split(to, ends[:-1]), strict=True):
        lines.write(places, out)
    return out.data


def _times(values: Any) -> TextColumn:
    """Times of the years 0 to 9999."""
    n = values.shape[0]
    out = np.empty(n * TIME_BYTES, np.uint8)
    write_times_compiled(np.ascontiguousarray(values, np.int64), out)
    return TextColumn(out, np.arange(n) * TIME_BYTES, np.full(n, TIME_BYTES, np.int32))


def _flags(values: Any) -> TextColumn:
    return TextColumn.chosen(("false", "true"), (np.asarray(values) != 0).astype(np.int64))


def _numbers(values: Any) -> TextColumn:
    """Numbers as short as they can be; a float has a point or an exponent."""
    if values.dtype != np.float64:
        return _written(values)
    is_whole = values == np.trunc(values)
    whole, others = np.flatnonzero(is_whole), np.flatnonzero(~is_whole)
    distinct = pa.array(values[whole]).dictionary_encode()  # they are few: Arrow would write no point
    few, many = TextColumn.of(list(map(repr, distinct.dictionary.to_pylist()))), _written(values[others])
    start, length = np.empty(values.shape[0], np.int64), np.empty(values.shape[0], np.int32)
    which = distinct.indices.to_numpy()
    start[whole], length[whole] = few.start[which], few.length[which]
    start[others], length[others] = few.data.shape[0] + many.start, many.length
    return TextColumn(np.concatenate([few.data, many.data]), start, length)


def _written(values: Any) -> TextColumn:
    said = pa.array(values).cast(pa.string())
    _, ends, data = said.buffers()
    ends = np.frombuffer(ends, np.int32, len(said) + 1)
    told: Bytes = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return TextColumn(told, ends[:-1].astype(np.int64), np.diff(ends))
