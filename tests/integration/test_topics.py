"""`friction topics`: what the declaration says becomes true on a cluster, and stays so."""

import time

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from connectors.kafka.admin import apply_topics, diff_topics, existing_topics
from connectors.kafka.connection import KafkaConnection
from schemas.errors import SettingsError, StoreUnavailable, TopicMismatch
from schemas.topics import ALERTS, INTERACTIONS, REKEYED, SCORES, STATE, TopicNames, topics
from tests.polling import wait_until


@pytest.fixture(scope="module")
def admin(kafka: KafkaConnection) -> AdminClient:
    return AdminClient(kafka.confluent())


def create(admin: AdminClient, topic: str, partitions: int, config: dict[str, str] | None = None) -> None:
    new = NewTopic(topic, partitions, config=config or {})
    admin.create_topics([new])[topic].result(10)
    wait_until(lambda: topic in admin.list_topics(timeout=5).topics)


def set_config(admin: AdminClient, topic: str, key: str, value: str) -> None:
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(10)
    wait_until(lambda: config_of(admin, topic)[key] == value)


def config_of(admin: AdminClient, topic: str) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    answer = admin.describe_configs([resource])[resource].result(10)
    return {key: entry.value for key, entry in answer.items()}


def actions(kafka: KafkaConnection, names: TopicNames, **asked: int) -> dict[str, str]:
    """Action of the diff by declared topic; topics that stay the same are left out."""
    changes = diff_topics(kafka, names, partitions=asked)
    pairs = zip(topics(), changes, strict=True)
    return {name: change.action for name, change in pairs if change.action != "same"}


def test_applying_makes_the_cluster_what_the_declaration_says(
    kafka: KafkaConnection, admin: AdminClient, names: TopicNames
) -> None:
    apply_topics(kafka, names, partitions={"customers": 3})
    found = admin.list_topics(timeout=10).topics
    for name, topic in topics().items():
        assert len(found[names.of(name)].partitions) == {"customers": 3, "touchpoints": 2}[topic.partitions]
        assert topic.config.items() <= config_of(admin, names.of(name)).items()


def test_applying_twice_changes_nothing(kafka: KafkaConnection, names: TopicNames) -> None:
    assert {change.action for change in apply_topics(kafka, names)} == {"create"}
    assert {change.action for change in apply_topics(kafka, names)} == {"same"}


def test_a_diff_says_what_apply_would_do_and_does_not_do_it(kafka: KafkaConnection, names: TopicNames) -> None:
    said = diff_topics(kafka, names)
    assert [change.action for change in said] == ["create"] * len(topics())
    assert existing_topics(kafka, names) == []
    assert apply_topics(kafka, names) == said


def test_a_missing_topic_gets_the_partitions_that_its_group_has(
    kafka: KafkaConnection, admin: AdminClient, names: TopicNames
) -> None:
    create(admin, names.of(INTERACTIONS), 5, {"message.timestamp.type": "LogAppendTime"})
    apply_topics(kafka, names)
    counts = {topic.topic: topic.partitions for topic in existing_topics(kafka, names)}
    assert counts[names.of(STATE)] == 5


def test_a_topic_with_another_number_of_partitions_is_told_with_a_remedy_and_nothing_is_changed(
    kafka: KafkaConnection, admin: AdminClient, names: TopicNames
) -> None:
    create(admin, names.of(SCORES), 3)
    with pytest.raises(TopicMismatch, match=r"has 3 partitions.*--partitions customers=3.*delete"):
        apply_topics(kafka, names, partitions={"customers": 4})
    assert [topic.topic for topic in existing_topics(kafka, names)] == [names.of(SCORES)]
    assert actions(kafka, names, customers=4)[SCORES] == "mismatch"
    assert "mismatch" not in actions(kafka, names, customers=3).values()


