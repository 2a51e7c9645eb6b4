"""Our client: against the embedded registry, and against servers that answer as a registry never should."""

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr, ValidationError

from connectors.registry.client import SchemaRegistry, register_contract
from connectors.registry.connection import RegistryConnection
from schemas.errors import SchemaIncompatible, SettingsError, StoreUnavailable, UnknownSchema
from schemas.topics import INTERACTIONS, REKEYED, SCORES, TopicNames, avro_schema, topics
from tests.contract.conftest import StartRegistry
from tests.orders import ID_ONLY, WITHOUT_DEFAULT

Answering = Callable[[int, str], RegistryConnection]


class Stand(HTTPServer):
    """A server that gives everybody the same answer and remembers what it was asked."""

    status = 200
    body = "{}"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), StandHandler)
        self.asked: list[tuple[str, str]] = []


class StandHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Stand)
        self.server.asked.append((self.path, self.headers.get("Authorization", "")))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stand() -> Iterator[Stand]:
    server = Stand()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def answering(stand: Stand) -> Answering:
    def answer(status: int, body: str) -> RegistryConnection:
        stand.status, stand.body = status, body
        return RegistryConnection(url=f"http://127.0.0.1:{stand.server_port}")

    return answer


def test_the_contract_is_registered_with_its_levels_and_the_same_again_changes_nothing(
    registry: RegistryConnection, client: SchemaRegistryClient, names: TopicNames
) -> None:
    ids = register_contract(SchemaRegistry(registry), names)
    assert register_contract(SchemaRegistry(registry), names) == ids
    assert list(ids) == [name for name, topic in topics().items() if topic.schema_name]
    assert ids[INTERACTIONS] == ids[REKEYED] != ids[SCORES]
    for name, schema_id in ids.items():
        subject = names.subject(name)
        assert client.get_versions(subject) == [1]
        assert client.get_compatibility(subject) == topics()[name].compatibility
        text = SchemaRegistry(registry).schema(schema_id)
        assert json.loads(text) == json.loads(avro_schema(topics()[name].schema_name or ""))


def test_an_incompatible_schema_is_an_error_that_names_subject_and_field(
    registry: RegistryConnection, names: TopicNames
) -> None:
    ours, subject = SchemaRegistry(registry), names.subject("orders")
    ours.register(subject, ID_ONLY)
    with pytest.raises(SchemaIncompatible, match=rf"{subject}.*Order\.note has no default"):
        ours.register(subject, WITHOUT_DEFAULT)
    with pytest.raises(SchemaIncompatible, match="Invalid schema"):
        ours.register(subject, "{")
    ours.set_compatibility(subject, "NONE")
    assert ours.register(subject, WITHOUT_DEFAULT) > 0


def test_an_unknown_id_is_asked_for_again_and_a_known_one_is_remembered(
    start_registry: StartRegistry, names: TopicNames
) -> None:
    server, client = start_registry()
    ours = SchemaRegistry(RegistryConnection(url=str(client.config()["url"])))
    with pytest.raises(UnknownSchema, match="has no schema 1"):
        ours.schema(1)
    assert ours.register(names.subject("orders"), ID_ONLY) == 1
    assert json.loads(ours.schema(1)) == json.loads(ID_ONLY)

    server.stop()
    assert json.loads(ours.schema(1)) == json.loads(ID_ONLY)
    with pytest.raises(StoreUnavailable, match="did not answer"):
        ours.schema(2)


@pytest.mark.parametrize("schema_id", [0, 2**31, 2**32 - 1])
def test_what_cannot_be_an_id_is_unknown_without_asking(schema_id: int) -> None:
    nobody = SchemaRegistry(RegistryConnection(url="http://127.0.0.1:9"))
    with pytest.raises(UnknownSchema, match=str(schema_id)):
        nobody.schema(schema_id)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, "<html>not found</html>"),  # of a proxy: the schema may well exist
        (404, '{"error_code": 404, "message": "HTTP 404 Not Found"}'),
        (404, "[]"),
        (500, '{"error_code": 50001, "message": "store"}'),
        (503, ""),
        (302, ""),
        (200, "<html>welcome</html>"),
        (200, '{"schemas": []}'),
    ],
)
def test_only_a_registry_can_say_that_a_schema_is_unknown(answering: Answering, status: int, body: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"could not answer|does not speak as a schema registry"):
        SchemaRegistry(answering(status, body)).schema(7)


def test_a_registry_that_is_silent_is_away(stand: Stand) -> None:
    with pytest.raises(StoreUnavailable, match="timed out"):
        SchemaRegistry(silent(stand), timeout_s=0.2).schema(7)


def silent(stand: Stand) -> RegistryConnection:
    """An address that accepts connections and never answers: the stand has stopped serving."""
    stand.shutdown()
    return RegistryConnection(url=f"http://127.0.0.1:{stand.server_port}")


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_a_matter_of_settings(answering: Answering, status: int) -> None:
    with pytest.raises(SettingsError, match="user and password"):
        SchemaRegistry(answering(status, '{"message": "no"}')).schema(7)


def test_user_password_and_path_reach_the_registry(answering: Answering, stand: Stand) -> None:
    where = answering(200, json.dumps({"schema": ID_ONLY}))
    connection = RegistryConnection(url=f"{where.url}/registry/", user="ana", password=SecretStr("ş:1"))
    assert SchemaRegistry(connection).schema(7) == ID_ONLY
    assert stand.asked == [("/registry/schemas/ids/7", f"Basic {base64.b64encode('ana:ş:1'.encode()).decode()}")]


def test_a_certificate_is_trusted_only_if_its_authority_is_named(
    answering: Answering, stand: Stand, tmp_path: Path
) -> None:
    port = answering(200, json.dumps({"schema": ID_ONLY})).url.rpartition(":")[2]
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    stand.socket = context.wrap_socket(stand.socket, server_side=True)
    url = f"https://127.0.0.1:{port}"

    with pytest.raises(SettingsError, match="not trusted"):
        SchemaRegistry(RegistryConnection(url=url)).schema(7)
    trusting = SchemaRegistry(RegistryConnection(url=url, ca_file=str(certificate)))
    assert trusting.schema(7) == ID_ONLY
    with pytest.raises(SettingsError, match="holds no certificates"):
        SchemaRegistry(RegistryConnection(url=url, ca_file=str(tmp_path / "none.pem")))


def self_signed(directory: Path) -> Path:
    """Key and certificate for 127.0.0.1 in one file, valid for a day."""
    from ipaddress import ip_address

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = directory / "registry.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"url": "127.0.0.1:8081"}, "must be http"),
        ({"url": "http://ana:secret@host:8081"}, "give user and password by themselves"),
        ({"user": "ana"}, "go together"),
        ({"passwort": "x"}, "Extra inputs"),
    ],
)
def test_a_wrong_address_is_refused_before_it_is_used(values: dict[str, str], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        RegistryConnection.model_validate(values)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(RegistryConnection(user="ana", password=SecretStr("secret")))
