"""What a run has left in its topics, to be held against the independent model (tests/model.py)."""

import io
import json
import struct
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

import fastavro
import pytest
from confluent_kafka import Message

from connectors.kafka.connection import KafkaConnection
from schemas.topics import ALERTS, INTERACTIONS, SCORES, STATE, WAITS, TopicNames, avro_schema
from tests.model import Model, added
from tests.reading import read_topic

_ROW = struct.Struct("<HIqqqqiB3x")  # docs/state.md
BANDS = ("calm", "warm", "hot", "breaking")

Window = tuple[str, str, int]


@cache
def _schema(schema_name: str) -> Any:
    plain = avro_schema(schema_name).replace('{"type":"long","logicalType":"timestamp-millis"}', '"long"')
    return fastavro.parse_schema(json.loads(plain))


def avro(schema_name: str, message: Message) -> dict[str, Any]:
    """Record of a framed value, times as milliseconds."""
    record = fastavro.schemaless_reader(io.BytesIO((message.value() or b"")[5:]), _schema(schema_name), None)
    assert isinstance(record, dict)
    return record


@dataclass(frozen=True)
class Row:
    """A customer's stored row."""

    partition: int
    interactions: int
    updated_ms: int
    band: str
    heat: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """What is readable after a run, by read_committed readers."""

    rows: dict[str, Row]
    scores: dict[str, dict[str, Any]]
    alerts: Counter[tuple[str, int, str]]
    windows: dict[Window, tuple[int, int, int, int, int]]
    advanced_ms: dict[int, int]

    @property
    def interactions(self) -> int:
        """How many have counted."""
        return sum(r.interactions for r in self.rows.values())


def outcome(kafka: KafkaConnection, names: TopicNames) -> Outcome:
    """Read it all; the last record of each key counts, but every alert."""
    stored = {(m.partition(), m.key()): m.value() for m in read_topic(kafka, names.of(STATE))}
    headers = {p: json.loads(v) for (p, key), v in stored.items() if key == b"h" and v}
    rows = {
        key[1:].decode(): _row(p, value, headers[p]["signal_sets"])
        for (p, key), value in stored.items()
        if key[:1] == b"c" and value is not None
    }
    waits: dict[Window, dict[str, Any]] = {}
    for message in read_topic(kafka, names.of(WAITS)):
        record = avro("wait_window", message)
        waits[record["touchpoint"], record["channel"], record["window_start"]] = record
    alerts = [avro("alert", m) for m in read_topic(kafka, names.of(ALERTS))]
    fields = ("answered", "abandoned", "other_ends", "wait_sum_ms", "wait_max_ms")
    return Outcome(
        rows=rows,
        scores={(m.key() or b"").decode(): avro("score", m) for m in read_topic(kafka, names.of(SCORES))},
        alerts=Counter((a["alert_id"], a["revision"], a["status"]) for a in alerts),
        windows={place: tuple(w[f] for f in fields) for place, w in waits.items()},
        advanced_ms={p: h["advanced_ms"] for p, h in headers.items()},
    )


def _row(partition: int, value: bytes, signal_sets: dict[str, list[str]]) -> Row:
    _, signals, updated_ms, interactions, _, _, _, band = _ROW.unpack_from(value)
    names = signal_sets[str(signals)]
    heats = struct.unpack_from(f"<{len(names)}d", value, _ROW.size)
    heat = {name: h for name, h in zip(names, heats, strict=True) if h}
    return Row(partition, interactions, updated_ms, BANDS[band], heat)


def models(kafka: KafkaConnection, names: TopicNames, policy: str) -> dict[int, Model]:
    """One model for each partition of friction.interactions, fed with what it holds."""
    fed: dict[int, Model] = {}
    for message in read_topic(kafka, names.of(INTERACTIONS)):
        if (partition := message.partition()) not in fed:
            fed[partition] = Model(policy)
        fed[partition].feed(avro("interaction", message), message.timestamp()[1])
    return fed


def assert_exactly_once(found: Outcome, want: dict[int, Model]) -> None:
    """State, scores, alerts and windows are those of the model: nothing lost, nothing counted twice."""
    customers = {name: (p, c) for p, model in want.items() for name, c in model.customers.items()}
    assert found.rows.keys() == customers.keys()
    for name, (partition, customer) in customers.items():
        row = found.rows[name]
        assert (row.partition, row.interactions, row.updated_ms, row.band) == (
            partition, customer.interactions, customer.updated_ms, customer.band,
        ), name  # fmt: skip
        assert row.heat == pytest.approx({s: h for s, h in customer.heat.items() if h}, rel=1e-9), name
        assert found.scores[name]["interactions"] == customer.interactions
    assert found.alerts == Counter((a.alert_id, a.revision, a.status) for m in want.values() for a in m.alerts)
    assert found.windows == added(want.values())
