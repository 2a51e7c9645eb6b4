"""From fetched records to accepted interactions: framed Avro of any known writer to columns, the rest rejected."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import fastavro
import numpy as np

from connectors.kafka.dead_letters import Rejected, RejectReason
from connectors.kafka.records import RecordColumns
from connectors.registry.client import SchemaRegistry
from pipelines.intake.index import TextIndex
from pipelines.intake.interactions import OUTCOMES, UNKNOWN_MS, Details, InteractionBatch, Texts, joined
from schemas.acceptance import Bounds, off_scale, refuse_compiled
from schemas.arrays import Bytes, Float64s, Int8s, Int32s, Int64s
from schemas.columnar import Arrays, ColumnarReader
from schemas.columnar.foreign import NotAvro, read_foreign
from schemas.columnar.frames import schema_ids
from schemas.columnar.kernel import FLOATS, INTS, REASONS, TEXTS
from schemas.columnar.plan import Plan, Simple, StringMap
from schemas.compiled import compiled
from schemas.errors import SchemaIncompatible, UnknownSchema
from schemas.topics import avro_schema
from schemas.wire import HEADER_BYTES

_TEXT_FIELDS = ("customer_id", "kind", "channel", "touchpoint")
_FIELDS = (*_TEXT_FIELDS, "occurred_at", "duration_ms", "attributes")
_DETAIL_TEXTS = ("event_id", "session_id", "case_id", "subject", "segment")
_DETAIL_FLOATS = ("amount", "rating", "sentiment")
_DETAIL_FIELDS = (*_DETAIL_TEXTS, *_DETAIL_FLOATS, "reach")

MAX_PLACE_BYTES = 512  # they are in the keys of state and windows, which have to fit into a record

_REFUSED = {
    1: (RejectReason.BAD_CUSTOMER, "customer_id must have 1 to 512 bytes"),
    2: (RejectReason.TOO_OLD, "occurred_at is further in the past than acceptance.max_age of the policy allows"),
    3: (RejectReason.TOO_FAR_AHEAD, "occurred_at is further in the future than acceptance.max_ahead allows"),
    4: (RejectReason.BAD_DURATION, "duration_ms must be at least 0, and at most 10 years"),
    5: (RejectReason.BAD_PLACE, f"touchpoint and channel must have at most {MAX_PLACE_BYTES} bytes each"),
    6: (RejectReason.BAD_SENTIMENT, "sentiment must lie between -1 and 1"),
}


def count_other_keys(
    records: Bytes, key_start: Int64s, key_length: Int32s, data: Bytes, start: Int64s, length: Int32s
) -> int:
    """Count the records whose key is not the text of their customer. All of n; length -1 is a null key."""
    others = 0
    for i in range(start.shape[0]):
        same = key_length[i] == length[i]
        k = 0
        while same and k < length[i]:
            same = records[key_start[i] + k] == data[start[i] + k]
            k += 1
        others += not same
    return others


count_other_keys_compiled = compiled(count_other_keys)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a fetched batch holds. index: int64[n], the record of each interaction.

    keys_differ: interactions whose record has another key than their customer_id.
    """

    interactions: InteractionBatch
    index: Int64s
    rejected: list[Rejected]
    keys_differ: int


@dataclass(frozen=True, slots=True)
class _Foreign:
    """A writer's schema that only fastavro reads."""

    schema: Any


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """A writer's schema that cannot be read as ours."""

    reason: str


_Writer = Plan | _Foreign | _Unreadable


