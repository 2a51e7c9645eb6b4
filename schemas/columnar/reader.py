"""Avro bodies of any known writer to Arrow, or to the plain arrays that kernels take."""

import json
from dataclasses import dataclass
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa

from schemas.arrays import Bytes, Int64s
from schemas.columnar.arrays import Arrays
from schemas.columnar.arrow import arrow_schema, to_arrow
from schemas.columnar.foreign import NotAvro, read_foreign
from schemas.columnar.kernel import OK, REASONS, read_records_compiled
from schemas.columnar.plan import Plan, Unplanned, plan


@dataclass(frozen=True, slots=True)
class Problem:
    """Record ``index`` of the call could not be read."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Columns:
    """What could be read. ``kept``: int64[k], the index in the call of each row of ``batch``."""

    batch: pa.RecordBatch
    kept: Int64s
    problems: list[Problem]


class ColumnarReader:
    """Reads bodies written with any schema that resolves to ``reader_schema`` (Avro JSON text). Thread-safe."""

    def __init__(self, reader_schema: str) -> None:
        self.reader_schema = reader_schema
        self.schema: pa.Schema = arrow_schema(json.loads(reader_schema))
        self._parsed: Any = fastavro.parse_schema(json.loads(reader_schema))
        self._plans: dict[str, Plan | None] = {}

    def plan(self, writer_schema: str) -> Plan | None:
        """Return the kernel's plan for a writer; None when only fastavro can read it.

        Raises:
            SchemaIncompatible: records of this writer cannot be read as ours.
        """
        if writer_schema not in self._plans:
            try:
                found = plan(writer_schema, self.reader_schema)
            except Unplanned:
                found = None
            self._plans[writer_schema] = found
        return self._plans[writer_schema]

    def arrays(self, writer: Plan, data: Bytes, start: Int64s, end: Int64s) -> Arrays:
        """Read data[start[i]:end[i]] into raw columns. data: uint8[b], start and end: int64[n]."""
        n = start.shape[0]
        entries = int((end - start).sum()) + 1 if writer.lists else 0  # more than that TOO_MANY says
        arrays = Arrays.empty(writer, data, n, entries)
        read_records_compiled(
            writer.program(n, entries),
            data,
            start,
            end,
            arrays.ints,
            arrays.floats,
            arrays.text_start,
            arrays.text_length,
            arrays.valid,
            arrays.begin,
            entries,
            arrays.problem,
        )
        return arrays

    def read(self, writer_schema: str, data: Bytes, start: Int64s, end: Int64s) -> Columns:
        """Read the Avro bodies data[start[i]:end[i]] (without the five bytes of the wire format) to Arrow.

        data: uint8[b], start and end: int64[n]. A record that cannot be read is a problem; the others are kept.

        Raises:
            SchemaIncompatible: no record of this writer can be read.
        """
        writer = self.plan(writer_schema)
        if writer is None:
            return self._read_slowly(writer_schema, data, start, end)
        arrays = self.arrays(writer, data, start, end)
        kept = np.flatnonzero(arrays.problem == OK)
        problems = [Problem(int(i), REASONS[arrays.problem[i]]) for i in np.flatnonzero(arrays.problem)]
        columns = [
            to_arrow(column, arrow_field.type, arrays, kept)
            for column, arrow_field in zip(writer.columns, self.schema, strict=True)
        ]
        return Columns(pa.record_batch(columns, schema=self.schema), kept, problems)

    def _read_slowly(self, writer_schema: str, data: Bytes, start: Int64s, end: Int64s) -> Columns:
        writer = fastavro.parse_schema(json.loads(writer_schema))
        rows: list[dict[str, Any]] = []
        kept: list[int] = []
        problems: list[Problem] = []
        for i in range(start.shape[0]):
            try:
                row = read_foreign(data[start[i] : end[i]].tobytes(), writer, self._parsed)
            except NotAvro as error:
                problems.append(Problem(i, f"the record cannot be read: {error}"))
                continue
            rows.append(row)
            kept.append(i)
        batch = pa.RecordBatch.from_pylist(rows, schema=self.schema)
        return Columns(batch, np.array(kept, np.int64), problems)
