"""A Kafka, a schema registry and a ClickHouse that let in only whom they know, over TLS of a test's own authority."""

import base64
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from pydantic import SecretStr

from connectors.kafka.broker import EmbeddedBroker
from connectors.kafka.connection import KafkaConnection
from tests.authority import Authority, Certificate

USER = "ana"
KAFKA_PASSWORD = "kafka-Geheim-1"
REGISTRY_PASSWORD = "registry-Geheim-2"
CLICKHOUSE_PASSWORD = "clickhouse-Geheim-3"
KEY_PASSWORD = "key-Geheim-4"
WRONG_PASSWORD = "wrong-Geheim-5"
SECRETS = (KAFKA_PASSWORD, REGISTRY_PASSWORD, CLICKHOUSE_PASSWORD, KEY_PASSWORD, WRONG_PASSWORD)

_SCRAM = {"SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256, "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512}


@dataclass(frozen=True)
class SecuredKafka:
    """One broker with a listener for each protocol; ``sasl_ssl`` is the connection that is complete and right."""

    ssl: KafkaConnection
    sasl_ssl: KafkaConnection
    sasl_plaintext: KafkaConnection

    def with_mechanism(self, mechanism: str) -> KafkaConnection:
        return self.sasl_ssl.model_copy(update={"sasl_mechanism": mechanism})


@contextmanager
def secured_kafka(directory: Path, authority: Authority) -> Iterator[SecuredKafka]:
    """Run Kafka; brokers and controllers talk in the clear, clients by SASL, or with a certificate of theirs."""
    plain, controller, sasl_ssl, mutual, sasl_plaintext = free_ports(5)
    ports = {
        "PLAINTEXT": plain,
        "SASL_SSL": sasl_ssl,
        "SSL": mutual,
        "SASL_PLAINTEXT": sasl_plaintext,
    }
    listeners = ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())
    server = authority.sign("broker")
    users = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{KAFKA_PASSWORD}";'
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    properties = {
        "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT," + ",".join(f"{name}:{name}" for name in ports),
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": server.certificate_file.read_text("ascii"),
        "ssl.keystore.key": server.key_file.read_text("ascii"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": authority.file.read_text("ascii"),
        "listener.name.ssl.ssl.client.auth": "required",
        "listener.name.sasl_ssl.sasl.enabled.mechanisms": ",".join(("PLAIN", *_SCRAM)),
        "listener.name.sasl_ssl.plain.sasl.jaas.config": users,
        **{f"listener.name.sasl_ssl.{name.lower()}.sasl.jaas.config": scram for name in _SCRAM},
        "listener.name.sasl_plaintext.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": users,
    }
    broker = EmbeddedBroker(directory, port=plain, properties=properties)
    client = authority.sign("client", key_password=KEY_PASSWORD)
    known = {
        "sasl_mechanism": "PLAIN",
        "sasl_username": USER,
        "sasl_password": SecretStr(KAFKA_PASSWORD),
    }
    ca_file = str(authority.file)
    try:
        _add_scram_users(broker.start())
        yield SecuredKafka(
            ssl=KafkaConnection(
                bootstrap_servers=f"127.0.0.1:{mutual}",
                security_protocol="SSL",
                ssl_ca_file=ca_file,
                ssl_certificate_file=str(client.certificate_file),
                ssl_key_file=str(client.key_file),
                ssl_key_password=SecretStr(KEY_PASSWORD),
            ),
            sasl_ssl=KafkaConnection.model_validate(
                {
                    "bootstrap_servers": f"127.0.0.1:{sasl_ssl}",
                    "security_protocol": "SASL_SSL",
                    "ssl_ca_file": ca_file,
                    **known,
                }
            ),
            sasl_plaintext=KafkaConnection.model_validate(
                {
                    "bootstrap_servers": f"127.0.0.1:{sasl_plaintext}",
                    "security_protocol": "SASL_PLAINTEXT",
                    **known,
                }
            ),
        )
    finally:
        broker.stop()


def _add_scram_users(inside: KafkaConnection) -> None:
    admin = AdminClient(inside.confluent())
    for kind in _SCRAM.values():
        credential = UserScramCredentialUpsertion(USER, ScramCredentialInfo(kind, 4096), KAFKA_PASSWORD.encode())
        admin.alter_user_scram_credentials([credential])[USER].result(30)


@dataclass(frozen=True)
class Refusal:
    """The answer to somebody unknown."""

    status: int
    headers: Mapping[str, str]
    body: str


REFUSED_BY_REGISTRY = Refusal(401, {"WWW-Authenticate": "Basic"}, '{"error_code": 401, "message": "Unauthorized"}')
REFUSED_BY_CLICKHOUSE = Refusal(
    403,
    {"X-ClickHouse-Exception-Code": "516"},
    f"Code: 516. DB::Exception: {USER}: Authentication failed: password is incorrect, or there is no user with such "
    "name. (AUTHENTICATION_FAILED)",
)
REFUSED_BY_A_PROXY = Refusal(401, {"WWW-Authenticate": "Basic"}, "<html>who are you?</html>")


@contextmanager
def behind_tls(url: str, certificate: Certificate, password: str, refusal: Refusal) -> Iterator[str]:
    """Forward to ``url`` what USER asks over https with the password; yields the address."""
    server = _Gate(url.removeprefix("http://"), password, refusal)
    # the handshake is left to the thread of the connection: who is silent does not keep others waiting
    server.socket = certificate.server_context().wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Gate(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # clients keep their connections
    request_queue_size = 64

    def __init__(self, upstream: str, password: str, refusal: Refusal) -> None:
        super().__init__(("127.0.0.1", 0), _GateHandler)
        self.upstream = upstream
        self.password = password
        self.refusal = refusal

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that do not trust us hang up, and say so themselves."""


class _GateHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    _OF_ONE_CONNECTION: ClassVar = {"host", "connection", "transfer-encoding", "content-length", "authorization"}

    def _forward(self) -> None:
        assert isinstance(self.server, _Gate)
        body = self._body()
        if not self._is_known(self.server.password):
            refusal = self.server.refusal
            self._answer(refusal.status, refusal.headers.items(), refusal.body.encode())
            return
        upstream = HTTPConnection(self.server.upstream, timeout=60)
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in self._OF_ONE_CONNECTION}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            self._answer(answer.status, answer.getheaders(), answer.read())
        finally:
            upstream.close()

    do_GET = do_POST = do_PUT = _forward  # noqa: N815 - the names that http.server calls

    def _is_known(self, password: str) -> bool:
        basic = base64.b64encode(f"{USER}:{password}".encode()).decode()
        own = (self.headers["X-ClickHouse-User"], self.headers["X-ClickHouse-Key"])
        return self.headers["Authorization"] == f"Basic {basic}" or own == (USER, password)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in self._OF_ONE_CONNECTION:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now, each another one."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
