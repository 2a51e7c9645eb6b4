"""Workers in processes of their own, which tests stop, kill and freeze; and waiting until they have processed."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.request import urlopen

from confluent_kafka import Consumer, KafkaException, TopicPartition

from connectors.child import start_child, stop_child
from connectors.kafka.connection import KafkaConnection
from connectors.registry.connection import RegistryConnection
from schemas.topics import INTERACTIONS, REKEYED, WAIT_PARTIALS, TopicNames
from tests.polling import wait_until

COMMAND = (sys.executable, "-m", "pipelines.cli.main", "worker")
START_S = 60.0  # the kernels may have to be compiled
STOP_S = 30.0


class WorkerProcess:
    """``friction worker``, which dies with the tests. It may be started again after it has ended."""

    def __init__(
        self,
        kafka: KafkaConnection,
        registry: RegistryConnection,
        names: TopicNames,
        tmp_path: Path,
        *,
        app_id: str,
        instance: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._metrics_port = _free_port()
        self._env = {
            "COLUMNS": "1000",  # a paragraph in one line
            "FRICTION_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "FRICTION_REGISTRY__URL": registry.url,
            "FRICTION_TOPIC_PREFIX": names.prefix,
            "FRICTION_WORKER__APP_ID": app_id,
            "FRICTION_WORKER__SESSION_TIMEOUT_S": "6",
            "FRICTION_METRICS__PORT": str(self._metrics_port),
        }
        if instance is not None:
            self._env["FRICTION_WORKER__INSTANCE_ID"] = instance
        self._env.update(env or {})
        self._log = tmp_path / f"worker-{instance or self._metrics_port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, ready: bool = True, **env: str) -> None:
        """Start; ``ready`` waits until it goes on with some partition. ``env``: variables from this start on."""
        assert not self.running
        self._env.update(env)
        before = len(self.log)
        self._process = start_child(COMMAND, log=self._log, env=self._env)

        def goes_on() -> bool:
            assert self.running, self.log
            return "goes on at" in self.log[before:]

        if ready:
            wait_until(goes_on, START_S)

    @property
    def log(self) -> str:
        """All that it has written, from its first start on."""
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""

    @property
    def last_line(self) -> str:
        """The paragraph with which it ended."""
        return self.log.rstrip().rpartition("\n")[2]

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """As a machine that loses its power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """It lives, and knows nothing of the time that passes."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self, *, timeout_s: float = STOP_S) -> int:
        """Ask it to end; its exit code, -9 if it did not within ``timeout_s``."""
        assert self._process is not None
        return stop_child(self._process, timeout_s=timeout_s)

    def ended(self, *, timeout_s: float = START_S) -> int:
        """Exit code of a worker that ends by itself."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples of a metric that have these labels."""
        with urlopen(f"http://127.0.0.1:{self._metrics_port}/metrics", timeout=5.0) as answer:
            samples = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", answer.read().decode(), re.MULTILINE)
        wanted = {f'{label}="{value}"' for label, value in labels.items()}
        return sum(float(value) for said, value in samples if wanted <= set(said.split(",")))

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


def lag(kafka: KafkaConnection, names: TopicNames, app_id: str) -> dict[tuple[str, int], int]:
    """What is not processed of each input partition, first and second stage; empty when all is done.

    Committed offsets are read before the ends, so that nothing that is done leads to more.
    """
    consumer = Consumer(kafka.confluent(group_id=app_id, enable_auto_commit=False, isolation_level="read_uncommitted"))
    try:
        on_cluster = consumer.list_topics(timeout=10.0).topics
        topics = [names.of(topic) for topic in (INTERACTIONS, REKEYED, WAIT_PARTIALS)]
        partitions = [TopicPartition(topic, p) for topic in topics for p in on_cluster[topic].partitions]
        committed = consumer.committed(partitions, timeout=20.0)
        ends = [consumer.get_watermark_offsets(tp, timeout=10.0)[1] for tp in partitions]
    finally:
        consumer.close()
    missing = ((c.topic, c.partition, end - max(c.offset, 0)) for c, end in zip(committed, ends, strict=True))
    return {(topic, partition): count for topic, partition, count in missing if count}


def wait_until_processed(
    kafka: KafkaConnection,
    names: TopicNames,
    app_id: str,
    timeout_s: float = 60.0,
    *,
    by: WorkerProcess | None = None,
) -> None:
    """Wait until both stages have committed the end of each of their input partitions; ``by`` must live so long."""
    left: dict[tuple[str, int], int] = {}

    def processed() -> bool:
        assert by is None or by.running, by.log
        try:
            now = lag(kafka, names, app_id)
        except KafkaException:  # a broker that has just come back
            return False
        left.clear()
        left.update(now)
        return not left

    try:
        wait_until(processed, timeout_s, every_s=0.2)
    except AssertionError as error:
        raise AssertionError(f"not processed within {timeout_s:g} s: {left}\n{by.log if by else ''}") from error


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
