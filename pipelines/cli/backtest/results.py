"""What a backtest writes: alerts, scores and the summary."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.files.rejects import RejectedRow
from pipelines.alerts import Alert, OpenClock
from pipelines.cli.backtest.standing import Standing
from pipelines.muting import Muting
from pipelines.policy import Policy
from pipelines.scores import contributed, decayed_to, with_held
from schemas.arrays import Int64s
from schemas.columnar.arrow import arrow_type, text_array
from schemas.topics import avro_schema

Converter = Callable[[Any], Any]

Clocks = Mapping[bytes, Sequence[OpenClock]]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ALERT: list[Any] = [f for f in json.loads(avro_schema("alert"))["fields"] if f["name"] != "emitted_at"]
_SCORE: list[Any] = json.loads(avro_schema("score"))["fields"]
_TIMES = pa.timestamp("ms", tz="UTC")
_ROWS_AT_ONCE = 65_536
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def time_text(at_ms: int) -> str:
    """RFC 3339 in UTC, with milliseconds."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonShape:
    """Tuples of the core as JSON, by the fields of their Avro record: what they do not have is null, or an empty list.

    Times have the core's name, which ends with the unit: ``raised_at`` is taken from ``raised_ms``.
    """

    def __init__(self, fields: Sequence[Any]) -> None:
        self._fields = [(str(f["name"]), _converter(f["type"])) for f in fields]
        self._known: dict[type, list[tuple[str, str | None, Converter | None]]] = {}

    def of(self, value: Any) -> dict[str, Any]:
        """The fields of one tuple; a text is the record's one field."""
        if isinstance(value, str):
            return {self._fields[0][0]: value}
        if type(value) not in self._known:
            self._known[type(value)] = [(name, _attribute(value, name), convert) for name, convert in self._fields]
        made: dict[str, Any] = {}
        for name, attribute, convert in self._known[type(value)]:
            said = None if attribute is None else getattr(value, attribute)
            made[name] = said if convert is None else convert(said)
        return made


def _attribute(value: object, name: str) -> str | None:
    return next((one for one in (name, f"{name.removesuffix('_at')}_ms") if hasattr(value, one)), None)


def _converter(kind: Any) -> Converter | None:
    """How a value of an Avro type becomes one of JSON; None when it is one."""
    if isinstance(kind, list):
        kind = next(k for k in kind if k != "null")
    if isinstance(kind, str):
        return None
    if kind["type"] == "array" and isinstance(kind["items"], dict):
        shape = JsonShape(kind["items"]["fields"])
        return lambda value: [shape.of(one) for one in value or ()]
    if kind["type"] == "array":
        return lambda value: list(value or ())
    if kind.get("logicalType") == "timestamp-millis":
        return lambda value: None if value is None else time_text(int(value))
    return None


def alert_shape() -> JsonShape:
    """Alerts as JSON: the fields of alert.avsc but ``emitted_at``."""
    return JsonShape(_ALERT)


@dataclass(slots=True)
class AlertFile:
    """alerts.jsonl. sort: alerts that are told together are written in the order of their times."""

    file: TextIO
    sort: bool
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _held: dict[str, str] = field(default_factory=dict)
    _muting: Muting = field(default_factory=Muting)
    _shape: JsonShape = field(default_factory=alert_shape)

    def write(self, alerts: list[Alert]) -> None:
        """Write every revision."""
        if self.sort:
            alerts = sorted(alerts, key=lambda alert: alert.raised_ms)
        for alert in alerts:
            self.counts[alert.type, alert.status] += 1
            self._muting.take(alert)
            if alert.held_back:
                self._held[alert.alert_id] = alert.team or ""
            else:
                self._held.pop(alert.alert_id, None)
            self.file.write(_JSON.encode(self._shape.of(alert)) + "\n")

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
    """rejected.jsonl."""

    file: TextIO
    count: int = 0

    def write(self, row: RejectedRow) -> None:
        """Write one row."""
        self.count += 1
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
