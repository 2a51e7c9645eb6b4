"""What is written through the embedded registry is read by others: Confluent's deserializer, ClickHouse."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from connectors.kafka.connection import KafkaConnection
from connectors.registry.connection import RegistryConnection
from schemas.topics import INTERACTIONS, SCORES, TopicNames, avro_schema
from tests.contract.conftest import NewTopicOf
from tests.reading import read_topic

INTERACTION: dict[str, Any] = {
    "event_id": "e1",
    "customer_id": "müşteri",
    "kind": "wait.measured",
    "channel": "phone",
    "touchpoint": "call/support",
    "occurred_at": 1_790_000_000_123,
    "attributes": {"queue": "two"},
}
SCORE: dict[str, Any] = {
    "customer_id": "ana",
    "scored_at": 1_790_000_000_123,
    "score": 63.2,
    "band": "hot",
    "heat": 10.0,
    "scale": 10.0,
    "policy": "abc",
}


@pytest.mark.parametrize(
    ("topic", "schema_name", "record"), [(INTERACTIONS, "interaction", INTERACTION), (SCORES, "score", SCORE)]
)
def test_what_the_avro_serializer_writes_to_a_topic_the_deserializer_reads(
    kafka: KafkaConnection,
    client: SchemaRegistryClient,
    names: TopicNames,
    new_topic: NewTopicOf,
    topic: str,
    schema_name: str,
    record: Mapping[str, Any],
) -> None:
    name = names.of(topic)
    whole = completed(avro_schema(schema_name), record)
    context = SerializationContext(name, MessageField.VALUE)
    (value,) = through_kafka(
        kafka, new_topic(topic), [AvroSerializer(client, avro_schema(schema_name))(whole, context)]
    )

    again = AvroDeserializer(SchemaRegistryClient(client.config()))(value, context)
    assert {**again, **times(again)} == whole
    assert client.get_latest_version(names.subject(topic)).schema_id == int.from_bytes(value[1:5], "big")


def completed(schema_text: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the defaults of the fields that it leaves out; empty arrays where there is none."""
    fields = json.loads(schema_text)["fields"]
    return {field["name"]: record.get(field["name"], field.get("default", [])) for field in fields}


def times(record: Mapping[str, Any]) -> dict[str, int]:
    return {k: round(v.timestamp() * 1000) for k, v in record.items() if hasattr(v, "timestamp")}


def through_kafka(kafka: KafkaConnection, topic: str, values: list[bytes]) -> list[bytes]:
    """The values as they come back from the topic."""
    producer = Producer(kafka.confluent())
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0
    return [message.value() or b"" for message in read_topic(kafka, topic)]


def test_clickhouse_reads_the_bytes_of_a_topic_and_asks_the_registry_for_the_schema(
    kafka: KafkaConnection,
    registry: RegistryConnection,
    client: SchemaRegistryClient,
    names: TopicNames,
    new_topic: NewTopicOf,
    tmp_path: Path,
) -> None:
    context = SerializationContext(names.of(INTERACTIONS), MessageField.VALUE)
    serialize = AvroSerializer(client, avro_schema("interaction"))
    records = [
        completed(avro_schema("interaction"), INTERACTION | {"event_id": f"e{i}", "duration_ms": 1000 * i})
        for i in range(3)
    ]
    values = through_kafka(kafka, new_topic(INTERACTIONS), [serialize(record, context) for record in records])
    (tmp_path / "interactions.bin").write_bytes(b"".join(values))

    query = f"""
        SELECT
            event_id, customer_id, duration_ms,
            toUnixTimestamp64Milli(occurred_at) AS at, attributes['queue'] AS queue
        FROM file('{tmp_path}/interactions.bin', AvroConfluent)
        ORDER BY event_id FORMAT JSONEachRow
        SETTINGS format_avro_schema_registry_url = '{registry.url}', output_format_json_quote_64bit_integers = 0
    """  # noqa: S608 - the values are the test's own
    program = "import chdb, sys; sys.stdout.write(str(chdb.query(sys.argv[1])))"  # chDB is one per process
    said = subprocess.run(
        [sys.executable, "-c", program, query], check=True, capture_output=True, text=True, timeout=120
    )
    assert [json.loads(line) for line in said.stdout.splitlines()] == [
        {
            "event_id": f"e{i}",
            "customer_id": INTERACTION["customer_id"],
            "duration_ms": 1000 * i,
            "at": INTERACTION["occurred_at"],
            "queue": "two",
        }
        for i in range(3)
    ]
