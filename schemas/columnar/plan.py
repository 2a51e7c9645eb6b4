"""From a writer's and a reader's schema to the program of the kernel (Avro 1.12, "Schema Resolution").

A plan exists for flat records: fields of simple types, unions of null and one simple type, maps of strings and
arrays of flat records. Anything else (``Unplanned``) is left to fastavro, which is slower and knows all of Avro.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from schemas.arrays import Int64s
from schemas.columnar import kernel as k
from schemas.errors import SchemaIncompatible

Json = Any  # a schema as json.loads gives it

_SIMPLE = {
    "null": k.NULL, "boolean": k.BOOLEAN, "int": k.INT, "long": k.LONG, "float": k.FLOAT, "double": k.DOUBLE,
    "bytes": k.BYTES, "string": k.STRING,
}  # fmt: skip
_STORE_OF_READER = {"boolean": k.INTS, "int": k.INTS, "long": k.INTS, "float": k.FLOATS, "double": k.FLOATS,
                    "string": k.TEXTS, "bytes": k.TEXTS}  # fmt: skip
_PROMOTED = {
    ("int", "long"), ("int", "float"), ("int", "double"), ("long", "float"), ("long", "double"), ("float", "double"),
    ("string", "bytes"), ("bytes", "string"),
}  # fmt: skip


class Unplanned(Exception):
    """The schemas need more than the kernel knows."""


@dataclass(slots=True)
class Columns:
    """How many columns of each store records, or entries, need; counted while the program is written."""

    of_store: list[int] = field(default_factory=lambda: [0, 0, 0, 0])  # indexed by SKIP, INTS, FLOATS, TEXTS
    valid: int = 0

    def take(self, store: int) -> int:
        """Return a new column of ``store``."""
        self.of_store[store] += 1
        return self.of_store[store] - 1

    def take_valid(self) -> int:
        """Return a new row of ``valid``."""
        self.valid += 1
        return self.valid - 1


@dataclass(frozen=True, slots=True)
class Simple:
    """Where a field of a simple type is found. ``type`` is the reader's Avro type, ``logical`` its logical type."""

    name: str
    type: str
    logical: str | None
    nullable: bool
    column: int
    valid: int


@dataclass(frozen=True, slots=True)
class StringMap:
    """Where a map of strings is found: the entries' keys and values are item text columns."""

    name: str
    nullable: bool
    number: int
    valid: int
    key_column: int
    value_column: int


@dataclass(frozen=True, slots=True)
class RecordList:
    """Where an array of flat records is found: the items' fields are item columns."""

    name: str
    nullable: bool
    number: int
    valid: int
    items: tuple[Simple, ...]


@dataclass(frozen=True, slots=True)
class Absent:
    """A reader's field that the writer does not know: its default, for every record."""

    name: str
    type: Json
    default: Any


Column = Simple | StringMap | RecordList | Absent


@dataclass(frozen=True, slots=True)
class Plan:
    """What the kernel's program is made of, and what it fills. ``columns`` are in the reader's order.

    rows: int64[k, 7], as the program of the kernel, with a column's number in its store in place of ``base`` and
    ``valid``, and at the end 1 for the fields of entries. level, items: how many columns there are of each.
    """

    rows: Int64s
    columns: tuple[Column, ...]
    level: Columns
    items: Columns
    lists: int

    def program(self, n: int, entries: int) -> Int64s:
        """Return the program for n records that own up to ``entries`` entries: int64[k, 6]."""
        program = self.rows[:, :6].copy()
        item = self.rows[:, 6] == 1
        stored = self.rows[:, 2]
        before = np.array(self.level.of_store)[stored] * n  # the columns of records stand before those of entries
        column, valid = self.rows[:, 3], self.rows[:, 4]
        program[:, 3] = np.where(item, before + column * entries, column * n)
        program[:, 4] = np.where(item, self.level.valid * n + valid * entries, valid * n)
        lists = self.rows[:, 0] == k.LIST
        program[lists, 3] = column[lists] * (n + 1)
        return program


def plan(writer_schema: str, reader_schema: str) -> Plan:
    """Return how to read bodies of ``writer_schema`` as records of ``reader_schema``.

    Raises:
        Unplanned: leave it to fastavro.
        SchemaIncompatible: the writer lacks a field that the reader needs, or has another type for it.
    """
    writer, reader = json.loads(writer_schema), json.loads(reader_schema)
    if not (is_record(writer) and is_record(reader)):
        raise Unplanned("not a record")
    return _Planner(reader).run(writer)


