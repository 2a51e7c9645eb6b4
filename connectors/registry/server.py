"""A schema registry in this process, for when there is no other: Confluent's API over HTTP on loopback."""

import contextlib
import json
import socket
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from connectors.kafka.connection import KafkaConnection
from connectors.registry.api import RegistryApi
from connectors.registry.catalogue import Catalogue
from connectors.registry.connection import RegistryConnection
from connectors.registry.requests import Refused
from connectors.registry.store import SchemaStore
from schemas.errors import EmbeddedUnavailable

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_MAX_BODY_BYTES = 512 * 1024  # what fits in one record of the topic
_MAX_DISCARDED_BYTES = 16 * _MAX_BODY_BYTES
_STOP_S = 10.0  # for the requests in progress
_IDLE_S = 60.0  # a connection kept alive without a request


class EmbeddedRegistry:
    """A registry kept in a compacted topic of ``kafka``; a restart on the same topic goes on from there.

    ``port`` None takes a free one. Threads of this process serve it; ``start`` and ``stop`` are called once.
    """

    def __init__(
        self,
        kafka: KafkaConnection,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        topic: str = "_schemas",
    ) -> None:
        catalogue = Catalogue()
        self._store = SchemaStore(kafka, topic, catalogue.apply)
        self._api = RegistryApi(catalogue, self._store)
        self._host = host
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> RegistryConnection:
        """Read the topic and begin to answer.

        Raises:
            EmbeddedUnavailable: the port is taken.
            SettingsError: Kafka refuses us.
            StoreUnavailable: Kafka did not answer in time.
            TopicMismatch: the topic is not what a registry needs.
        """
        try:
            self._server = _Server((self._host, self._port or 0), self._api)
        except OSError as err:
            raise EmbeddedUnavailable(
                f"The schema registry cannot listen on {self._host}:{self._port} ({err.strerror}): "
                "choose another port, or leave it out to take a free one."
            ) from err
        try:
            self._store.open()
        except BaseException:
            self.stop()
            raise
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="registry", daemon=True)
        self._thread.start()
        return RegistryConnection(url=f"http://{self._host}:{self._server.server_port}")

    def stop(self) -> None:
        """Close the port and every connection, then let go of Kafka. Nothing is lost: writes were waited for."""
        if self._server is not None:
            if self._thread is not None:
                self._server.shutdown()
                self._thread.join()
            self._server.server_close()
            self._server = None
        self._store.close()


class _Server(ThreadingHTTPServer):
    """One daemon thread per connection; closing ends the idle ones and waits for the others."""

    request_queue_size = 64

    def __init__(self, address: tuple[str, int], api: RegistryApi) -> None:
        self.api = api
        self._open: dict[socket.socket, threading.Thread] = {}
        self._guard = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        with self._guard:
            self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # who hung up does not want an answer
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        super().server_close()
        with self._guard:
            threads = list(self._open.values())
            for connection in self._open:
                with contextlib.suppress(OSError):  # the other side was faster
                    connection.shutdown(socket.SHUT_RD)  # a request in progress is still answered
        deadline = time.monotonic() + _STOP_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "friction-registry"
    sys_version = ""
    timeout = _IDLE_S
    wbufsize = -1  # head and body in one packet
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        try:
            parts = urlsplit(self.path)
            path = [unquote(segment) for segment in parts.path.split("/") if segment]
            body = self._body() if self.command in ("POST", "PUT") else None
            query = dict(parse_qsl(parts.query))
            api = cast("_Server", self.server).api
            self._send(HTTPStatus.OK, api.answer(self.command, path, query, body))
        except Refused as refused:
            self._send(int(str(refused.code)[:3]), {"error_code": refused.code, "message": refused.message})

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names that http.server calls

    def _body(self) -> Any:
        length = self.headers.get("Content-Length", "")
        given = length.isascii() and length.isdigit()
        if not given or len(length) > 9 or int(length) > _MAX_BODY_BYTES:
            self.close_connection = True
            if given and len(length) <= 9:  # whoever is still sending does not listen yet
                self._discard(min(int(length), _MAX_DISCARDED_BYTES))
            raise Refused(
                413 if given else 411,
                f"The body must come with its Content-Length, of at most {_MAX_BODY_BYTES} bytes",
            )
        try:
            return json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as err:
            raise Refused(400, f"The body is no JSON: {err}") from err

    def _discard(self, size: int) -> None:
        while size > 0 and (dropped := len(self.rfile.read(min(size, 65536)))):
            size -= dropped

    def _send(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", _MEDIA_TYPE)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in http.server
        """Say nothing: whoever asked has the answer."""
