"""The fields of interactions from raw columns, as a table of a mapping says."""

import json
from collections.abc import Mapping as Columns
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.files import values
from connectors.files.attributes import Attributes
from connectors.files.event_ids import EventIds, canonical
from connectors.files.mapping import (
    ATTRIBUTES,
    FIELDS,
    NUMBER_FIELDS,
    REQUIRED,
    TEXT_FIELDS,
    DurationField,
    FieldSpec,
    InteractionTable,
    Mapping,
    NumberField,
    TextField,
    TimeField,
)
from connectors.files.rejects import Problems
from schemas.arrays import Bools, Int64s
from schemas.columnar.arrow import arrow_schema
from schemas.topics import avro_schema

SCHEMA: pa.Schema = arrow_schema(json.loads(avro_schema("interaction")))
_UNKNOWN = {"channel": "unknown", "touchpoint": "unknown"}
_MAPS = SCHEMA.field(ATTRIBUTES).type


class RowFields:
    """Raw columns of n rows, each of which is one interaction of a table."""

    def __init__(
        self, mapping: Mapping, table: InteractionTable, columns: Columns[str, pa.Array], problems: Problems
    ) -> None:
        self._mapping = mapping
        self._specs, self._attributes = mapping.fields_of(table)
        self._columns = columns
        self._problems = problems
        self._n = problems.n

    def interactions(self, ids: EventIds) -> tuple[pa.RecordBatch, Int64s | None]:
        """The good rows as a batch, and when all were appended."""
        arrays = {name: self._text(name, self._spec(name)) for name in TEXT_FIELDS}
        arrays["event_id"] = values.blank_is_null(arrays["event_id"])
        for name, word in _UNKNOWN.items():
            arrays[name] = _filled(arrays[name], word)
        for name in REQUIRED[:2]:
            self._must_be_told(name, values.valid(values.blank_is_null(arrays[name])))
        at_ms, told = self._time("occurred_at", self._spec("occurred_at"))
        self._must_be_told("occurred_at", told)
        arrays["occurred_at"] = pa.array(at_ms).cast(SCHEMA.field("occurred_at").type)
        for name in NUMBER_FIELDS:
            arrays[name] = self._number(name, self._spec(name))
        arrays["duration_ms"] = self._whole("duration_ms", self._spec("duration_ms"))
        arrays["reach"] = self._whole("reach", self._spec("reach"))
        appended_ms = None
        if self._spec("appended_at") is not None:
            appended_ms, told = self._time("appended_at", self._spec("appended_at"))
            appended_ms = np.where(told, appended_ms, at_ms)
        arrays[ATTRIBUTES] = self._map(sort=arrays["event_id"].null_count > 0)
        good = self._problems.good()
        batch = pa.RecordBatch.from_arrays(
            [_filled(arrays[f.name], "") if not f.nullable and f.name in REQUIRED else arrays[f.name] for f in SCHEMA],
            schema=SCHEMA,
        )
        if not good.all():
            batch = batch.filter(pa.array(good))
        return _with_ids(batch, ids), appended_ms

    def _must_be_told(self, name: str, told: Bools) -> None:
        self._problems.note(~told, lambda _: f"{name} is missing or empty")

    def _spec(self, name: str) -> FieldSpec | None:
        """What the mapping says of a field, else its column, else nothing."""
        if name in self._specs:
            return self._specs[name]
        if name not in self._columns or name == ATTRIBUTES:
            return None
        if name in TEXT_FIELDS:
            return TextField(column=(name,))
        if name == "duration_ms":
            return DurationField(column=(name,))
        return (NumberField if name in (*NUMBER_FIELDS, "reach") else TimeField)(column=(name,))

    def _raw(self, name: str, spec: FieldSpec) -> pa.Array:
        """The column of a field, or its constant."""
        if spec.column is None:
            return pa.repeat(pa.scalar(spec.value), self._n)
        each = [values.plain(self._columns[c]) if c in self._columns else pa.nulls(self._n) for c in spec.column]
        raw = each[0]
        if len(each) > 1:
            join = spec.join if isinstance(spec, TextField) else " "
            raw = _joined([values.texts(one, name, self._problems) for one in each], join)
        if spec.values is not None:
            raw = self._enumerated(name, raw, spec)
        if spec.default is not None:
            told = values.valid(raw)
            if not told.all():
                if not pa.types.is_string(raw.type):
                    raw = values.texts(raw, name, self._problems)
                raw = _filled(raw, _written(spec.default))
        return raw

    def _enumerated(self, name: str, raw: pa.Array, spec: FieldSpec) -> pa.Array:
        known = spec.values or {}
        said = values.texts(raw, name, self._problems)
        number = pc.index_in(said, value_set=pa.array(list(known), pa.utf8()))
        if spec.default is None:
            strange = values.valid(said) & ~values.valid(number)
            column = "/".join(spec.column or ())
            self._problems.note(
                strange, lambda i: f"{column} {said[i].as_py()!r} is none of {', '.join(known)} ({name})"
            )
        return pa.array([_written(v) for v in known.values()], pa.utf8()).take(number)

    def _text(self, name: str, spec: FieldSpec | None) -> pa.Array:
        if spec is None:
            return pa.nulls(self._n, pa.utf8())
        said = values.texts(self._raw(name, spec), name, self._problems)
        if isinstance(spec, TextField) and spec.prefix:
            return pc.binary_join_element_wise(pa.scalar(spec.prefix), said, "")
        return said

    def _decimal(self, spec: FieldSpec) -> str:
        return getattr(spec, "decimal", None) or self._mapping.file.decimal

    def _number(self, name: str, spec: FieldSpec | None) -> pa.Array:
        if spec is None:
            return pa.nulls(self._n, pa.float64())
        found, told = values.numbers(self._raw(name, spec), name, self._problems, self._decimal(spec))
        return pa.array(found, mask=~told)

    def _whole(self, name: str, spec: FieldSpec | None) -> pa.Array:
        if spec is None:
            return pa.nulls(self._n, pa.int64())
        if isinstance(spec, DurationField):
            found, told = self._duration(name, spec)
        else:
            found, told = values.integers(self._raw(name, spec), name, self._problems, self._decimal(spec))
        return pa.array(found, mask=~told)

    def _duration(self, name: str, spec: DurationField) -> tuple[Int64s, Bools]:
        return values.durations(self._raw(name, spec), name, self._problems, spec.unit, self._decimal(spec))

    def _time(self, name: str, spec: FieldSpec | None) -> tuple[Int64s, Bools]:
        if not isinstance(spec, TimeField):
            return np.zeros(self._n, np.int64), np.zeros(self._n, np.bool_)
        zone = self._mapping.zone if spec.zone is None else ZoneInfo(spec.zone)
        at_ms, told = values.times(
            self._raw(name, spec), name, self._problems, zone=zone, form=spec.format, epoch=spec.epoch,
            decimal=self._decimal(spec),
        )  # fmt: skip
        for key, sign in (("plus", 1), ("minus", -1)):
            other: DurationField | None = getattr(spec, key)
            if other is not None:
                moved_ms, there = self._duration(f"{name}.{key}", other)
                self._must_be_told(f"{name}.{key}", there | ~told)
                at_ms = at_ms + sign * moved_ms
        return at_ms, told

    def _written_time(self, name: str, spec: TimeField) -> pa.Array:
        at_ms, told = self._time(name, spec)
        return pc.strftime(pa.array(at_ms, pa.timestamp("ms"), mask=~told), "%Y-%m-%dT%H:%M:%SZ")

    def _map(self, *, sort: bool) -> pa.Array:
        whole = self._columns.get(ATTRIBUTES)
        rest = self._rest()
        if not self._attributes and not rest and not sort and whole is not None and _is_plain_map(whole):
            return whole.fill_null([]) if whole.null_count else whole
        made = Attributes(self._n, _MAPS)
        for name, spec in self._attributes.items():
            key = f"{ATTRIBUTES}.{name}"
            made.add_column(name, self._text(key, spec) if spec.time is None else self._written_time(key, spec.time))
        if whole is not None:
            whole = values.plain(whole)
            if pa.types.is_map(whole.type):
                made.add_maps(whole)
            elif pa.types.is_string(whole.type):
                made.add_json(whole, self._problems)
        for key, column in rest:
            made.add_column(key, values.texts(values.plain(self._columns[column]), column, self._problems))
        return made.array()

    def _rest(self) -> list[tuple[str, str]]:
        """Key and column of the attributes that are columns of their own, and of what else there is if it is wanted."""
        found = []
        for column, raw in self._columns.items():
            if not values.is_scalar(raw.type) or column == ATTRIBUTES:
                continue
            if column.startswith(f"{ATTRIBUTES}."):
                found.append((column.removeprefix(f"{ATTRIBUTES}."), column))
            elif self._is_rest(column, raw):
                found.append((column, column))
        return found

    def _is_rest(self, column: str, raw: pa.Array) -> bool:
        wanted = self._mapping.rest_is_attributes and not values.is_bytes(raw.type)
        return wanted and column not in FIELDS and not column.startswith("_")


def _joined(parts: list[pa.Array], join: str) -> pa.Array:
    """The texts of each row that there are, one behind the other."""
    joined = parts[0]
    for part in parts[1:]:
        joined = pc.coalesce(pc.binary_join_element_wise(joined, part, join), joined, part)
    return joined


def _is_plain_map(array: pa.Array) -> bool:
    return bool(array.type == _MAPS and not array.items.null_count)


def _written(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _filled(array: pa.Array, word: str) -> pa.Array:
    return array.fill_null(word) if array.null_count else array


def _with_ids(batch: pa.RecordBatch, ids: EventIds) -> pa.RecordBatch:
    """The batch with an id where none is told."""
    id_ = batch.column("event_id")
    if not id_.null_count:
        return batch
    some = batch.take(pa.array(np.flatnonzero(~values.valid(id_))))
    made = ids.of(canonical({f.name: some.column(f.name) for f in SCHEMA}))
    return replaced_ids(batch, pc.replace_with_mask(id_, pc.is_null(id_), pa.array(made, pa.utf8())))


def replaced_ids(batch: pa.RecordBatch, ids: pa.Array) -> pa.RecordBatch:
    """The batch with these ids."""
    return batch.set_column(0, SCHEMA.field("event_id"), ids)
