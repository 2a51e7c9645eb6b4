"""Counts come from end offsets, committed offsets and rows."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from connectors.clickhouse.client import connect
from connectors.clickhouse.connection import ClickHouseConnection
from connectors.clickhouse.migrations import migrate
from connectors.kafka.connection import KafkaConnection
from pipelines.cli.counts import Probe
from schemas.errors import StoreUnavailable, TopicMismatch
from schemas.topics import ALERTS, DEAD_LETTERS, INTERACTIONS, TopicNames

NOW = datetime.now(UTC)  # tables forget what is old


@pytest.fixture
def tables(clickhouse: ClickHouseConnection, names: TopicNames) -> ClickHouseConnection:
    """A database that no other test uses, with our tables."""
    own = clickhouse.model_copy(update={"database": f"status_{names.prefix.rstrip('-')}"})
    migrate(own)
    return own


@pytest.fixture
def probe(kafka: KafkaConnection, tables: ClickHouseConnection, created_topics: TopicNames) -> Iterator[Probe]:
    with Probe(kafka, tables, created_topics, app_id=f"{created_topics.prefix}friction") as one:
        yield one


def produce(kafka: KafkaConnection, topic: str, partition: int, count: int) -> None:
    producer = Producer(kafka.confluent())
    for number in range(count):
        producer.produce(topic, str(number).encode(), partition=partition)
    assert producer.flush(20.0) == 0


def commit(kafka: KafkaConnection, names: TopicNames, offsets: dict[int, int]) -> None:
    consumer = Consumer(kafka.confluent(group_id=f"{names.prefix}friction", enable_auto_commit=False))
    topic = names.of(INTERACTIONS)
    consumer.commit(offsets=[TopicPartition(topic, p, offset) for p, offset in offsets.items()], asynchronous=False)
    consumer.close()


def land(tables: ClickHouseConnection, table: str, rows: list[dict[str, object]]) -> None:
    client = connect(tables)
    client.insert(table, [list(row.values()) for row in rows], column_names=list(rows[0]))
    client.close()


def interaction_row(names: TopicNames, partition: int, offset: int) -> dict[str, object]:
    return {
        "event_id": f"{partition}/{offset}",
        "occurred_at": NOW,
        "_topic": names.of(INTERACTIONS),
        "_partition": partition,
        "_offset": offset,
        "_appended_at": NOW,
    }


def dead_letter_row(names: TopicNames, partition: int, offset: int, number: int) -> dict[str, object]:
    return {
        "source_topic": names.of(INTERACTIONS),
        "source_partition": partition,
        "source_offset": offset,
        "_topic": names.of(DEAD_LETTERS),
        "_partition": 0,
        "_offset": number,
        "_appended_at": NOW,
    }


def test_an_empty_system_is_complete(probe: Probe) -> None:
    counts = probe.counts()
    assert (counts.produced, counts.processed, counts.alerts, counts.dead_letters) == (0, 0, 0, 0)
    assert set(counts.landed.values()) == {0}
    assert counts.complete


def test_produced_processed_and_landed_are_counted_where_they_are(
    kafka: KafkaConnection, tables: ClickHouseConnection, created_topics: TopicNames, probe: Probe
) -> None:
    topic = created_topics.of(INTERACTIONS)
    produce(kafka, topic, 0, 5)
    produce(kafka, topic, 2, 3)
    commit(kafka, created_topics, {0: 4})
    rows = [interaction_row(created_topics, p, offset) for p, offset in [(0, 0), (0, 1), (2, 0)]]
    land(tables, "interactions", [*rows, rows[0]])  # a row that landed twice is one interaction
    land(tables, "interactions", [{**rows[0], "_topic": "another", "_offset": 77}])
    land(tables, "dead_letters", [{**dead_letter_row(created_topics, 0, 0, 0), "_topic": "another"}])
    counts = probe.counts()
    assert (counts.produced, counts.processed, counts.lag) == (8, 4, 4)
    assert counts.landed["interactions"] == 3
    assert counts.landed["dead_letters"] == 0
    assert counts.landing_lag == 5
    assert not counts.complete


def test_alerts_are_those_that_a_read_committed_consumer_gets(
    kafka: KafkaConnection, created_topics: TopicNames, probe: Probe
) -> None:
    topic = created_topics.of(ALERTS)
    producer = Producer(kafka.confluent(transactional_id=f"{created_topics.prefix}test"))
    producer.init_transactions(20.0)

    def transaction(count: int, *, committed: bool) -> None:
        producer.begin_transaction()
        for number in range(count):
            producer.produce(topic, b"alert", partition=number % 3)
        producer.flush(20.0)
        if committed:
            producer.commit_transaction(20.0)
        else:
            producer.abort_transaction(20.0)

    transaction(4, committed=True)
    transaction(9, committed=False)
    assert probe.counts().alerts == 4
    transaction(2, committed=True)
    assert probe.counts().alerts == 6  # reads on where it stopped
    assert probe.pace().alerts == 6


def test_a_dead_letter_whose_bytes_could_not_be_read_lacks_no_row(
    kafka: KafkaConnection, tables: ClickHouseConnection, created_topics: TopicNames, probe: Probe
) -> None:
    produce(kafka, created_topics.of(INTERACTIONS), 1, 3)
    produce(kafka, created_topics.of(DEAD_LETTERS), 0, 2)
    commit(kafka, created_topics, {1: 3})
    land(tables, "interactions", [interaction_row(created_topics, 1, offset) for offset in (0, 1)])
    # Offset 1 was read and rejected (an event of 1970, say); offset 2 was no Avro and has no row.
    land(tables, "dead_letters", [dead_letter_row(created_topics, 1, 1 + n, n) for n in range(2)])
    counts = probe.counts()
    assert (counts.dead_letters, counts.refused, counts.landing_lag) == (2, 1, 0)
    assert counts.complete
    assert not dataclasses.replace(counts, dead_letters=3).complete  # one of them has not landed


def test_the_pace_is_told_by_the_newest_landed_offsets(
    kafka: KafkaConnection, tables: ClickHouseConnection, created_topics: TopicNames, probe: Probe
) -> None:
    produce(kafka, created_topics.of(INTERACTIONS), 0, 6)
    land(tables, "interactions", [interaction_row(created_topics, 0, offset) for offset in range(5)])
    pace = probe.pace()
    assert (pace.produced, pace.processed, pace.landed) == (6, 0, 5)


def test_a_missing_topic_and_a_store_that_is_away_are_told(
    kafka: KafkaConnection, tables: ClickHouseConnection, names: TopicNames
) -> None:
    with Probe(kafka, tables, names, app_id="friction") as probe, pytest.raises(TopicMismatch, match="topics apply"):
        probe.counts()
    nowhere = ClickHouseConnection(url="http://127.0.0.1:1")
    with Probe(kafka, nowhere, names, app_id="friction") as probe, pytest.raises(StoreUnavailable, match="ClickHouse"):
        probe.counts()