class _Planner:
    def __init__(self, reader: Json) -> None:
        self.reader = reader
        self.rows: list[tuple[int, int, int, int, int, int, int]] = []
        self.level, self.items, self.lists = Columns(), Columns(), 0

    def run(self, writer: Json) -> Plan:
        known = _readers_fields(self.reader)
        found: dict[str, Column] = {}
        for field_ in writer["fields"]:
            target = known.get(field_["name"])
            column = self._field(field_["type"], target)
            if target is not None and column is not None:
                found[target["name"]] = column
        columns = tuple(found.get(f["name"]) or _absent(f) for f in self.reader["fields"])
        rows = np.array(self.rows, np.int64).reshape(-1, 7)
        return Plan(rows, columns, self.level, self.items, self.lists)

    def _field(self, written: Json, target: Json) -> Column | None:
        null_branch, written = branches(written)
        nullable, wanted = (False, None) if target is None else _reader_type(target["type"])
        if target is not None and null_branch >= 0 and not nullable:
            raise Unplanned("a null may meet a reader that has none")
        name = "" if target is None else target["name"]
        kind = kind_of(written)
        if kind == "map" and kind_of(written["values"]) == "string" and (wanted is None or kind_of(wanted) == "map"):
            if wanted is not None and kind_of(wanted["values"]) != "string":
                raise Unplanned("a map of something else")
            return self._map(name, null_branch, nullable)
        if kind == "array" and is_record(written["items"]) and (wanted is None or kind_of(wanted) == "array"):
            return self._list(name, null_branch, nullable, written["items"], wanted)
        return self._simple(name, null_branch, written, wanted, nullable, self.level)

    def _simple(
        self, name: str, null_branch: int, written: Json, wanted: Json, nullable: bool, level: Columns
    ) -> Simple | None:
        kind, width = kind_of(written), 0
        op = _SIMPLE.get(kind)
        if op is None and wanted is None and kind == "fixed":
            op, width = k.FIXED, int(written["size"])
        if op is None and wanted is None and kind == "enum":
            op = k.INT
        if op is None:
            raise Unplanned(kind)
        if wanted is None:
            self.rows.append((op, null_branch, k.SKIP, 0, 0, width, 0))
            return None
        want = kind_of(wanted)
        if want not in _STORE_OF_READER:
            raise Unplanned(want)
        if kind != want and (kind, want) not in _PROMOTED:
            raise SchemaIncompatible(f"field {name}: the writer has {kind}, the reader needs {want}")
        store = _STORE_OF_READER[want]
        column, valid = level.take(store), level.take_valid()
        op = k.STRING if want == "string" else op
        self.rows.append((op, null_branch, store, column, valid, width, int(level is self.items)))
        logical = wanted.get("logicalType") if isinstance(wanted, dict) else None
        return Simple(name, want, logical, nullable, column, valid)

    def _map(self, name: str, null_branch: int, nullable: bool) -> StringMap:
        valid, number = self.level.take_valid(), self._take_list()
        self.rows.append((k.LIST, null_branch, k.TEXTS, number, valid, 2, 0))
        key, value = self.items.take(k.TEXTS), self.items.take(k.TEXTS)
        for column in (key, value):
            self.rows.append((k.STRING, -1, k.TEXTS, column, self.items.take_valid(), 0, 1))
        return StringMap(name, nullable, number, valid, key, value)

    def _list(self, name: str, null_branch: int, nullable: bool, item: Json, wanted: Json) -> RecordList:
        valid, number = self.level.take_valid(), self._take_list()
        if wanted is not None and not is_record(wanted["items"]):
            raise Unplanned("an array of something else")
        known = {} if wanted is None else _readers_fields(wanted["items"])
        at = len(self.rows)
        self.rows.append((k.LIST, null_branch, k.TEXTS, number, valid, len(item["fields"]), 0))
        found: dict[str, Simple] = {}
        for field_ in item["fields"]:
            branch, written = branches(field_["type"])
            target = known.get(field_["name"])
            nullable_item, want = (False, None) if target is None else _reader_type(target["type"])
            if target is not None and branch >= 0 and not nullable_item:
                raise Unplanned("a null may meet a reader that has none")
            column = self._simple(field_["name"], branch, written, want, nullable_item, self.items)
            if target is not None and column is not None:
                found[target["name"]] = column
        if len(self.rows) != at + 1 + len(item["fields"]):
            raise Unplanned("an item that is not flat")
        order = [] if wanted is None else [f["name"] for f in wanted["items"]["fields"]]
        if any(n not in found for n in order):
            raise Unplanned("a field of an item has a default")
        return RecordList(name, nullable, number, valid, tuple(found[n] for n in order))

    def _take_list(self) -> int:
        self.lists += 1
        return self.lists - 1


def is_record(schema: Json) -> bool:
    """Whether an Avro type is a record."""
    return isinstance(schema, dict) and schema.get("type") == "record"


def kind_of(schema: Json) -> str:
    """Name of an Avro type without its logical type; union for a union."""
    if isinstance(schema, list):
        return "union"
    kind = schema["type"] if isinstance(schema, dict) else schema
    return kind if isinstance(kind, str) else kind_of(kind)


def simple_op(schema: Json) -> int:
    """Return the kernel's op of a simple type.

    Raises:
        Unplanned: it is none.
    """
    op = _SIMPLE.get(kind_of(schema))
    if op is None:
        raise Unplanned(kind_of(schema))
    return op


def branches(schema: Json) -> tuple[int, Json]:
    """Split a union of null and one other type; (-1, schema) for no union.

    Raises:
        Unplanned: a union of more.
    """
    if not isinstance(schema, list):
        return -1, schema
    kinds = [kind_of(s) for s in schema]
    if len(schema) != 2 or kinds.count("null") != 1:
        raise Unplanned("a union of other types")
    null = kinds.index("null")
    return null, schema[1 - null]


def _reader_type(schema: Json) -> tuple[bool, Json]:
    null, other = branches(schema)
    return null >= 0, other


def _readers_fields(reader: Json) -> dict[str, Json]:
    """The reader's fields by every name under which a writer may know them."""
    return {name: f for f in reader["fields"] for name in [*f.get("aliases", []), f["name"]]}


def _absent(field_: Json) -> Absent:
    if "default" not in field_:
        raise SchemaIncompatible(f"the writer's schema has no field {field_['name']}, which is required")
    return Absent(field_["name"], field_["type"], field_["default"])
