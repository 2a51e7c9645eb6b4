"""Records of a topic to the rows of its table: Avro values decoded by the thousand, dead letters as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from confluent_kafka import Message

from connectors.registry.client import SchemaRegistry
from schemas.arrays import Bytes, Int64s
from schemas.columnar import ColumnarReader
from schemas.errors import InvariantBroken, SchemaIncompatible, UnknownSchema
from schemas.topics import ALERTS, DEAD_LETTERS, INTERACTIONS, SCORES, WAITS, avro_schema, topics
from schemas.wire import HEADER_BYTES

TABLES: Mapping[str, str] = {
    INTERACTIONS: "interactions",
    SCORES: "friction_scores",
    ALERTS: "friction_alerts",
    WAITS: "wait_windows",
    DEAD_LETTERS: "dead_letters",
}
_ERRORS = "__connect.errors."
_TIME = pa.timestamp("ms", tz="UTC")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table, and how many records gave none."""

    table: pa.Table
    skipped: int


class RowReader(Protocol):
    """Makes rows of a block: a function of its records, and of the registry for those in Avro."""

    def read(self, records: Sequence[Message]) -> Rows:
        """Rows in the order of the records, those of one writer's schema together.

        Raises:
            StoreUnavailable: the registry does not answer.
            InvariantBroken: a record of a topic that only we write cannot be read.
        """


def row_reader(topic: str, registry: SchemaRegistry) -> RowReader:
    """The reader of a declared topic that has a table."""
    if topic == DEAD_LETTERS:
        return DeadLetterRows()
    schema_name = topics()[topic].schema_name
    if schema_name is None:
        raise InvariantBroken(f"{topic} is landed, but schemas/topics.yaml gives it no schema")
    return AvroRows(avro_schema(schema_name), registry, skip_unreadable=topic == INTERACTIONS)


class AvroRows:
    """Values in Confluent wire format.

    ``skip_unreadable``: whether a record that cannot be read is left out (anybody may have produced it, and the
    worker puts it into the dead letters), or is a reason to stop.
    """

    def __init__(self, schema: str, registry: SchemaRegistry, *, skip_unreadable: bool) -> None:
        self._reader = ColumnarReader(schema)
        self._registry = registry
        self._skip_unreadable = skip_unreadable

    def read(self, records: Sequence[Message]) -> Rows:
        values = [record.value() or b"" for record in records]
        length = np.fromiter(map(len, values), np.int64, len(values))
        end = np.cumsum(length)
        start = end - length
        data = np.frombuffer(b"".join(values), np.uint8)
        framed = np.flatnonzero(length >= HEADER_BYTES)
        framed = framed[data[start[framed]] == 0]
        if framed.shape[0] < len(records):
            self._refuse(records, np.setdiff1d(np.arange(len(records)), framed), "is not in Confluent wire format")
        tables = []
        ids = _schema_ids(data, start[framed])
        for schema_id in np.unique(ids):
            of_this = framed[ids == schema_id]
            try:
                columns = self._reader.read(
                    self._registry.schema(int(schema_id)), data, start[of_this] + HEADER_BYTES, end[of_this]
                )
            except (UnknownSchema, SchemaIncompatible) as e:
                self._refuse(records, of_this, f"has schema id {schema_id}: {e}")
                continue
            for problem in columns.problems:
                self._refuse(records, of_this[problem.index : problem.index + 1], problem.reason)
            kept = [records[i] for i in of_this[columns.kept]]
            tables.append(pa.Table.from_batches([_with_origin(columns.batch, kept)]))
        table = pa.concat_tables(tables) if tables else pa.table({})
        return Rows(table, len(records) - table.num_rows)

    def _refuse(self, records: Sequence[Message], which: Int64s, why: str) -> None:
        if not self._skip_unreadable:
            record = records[int(which[0])]
            raise InvariantBroken(
                f"The record at {record.topic()}/{record.partition()} offset {record.offset()} cannot be landed: "
                f"it {why}. Only workers of this system may write this topic: find who wrote it, then move the "
                "landing's group past it."
            )


class DeadLetterRows:
    """Key, value and headers as bytes, what Kafka Connect's error headers say as columns."""

    def read(self, records: Sequence[Message]) -> Rows:
        headers = [record.headers() or [] for record in records]
        reasons = [
            {k.removeprefix(_ERRORS): v for k, v in said if k.startswith(_ERRORS) and v is not None} for said in headers
        ]
        said = [[(k, v or b"") for k, v in one] for one in headers]
        batch = pa.record_batch(
            {
                "source_topic": pa.array(_texts(reasons, "topic"), pa.string()),
                "source_partition": pa.array(_integers(reasons, "partition", bits=32), pa.int32()),
                "source_offset": pa.array(_integers(reasons, "offset", bits=64), pa.int64()),
                "stage": pa.array(_texts(reasons, "stage"), pa.string()),
                "exception_class": pa.array(_texts(reasons, "exception.class.name"), pa.string()),
                "exception_message": pa.array(_texts(reasons, "exception.message"), pa.string()),
                "key": pa.array([record.key() for record in records], pa.binary()),
                "value": pa.array([record.value() for record in records], pa.binary()),
                "headers": pa.array(said, pa.map_(pa.string(), pa.binary())),
            }
        )
        return Rows(pa.Table.from_batches([_with_origin(batch, records)]), 0)


def _schema_ids(data: Bytes, start: Int64s) -> Int64s:
    """Schema ids, int64[n], of framed values that begin at ``start``."""
    ids = np.zeros(start.shape[0], np.int64)
    for i in range(1, HEADER_BYTES):
        ids = ids << 8 | data[start + i]
    return ids


def _with_origin(batch: pa.RecordBatch, records: Sequence[Message]) -> pa.RecordBatch:
    """Add where each row comes from. ``records``: one for each row, all of one topic."""
    topic = records[0].topic() if records else ""
    origin = {
        "_topic": pa.repeat(topic, len(records)),
        "_partition": pa.array([record.partition() for record in records], pa.int32()),
        "_offset": pa.array([record.offset() for record in records], pa.int64()),
        "_appended_at": pa.array([record.timestamp()[1] for record in records], _TIME),
    }
    names = [*batch.schema.names, *origin]
    return pa.record_batch([*batch.columns, *origin.values()], names=names)


def _texts(reasons: Sequence[Mapping[str, bytes]], name: str) -> list[str | None]:
    return [said[name].decode(errors="replace") if name in said else None for said in reasons]


def _integers(reasons: Sequence[Mapping[str, bytes]], name: str, *, bits: int) -> list[int | None]:
    """Headers that are whole numbers of so many bits; whoever wrote another kept it in ``headers``."""
    found: list[int | None] = []
    for said in reasons:
        text = said.get(name, b"").decode(errors="replace")
        number = int(text) if text.isascii() and text.removeprefix("-").isdigit() else None
        found.append(number if number is not None and -(2 ** (bits - 1)) <= number < 2 ** (bits - 1) else None)
    return found
