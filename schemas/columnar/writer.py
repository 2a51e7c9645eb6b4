"""Columns to framed Avro records, by the hundred thousand."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from schemas.arrays import Bools, Bytes, Float64s, Int32s, Int64s
from schemas.columnar.gathering import gathered
from schemas.columnar.kernel import FLOATS, INTS, LIST, TEXTS
from schemas.columnar.plan import Json, branches, is_record, kind_of, simple_op
from schemas.columnar.write_kernel import ALWAYS, NEVER, write_records_compiled
from schemas.wire import frame_header

_STORE = {"boolean": INTS, "int": INTS, "long": INTS, "double": FLOATS, "string": TEXTS, "bytes": TEXTS}
_MOST_BYTES = {INTS: 10, FLOATS: 8, TEXTS: 5}  # without the text itself


@dataclass(frozen=True, slots=True)
class TextColumn:
    """n texts in ``data`` (uint8[b]): start int64[n], length int32[n]."""

    data: Bytes
    start: Int64s
    length: Int32s

    @classmethod
    def chosen(cls, texts: tuple[str, ...], choice: Int64s) -> "TextColumn":
        """For each of n values (int64[n]) the text of that number; the same texts are encoded once."""
        every = _encoded(texts)
        return cls(every.data, every.start[choice], every.length[choice])

    @classmethod
    def of(cls, texts: Sequence[str]) -> "TextColumn":
        """These texts."""
        whole = "".join(texts)
        if whole.isascii():
            data, length = whole.encode(), np.fromiter(map(len, texts), np.int32, len(texts))
        else:
            raw = [t.encode() for t in texts]
            data, length = b"".join(raw), np.fromiter(map(len, raw), np.int32, len(raw))
        return cls(np.frombuffer(data, np.uint8), (np.cumsum(length) - length).astype(np.int64), length)

    @classmethod
    def copied(cls, data: Bytes, start: Int64s, length: Int32s) -> "TextColumn":
        """These texts of ``data``, without what lies between them."""
        return cls(gathered(data, start, length), np.cumsum(length) - length, length)

    def text(self, i: int) -> str:
        """Text i."""
        return self.data[self.start[i] : self.start[i] + self.length[i]].tobytes().decode()

    def raw(self) -> list[bytes]:
        """The bytes of each text."""
        whole = self.data.tobytes()
        return [whole[at : at + size] for at, size in zip(self.start.tolist(), self.length.tolist(), strict=True)]


@lru_cache(maxsize=1024)
def _encoded(texts: tuple[str, ...]) -> TextColumn:
    return TextColumn.of(texts)


@dataclass(frozen=True, slots=True)
class ListColumn:
    """n lists of records: begin int32[n + 1], the columns of all entries by field."""

    begin: Int32s
    entries: Mapping[str, "ValueColumn"]


@dataclass(frozen=True, slots=True)
class NullableColumn:
    """A column of a union with null. there: bool[n], false where it is null; what ``values`` has there is not read."""

    values: Int64s | Float64s | TextColumn
    there: Bools


ValueColumn = Int64s | Float64s | TextColumn | NullableColumn
Column = ValueColumn | ListColumn | None  # None: null in every record


@dataclass(frozen=True, slots=True)
class _Field:
    """What the kernel is told of a field, whatever n is. items: of an array of records, else None."""

    name: str
    kind: str
    op: int
    null_branch: int
    store: int | None
    items: "tuple[_Field, ...] | None"

    @classmethod
    def of(cls, field: Json) -> "_Field":
        null_branch, schema = branches(field["type"])
        kind = kind_of(schema)
        if kind == "array":
            items = tuple(cls.of(f) for f in schema["items"]["fields"]) if is_record(schema["items"]) else None
            return cls(field["name"], kind, LIST, null_branch, None, items)
        return cls(field["name"], kind, simple_op(schema), null_branch, _STORE.get(kind), None)


class ColumnarWriter:
    """Writes records of a flat schema (Avro JSON text), or one with arrays of flat records, with one schema id."""

    def __init__(self, schema: str, schema_id: int) -> None:
        self._fields = [_Field.of(field) for field in json.loads(schema)["fields"]]
        self._header: Bytes = np.frombuffer(frame_header(schema_id), np.uint8)

    def write(self, n: int, columns: Mapping[str, Column]) -> list[bytes]:
        """Return the framed bytes of n records. columns: by field name, one for each field of the schema.

        Raises:
            TypeError: a column is of another kind than its field.
        """
        layout = _Layout(n)
        for field in self._fields:
            layout.add(field, columns[field.name])
        if not n:
            return []
        out, end = layout.write(self._header)
        whole = out.tobytes()
        ends = end.tolist()
        return [whole[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]


class _Layout:
    """The arrays that the kernel takes, put together column by column."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._rows: list[tuple[int, int, int, int, int, int]] = []
        self._parts: dict[int, list[np.ndarray]] = {INTS: [], FLOATS: [], TEXTS: []}
        self._lengths: list[Int32s] = []
        self._data: list[Bytes] = []
        self._begins: list[Int32s] = []
        self._valid: list[Bools] = []
        self._size = [0, 0, 0, 0]
        self._flagged = 0
        self._listed = 0
        self._data_bytes = 0
        self._room = n * 16
        self._known: dict[int, int] = {}

    def add(self, field: _Field, column: Column) -> None:
        if column is None:
            if field.null_branch < 0:
                raise TypeError(f"{field.name} cannot be null")
            self._rows.append((field.op, field.null_branch, 0, 0, NEVER, 0))
            self._room += self._n
        elif isinstance(column, ListColumn):
            if field.items is None:
                raise TypeError(f"{field.name} is no array of records")
            self._rows.append((LIST, field.null_branch, TEXTS, self._listed, ALWAYS, len(field.items)))
            self._begins.append(column.begin)
            self._listed += len(column.begin)
            self._room += 12 * self._n
            for inner in field.items:
                self._value(inner, column.entries[inner.name])
        else:
            self._value(field, column)

    def _value(self, field: _Field, given: ValueColumn) -> None:
        store = field.store
        column = given.values if isinstance(given, NullableColumn) else given
        if column is not given and field.null_branch < 0:
            raise TypeError(f"{field.name} cannot be null")
        is_text = isinstance(column, TextColumn)
        count = len(column.start) if isinstance(column, TextColumn) else len(column)
        if store is None or is_text != (store == TEXTS):
            raise TypeError(f"a column of {field.name} cannot be a {field.kind}")
        if not count:  # an entry of lists that are all empty
            self._rows.append((field.op, field.null_branch, store, 0, NEVER, 0))
            return
        there = self._flags(given.there) if isinstance(given, NullableColumn) else ALWAYS
        self._rows.append((field.op, field.null_branch, store, self._size[store], there, 0))
        self._size[store] += count
        self._room += count * (_MOST_BYTES[store] + 1)
        if isinstance(column, TextColumn):
            first = self._where(column.data)
            self._parts[TEXTS].append(column.start + first if first else column.start)
            self._lengths.append(column.length)
        else:
            self._parts[store].append(column)

    def _flags(self, valid: Bools) -> int:
        first = self._flagged
        self._valid.append(valid)
        self._flagged += len(valid)
        return first

    def _where(self, data: Bytes) -> int:
        """Where ``data`` lies among the texts; the same array is taken once."""
        if id(data) not in self._known:
            self._known[id(data)] = self._data_bytes
            self._data.append(data)
            self._data_bytes += len(data)
        return self._known[id(data)]

    def write(self, header: Bytes) -> tuple[Bytes, Int64s]:
        lengths = _joined(self._lengths, np.int32)
        out = np.empty(self._room + self._n * len(header) + int(lengths.sum()), np.uint8)
        end = np.empty(self._n, np.int64)
        write_records_compiled(
            np.array(self._rows, np.int64).reshape(-1, 6),
            self._n,
            header,
            _joined(self._data, np.uint8),
            _joined(self._parts[INTS], np.int64),
            _joined(self._parts[FLOATS], np.float64),
            _joined(self._parts[TEXTS], np.int64),
            lengths,
            _joined(self._valid, np.bool_).view(np.uint8),
            _joined(self._begins, np.int32),
            out,
            end,
        )
        return out[: int(end[-1]) if self._n else 0], end


def _joined(parts: Sequence[np.ndarray], dtype: type[np.generic]) -> np.ndarray:
    return np.concatenate(parts, dtype=dtype, casting="unsafe") if parts else np.zeros(0, dtype)
