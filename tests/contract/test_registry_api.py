"""The embedded registry, asked as confluent-kafka's own client asks, and by hand."""

import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError

from connectors.registry.connection import RegistryConnection
from schemas.topics import TopicNames
from tests.contract.conftest import StartRegistry
from tests.orders import ID_ONLY, WITH_NOTE, WITHOUT_DEFAULT, client_of


def test_a_registered_schema_is_found_in_every_way_that_clients_ask(
    client: SchemaRegistryClient, names: TopicNames
) -> None:
    subject = names.subject("orders / über")  # names with a slash and beyond ASCII travel in the path
    first = client.register_schema(subject, Schema(ID_ONLY))
    second = client.register_schema(subject, Schema(WITH_NOTE), normalize_schemas=True)

    assert json.loads(client.get_schema(first).schema_str) == json.loads(ID_ONLY)
    assert json.loads(client.get_schema(second, subject_name=subject).schema_str) == json.loads(WITH_NOTE)
    assert subject in client.get_subjects()
    assert client.get_subjects(subject_prefix=names.prefix) == [subject]
    assert client.get_versions(subject) == [1, 2]
    assert client.get_latest_version(subject).schema_id == second
    version = client.get_version(subject, 1)
    assert (version.subject, version.version, version.schema_id) == (subject, 1, first)
    assert client.get_schema_types() == ["AVRO"]
    assert subject in client.get_subjects_by_schema_id(first)
    assert [(v.subject, v.version) for v in client.get_schema_versions(second) if v.subject == subject] == [
        (subject, 2)
    ]
    fresh = SchemaRegistryClient(client.config())  # the other one remembers
    assert fresh.lookup_schema(subject, Schema(WITH_NOTE)).version == 2
    assert fresh.get_global_mode() == fresh.get_mode(subject) == "READWRITE"
    assert fresh.get_contexts() == ["."]


def test_the_same_schema_has_one_id_however_it_is_written_and_wherever(
    client: SchemaRegistryClient, names: TopicNames
) -> None:
    other_order = json.dumps(dict(reversed(json.loads(ID_ONLY).items())), indent=4).replace('"int"', '{"type": "int"}')
    ids = {
        client.register_schema(names.subject(topic), Schema(text))
        for topic in ("a", "b")
        for text in (ID_ONLY, other_order, ID_ONLY)
    }
    assert len(ids) == 1
    assert client.get_versions(names.subject("a")) == [1]


def test_an_incompatible_schema_is_refused_and_the_field_is_named(
    client: SchemaRegistryClient, names: TopicNames
) -> None:
    subject = names.subject("orders")
    client.register_schema(subject, Schema(ID_ONLY))
    with pytest.raises(SchemaRegistryError) as refused:
        client.register_schema(subject, Schema(WITHOUT_DEFAULT))
    assert (refused.value.http_status_code, refused.value.error_code) == (409, 409)
    assert "Order.note has no default" in str(refused.value)
    assert client.get_versions(subject) == [1]

    assert not client.test_compatibility(subject, Schema(WITHOUT_DEFAULT))
    assert client.test_compatibility(subject, Schema(WITH_NOTE), verbose=True)
    assert not client.test_compatibility_all_versions(subject, Schema(WITHOUT_DEFAULT), verbose=True)

    client.set_compatibility(subject, "NONE")
    assert client.register_schema(subject, Schema(WITHOUT_DEFAULT)) > 0


def test_a_level_is_set_for_one_subject_or_for_all(start_registry: StartRegistry) -> None:
    _, client = start_registry()
    assert client.get_compatibility() == "BACKWARD"
    with pytest.raises(SchemaRegistryError) as unset:
        client.get_compatibility("orders")
    assert unset.value.error_code == 40408
    client.set_compatibility("orders", "FULL_TRANSITIVE")
    client.set_compatibility(level="FORWARD")
    assert client.get_compatibility("orders") == "FULL_TRANSITIVE"
    assert client.get_compatibility() == "FORWARD"
    client.delete_config("orders")
    with pytest.raises(SchemaRegistryError, match="does not have subject-level"):
        client.get_compatibility("orders")


def test_two_clients_that_register_the_same_at_once_get_one_id(registry: RegistryConnection, names: TopicNames) -> None:
    together = threading.Barrier(8)

    def register(number: int) -> Any:
        client = client_of(registry)
        together.wait(30)
        return client.register_schema(
            names.subject(f"orders{number % 2}"), Schema(ID_ONLY.replace("Order", names.prefix.replace("-", "_")))
        )

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(register, range(8)))
    assert len(ids) == 1
    assert client_of(registry).get_versions(names.subject("orders0")) == [1]


