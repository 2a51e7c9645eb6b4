"""Topics that are not what a worker needs: it says what to do, and nothing is lost or committed wrongly."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    NewPartitions,
)

from connectors.kafka.admin import apply_topics
from connectors.kafka.connection import KafkaConnection
from connectors.registry.connection import RegistryConnection
from pipelines.cli.exits import ExitCode
from schemas.topics import ALERTS, INTERACTIONS, SCORES, STATE, TOUCHPOINT_STATE, TopicNames, topics
from tests.integration.house import House
from tests.integration.senders import PARTITION, Sender, app_of, counted
from tests.integration.workers import WorkerProcess
from tests.polling import wait_until


@pytest.fixture
def house(
    kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames, tmp_path: Path
) -> Iterator[House]:
    env = {"FRICTION_POLICY_FILE": "three"}
    worker = WorkerProcess(kafka, registry, created_topics, tmp_path, app_id=app_of(created_topics), env=env)
    yield House(
        kafka,
        created_topics,
        Sender(kafka, registry, created_topics),
        worker,
        AdminClient({**kafka.confluent(), "log_level": 0}),
    )
    worker.kill()


def test_partitions_that_were_added_to_all_topics_under_their_state_are_refused(house: House) -> None:
    house.work_and_stop()
    before = house.written()
    more = [NewPartitions(house.names.of(t.name), 4) for t in topics().values() if t.partitions == "customers"]
    for done in house.admin.create_partitions(more).values():
        done.result(10.0)
    house.refused("was written when there were 3", "now there are 4", "another prefix")
    assert house.counts_all_once()
    assert house.written() == before


@pytest.mark.parametrize(("topic", "policy"), [(STATE, "delete"), (TOUCHPOINT_STATE, "compact,delete")])
def test_state_from_which_kafka_may_delete_is_refused_with_the_command_that_mends_it(
    house: House, topic: str, policy: str
) -> None:
    house.set_config(topic, "cleanup.policy", policy)
    name = house.names.of(topic)
    house.refused(
        f"topic {name} has cleanup.policy=",
        f"kafka-configs --alter --topic {name} --add-config cleanup.policy=compact",
        "friction topics diff",
    )
    house.set_config(topic, "cleanup.policy", "compact")
    house.work_and_stop()
    assert house.counts_all_once()


@pytest.mark.parametrize("topic", [STATE, TOUCHPOINT_STATE])
def test_a_state_that_is_missing_and_one_that_is_empty_are_not_taken_for_a_first_start(
    house: House, topic: str
) -> None:
    name = house.names.of(topic)
    house.work_and_stop()
    house.delete(topic)
    house.refused(f"topic {name} does not exist", "friction topics apply")
    apply_topics(house.kafka, house.names)
    for _ in range(2):  # as a supervisor does
        house.refused(f"{name}/", "is empty, but the group", "worker.accept_loss", app_of(house.names))
    assert house.written()[topic] == 0
    assert house.counts_all_once()
    house.worker.start(FRICTION_WORKER__ACCEPT_LOSS="true")
    house.send_and_process(10)
    assert house.counts_all_once(), "what is still there is counted anew, once"
    assert "worker.accept_loss is set, so this is accepted" in house.worker.log
    assert house.worker.stop() == ExitCode.DONE


def test_offsets_that_somebody_gave_the_group_do_not_decide_where_workers_begin(house: House) -> None:
    topic, app = house.names.of(INTERACTIONS), app_of(house.names)
    house.sender.send_good(20)
    given = ConsumerGroupTopicPartitions(app, [TopicPartition(topic, PARTITION, 15)])
    house.admin.alter_consumer_group_offsets([given])[app].result(10.0)
    house.refused(f"{house.names.of(STATE)}/{PARTITION} is empty", f"offset 15 of {topic}/{PARTITION}", "delete them")
    wait_until(lambda: house.admin.delete_consumer_groups([app])[app].exception(10.0) is None)
    house.work_and_stop()
    assert house.counts_all_once()


def test_a_state_that_is_made_anew_under_a_worker_stops_it_and_its_remains_are_not_taken_for_the_whole(
    house: House,
) -> None:
    house.worker.start()
    house.send_and_process(20)
    house.make_anew(STATE)
    house.sender.send_good(10)
    house.refused(house.names.of(STATE), "was deleted")
    house.refused(house.names.of(STATE), "worker.accept_loss")


def test_a_source_that_was_made_anew_is_not_taken_for_the_one_before(house: House) -> None:
    house.work_and_stop()
    before = house.written()
    house.make_anew(INTERACTIONS)
    for more in (5, 40):  # fewer than were counted of the one before, and more: only its id tells then
        house.sender.send_good(more)
        house.refused(f"{house.names.of(INTERACTIONS)} was deleted and made anew", "offset 20", "topic_prefix")
    assert house.written() == before


def test_a_source_that_is_made_anew_under_a_worker_stops_it(house: House) -> None:
    house.worker.start()
    house.send_and_process(20)
    before = counted(house.kafka, house.names)
    house.make_anew(INTERACTIONS)
    house.sender.send_good(40)
    house.refused(house.names.of(INTERACTIONS), "was deleted")
    house.refused(f"{house.names.of(INTERACTIONS)} was deleted and made anew", "offset 20")
    assert counted(house.kafka, house.names) == before


def test_a_topic_that_is_deleted_under_a_worker_stops_it(house: House) -> None:
    house.worker.start()
    house.send_and_process(20)
    house.delete(ALERTS)
    house.refused(f"topic {house.names.of(ALERTS)} was deleted")
    apply_topics(house.kafka, house.names)
    house.work_and_stop()
    assert house.counts_all_once()


@pytest.mark.parametrize("topic", [STATE, SCORES])
def test_what_a_topic_is_too_small_for_stops_the_worker_until_the_topic_is_mended(house: House, topic: str) -> None:
    name = house.names.of(topic)
    house.work_and_stop()
    before = house.written()
    house.set_config(topic, "max.message.bytes", "150")
    house.sender.send_good(20)
    mending = f"kafka-configs --alter --topic {name} --add-config max.message.bytes=16777216"
    said = house.refused("Kafka refuses what partition ", " of customers leads to", mending, code=ExitCode.USAGE)
    assert "partition 1 " in said or topic == STATE, "the other partition has a header to write, at times"
    assert house.written() == before, "nothing of it is there, in no topic"
    house.set_config(topic, "max.message.bytes", "16777216")
    house.work_and_stop()
    assert house.counts_all_once()


def test_an_agent_that_raises_stops_the_worker_before_anything_of_it_is_committed(house: House) -> None:
    house.work_and_stop()
    before = house.written()
    house.sender.send_good(20)
    house.worker.start(ready=False, FRICTION_TEST_FAULTS='{"raise_at": 25}')
    house.refused("the worker stopped before anything wrong was committed: ArithmeticError('a test wanted it at")
    assert house.written() == before
    house.worker.start(FRICTION_TEST_FAULTS="")
    house.send_and_process(1)
    assert house.counts_all_once()
    assert house.worker.stop() == ExitCode.DONE
