"""A simulated team reads alerts from Kafka and says what it does with them there."""

import io
import json
import threading
from typing import Any

import fastavro

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.producing import Sender, Sent
from connectors.registry.client import SchemaRegistry
from connectors.registry.connection import RegistryConnection
from connectors.simulator.producer import simulate
from schemas.topics import ALERTS, INTERACTIONS, TopicNames, avro_schema
from schemas.wire import frame_header, split_frame
from tests.reading import read_topic

SCHEMA = fastavro.parse_schema(json.loads(avro_schema("interaction")))
ALERT = fastavro.parse_schema(json.loads(avro_schema("alert")))


class Engine:
    """Tells alerts as a worker does, while a simulation runs."""

    def __init__(self, kafka: KafkaConnection, registry: SchemaRegistry, names: TopicNames) -> None:
        self._sender = Sender(kafka)
        self._topic = names.of(ALERTS)
        self._header = frame_header(registry.register(names.subject(ALERTS), avro_schema("alert")))

    def tell(self, alert_id: str, customer_id: str, **fields: Any) -> None:
        body = io.BytesIO()
        said = {
            "alert_id": alert_id, "revision": 1, "type": "clock_breached", "status": "opened",
            "customer_id": customer_id, "clock": "callback", "case_id": "c1", "raised_at": 0, "emitted_at": 0,
            "reason": "late", "contributions": [], "open_clocks": [], "earlier": [], "priority": 2, "policy": "p",
        }  # fmt: skip
        fastavro.schemaless_writer(body, ALERT, {**said, **fields})
        self._sender.send(self._topic, customer_id.encode(), self._header + body.getvalue())
        self._sender.flush()


def record(value: bytes) -> dict[str, Any]:
    decoded: dict[str, Any] = fastavro.schemaless_reader(io.BytesIO(split_frame(value)[1]), SCHEMA, None)
    return decoded


def test_alerts_that_are_told_meanwhile_are_worked_on(
    kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames
) -> None:
    schemas_of = SchemaRegistry(registry)
    engine = Engine(kafka, schemas_of, created_topics)
    engine.tell("before", "nobody.sees.it")
    told: list[str] = []

    def on_progress(_sent: Sent) -> None:
        if not told:
            told.extend(f"alert-{n}" for n in range(20))
            for n, alert_id in enumerate(told):
                engine.tell(alert_id, f"şule.{n}")

    sent = simulate(
        kafka, schemas_of, created_topics,
        seed=1, rate=500.0, seconds=5.0, span_hours=24, team=1.0, stop=threading.Event(), on_progress=on_progress,
    )  # fmt: skip
    records = [record(m.value()) for m in read_topic(kafka, created_topics.of(INTERACTIONS))]
    assert len(records) == sent.produced > 2_500
    marks = [r for r in records if r["kind"].startswith("alert.")]
    assert {r["attributes"]["alert_id"] for r in marks} == set(told)
    assert {r["kind"] for r in marks} == {"alert.acknowledged", "alert.assigned", "alert.dismissed"}
    theirs = {f"şule.{n}" for n in range(20)}  # others of the crowd are called şule, too
    ended = [r for r in records if r["customer_id"] in theirs and r["kind"] == "callback.done"]
    assert ended
    assert all(r["case_id"] == "c1" for r in ended)