def ask(
    registry: RegistryConnection, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(registry.url).netloc, timeout=30)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        assert response.headers["Content-Type"] == "application/vnd.schemaregistry.v1+json"
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def schema_body(**more: Any) -> bytes:
    return json.dumps({"schema": ID_ONLY} | more).encode()


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/subjects/none-{}/versions", None, 404, 40401),
        ("GET", "/subjects/known-{}/versions/7", None, 404, 40402),
        ("GET", "/subjects/known-{}/versions/x", None, 422, 42202),
        ("GET", "/subjects/known-{}/versions/0", None, 422, 42202),
        ("GET", "/schemas/ids/1000000", None, 404, 40403),
        ("GET", "/schemas/ids/x", None, 404, 40403),
        ("GET", "/schemas/ids/99999999999999999999", None, 404, 40403),
        ("POST", "/subjects/none-{}", schema_body(), 404, 40401),
        ("POST", "/subjects/known-{}", json.dumps({"schema": '"bytes"'}).encode(), 404, 40403),
        ("POST", "/subjects/known-{}/versions", json.dumps({"schema": "{"}).encode(), 422, 42201),
        ("POST", "/subjects/known-{}/versions", json.dumps({"schema": 1}).encode(), 422, 42201),
        ("POST", "/subjects/known-{}/versions", b"[]", 422, 42201),
        ("POST", "/subjects/known-{}/versions", schema_body(schemaType="PROTOBUF"), 422, 42201),
        ("POST", "/subjects/known-{}/versions", schema_body(references=[{"name": "x"}]), 422, 42201),
        ("POST", "/subjects/known-{}/versions", schema_body(ruleSet={"domainRules": []}), 422, 42201),
        ("POST", "/subjects/known-{}/versions", schema_body(id=9), 422, 42205),
        ("POST", "/subjects/known-{}/versions", b"no json", 400, 400),
        ("POST", "/subjects/known-{}/versions", b"[" * 200_000, 400, 400),
        ("POST", "/subjects/known-{}/versions", b"x" * 600_000, 413, 413),
        ("PUT", "/config/known-{}", b'{"compatibility": "SIDEWAYS"}', 422, 42203),
        ("PUT", "/config/known-{}", b'{"compatibility": "FULL", "overrideMetadata": {"a": 1}}', 422, 42203),
        ("DELETE", "/subjects/none-{}", None, 404, 40401),
        ("DELETE", "/subjects/known-{}?permanent=true", None, 404, 40405),
        ("DELETE", "/subjects/known-{}/versions/1?permanent=true", None, 404, 40407),
        ("DELETE", "/schemas/ids/1", None, 404, 404),
        ("GET", "/nothing/here", None, 404, 404),
    ],
)
def test_a_request_that_cannot_be_met_is_answered_in_confluents_form(
    registry: RegistryConnection, names: TopicNames, method: str, path: str, body: bytes | None, status: int, code: int
) -> None:
    client_of(registry).register_schema(f"known-{names.prefix}", Schema(ID_ONLY))
    answered, said = ask(registry, method, path.format(names.prefix), body)
    assert (answered, said["error_code"]) == (status, code)
    assert len(said["message"]) > 5


def test_a_body_without_its_length_is_refused(registry: RegistryConnection) -> None:
    with socket.create_connection((urlsplit(registry.url).hostname, urlsplit(registry.url).port), 30) as raw:
        raw.sendall(b"POST /subjects/x/versions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 411 ")


def test_the_plain_addresses_of_the_api_answer(registry: RegistryConnection, names: TopicNames) -> None:
    schema_id = client_of(registry).register_schema(names.subject("orders"), Schema(ID_ONLY))
    subject = f"/subjects/{names.subject('orders')}"
    assert ask(registry, "GET", "/") == (200, {})
    assert ask(registry, "GET", f"{subject}/versions/latest/schema") == (200, json.loads(ID_ONLY))
    assert ask(registry, "GET", f"{subject}/versions/1/referencedby") == (200, [])
    assert ask(registry, "GET", f"/schemas/ids/{schema_id}/schema") == (200, json.loads(ID_ONLY))
    status, said = ask(registry, "GET", f"/schemas/ids/{schema_id}?fetchMaxId=true&subject=")
    assert status == 200
    assert said["maxId"] >= schema_id
    assert ask(registry, "GET", f"/config/{names.subject('orders')}?defaultToGlobal=true")[0] == 200
    verdict = ask(
        registry,
        "POST",
        f"/compatibility{subject}/versions/latest?verbose=true",
        json.dumps({"schema": WITHOUT_DEFAULT}).encode(),
    )
    assert verdict[0] == 200
    assert not verdict[1]["is_compatible"]
    assert "Order.note" in verdict[1]["messages"][0]
