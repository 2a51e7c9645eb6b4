"""Reading what is in a topic, which is what tests compare."""

import io
import json
from typing import Any

import fastavro
from confluent_kafka import Message

from connectors.kafka.connection import KafkaConnection
from pipelines.cli.chaos import reading
from pipelines.worker.partials import HEADER
from schemas.topics import ALERTS, INCIDENT_STATE, TopicNames, avro_schema
from schemas.wire import HEADER_BYTES


def read_topic(kafka: KafkaConnection, topic: str, *, timeout_s: float = 30.0) -> list[Message]:
    """Every record that the topic holds at this moment, partition by partition in order of offset."""
    records = reading.read_topic(kafka, topic, timeout_s=timeout_s)
    return sorted(records, key=lambda r: (r.partition() or 0, r.offset() or 0))


def read_alerts(kafka: KafkaConnection, names: TopicNames) -> list[dict[str, Any]]:
    """Every revision that friction.alerts holds, as fastavro reads it."""
    schema = fastavro.parse_schema(json.loads(avro_schema("alert")))
    values = [io.BytesIO((m.value() or b"")[HEADER_BYTES:]) for m in read_topic(kafka, names.of(ALERTS))]
    told: list[Any] = [fastavro.schemaless_reader(value, schema, None) for value in values]
    return told


def incident_headers(kafka: KafkaConnection, names: TopicNames) -> list[dict[str, Any]]:
    """The last header of each partition of the agent of incidents that has written one."""
    state = read_topic(kafka, names.of(INCIDENT_STATE))
    last = {m.partition(): m.value() or b"" for m in state if m.key() == HEADER}
    return [json.loads(header) for header in last.values()]
