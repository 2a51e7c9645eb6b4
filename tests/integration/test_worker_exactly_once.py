"""Whatever happens to workers, every interaction counts exactly once."""

import json
import time
from functools import partial

from confluent_kafka import Producer

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.producing import Sender
from connectors.registry.client import SchemaRegistry, register_contract
from connectors.registry.connection import RegistryConnection
from connectors.simulator.simulation import crowd_interactions
from pipelines.cli.chaos.outcome import outcome
from pipelines.cli.chaos.workers import lag
from schemas.interactions import InteractionEncoder
from schemas.topics import ALERTS, INTERACTIONS, REKEYED, WAIT_PARTIALS, WAITS, TopicNames
from tests.integration.live import POLICY, live
from tests.integration.outcome import assert_exactly_once, models
from tests.integration.senders import PARTITION, app_of, customers, send, wait
from tests.integration.workers import NewWorker, WorkerProcess, wait_until_processed
from tests.polling import wait_until
from tests.reading import read_topic

SLOWLY = {
    "FRICTION_WORKER__FETCH_MAX_BYTES": "65536",
    "FRICTION_WORKER__BUFFER_BYTES": "1048576",
    "FRICTION_WORKER__CHECKPOINT_INTERVAL_S": "0.2",
}


def produce(
    kafka: KafkaConnection, registry: RegistryConnection, names: TopicNames, count: int, **settings: str
) -> None:
    """Send the first ``count`` interactions of a crowd, told within the last half hour."""

    schema_id = register_contract(SchemaRegistry(registry), names)[INTERACTIONS]
    encoder, topic = InteractionEncoder(schema_id), names.of(INTERACTIONS)
    start_ms = int(time.time() * 1000) - 1_800_000
    crowd = crowd_interactions(seed=7, start_ms=start_ms, rate=count / 1800, total=count, customers=5_000)
    if settings:
        plain = Producer({**kafka.confluent(**settings), "linger.ms": 20})
        for i in crowd:
            plain.produce(topic, encoder.encode(i), i.customer_id.encode())
            plain.poll(0)
        assert plain.flush(60) == 0
        return
    sender = Sender(kafka)
    for i in crowd:
        sender.send(topic, i.customer_id.encode(), encoder.encode(i))
    assert sender.flush().produced == count


def unprocessed(kafka: KafkaConnection, names: TopicNames) -> int:
    return sum(
        n for (topic, _), n in lag(kafka, names, f"{names.prefix}app").items() if topic == names.of(INTERACTIONS)
    )


def fewer_unprocessed(kafka: KafkaConnection, names: TopicNames, than: int) -> bool:
    return unprocessed(kafka, names) < than


def test_a_worker_killed_in_the_middle_of_200_000_interactions_loses_and_doubles_nothing(
    kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames, new_worker: NewWorker
) -> None:
    names = created_topics
    produce(kafka, registry, names, 200_000)
    worker = new_worker("only", **SLOWLY)
    for most in (150_000, 80_000):
        worker.start()
        wait_until(partial(fewer_unprocessed, kafka, names, most), 60.0)
        worker.kill()
        assert unprocessed(kafka, names) > 0, "it was killed too late to prove anything"
    worker.start()
    wait_until_processed(kafka, names, f"{names.prefix}app", 120.0)
    assert worker.stop() == 0
    found = outcome(kafka, names)
    assert found.interactions == 200_000
    want = models(kafka, names, POLICY)
    for partition, model in want.items():
        model.advance(found.advanced_ms[partition])
    assert_exactly_once(found, want)


def test_waits_of_which_the_second_stage_had_not_heard_when_a_worker_died_are_told_by_the_next_one(
    kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames, new_worker: NewWorker
) -> None:
    names, customer = created_topics, next(customers(PARTITION))
    schema_id = register_contract(SchemaRegistry(registry), names)[INTERACTIONS]
    alerting = InteractionEncoder(schema_id).encode(wait(customer, duration_ms=7_200_000))
    worker = new_worker("only", FRICTION_WORKER__CHECKPOINT_INTERVAL_S="600")
    worker.start()
    send(kafka, names.of(INTERACTIONS), [(customer.encode(), alerting)])
    wait_until(lambda: read_topic(kafka, names.of(ALERTS)), 30.0)
    worker.kill()
    assert lag(kafka, names, app_of(names))[names.of(INTERACTIONS), PARTITION] == 1
    assert places(kafka, names.of(WAIT_PARTIALS)) == set(), "an early checkpoint has only what an alert needs"
    worker.start(FRICTION_WORKER__CHECKPOINT_INTERVAL_S="0.2")
    wait_until_processed(kafka, names, app_of(names), by=worker)
    assert places(kafka, names.of(WAITS)) == {"call/support"}


def places(kafka: KafkaConnection, topic: str) -> set[str]:
    """Touchpoints of the windows that are told there; a mark has none."""
    return {json.loads(m.key() or b"")[0] for m in read_topic(kafka, topic) if m.key()}


def partitions_of(*workers: WorkerProcess) -> list[float]:
    return [w.metric("friction_worker_partitions", stage="customers") for w in workers]


def test_two_workers_share_three_partitions_and_one_leaves(
    kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames, new_worker: NewWorker
) -> None:
    names = created_topics
    first, second = new_worker(instance="first"), new_worker(instance="second")
    first.start()
    with live(kafka, registry, names, seed=3, seconds=16.0):
        second.start()
        wait_until(lambda: sorted(partitions_of(first, second)) == [1.0, 2.0], 30.0)
        assert second.stop() == 0
        wait_until(lambda: partitions_of(first) == [3.0], 30.0)
    wait_until_processed(kafka, names, f"{names.prefix}app")
    assert first.stop() == 0
    assert_exactly_once(outcome(kafka, names), models(kafka, names, POLICY))


def test_a_frozen_worker_that_wakes_up_harms_nothing(
    kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames, new_worker: NewWorker
) -> None:
    names = created_topics
    frozen, other = new_worker(), new_worker()
    frozen.start()
    with live(kafka, registry, names, seed=4, seconds=20.0):
        wait_until(lambda: frozen.metric("friction_worker_interactions_total") > 2_000, 30.0)
        frozen.freeze()
        other.start()  # gets the partitions when the group notices
        wait_until(lambda: other.metric("friction_worker_interactions_total") > 5_000, 30.0)
        frozen.thaw()
    wait_until_processed(kafka, names, f"{names.prefix}app")
    for worker in (frozen, other):
        assert worker.stop() == 0
    assert_exactly_once(outcome(kafka, names), models(kafka, names, POLICY))


def test_interactions_in_the_wrong_partition_are_sent_on_and_count_once(
    kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames, new_worker: NewWorker
) -> None:
    """A librdkafka producer with its default partitioner puts two of three customers elsewhere."""
    names = created_topics
    produce(kafka, registry, names, 20_000, partitioner="consistent_random")
    worker = new_worker()
    worker.start()
    wait_until_processed(kafka, names, f"{names.prefix}app")
    assert worker.metric("friction_worker_interactions_total") == 20_000
    sent_on = worker.metric("friction_worker_rekeyed_total")
    assert worker.stop() == 0
    rekeyed = read_topic(kafka, names.of(REKEYED))
    assert 8_000 < len(rekeyed) == sent_on < 18_000
    found = outcome(kafka, names)
    assert found.interactions == 20_000
    want: dict[str, int] = {}
    for model in models(kafka, names, POLICY).values():
        for name, customer in model.customers.items():
            want[name] = want.get(name, 0) + customer.interactions
    assert {name: row.interactions for name, row in found.rows.items()} == want
