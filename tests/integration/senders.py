"""Good interactions that tests send, each of a customer of its own, and what workers have counted of them."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
from confluent_kafka import Producer

from connectors.kafka.connection import KafkaConnection
from connectors.registry.client import SchemaRegistry, register_contract
from connectors.registry.connection import RegistryConnection
from pipelines.cli.chaos.outcome import outcome
from pipelines.intake.text_table import murmur2
from schemas.interactions import Interaction, InteractionEncoder
from schemas.topics import INTERACTIONS, TopicNames

Headers = list[tuple[str, bytes | None]]
PARTITION = 1  # where the records of these tests go


def app_of(names: TopicNames) -> str:
    return f"{names.prefix}app"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def customers(partition: int) -> Iterator[str]:
    """Those whose interactions belong there."""
    for n in count():
        key = np.frombuffer(f"customer-{n}".encode(), np.uint8)
        with np.errstate(over="ignore"):
            if murmur2(key, 0, len(key)) % 3 == partition:
                yield f"customer-{n}"


def wait(customer: str, **more: object) -> Interaction:
    said: dict[str, object] = {
        "event_id": f"of {customer}",
        "customer_id": customer,
        "kind": "wait.measured",
        "channel": "phone",
        "touchpoint": "call/support",
        "occurred_ms": now_ms() - 60_000,
        "duration_ms": 600_000,
        "attributes": {"outcome": "answered"},
    }
    return Interaction(**{**said, **more})  # type: ignore[arg-type]  # the fields of one


def send(
    kafka: KafkaConnection,
    topic: str,
    records: Sequence[tuple[bytes | None, bytes | None]],
    headers: Headers | None = None,
    partition: int = PARTITION,
    **settings: object,
) -> None:
    """Send keys and values in as few batches as they fit into."""
    producer = Producer(kafka.confluent(linger_ms=300, message_max_bytes=20_000_000, **settings))
    for key, value in records:
        producer.produce(topic, value, key, partition=partition, headers=headers or [])
    assert producer.flush(30.0) == 0


class Sender:
    """Sends interactions of good customers, one after the other, and remembers whose."""

    def __init__(self, kafka: KafkaConnection, registry: RegistryConnection, names: TopicNames) -> None:
        self.registry = SchemaRegistry(registry)
        self.schema_id = register_contract(self.registry, names)[INTERACTIONS]
        self.encoder = InteractionEncoder(self.schema_id)
        self.sent: list[str] = []
        self._kafka, self._names, self._customers = kafka, names, customers(PARTITION)

    def good(self) -> tuple[bytes, bytes]:
        self.sent.append(next(self._customers))
        return self.sent[-1].encode(), self.encoder.encode(wait(self.sent[-1]))

    def send_good(self, how_many: int) -> None:
        send(self._kafka, self._names.of(INTERACTIONS), [self.good() for _ in range(how_many)])

    def bad(self, **more: object) -> bytes:
        return self.encoder.encode(wait("a customer", **more))


def counted(kafka: KafkaConnection, names: TopicNames) -> Counter[str]:
    """Interactions of each customer, as the last score says."""
    return Counter({name: s.interactions for name, s in outcome(kafka, names).scores.items()})