class InteractionDecoder:
    """Reads records of friction.interactions and friction.rekeyed. Any thread may decode, and any may resolve.

    details: whether the policy asks for more than kind, times and places.
    """

    def __init__(self, registry: SchemaRegistry, bounds: Bounds, *, details: bool = False) -> None:
        self._whole = ColumnarReader(avro_schema("interaction"))  # what others read of it, the landing for one
        self._whole_parsed: Any = fastavro.parse_schema(json.loads(avro_schema("interaction")))
        needed = json.loads(avro_schema("interaction"))
        names = (*_FIELDS, *_DETAIL_FIELDS) if details else _FIELDS
        needed["fields"] = [f for f in needed["fields"] if f["name"] in names]
        self._with_details = details
        self._parsed: Any = fastavro.parse_schema(needed)
        self._reader = ColumnarReader(json.dumps(needed))
        own = self._reader.plan(json.dumps(needed))
        assert own is not None, "our own schema is flat"  # noqa: S101 - for mypy; a test reads with it
        self._own = own
        self._registry = registry
        self._bounds = bounds
        self._writers: dict[int, _Writer] = {}
        self._outcome_key = TextIndex(["outcome"])
        self._outcomes = TextIndex(OUTCOMES)

    def unresolved(self, records: RecordColumns) -> list[int]:
        """Schema ids of the records that have to be asked of the registry first."""
        found = schema_ids(records.data, records.value_start, records.value_length)[1]
        return [i for i in found if i not in self._writers]

    def know(self, schema_id: int, schema_name: str) -> None:
        """Take the schema of schemas/avro for an id, without asking."""
        self._writers[schema_id] = self._reader.plan(avro_schema(schema_name)) or _Unreadable("not flat")

    def resolve(self, schema_id: int) -> None:
        """Ask the registry for a writer's schema; an unknown one is not remembered. Blocks.

        Raises:
            StoreUnavailable: the registry is away.
        """
        try:
            text = self._registry.schema(schema_id)
        except UnknownSchema:
            return
        try:
            plan = self._whole.plan(text) and self._reader.plan(text)
            self._writers[schema_id] = plan or _Foreign(fastavro.parse_schema(json.loads(text)))
        except SchemaIncompatible as error:
            self._writers[schema_id] = _Unreadable(f"schema {schema_id}: {error}")
        except Exception as error:  # noqa: BLE001 - a registry keeps other schemas than Avro too, and parsers raise anything
            self._writers[schema_id] = _Unreadable(f"schema {schema_id} is no Avro: {type(error).__name__} {error}")

    def decode(self, records: RecordColumns) -> Decoded:
        """Read and judge n records; those whose schema could not be resolved are rejected as unknown."""
        return self._decode(records, *schema_ids(records.data, records.value_start, records.value_length))

    def decode_known(self, records: RecordColumns) -> Decoded | None:
        """Read and judge n records, unless the registry has to be asked for a schema first."""
        ids, known = schema_ids(records.data, records.value_start, records.value_length)
        return self._decode(records, ids, known) if all(i in self._writers for i in known) else None

    def _decode(self, records: RecordColumns, ids: Int64s, known: list[int]) -> Decoded:
        rejected = [_not_framed(records, int(i)) for i in np.flatnonzero(ids < 0)]
        parts: list[tuple[Int64s, InteractionBatch]] = []
        for schema_id in known:
            which = np.flatnonzero(ids == schema_id)
            match self._writers.get(schema_id):
                case None:
                    message = f"the registry knows no schema {schema_id}"
                    rejected += [Rejected(int(i), RejectReason.UNKNOWN_SCHEMA, message) for i in which]
                case _Unreadable(reason):
                    rejected += [Rejected(int(i), RejectReason.SCHEMA_INCOMPATIBLE, reason) for i in which]
                case _Foreign(schema):
                    parts.append(self._read(self._own, *self._translated(records, which, schema, rejected), rejected))
                case Plan() as plan:
                    start = records.value_start[which] + HEADER_BYTES
                    end = records.value_start[which] + records.value_length[which]
                    parts.append(self._read(plan, records, records.data, which, start, end, rejected))
        batch, index = joined(parts)
        customer = batch.customer
        keys_differ = count_other_keys_compiled(
            records.data,
            records.key_start[index],
            records.key_length[index],
            batch.data,
            customer.start,
            customer.length,
        )
        return Decoded(batch, index, sorted(rejected, key=lambda r: r.index), int(keys_differ))

    def _translated(
        self, records: RecordColumns, which: Int64s, schema: Any, rejected: list[Rejected]
    ) -> tuple[RecordColumns, Bytes, Int64s, Int64s, Int64s]:
        """Read records with fastavro and write them anew in our own schema."""
        kept: list[int] = []
        ends: list[int] = []
        out = io.BytesIO()
        for i in which:
            problem, reason = "", RejectReason.NOT_AVRO
            try:
                record = read_foreign((records.value(int(i)) or b"")[HEADER_BYTES:], schema, self._whole_parsed)
                fastavro.schemaless_writer(out, self._parsed, record)
            except SchemaIncompatible as error:
                reason, problem = RejectReason.SCHEMA_INCOMPATIBLE, str(error)
            except (NotAvro, TypeError, ValueError) as error:
                problem = str(error)
            if problem:
                rejected.append(Rejected(int(i), reason, problem))
                out.seek(ends[-1] if ends else 0)
                out.truncate()
                continue
            kept.append(int(i))
            ends.append(out.tell())
        end = np.array(ends, np.int64)
        start = np.concatenate([[0], end[:-1]]).astype(np.int64) if ends else end
        return records, np.frombuffer(out.getvalue(), np.uint8), np.array(kept, np.int64), start, end

    def _read(
        self,
        plan: Plan,
        records: RecordColumns,
        data: Bytes,
        which: Int64s,
        start: Int64s,
        end: Int64s,
        rejected: list[Rejected],
    ) -> tuple[Int64s, InteractionBatch]:
        arrays = self._reader.arrays(plan, data, start, end)
        columns = {c.name: c for c in plan.columns}
        texts = {name: _texts(arrays, columns[name]) for name in _TEXT_FIELDS}
        occurred_ms = _ints(arrays, columns["occurred_at"], 0)
        duration_ms = _ints(arrays, columns["duration_ms"], UNKNOWN_MS)
        told = _told(arrays, columns["duration_ms"])
        refused = np.zeros(which.shape[0], np.uint8)
        append_ms = records.timestamp_ms[which]
        refuse_compiled(
            texts["customer_id"].length, occurred_ms, append_ms, duration_ms, told, self._bounds.max_age_ms,
            self._bounds.max_ahead_ms, refused,
        )  # fmt: skip
        place_bytes = np.maximum(texts["touchpoint"].length, texts["channel"].length)
        refused[(refused == 0) & (place_bytes > MAX_PLACE_BYTES)] = 5
        details = _details(arrays, columns) if self._with_details else None
        if details is not None:
            refused[(refused == 0) & off_scale(details.sentiment)] = 6
        broken = arrays.problem != 0
        for i in np.flatnonzero(broken | (refused != 0)):
            if broken[i]:
                rejected.append(Rejected(int(which[i]), RejectReason.NOT_AVRO, REASONS[arrays.problem[i]]))
            else:
                reason, message = _REFUSED[int(refused[i])]
                rejected.append(Rejected(int(which[i]), reason, message))
        batch = InteractionBatch(
            data=data,
            offset=records.offset[which],
            append_ms=append_ms,
            occurred_ms=occurred_ms,
            duration_ms=duration_ms,
            outcome=self._outcome(arrays, columns["attributes"]),
            customer=texts["customer_id"],
            kind=texts["kind"],
            channel=texts["channel"],
            touchpoint=texts["touchpoint"],
            details=details,
        )
        good = ~broken & (refused == 0)
        return (which, batch) if good.all() else (which[good], batch.take(np.flatnonzero(good)))

    def _outcome(self, arrays: Arrays, column: object) -> Int8s:
        """int8[n]: the attribute ``outcome`` as an index in OUTCOMES, -1 for none or another one."""
        outcome = np.full(arrays.n, -1, np.int8)
        if not isinstance(column, StringMap):
            return outcome
        begins = arrays.begins(column)
        key, value = (arrays.part(c, TEXTS, entry=True) for c in (column.key_column, column.value_column))
        is_outcome = self._outcome_key.find(arrays.data, arrays.text_start[key], arrays.text_length[key]) >= 0
        number = self._outcomes.find(
            arrays.data, arrays.text_start[value], arrays.text_length[value], wanted=is_outcome.view(np.uint8)
        )
        record = np.repeat(np.arange(arrays.n), np.diff(begins))
        outcome[record[is_outcome]] = number[is_outcome]
        return outcome


