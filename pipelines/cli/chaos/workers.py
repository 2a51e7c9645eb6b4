"""Workers in processes of their own, which are stopped, killed and frozen; and what they have not processed yet."""

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
from pipelines.worker.customer_records import UNTOLD
from schemas.errors import StoreUnavailable
from schemas.topics import INCIDENT_PARTIALS, INTERACTIONS, REKEYED, WAIT_PARTIALS, TopicNames

COMMAND = (sys.executable, "-m", "pipelines.cli.main", "worker")
START_S = 60.0  # the kernels may have to be compiled
STOP_S = 30.0
GOES_ON = "goes on at"  # what a worker logs of each partition that it has acquired


class WorkerProcess:
    """``friction worker``, which dies with us. It may be started again after it has ended.

    Start it from the main thread, whose death the kernel watches.
    """

    def __init__(
        self,
        kafka: KafkaConnection,
        registry: RegistryConnection,
        names: TopicNames,
        directory: Path,
        *,
        app_id: str,
        instance: str | None = None,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._metrics_port = _free_port()
        self.env = {
            "COLUMNS": "1000",  # a paragraph in one line
            "FRICTION_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "FRICTION_REGISTRY__URL": registry.url,
            "FRICTION_TOPIC_PREFIX": names.prefix,
            "FRICTION_WORKER__APP_ID": app_id,
            "FRICTION_WORKER__SESSION_TIMEOUT_S": "6",
            "FRICTION_METRICS__PORT": str(self._metrics_port),
        }
        if instance is not None:
            self.env["FRICTION_WORKER__INSTANCE_ID"] = instance
        self.env.update(env or {})
        self._log = directory / f"{name or f'worker-{instance or self._metrics_port}'}.log"
        self._log_begin = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it does not work yet when this returns."""
        self._log_begin = len(self.log)
        self._process = start_child(COMMAND, log=self._log, env=self.env)

    @property
    def log(self) -> str:
        """All that it has written, from its first start on."""
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""

    @property
    def last_line(self) -> str:
        """The paragraph with which it ended."""
        return self.log.rstrip().rpartition("\n")[2]

    @property
    def works(self) -> bool:
        """Whether it has had a partition since it was started last."""
        return GOES_ON in self.log[self._log_begin :]

    @property
    def running(self) -> bool:
        """Whether the process is there, frozen perhaps."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs, or when it was never started."""
        return None if self._process is None else self._process.poll()

    def kill(self) -> None:
        """As a machine that loses its power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """It lives, and knows nothing of the time that passes."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on as if nothing had been."""
        self._signal(signal.SIGCONT)

    def stop(self, *, timeout_s: float = STOP_S) -> int:
        """Ask it to end; its exit code, -9 if it did not within ``timeout_s``."""
        return 0 if self._process is None else stop_child(self._process, timeout_s=timeout_s)

    def ended(self, *, timeout_s: float = START_S) -> int:
        """Exit code of a worker that ends by itself."""
        return 0 if self._process is None else self._process.wait(timeout_s)

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples of a metric that have these labels."""
        with urlopen(f"http://127.0.0.1:{self._metrics_port}/metrics", timeout=5.0) as answer:
            samples = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", answer.read().decode(), re.MULTILINE)
        wanted = {f'{label}="{value}"' for label, value in labels.items()}
        return sum(float(value) for said, value in samples if wanted <= set(said.split(",")))

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.running:
            os.kill(self._process.pid, number)


def lag(kafka: KafkaConnection, names: TopicNames, app_id: str) -> dict[tuple[str, int], int]:
    """What is not processed of each input partition, first and second stage; empty when all is done.

    Committed offsets are read before the ends, so that nothing that is done leads to more. What the second stage has
    not heard of yet counts as one record.

    Raises:
        StoreUnavailable: Kafka did not answer in time.
    """
    consumer = Consumer(kafka.confluent(group_id=app_id, enable_auto_commit=False, isolation_level="read_uncommitted"))
    try:
        on_cluster = consumer.list_topics(timeout=10.0).topics
        topics = [names.of(topic) for topic in (INTERACTIONS, REKEYED, WAIT_PARTIALS, INCIDENT_PARTIALS)]
        partitions = [TopicPartition(topic, p) for topic in topics for p in on_cluster[topic].partitions]
        committed = consumer.committed(partitions, timeout=20.0)
        ends = [consumer.get_watermark_offsets(tp, timeout=10.0)[1] for tp in partitions]
    except KafkaException as error:
        raise StoreUnavailable(f"Kafka did not tell what is processed: {error}") from error
    finally:
        consumer.close()
    missing = (
        (c.topic, c.partition, end - max(c.offset, 0) + (c.metadata == UNTOLD))
        for c, end in zip(committed, ends, strict=True)
    )
    return {(topic, partition): count for topic, partition, count in missing if count}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
