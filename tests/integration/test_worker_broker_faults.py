"""Brokers that have no room, or do not let the worker write: it says so, and everything counts once in the end."""

import errno
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from connectors.kafka import broker as broker_module
from connectors.kafka.admin import apply_topics
from connectors.kafka.broker import EmbeddedBroker
from connectors.registry.server import EmbeddedRegistry
from pipelines.cli.exits import ExitCode
from schemas.topics import INTERACTIONS, SCORES, TopicNames
from tests.integration.house import House
from tests.integration.senders import PARTITION, Sender, app_of, counted
from tests.integration.workers import WorkerProcess, wait_until_processed
from tests.polling import wait_until
from tests.reading import read_topic

NAMES = TopicNames("own-")
APP = app_of(NAMES)


@contextmanager
def house_on(broker: EmbeddedBroker, directory: Path) -> Iterator[House]:
    """A house whose broker is its own."""
    with ExitStack() as stack:
        stack.callback(broker.stop)
        kafka = broker.start()
        apply_topics(kafka, NAMES, partitions={"customers": 3, "touchpoints": 2})
        registry = EmbeddedRegistry(kafka)
        stack.callback(registry.stop)
        at = registry.start()
        worker = WorkerProcess(kafka, at, NAMES, directory, app_id=APP, env={"FRICTION_POLICY_FILE": "three"})
        stack.callback(worker.kill)
        yield House(kafka, NAMES, Sender(kafka, at, NAMES), worker, AdminClient({**kafka.confluent(), "log_level": 0}))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """On a broker that forbids what it is told to forbid."""
    directory = tmp_path_factory.mktemp("guarded")
    rights = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    with house_on(EmbeddedBroker(directory / "kafka", properties=rights), directory) as house:
        yield house


@contextmanager
def forbidden(house: House, kind: ResourceType, name: str, operation: AclOperation) -> Iterator[None]:
    """Let everybody do everything with a resource but one thing."""
    where = (kind, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*")
    rules = [
        (*where, AclOperation.ALL, AclPermissionType.ALLOW),
        (*where, operation, AclPermissionType.DENY),
    ]
    for made in house.admin.create_acls([AclBinding(*rule) for rule in rules]).values():
        made.result(10.0)
    try:
        yield
    finally:
        for deleted in house.admin.delete_acls([AclBindingFilter(*rule) for rule in rules]).values():
            deleted.result(10.0)


@pytest.mark.parametrize(
    ("kind", "name", "operation", "right"),
    [
        (
            ResourceType.TRANSACTIONAL_ID,
            f"{APP}.{PARTITION}",
            AclOperation.WRITE,
            "--operation Write --transactional-id",
        ),
        (ResourceType.TOPIC, NAMES.of(SCORES), AclOperation.DESCRIBE, "--operation Describe --topic"),
        (ResourceType.TOPIC, NAMES.of(SCORES), AclOperation.WRITE, "--operation Write --topic"),
        (ResourceType.TOPIC, NAMES.of(INTERACTIONS), AclOperation.READ, "--operation Read --topic"),
        (ResourceType.GROUP, APP, AclOperation.READ, "--operation Read --group"),
    ],
)
def test_a_right_that_is_missing_is_named_with_the_command_that_gives_it(
    guarded: House, kind: ResourceType, name: str, operation: AclOperation, right: str
) -> None:
    guarded.sender.send_good(20)
    with forbidden(guarded, kind, name, operation):
        guarded.refused(f"kafka-acls --add {right} {name}", code=ExitCode.USAGE)
    guarded.work_and_stop()
    assert guarded.counts_all_once()


def test_a_right_that_is_taken_away_stops_a_worker_that_runs(guarded: House) -> None:
    guarded.worker.start()
    guarded.send_and_process(20)
    before = guarded.written()
    with forbidden(guarded, ResourceType.TOPIC, NAMES.of(SCORES), AclOperation.WRITE):
        guarded.sender.send_good(20)
        guarded.refused("Kafka refuses what partition 1", "Write on topic", NAMES.of(SCORES), code=ExitCode.USAGE)
    assert guarded.written() == before
    guarded.work_and_stop()
    assert guarded.counts_all_once()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(disk)]
    mounted = subprocess.run(mounting, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a disk that becomes full needs the right to mount: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room at all; what has to be deleted to have it again."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return ballast


def test_a_disk_that_becomes_full_loses_nothing_and_counts_nothing_twice(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "_MIN_FREE_BYTES", 2**20)
    broker = EmbeddedBroker(small_disk / "kafka")
    with house_on(broker, tmp_path) as house:
        house.worker.start()
        house.send_and_process(50)
        ballast = fill(small_disk)
        producer = Producer({**house.kafka.confluent(message_timeout_ms=20_000), "log_level": 0})

        def broker_is_gone() -> str | None:
            producer.produce(NAMES.of(INTERACTIONS), *reversed(house.sender.good()), partition=PARTITION)
            producer.poll(0)
            return broker.failure()

        assert "is full. Make room" in wait_until(broker_is_gone, 60.0)
        ballast.unlink()
        broker.start()
        producer.flush(30.0)  # what was not acknowledged may be there, or not
        if not house.worker.running:
            assert house.worker.ended() == ExitCode.UNAVAILABLE, house.worker.log
            house.worker.start()
        wait_until_processed(house.kafka, NAMES, APP, by=house.worker)
        there = Counter((m.key() or b"").decode() for m in read_topic(house.kafka, NAMES.of(INTERACTIONS)))
        assert counted(house.kafka, NAMES) == there
        assert set(house.sender.sent[:50]) <= there.keys()
        assert house.worker.stop() == ExitCode.DONE
