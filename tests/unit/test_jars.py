"""Kafka's jars are run only when each is the locked one, wherever they come from."""

import base64
import hashlib
import ssl
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from connectors.kafka import jars
from connectors.kafka.jars import KAFKA, jar_cache, kafka_jars, locked_jars
from schemas.errors import EmbeddedUnavailable
from tests.authority import Authority

CONTENT = {f"org/example/part{n}/1.{n}/part{n}-1.{n}.jar": b"jar %d " % n * 5000 for n in range(12)}
LOCK = "".join(f"{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in CONTENT.items())


@pytest.fixture
def small_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A lock of twelve small jars, and a user without any of them."""
    monkeypatch.setattr(jars, "_lock_text", lambda: LOCK)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("M2_REPO", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(small_lock: None, tmp_path: Path) -> Path:
    folder = tmp_path / "jars"
    folder.mkdir()
    for path, content in CONTENT.items():
        (folder / Path(path).name).write_bytes(content)
    return folder


Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


def whole(request: BaseHTTPRequestHandler, content: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)


@contextmanager
def mirror(
    answer: Answer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    tls: ssl.SSLContext | None = None,
    user: str = "",
) -> Iterator[list[str]]:
    """A Maven repository that jgo asks instead of the public one; yields the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.lstrip("/")
            if path not in CONTENT:  # the checksum files that jgo would like to see
                self.send_error(404)
                return
            asked.append(path)
            answer(self, CONTENT[path])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if tls is not None:
        scheme, server.socket = "https", tls.wrap_socket(server.socket, server_side=True)
    configuration = tmp_path / "jgo.conf"
    configuration.write_text(f"[repositories]\ncentral = {scheme}://{user}127.0.0.1:{server.server_port}\n", "utf-8")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(configuration))
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()


def test_the_committed_lock_names_kafka_and_each_jar_once() -> None:
    lock = locked_jars()
    assert lock[0].coordinate == KAFKA
    assert len({jar.name for jar in lock}) == len(lock) > 40
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in lock)
    assert any(jar.name.startswith("log4j-slf4j-impl-") for jar in lock), "without it Kafka logs nothing"


def test_a_folder_with_the_locked_jars_is_the_class_path_in_the_order_of_the_lock(folder: Path) -> None:
    assert kafka_jars(folder) == [folder / Path(path).name for path in CONTENT]


def test_a_folder_with_a_changed_jar_is_refused(folder: Path) -> None:
    with (folder / "part3-1.3.jar").open("ab") as jar:
        jar.write(b"!")
    with pytest.raises(EmbeddedUnavailable, match=r"changed: part3-1\.3\.jar"):
        kafka_jars(folder)


def test_a_folder_without_one_of_the_jars_is_refused(folder: Path) -> None:
    (folder / "part5-1.5.jar").unlink()
    with pytest.raises(EmbeddedUnavailable, match=r"missing: part5-1\.5\.jar"):
        kafka_jars(folder)


def test_a_folder_with_a_jar_that_nobody_locked_is_refused(folder: Path) -> None:
    (folder / "guest.jar").write_bytes(b"jar")
    with pytest.raises(EmbeddedUnavailable, match=r"not in the lock: guest\.jar"):
        kafka_jars(folder)


def test_a_folder_that_does_not_exist_is_told(small_lock: None, tmp_path: Path) -> None:
    with pytest.raises(EmbeddedUnavailable, match=r"`--jars`.*nowhere"):
        kafka_jars(tmp_path / "nowhere")


