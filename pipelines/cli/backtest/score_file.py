"""scores.parquet: the last row of each customer, with the clocks that are open."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.alerts.open_clocks import OpenClocks
from pipelines.cli.backtest.standing import Standing
from pipelines.fold.scores import contributed, decayed_to, with_held
from pipelines.policy.policy import Policy
from schemas.arrays import Int32s, Int64s
from schemas.columnar.arrow import arrow_type, text_array
from schemas.columnar.writer import TextColumn
from schemas.topics import avro_schema

_TIMES = pa.timestamp("ms", tz="UTC")
_ROWS_AT_ONCE = 65_536


def _field_type(topic: str, name: str) -> pa.DataType:
    return arrow_type(next(f for f in json.loads(avro_schema(topic))["fields"] if f["name"] == name)["type"])


def _schema() -> pa.Schema:
    contributions, open_clocks = _field_type("score", "contributions"), _field_type("alert", "open_clocks")
    return pa.schema(
        [
            ("customer_id", pa.utf8()), ("score", pa.float64()), ("score_at_last_event", pa.float64()),
            ("band", pa.utf8()), ("heat", pa.float64()), ("contributions", contributions), ("interactions", pa.int64()),
            ("last_event_at", _TIMES), ("open_clocks", open_clocks),
        ]
    )  # fmt: skip


def write_scores(
    path: Path, standing: Standing, until_ms: int | None, policy: Policy, clocks: OpenClocks, whose: TextColumn
) -> None:
    """Write scores.parquet: each customer as of ``until_ms``, in the order in which they came.

    clocks: those that are open. whose: the customer of each.
    """
    schema = _schema()
    begin, listed = _listed(clocks, whose, standing, policy, schema.field("open_clocks").type.value_type)
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for first in range(0, len(standing), _ROWS_AT_ONCE):
            rows = np.arange(first, min(first + _ROWS_AT_ONCE, len(standing)))
            here = slice(int(begin[first]), int(begin[rows[-1] + 1]))
            ends = begin[first : rows[-1] + 2] - begin[first]
            open_clocks = _lists(
                schema.field("open_clocks").type, ends, listed.slice(here.start, here.stop - here.start)
            )
            file.write_batch(_batch(schema, standing, rows, until_ms or 0, policy, open_clocks))


def _batch(
    schema: pa.Schema, standing: Standing, rows: Int64s, until_ms: int, policy: Policy, open_clocks: pa.Array
) -> pa.RecordBatch:
    age_ms = np.maximum(until_ms - standing.scored_ms[rows], 0)
    held = standing.held[rows]
    made = contributed(with_held(decayed_to(standing.heat[rows], age_ms, policy), held), policy)
    last_total = contributed(with_held(standing.last_heat[rows], np.zeros_like(held)), policy).total
    scale = policy.scale[standing.segment[rows]]
    made_of = {
        "signal": pa.array(policy.signal_names, pa.utf8()).take(pa.array(made.signal)),
        "heat": pa.array(made.heat),
        "half_life_s": pa.array(policy.half_life_ms[made.signal] / 1000.0),
        "cap": pa.array(policy.cap[made.signal]),
        "held": pa.array(made.held),
    }
    told = list(schema.field("contributions").type.value_type)
    entries = pa.StructArray.from_arrays([made_of[f.name] for f in told], fields=told)
    columns = {
        "customer_id": text_array(*standing.customers.texts(rows), None, pa.utf8()),
        "score": pa.array(-100.0 * np.expm1(-made.total / scale)),
        "score_at_last_event": pa.array(-100.0 * np.expm1(-last_total / scale)),
        "band": pa.array(policy.band_names, pa.utf8()).take(pa.array(standing.band[rows].astype(np.int64))),
        "heat": pa.array(made.total),
        "contributions": _lists(schema.field("contributions").type, made.begin, entries),
        "interactions": pa.array(standing.interactions[rows]),
        "last_event_at": pa.array(standing.updated_ms[rows]).cast(_TIMES),
        "open_clocks": open_clocks,
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _listed(
    clocks: OpenClocks, whose: TextColumn, standing: Standing, policy: Policy, kind: pa.DataType
) -> tuple[Int64s, pa.StructArray]:
    """Open clocks by the rows of ``standing``: where those of each begin, int64[m + 1], and all of them."""
    row = standing.customers.find(whose.data, whose.start, whose.length)
    order = np.argsort(row, kind="stable")
    case_id, due_ms = clocks.case_id, clocks.deadline_ms[order]
    length = case_id.length[order]
    made_of = {
        "clock": pa.array(policy.clock_names, pa.utf8()).take(pa.array(clocks.clock[order])),
        "opened_at": pa.array(clocks.opened_ms[order]).cast(_TIMES),
        "deadline": pa.array(due_ms, mask=due_ms == 0).cast(_TIMES),
        "case_id": text_array(case_id.data, case_id.start[order], length, length > 0, pa.utf8()),
    }
    told = list(kind)
    begin = np.append(0, np.cumsum(np.bincount(row, minlength=len(standing)))).astype(np.int64)
    return begin, pa.StructArray.from_arrays([made_of[f.name] for f in told], fields=told)


def _lists(kind: pa.DataType, begin: Int64s | Int32s, entries: pa.Array) -> pa.Array:
    """Lists of which each begins at ``begin``, [n + 1], among the entries."""
    ends = pa.py_buffer(begin.astype(np.int32))
    return pa.Array.from_buffers(kind, len(begin) - 1, [None, ends], children=[entries])
