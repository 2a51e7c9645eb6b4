"""The real parts that tests run on, each started when a test first asks for it.

FRICTION_TEST_KAFKA says which Kafka: ``embedded`` (the default), ``container`` (testcontainers, needs Docker)
or ``host:port`` of one that runs. Tests share it: each takes topics behind a prefix of its own (``names``).
"""

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka.admin import AdminClient

from connectors.clickhouse.connection import ClickHouseConnection
from connectors.kafka.admin import apply_topics
from connectors.kafka.broker import EmbeddedBroker
from connectors.kafka.connection import KafkaConnection
from connectors.registry.connection import RegistryConnection
from schemas.topics import TopicNames


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaConnection]:
    where = os.environ.get("FRICTION_TEST_KAFKA") or "embedded"
    if where == "embedded":
        broker = EmbeddedBroker(tmp_path_factory.mktemp("kafka"))
        yield broker.start()
        broker.stop()
    elif where == "container":
        with _kafka_container() as connection:
            yield connection
    elif ":" in where:
        connection = KafkaConnection(bootstrap_servers=where)
        yield connection
        _delete_topics(connection, _used_prefixes)
    else:
        pytest.fail(f"FRICTION_TEST_KAFKA must be embedded, container or host:port, got {where!r}", pytrace=False)


@contextmanager
def _kafka_container() -> Iterator[KafkaConnection]:
    from docker.errors import DockerException  # type: ignore[import-untyped]  # ships no types
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    port = _free_port()  # the same inside, so that the address that the broker tells is right on both sides
    environment = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://localhost:{port + 1}",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://localhost:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": f"1@localhost:{port + 1}",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }
    no_docker = ""
    try:
        container = DockerContainer("apache/kafka:4.1.1").with_bind_ports(port, port).with_envs(**environment)
        container.waiting_for(LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(120)).start()
    except DockerException as error:
        no_docker = str(error)
    if no_docker:
        pytest.fail(
            f"FRICTION_TEST_KAFKA=container needs Docker, and none answers ({no_docker}). "
            "Start Docker, or leave the variable out: the embedded Kafka needs none.",
            pytrace=False,
        )
    try:
        yield KafkaConnection(bootstrap_servers=f"localhost:{port}")
    finally:
        container.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def registry(kafka: KafkaConnection) -> Iterator[RegistryConnection]:
    from connectors.registry.server import EmbeddedRegistry

    prefix = f"t{uuid.uuid4().hex[:10]}-"
    _used_prefixes.append(prefix)
    server = EmbeddedRegistry(kafka, topic=f"{prefix}schemas")
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseConnection]:
    from connectors.clickhouse.embedded import EmbeddedClickHouse

    engine = EmbeddedClickHouse(tmp_path_factory.mktemp("clickhouse"))
    yield engine.start()
    engine.stop()


_used_prefixes: list[str] = []


@pytest.fixture
def names() -> TopicNames:
    """Names of topics that no other test uses; the topics do not exist yet."""
    names = TopicNames(prefix=f"t{uuid.uuid4().hex[:10]}-")
    _used_prefixes.append(names.prefix)
    return names


@pytest.fixture
def created_topics(kafka: KafkaConnection, names: TopicNames) -> TopicNames:
    """``names`` when all the declared topics exist: 3 partitions for customers, 2 for touchpoints."""
    apply_topics(kafka, names, partitions={"customers": 3, "touchpoints": 2})
    return names


def _delete_topics(kafka: KafkaConnection, prefixes: list[str]) -> None:
    """Leave a broker that was only lent to us as it was."""
    admin = AdminClient(kafka.confluent())
    ours = [topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(tuple(prefixes))]
    if ours:
        for deletion in admin.delete_topics(ours).values():
            deletion.result(10)