def test_topics_of_one_group_that_disagree_are_told(
    kafka: KafkaConnection, admin: AdminClient, names: TopicNames
) -> None:
    apply_at = {INTERACTIONS: 3, REKEYED: 3, SCORES: 2}
    for topic, partitions in apply_at.items():
        create(admin, names.of(topic), partitions, dict(topics()[topic].config))
    said = actions(kafka, names)
    assert {topic: action for topic, action in said.items() if topic in apply_at} == {SCORES: "mismatch"}


def test_a_shorter_retention_is_set_right_and_reported(
    kafka: KafkaConnection, admin: AdminClient, created_topics: TopicNames
) -> None:
    alerts = created_topics.of(ALERTS)
    set_config(admin, alerts, "retention.ms", "3600000")
    assert actions(kafka, created_topics) == {ALERTS: "alter"}
    (altered,) = (change for change in apply_topics(kafka, created_topics) if change.action == "alter")
    assert altered.topic == alerts
    assert "retention.ms from 3600000 to 1209600000" in altered.detail
    wait_until(lambda: config_of(admin, alerts)["retention.ms"] == "1209600000")
    assert actions(kafka, created_topics) == {}


@pytest.mark.parametrize("longer", ["99999999999", "-1"])
def test_records_that_an_operator_keeps_longer_are_kept(
    kafka: KafkaConnection, admin: AdminClient, created_topics: TopicNames, longer: str
) -> None:
    set_config(admin, created_topics.of(ALERTS), "retention.ms", longer)
    apply_topics(kafka, created_topics)
    assert config_of(admin, created_topics.of(ALERTS))["retention.ms"] == longer
    (change,) = (c for c in diff_topics(kafka, created_topics) if c.topic == created_topics.of(ALERTS))
    assert change.action == "same"
    assert f"retention.ms={longer} is more than the declared" in change.detail


@pytest.mark.parametrize(
    ("topic", "key", "value"),
    [(STATE, "cleanup.policy", "delete"), (INTERACTIONS, "message.timestamp.type", "CreateTime")],
)
def test_a_setting_that_decides_what_records_mean_is_not_changed_behind_them(
    kafka: KafkaConnection, admin: AdminClient, created_topics: TopicNames, topic: str, key: str, value: str
) -> None:
    set_config(admin, created_topics.of(topic), key, value)
    with pytest.raises(TopicMismatch, match=rf"has {key}={value}, declared is .*kafka-configs --alter"):
        apply_topics(kafka, created_topics)
    assert config_of(admin, created_topics.of(topic))[key] == value


def test_messages_are_counted_over_all_partitions(kafka: KafkaConnection, created_topics: TopicNames) -> None:
    producer = Producer(kafka.confluent())
    for partition, count in enumerate((1, 0, 4)):
        for _ in range(count):
            producer.produce(created_topics.of(INTERACTIONS), b"x", partition=partition)
    assert producer.flush(10) == 0
    messages = {topic.topic: topic.messages for topic in existing_topics(kafka, created_topics)}
    assert messages.pop(created_topics.of(INTERACTIONS)) == 5
    assert set(messages.values()) == {0}


def test_an_unknown_group_of_partitions_is_refused(kafka: KafkaConnection, names: TopicNames) -> None:
    with pytest.raises(SettingsError, match="no group 'orders' of topics, only customers, touchpoints"):
        apply_topics(kafka, names, partitions={"orders": 3})


def test_a_group_without_partitions_is_refused(kafka: KafkaConnection, names: TopicNames) -> None:
    with pytest.raises(SettingsError, match="customers must be 1 or more, got 0"):
        apply_topics(kafka, names, partitions={"customers": 0})


def test_a_cluster_that_refuses_is_told_in_its_own_words(kafka: KafkaConnection) -> None:
    with pytest.raises(SettingsError, match="Topic name is invalid"):
        apply_topics(kafka, TopicNames(prefix="no spaces "))


def test_a_cluster_that_is_away_is_told_in_time_and_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1 did not answer within 1 s.*refused"):
        diff_topics(KafkaConnection(bootstrap_servers="127.0.0.1:1"), TopicNames(), timeout_s=1.0)
    assert time.monotonic() - began < 5
    assert capfd.readouterr() == ("", "")