def test_what_is_missing_is_downloaded_once(small_lock: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[str] = []
    with mirror(whole, monkeypatch, tmp_path) as asked:
        first = kafka_jars(progress=said.append)
        assert sorted(asked) == sorted(CONTENT)
        assert kafka_jars() == first
        assert len(asked) == len(CONTENT)
    assert [path.read_bytes() for path in first] == list(CONTENT.values())
    assert said[0].startswith("Downloading Apache Kafka, once: 12 of 12 jars")
    assert said[-1] == "Downloaded 12 of 12 jars of Apache Kafka"
    assert {path.name for path in jar_cache().iterdir()} == {path.name for path in first}, "no rest is left"


def test_a_damaged_jar_of_the_cache_is_downloaded_again(
    small_lock: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with mirror(whole, monkeypatch, tmp_path) as asked:
        damaged = kafka_jars()[7]
        damaged.write_bytes(damaged.read_bytes()[:1000])
        asked.clear()
        kafka_jars()
        assert asked == [list(CONTENT)[7]]


def test_the_downloaded_cache_serves_as_the_folder_of_a_machine_without_a_network(
    small_lock: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with mirror(whole, monkeypatch, tmp_path):
        kafka_jars()
    assert len(kafka_jars(jar_cache())) == len(CONTENT)


def test_a_download_that_breaks_off_is_tried_again(
    small_lock: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = Event()

    def half_once(request: BaseHTTPRequestHandler, content: bytes) -> None:
        if broken.is_set():
            whole(request, content)
            return
        broken.set()
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[:100])

    with mirror(half_once, monkeypatch, tmp_path) as asked:
        kafka_jars()
    assert len(asked) == len(CONTENT) + 1


def test_a_server_that_gives_other_bytes_is_not_believed(
    small_lock: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (
        mirror(lambda request, content: whole(request, content[::-1]), monkeypatch, tmp_path),
        pytest.raises(EmbeddedUnavailable, match=r"is not the jar that kafka-jars\.sha256 names"),
    ):
        kafka_jars()
    assert list(jar_cache().glob("*.jar")) == []


def test_a_refused_download_says_how_to_go_without_one(
    small_lock: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (
        mirror(lambda request, _: request.send_error(403), monkeypatch, tmp_path),
        pytest.raises(EmbeddedUnavailable, match=r"could not be downloaded.*copy the folder .* `--jars`"),
    ):
        kafka_jars()


def test_the_certificates_that_the_system_trusts_are_enough(
    small_lock: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    company = Authority(tmp_path / "company")
    before = ssl.SSLContext
    with mirror(whole, monkeypatch, tmp_path, tls=company.sign("mirror").server_context()) as asked:
        with pytest.raises(EmbeddedUnavailable, match=r"certificate of 127\.0\.0\.1.*update-ca-certificates"):
            kafka_jars()
        monkeypatch.setenv("SSL_CERT_FILE", str(company.file))
        assert len(kafka_jars()) == len(CONTENT)
        assert set(asked) == set(CONTENT)
    assert ssl.SSLContext is before, "nothing is left changed for the rest of the process"


def test_the_password_of_a_mirror_is_used_and_not_shown(
    small_lock: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: set[str] = set()

    def asks_for_the_user(request: BaseHTTPRequestHandler, content: bytes) -> None:
        given.add(request.headers.get("Authorization", ""))
        request.send_error(403)

    with (
        mirror(asks_for_the_user, monkeypatch, tmp_path, user="ana:geheim@"),
        pytest.raises(EmbeddedUnavailable, match="403") as caught,
    ):
        kafka_jars()
    assert given == {f"Basic {base64.b64encode(b'ana:geheim').decode()}"}
    assert "geheim" not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_never_answers_is_left_in_time(
    small_lock: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    over = Event()

    def wait(_request: BaseHTTPRequestHandler, _content: bytes) -> None:
        over.wait(60)

    began = time.monotonic()
    with mirror(wait, monkeypatch, tmp_path):
        try:
            with pytest.raises(EmbeddedUnavailable, match=r"not finished after 0\.3 s \(0 of 12 jars\)"):
                kafka_jars(timeout_s=0.3)
        finally:
            over.set()
    assert time.monotonic() - began < 10


def test_a_cache_that_cannot_be_written_is_told(
    small_lock: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(EmbeddedUnavailable, match="XDG_CACHE_HOME"):
        kafka_jars()
