"""Kafka goes away under a worker: nothing is lost, it goes on by itself, and it can be stopped meanwhile."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.kafka.admin import apply_topics
from connectors.kafka.broker import EmbeddedBroker
from connectors.kafka.connection import KafkaConnection
from connectors.registry.client import SchemaRegistry, register_contract
from connectors.registry.server import EmbeddedRegistry
from pipelines.cli.chaos.outcome import outcome
from pipelines.cli.exits import ExitCode
from schemas.interactions import Interaction, InteractionEncoder
from schemas.topics import INTERACTIONS, TopicNames
from tests.integration.workers import WorkerProcess, wait_until_processed
from tests.polling import wait_until

NAMES = TopicNames()
APP = "friction"
CHECKPOINT_S = 0.3


class House:
    """A broker of its own, for it is stopped; with a registry, topics, and a worker that is ready."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "kafka"
        self._broker = EmbeddedBroker(self._directory)
        self.kafka: KafkaConnection = self._broker.start()
        apply_topics(self.kafka, NAMES, partitions={"customers": 3, "touchpoints": 2})
        self._registry = EmbeddedRegistry(self.kafka)
        at = self._registry.start()
        self._encoder = InteractionEncoder(register_contract(SchemaRegistry(at), NAMES)[INTERACTIONS])
        self.sent: list[str] = []
        given = {"FRICTION_WORKER__CHECKPOINT_INTERVAL_S": str(CHECKPOINT_S), "FRICTION_POLICY_FILE": "three"}
        self.worker = WorkerProcess(self.kafka, at, NAMES, directory, app_id=APP, env=given)

    def send(self, how_many: int) -> None:
        from connectors.kafka.producing import Sender

        sender, now_ms = Sender(self.kafka), time.time_ns() // 1_000_000
        for n in range(how_many):
            self.sent.append(f"customer-{n}")
            said = Interaction("", self.sent[-1], "wait.measured", "phone", "call", now_ms, duration_ms=600_000)
            sender.send(NAMES.of(INTERACTIONS), said.customer_id.encode(), self._encoder.encode(said))
        assert sender.flush().failed == 0

    def all_is_counted_once(self) -> bool:
        wait_until_processed(self.kafka, NAMES, APP, by=self.worker)
        found = outcome(self.kafka, NAMES)
        waits = sum(sum(window[:3]) for window in found.windows.values())
        counted = Counter({name: row.interactions for name, row in found.rows.items()})
        return counted == Counter(self.sent) and waits == len(self.sent)

    def stop_broker(self) -> None:
        self._broker.stop()

    def start_broker(self) -> None:
        self._broker = EmbeddedBroker(self._directory, port=self._broker.port)
        self._broker.start()

    def close(self) -> None:
        self.worker.kill()
        self._registry.stop()
        self._broker.stop()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    one = House(tmp_path_factory.mktemp("outage"))
    yield one
    one.close()


@pytest.mark.parametrize("away_s", [1.0, 8.0])
def test_a_worker_goes_on_by_itself_when_kafka_comes_back(house: House, away_s: float) -> None:
    if not house.worker.running:
        house.worker.start()
    house.send(50)
    assert house.all_is_counted_once()
    house.send(50)
    house.stop_broker()
    end_s = time.monotonic() + away_s
    wait_until(lambda: time.monotonic() > end_s)  # the outage itself: transactions time out, or do not
    assert house.worker.running, house.worker.log
    house.start_broker()
    assert house.all_is_counted_once()
    house.send(50)  # the clients of before go on working
    assert house.all_is_counted_once()


def test_a_worker_whose_kafka_is_away_ends_when_it_is_asked_to_and_leaves_nothing_half_done(house: House) -> None:
    if not house.worker.running:
        house.worker.start()
    house.send(50)
    house.stop_broker()
    begun_s = time.monotonic()
    assert house.worker.stop(timeout_s=60.0) == ExitCode.DONE
    assert time.monotonic() - begun_s < 30.0
    house.start_broker()
    house.worker.start()
    assert house.all_is_counted_once()
    assert house.worker.stop() == ExitCode.DONE
