"""The embedded registry's life: restarts, a second one by mistake, ports, and topics that are not its own."""

import http.client
import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryError

from connectors.kafka.broker import EmbeddedBroker
from connectors.kafka.connection import KafkaConnection
from connectors.registry.client import SchemaRegistry
from connectors.registry.server import EmbeddedRegistry
from schemas.errors import EmbeddedUnavailable, StoreUnavailable, TopicMismatch
from schemas.topics import TopicNames
from tests.contract.conftest import NewTopicOf, StartRegistry
from tests.orders import ID_ONLY, WITH_NOTE, WITHOUT_DEFAULT
from tests.polling import wait_until


def test_a_restart_keeps_ids_versions_levels_and_deletions(start_registry: StartRegistry) -> None:
    registry, client = start_registry()
    client.set_compatibility("orders", "NONE")
    ids = [client.register_schema("orders", Schema(text)) for text in (ID_ONLY, WITH_NOTE, WITHOUT_DEFAULT)]
    client.register_schema("gone", Schema('"string"'))
    client.delete_subject("gone")
    client.delete_version("orders", 2)
    registry.stop()

    _, again = start_registry()
    assert [json.loads(again.get_schema(i).schema_str) for i in ids] == [
        json.loads(text) for text in (ID_ONLY, WITH_NOTE, WITHOUT_DEFAULT)
    ]
    assert again.get_subjects() == ["orders"]
    assert again.get_subjects(deleted=True) == ["gone", "orders"]
    assert again.get_subjects(deleted_only=True) == ["gone"]
    assert again.get_versions("orders") == [1, 3]
    assert again.get_compatibility("orders") == "NONE"
    assert again.register_schema("orders", Schema(ID_ONLY)) == ids[0]
    assert again.register_schema("new", Schema('"long"')) == max(ids) + 2  # "string" had the id between


def test_an_id_that_was_deleted_for_good_is_never_given_again(start_registry: StartRegistry) -> None:
    registry, client = start_registry()
    first = client.register_schema("orders", Schema(ID_ONLY))
    with pytest.raises(SchemaRegistryError, match="was not deleted first"):
        client.delete_subject("orders", permanent=True)
    client.delete_subject("orders")
    client.delete_subject("orders", permanent=True)
    registry.stop()

    _, again = start_registry()
    with pytest.raises(SchemaRegistryError) as unknown:
        again.get_schema(first)
    assert unknown.value.error_code == 40403
    assert again.register_schema("orders", Schema(ID_ONLY)) == first + 1
    assert again.get_versions("orders") == [2]


def test_a_second_registry_takes_the_topic_over_and_the_first_says_so(start_registry: StartRegistry) -> None:
    _, first = start_registry()
    first.register_schema("orders", Schema(ID_ONLY))
    _, second = start_registry()
    newest = second.register_schema("orders", Schema(WITH_NOTE))

    with pytest.raises(SchemaRegistryError, match="Another registry has taken over") as lost:
        first.register_schema("payments", Schema('"string"'))
    assert lost.value.http_status_code == 500
    assert json.loads(first.get_schema(newest).schema_str) == json.loads(WITH_NOTE)  # it still reads on
    assert second.register_schema("payments", Schema('"string"')) == newest + 1


def test_a_broker_that_restarts_is_waited_for_and_nothing_is_called_unknown_meanwhile(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "kafka")
    registry = EmbeddedRegistry(broker.start())
    try:
        ours = SchemaRegistry(registry.start(), timeout_s=60)
        first = ours.register("orders", ID_ONLY)
        port = broker.port
        broker.stop()
        assert json.loads(ours.schema(first)) == json.loads(ID_ONLY)
        with pytest.raises(StoreUnavailable, match="could not answer: HTTP 500: Kafka at"):
            ours.schema(first + 1)

        broker = EmbeddedBroker(tmp_path / "kafka", port=port)
        broker.start()
        assert wait_until(lambda: registered(ours, "orders", WITH_NOTE)) == first + 1
        assert json.loads(ours.schema(first + 1)) == json.loads(WITH_NOTE)
    finally:
        registry.stop()
        broker.stop()


def registered(ours: SchemaRegistry, subject: str, text: str) -> int | None:
    """Id of the schema, or None while the registry cannot reach its broker."""
    try:
        return ours.register(subject, text)
    except StoreUnavailable:
        return None


def test_stopping_ends_open_connections_at_once_and_frees_the_port(kafka: KafkaConnection, names: TopicNames) -> None:
    registry = EmbeddedRegistry(kafka, topic=names.of("schemas"))
    where = urlsplit(registry.start().url)
    idle = http.client.HTTPConnection(where.netloc, timeout=30)
    idle.request("GET", "/subjects")
    assert idle.getresponse().read() == b"[]"
    registry.stop()
    assert idle.sock is None or idle.sock.recv(10) == b""
    idle.close()

    again = EmbeddedRegistry(kafka, port=where.port, topic=names.of("schemas"))
    assert again.start().url == f"http://127.0.0.1:{where.port}"
    again.stop()


def test_a_port_that_is_taken_is_named(kafka: KafkaConnection, names: TopicNames) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        with pytest.raises(EmbeddedUnavailable, match=f"cannot listen on 127.0.0.1:{port}"):
            EmbeddedRegistry(kafka, port=port, topic=names.of("schemas")).start()


@pytest.mark.parametrize(("partitions", "policy"), [(2, "compact"), (1, "delete")])
def test_a_topic_that_would_lose_schemas_is_refused(
    kafka: KafkaConnection, new_topic: NewTopicOf, partitions: int, policy: str
) -> None:
    topic = new_topic("schemas", partitions, policy)
    with pytest.raises(TopicMismatch, match="must have 1 partition and cleanup"):
        EmbeddedRegistry(kafka, topic=topic).start()


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"customer", b"{}", "no JSON object"),
        (b'{"keytype":"DELETE_SUBJECT","subject":"x","magic":0}', b"{}", "does not write"),
        (b'{"keytype":"SCHEMA","subject":"x","version":1,"magic":1}', b'{"id":1,"schemaType":"JSON"}', "is JSON"),
        (b'{"keytype":"SCHEMA","subject":"x","version":1,"magic":1}', b'{"schema":""}', "no id"),
    ],
)
def test_a_topic_with_the_records_of_something_else_is_refused(
    kafka: KafkaConnection, new_topic: NewTopicOf, key: bytes, value: bytes, reason: str
) -> None:
    topic = new_topic("schemas", policy="compact")
    producer = Producer(kafka.confluent())
    producer.produce(topic, value, key)
    assert producer.flush(30) == 0
    with pytest.raises(TopicMismatch, match=reason):
        EmbeddedRegistry(kafka, topic=topic).start()
