"""What a backtest writes: alerts, scores and the summary."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.files.rejects import RejectedRow
from pipelines.alert_tables import Alerts
from pipelines.alerts import OpenClock
from pipelines.cli.backtest.json_lines import JsonLines
from pipelines.cli.backtest.standing import Standing
from pipelines.muting import Muting
from pipelines.policy import Policy
from pipelines.scores import contributed, decayed_to, with_held
from schemas.arrays import Int64s
from schemas.columnar.arrow import arrow_type, text_array
from schemas.columnar.writer import Column
from schemas.topics import avro_schema

Clocks = Mapping[bytes, Sequence[OpenClock]]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ALERT: list[Any] = [f for f in json.loads(avro_schema("alert"))["fields"] if f["name"] != "emitted_at"]
_SCORE: list[Any] = json.loads(avro_schema("score"))["fields"]
_TIMES = pa.timestamp("ms", tz="UTC")
_ROWS_AT_ONCE = 65_536


def time_text(at_ms: int) -> str:
    """RFC 3339 in UTC, with milliseconds."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def alert_lines() -> JsonLines:
    """Alerts as JSON: the fields of alert.avsc but ``emitted_at``."""
    return JsonLines(_ALERT)


@dataclass(slots=True)
class AlertFile:
    """alerts.jsonl. sort: alerts that are told together are written in the order of their times."""

    file: BinaryIO
    sort: bool
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _held: dict[str, str] = field(default_factory=dict)
    _muting: Muting = field(default_factory=Muting)
    _lines: JsonLines = field(default_factory=alert_lines)

    def write(self, alerts: Alerts) -> None:
        """Write every revision."""
        self.counts.update(alerts.counts())
        for alert in alerts.of_types("band_entered", "touchpoint_incident"):
            self._muting.take(alert)
        self._note_held(alerts)
        told = list(alerts.each(self._told))
        if self.sort:
            told.sort(key=itemgetter(0))
        self.file.writelines(line for _, line in told)

    def _told(self, n: int, columns: Mapping[str, Column]) -> Iterator[tuple[int, bytes]]:
        """When each alert was raised, and its line."""
        raised = columns["raised_at"]
        if not isinstance(raised, np.ndarray):
            raise TypeError("raised_at is no column of numbers")
        return zip(raised.tolist(), self._lines.of(n, columns), strict=True)

    def _note_held(self, alerts: Alerts) -> None:
        for part in alerts.parts:
            for _, alert in part.others:
                if alert.held_back:
                    self._held[alert.alert_id] = alert.team or ""
                else:
                    self._held.pop(alert.alert_id, None)
            for table, _ in part.tables if self._held else ():  # none of a table is held back
                for alert_id in table.texts("alert_id"):
                    self._held.pop(alert_id, None)

    def by_type(self) -> dict[str, dict[str, int]]:
        """How many of each status there are, by type."""
        found: dict[str, dict[str, int]] = {}
        for (kind, status), count in sorted(self.counts.items()):
            found.setdefault(kind, {})[status] = count
        return found

    def muted(self) -> int:
        """How many alerts were muted by an incident."""
        return len({alert_id for listed in self._muting.listed().values() for alert_id in listed})

    def held_back(self) -> dict[str, int]:
        """How many alerts are held back as of their last revision, by team."""
        return dict(sorted(Counter(self._held.values()).items()))


@dataclass(slots=True)
class RejectedFile:
    """rejected.jsonl. first: the first row."""

    file: TextIO
    count: int = 0
    first: RejectedRow | None = None

    def write(self, row: RejectedRow) -> None:
        """Write one row."""
        self.count += 1
        self.first = self.first or row
        self.file.write(json.dumps(row._asdict(), ensure_ascii=False) + "\n")


def _score_schema() -> pa.Schema:
    contributions = arrow_type(next(f for f in _SCORE if f["name"] == "contributions")["type"])
    open_clocks = arrow_type(next(f for f in _ALERT if f["name"] == "open_clocks")["type"])
    return pa.schema(
        [
            ("customer_id", pa.utf8()), ("score", pa.float64()), ("score_at_last_event", pa.float64()),
            ("band", pa.utf8()), ("heat", pa.float64()), ("contributions", contributions), ("interactions", pa.int64()),
            ("last_event_at", _TIMES), ("open_clocks", open_clocks),
        ]
    )  # fmt: skip


def write_scores(path: Path, standing: Standing, until_ms: int | None, policy: Policy, clocks: Clocks) -> None:
    """Write scores.parquet: each customer as of ``until_ms``, in the order in which they came.

    clocks: those that are open, by customer.
    """
    schema = _score_schema()
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for first in range(0, len(standing), _ROWS_AT_ONCE):
            rows = np.arange(first, min(first + _ROWS_AT_ONCE, len(standing)))
            file.write_batch(_score_batch(schema, standing, rows, until_ms or 0, policy, clocks))


def _score_batch(
    schema: pa.Schema, standing: Standing, rows: Int64s, until_ms: int, policy: Policy, clocks: Clocks
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
    contributions = pa.Array.from_buffers(
        schema.field("contributions").type, len(rows), [None, pa.py_buffer(made.begin)], children=[entries]
    )
    columns = {
        "customer_id": text_array(*standing.customers.texts(rows), None, pa.utf8()),
        "score": pa.array(-100.0 * np.expm1(-made.total / scale)),
        "score_at_last_event": pa.array(-100.0 * np.expm1(-last_total / scale)),
        "band": pa.array(policy.band_names, pa.utf8()).take(pa.array(standing.band[rows].astype(np.int64))),
        "heat": pa.array(made.total),
        "contributions": contributions,
        "interactions": pa.array(standing.interactions[rows]),
        "last_event_at": pa.array(standing.updated_ms[rows]).cast(_TIMES),
        "open_clocks": _open_clocks(schema.field("open_clocks").type, standing, rows, clocks),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _open_clocks(kind: pa.DataType, standing: Standing, rows: Int64s, clocks: Clocks) -> pa.Array:
    if not clocks:
        return pa.repeat(pa.scalar([], kind), len(rows))
    shape = [
        [
            {"clock": c.clock, "opened_at": c.opened_ms, "deadline": c.deadline_ms, "case_id": c.case_id}
            for c in clocks.get(standing.customers.raw(int(row)), [])
        ]
        for row in rows
    ]
    return pa.array(shape, kind)


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write summary.json."""
    path.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", "utf-8")
