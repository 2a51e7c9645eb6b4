"""The parts of ``friction up``: started in the order of an event's path, stopped in the opposite one."""

import importlib.util
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic

from connectors.clickhouse.embedded import EmbeddedClickHouse
from connectors.clickhouse.migrations import migrate
from connectors.kafka.admin import apply_topics
from connectors.kafka.broker import EmbeddedBroker
from connectors.registry.client import SchemaRegistry, register_contract
from connectors.registry.server import EmbeddedRegistry
from pipelines.cli.sources import CONFIG_VARIABLE, Loaded
from pipelines.cli.supervisor.directory import DataDirectory, RunRecord
from pipelines.cli.supervisor.embedded import BridgeProcess, BrokerProcess
from pipelines.cli.supervisor.parts import ChildProcess, Part, Process
from schemas.errors import EmbeddedUnavailable
from schemas.topics import TopicNames

_LOOPBACK = "127.0.0.1"
_PAGE_PORT = 8050  # if it is free
_PYTHON = (sys.executable, "-P")  # not from the working directory, which may have its own `pipelines`
_COMMAND = (*_PYTHON, "-m", "pipelines.cli.main")
_NO_FILE = "/dev/null"  # children get every value by variable; a friction.toml near them has no say


@dataclass(frozen=True, slots=True)
class Simulation:
    """The simulated customers of ``--demo``."""

    rate: float
    customers: int
    seed: int


class System:
    """Everything that runs. ``start_stores``, then ``start_children``; every part's stop is left with ``stops``.

    Call it from the main thread: children die with the thread that started them.
    """

    def __init__(
        self,
        loaded: Loaded,
        directory: DataDirectory,
        record: RunRecord,
        *,
        stops: ExitStack,
        say: Callable[[str], None],
    ) -> None:
        self.loaded = loaded
        self.record = record
        self.parts: list[Part] = []
        self._directory = directory
        self._stops = stops
        self._say = say
        self._simulator: Part | None = None

    def start_stores(self, *, page: bool) -> None:
        """Start broker, registry and ClickHouse, unless the settings name existing ones; bring them up to the contract.

        page: one will be started; the port that the settings give it must be free.

        Raises:
            FrictionError: any of ours, from the part that could not be started or reached.
        """
        embedded = self.loaded.settings.embedded
        if page and embedded.page_port is not None and _free_port(embedded.page_port) != embedded.page_port:
            raise EmbeddedUnavailable(
                f"port {embedded.page_port} on {_LOOPBACK}, which the page is to have, is taken by another program. "
                "Stop that program, give another port (--page-port), or give none to have a free one chosen."
            )
        names = TopicNames(self.loaded.settings.topic_prefix)
        if "kafka.bootstrap_servers" not in self.loaded.given:
            broker = EmbeddedBroker(
                self._directory.path / "kafka", port=embedded.kafka_port, jars=embedded.jars, progress=self._say
            )
            self._run("broker", BrokerProcess(broker))
            self._found("kafka.bootstrap_servers", broker.connection.bootstrap_servers)
        kafka = self.loaded.settings.kafka
        if "registry.url" not in self.loaded.given:
            registry = EmbeddedRegistry(kafka, port=embedded.registry_port, topic=f"{names.prefix}_schemas")
            self._found("registry.url", registry.start().url)
            self._stops.callback(registry.stop)
        changed = [change for change in apply_topics(kafka, names) if change.action != "same"]
        register_contract(SchemaRegistry(self.loaded.settings.registry), names)
        self._say(f"Topics and schemas are as declared ({len(changed)} created or changed)")
        if "clickhouse.url" not in self.loaded.given:
            engine = EmbeddedClickHouse(self._directory.path / "clickhouse", port=embedded.clickhouse_port)
            bridge = BridgeProcess(engine)
            self._run("clickhouse", bridge)
            self._found("clickhouse.url", bridge.url)
        migrate(self.loaded.settings.clickhouse)
        settings = self.loaded.settings
        self._tell(
            kafka=settings.kafka.bootstrap_servers, registry=settings.registry.url, clickhouse=settings.clickhouse.url
        )
        self._say(f"The registry answers on {settings.registry.url}, ClickHouse on {settings.clickhouse.url}")

    def start_children(self, *, workers: int, page: bool, simulation: Simulation | None) -> None:
        """Start landing, workers, simulator, and the page if it is installed; that one is in no hurry."""
        self._child("landing", (*_COMMAND, "land"), metrics=True, FRICTION_LANDING__INSTANCE_ID="landing")
        for number in range(1, workers + 1):
            instance = f"{self.loaded.settings.app_id}-{number}"
            self._child(f"worker-{number}", (*_COMMAND, "worker"), metrics=True, FRICTION_WORKER__INSTANCE_ID=instance)
        if simulation is not None:
            numbers = {"rate": simulation.rate, "customers": simulation.customers, "seed": simulation.seed}
            said = [word for name, number in numbers.items() for word in (f"--{name}", str(number))]
            self._simulator = self._child("simulator", (*_COMMAND, "simulate", *said), needed=False)
        if page and importlib.util.find_spec("nicegui") is None:
            self._say("No page: nicegui is not installed (pip install 'friction-signals[embedded]')")
        elif page:
            port = self.loaded.settings.embedded.page_port or _free_port(_PAGE_PORT)
            argv = (*_PYTHON, "-m", "pipelines.page", "--host", _LOOPBACK, "--port", str(port))
            self._child("page", argv, needed=False)
            self._tell(page=f"http://{_LOOPBACK}:{port}")

    def watch(self) -> None:
        """Look after every part once; those that died are started again after a while.

        Raises:
            EmbeddedUnavailable: a part that is needed cannot be kept alive.
        """
        for part in self.parts:
            said = part.watch(monotonic())
            if said is not None:
                self._say(said)

    def stop_simulator(self) -> None:
        """Let no more interactions come in; what was sent is acknowledged before this returns."""
        if self._simulator is not None:
            self._stop(self._simulator)

    def _child(
        self, name: str, argv: tuple[str, ...], *, needed: bool = True, metrics: bool = False, **more: str
    ) -> Part:
        env = {**self.loaded.environment(), CONFIG_VARIABLE: _NO_FILE, **more}
        if metrics:
            port = _free_port()
            env["FRICTION_METRICS__PORT"] = str(port)
            self._tell(
                metrics={**self.record.metrics, name: f"http://{self.loaded.settings.metrics.host}:{port}/metrics"}
            )
        process = ChildProcess(argv, log=self._directory.logs / f"{name}.log", env=env)
        return self._run(name, process, needed=needed)

    def _run(self, name: str, process: Process, *, needed: bool = True) -> Part:
        part = Part(name, process, needed)
        part.start(monotonic())
        self._stops.callback(self._stop, part)
        self.parts.append(part)
        return part

    def _stop(self, part: Part) -> None:
        if not part.stopped:
            self._say(f"Stopping {part.name}")
            part.stop()

    def _found(self, key: str, value: str) -> None:
        self.loaded = self.loaded.override({key: value}, where="friction up")

    def _tell(self, **more: object) -> None:
        self.record = self.record.model_copy(update=more)
        self._directory.write(self.record)


def _free_port(preferred: int = 0) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, preferred))
        except OSError:
            return _free_port()
        return int(probe.getsockname()[1])