def _not_framed(records: RecordColumns, i: int) -> Rejected:
    if records.value_length[i] < 0:
        return Rejected(i, RejectReason.NULL_VALUE, "the record has no value")
    message = "a value must begin with byte 00 and the id of its schema (Confluent wire format)"
    return Rejected(i, RejectReason.NOT_FRAMED, message)


def _texts(arrays: Arrays, column: object) -> Texts:
    if not isinstance(column, Simple):
        raise SchemaIncompatible(f"{column} is not a text")
    at = arrays.part(column.column, TEXTS)
    return Texts(arrays.text_start[at], arrays.text_length[at])


def _told(arrays: Arrays, column: object) -> np.ndarray[Any, np.dtype[np.bool_]]:
    if not isinstance(column, Simple):
        return np.zeros(arrays.n, np.bool_)
    return arrays.is_valid(column)


def _details(arrays: Arrays, columns: Mapping[str, object]) -> Details:
    told: dict[str, Any] = {name: _told_texts(arrays, columns[name]) for name in _DETAIL_TEXTS}
    told |= {name: _floats(arrays, columns[name]) for name in _DETAIL_FLOATS}
    attributes = columns["attributes"]
    if not isinstance(attributes, StringMap):
        start, count, key, value = (
            np.zeros(arrays.n, np.int64),
            np.zeros(arrays.n, np.int32),
            Texts.none(0),
            Texts.none(0),
        )
    else:
        begins = arrays.begins(attributes)
        start, count = begins[:-1].astype(np.int64), np.diff(begins)
        at = [arrays.part(c, TEXTS, entry=True) for c in (attributes.key_column, attributes.value_column)]
        key, value = (Texts(arrays.text_start[a], arrays.text_length[a]) for a in at)
    reach = _ints(arrays, columns["reach"], -1)
    return Details(**told, reach=reach, entry_start=start, entry_count=count, entry_key=key, entry_value=value)


def _told_texts(arrays: Arrays, column: object) -> Texts:
    if not isinstance(column, Simple):
        return Texts.none(arrays.n)
    texts = _texts(arrays, column)
    return Texts(texts.start, np.where(arrays.is_valid(column), texts.length, 0)) if column.nullable else texts


def _floats(arrays: Arrays, column: object) -> Float64s:
    if not isinstance(column, Simple):
        return np.full(arrays.n, np.nan)
    values = arrays.floats[arrays.part(column.column, FLOATS)]
    return np.where(arrays.is_valid(column), values, np.nan)


def _ints(arrays: Arrays, column: object, missing: int) -> Int64s:
    if not isinstance(column, Simple):
        return np.full(arrays.n, missing, np.int64)
    values = arrays.ints[arrays.part(column.column, INTS)]
    return np.where(arrays.is_valid(column), values, missing)
