from collections.abc import Callable, Iterator

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import SchemaRegistryClient

from connectors.kafka.connection import KafkaConnection
from connectors.registry.connection import RegistryConnection
from connectors.registry.server import EmbeddedRegistry
from schemas.topics import TopicNames
from tests.orders import client_of

NewTopicOf = Callable[..., str]
StartRegistry = Callable[[], tuple[EmbeddedRegistry, SchemaRegistryClient]]


@pytest.fixture
def client(registry: RegistryConnection) -> SchemaRegistryClient:
    return client_of(registry)


@pytest.fixture
def start_registry(kafka: KafkaConnection, names: TopicNames) -> Iterator[StartRegistry]:
    """Starts a registry on a topic of the test's own, each time the same one; stopped afterwards."""
    started = []

    def start() -> tuple[EmbeddedRegistry, SchemaRegistryClient]:
        registry = EmbeddedRegistry(kafka, topic=names.of("schemas"))
        started.append(registry)
        return registry, client_of(registry.start())

    yield start
    for registry in started:
        registry.stop()


@pytest.fixture
def new_topic(kafka: KafkaConnection, names: TopicNames) -> NewTopicOf:
    """Creates a topic by its name without the prefix, and returns its name on the broker."""

    def create(name: str, partitions: int = 1, policy: str = "delete") -> str:
        whole = names.of(name)
        admin = AdminClient(kafka.confluent())
        admin.create_topics([NewTopic(whole, partitions, config={"cleanup.policy": policy})])[whole].result(30)
        return whole

    return create
