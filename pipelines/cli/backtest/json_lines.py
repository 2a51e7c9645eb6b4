"""Columns of an Avro schema as lines of JSON: no object is made for a record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from json.encoder import encode_basestring as quoted
from typing import Any

import numpy as np

from schemas.columnar.plan import branches, kind_of
from schemas.columnar.writer import Column, ListColumn, NullableColumn, TextColumn

Said = Callable[[Any], list[str]]
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
        self._record = "{" + ",".join(f'"{field.name}":%s' for field in self._fields) + "}"

    def of(self, n: int, columns: Mapping[str, Column]) -> list[str]:
        """N records, without the end of their line. columns: by field name, one for each field of the schema."""
        said = [self._column(field, columns[field.name], n) for field in self._fields]
        return [self._record % values for values in zip(*said, strict=True)]

    def _column(self, field: _Field, column: Column, n: int) -> list[str]:
        if column is None:
            return ["null"] * n
        if isinstance(column, ListColumn):
            return _lists(field, column)
        if isinstance(column, NullableColumn):
            values = self._column(field, column.values, n)
            if column.there.all():
                return values
            return [value if there else "null" for value, there in zip(values, column.there.tolist(), strict=True)]
        return _texts(column) if isinstance(column, TextColumn) else field.numbers(column)


def _lists(field: _Field, column: ListColumn) -> list[str]:
    ends = column.begin.tolist()
    if field.items is None or not ends[-1]:
        return ["[]"] * (len(ends) - 1)
    entries = field.items.of(ends[-1], column.entries)
    return ["[" + ",".join(entries[a:b]) + "]" for a, b in pairwise(ends)]


def _texts(column: TextColumn) -> list[str]:
    """Texts in quotes; one that lies where another does is quoted once."""
    whole, known, said = column.data.tobytes(), dict[tuple[int, int], str](), list[str]()
    for place in zip(column.start.tolist(), column.length.tolist(), strict=True):
        text = known.get(place)
        if text is None:
            at, size = place
            text = known[place] = quoted(whole[at : at + size].decode())
        said.append(text)
    return said


def _times(values: Any) -> list[str]:
    return [f'"{at}Z"' for at in np.datetime_as_string(values.astype("datetime64[ms]"), unit="ms").tolist()]


def _flags(values: Any) -> list[str]:
    return ["true" if value else "false" for value in values.tolist()]


def _numbers(values: Any) -> list[str]:
    return list(map(repr, values.tolist()))
