import io
import json
import threading
import time
from datetime import datetime
from typing import Any

import fastavro
import fastavro.schema
import pytest
from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import Message

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.producing import Sender, Sent
from connectors.registry.client import SchemaRegistry
from connectors.registry.connection import RegistryConnection
from connectors.simulator.day import HOUR_MS
from connectors.simulator.producer import simulate
from connectors.simulator.simulation import crowd_interactions
from schemas.errors import SettingsError, StoreUnavailable, TopicMismatch
from schemas.interactions import InteractionEncoder
from schemas.topics import INTERACTIONS, TopicNames, avro_schema
from schemas.wire import split_frame
from tests.reading import read_topic

NOWHERE = KafkaConnection(bootstrap_servers="127.0.0.1:1")
SCHEMA = fastavro.schema.parse_schema(json.loads(avro_schema("interaction")))


@pytest.fixture
def schemas_of(registry: RegistryConnection) -> SchemaRegistry:
    return SchemaRegistry(registry)


def record(message: Message) -> dict[str, Any]:
    decoded: dict[str, Any] = fastavro.schemaless_reader(io.BytesIO(split_frame(message.value())[1]), SCHEMA, None)
    return decoded


def end_ms(message: Message) -> int:
    """When it was over: the moment at which it can be told."""
    said = record(message)
    occurred_at: datetime = said["occurred_at"]
    return round(occurred_at.timestamp() * 1000) + (said["duration_ms"] or 0)


def start_of(message: Message) -> int:
    """The start of the run, which is the second part of its event ids."""
    return int(record(message)["event_id"].split("-")[1], 16)


@pytest.mark.parametrize("repeated", [0.0, 0.3])
def test_what_arrives_is_what_the_crowd_tells_as_often_as_it_does_and_in_order(
    kafka: KafkaConnection, schemas_of: SchemaRegistry, created_topics: TopicNames, repeated: float
) -> None:
    sent = simulate(
        kafka,
        schemas_of,
        created_topics,
        seed=5,
        rate=1_500.0,
        count=3_000,
        customers=200,
        repeated=repeated,
        stop=threading.Event(),
    )
    messages = read_topic(kafka, created_topics.of(INTERACTIONS))
    schema_id = schemas_of.register(created_topics.subject(INTERACTIONS), avro_schema("interaction"))
    encoder = InteractionEncoder(schema_id)
    crowd = list(
        crowd_interactions(
            seed=5, start_ms=start_of(messages[0]), rate=1_500.0, total=3_000, customers=200, repeated=repeated
        )
    )
    assert (len({told.event_id for told in crowd}) < 3_000) == (repeated > 0)
    expected: list[list[bytes]] = [[], [], []]
    partitioner = DefaultPartitioner()
    for told in crowd:
        partition = partitioner(told.customer_id.encode(), [0, 1, 2], [0, 1, 2])
        expected[partition].append(encoder.encode(told))
    assert sent == Sent(produced=3_000, failed=0)
    assert [[m.value() for m in messages if m.partition() == p] for p in range(3)] == expected
    assert all(m.key().decode() == record(m)["customer_id"] for m in messages)


def test_real_time_events_are_told_when_they_are_over_and_no_sooner_than_the_rate_allows(
    kafka: KafkaConnection, schemas_of: SchemaRegistry, created_topics: TopicNames
) -> None:
    begun_s = time.monotonic()
    simulate(kafka, schemas_of, created_topics, seed=1, rate=500.0, seconds=1.5, stop=threading.Event())
    took_s = time.monotonic() - begun_s
    messages = read_topic(kafka, created_topics.of(INTERACTIONS))
    assert len(messages) == 750
    assert took_s >= 749 / 500
    assert all(end_ms(m) <= m.timestamp()[1] for m in messages)
    assert all(m.timestamp()[1] - end_ms(m) < 30_000 for m in messages)


def test_a_compressed_day_ends_at_now_and_has_no_future_event(
    kafka: KafkaConnection, schemas_of: SchemaRegistry, created_topics: TopicNames
) -> None:
    simulate(
        kafka, schemas_of, created_topics, seed=1, rate=2_000.0, count=2_000, span_hours=24, stop=threading.Event()
    )
    messages = read_topic(kafka, created_topics.of(INTERACTIONS))
    ends_ms = [end_ms(m) for m in messages]
    last_append_ms = max(m.timestamp()[1] for m in messages)
    assert all(end <= m.timestamp()[1] for end, m in zip(ends_ms, messages, strict=True))
    assert last_append_ms - max(ends_ms) < 30_000
    assert 23 * HOUR_MS < max(ends_ms) - min(ends_ms) <= 24 * HOUR_MS


def test_a_second_start_with_the_same_seed_repeats_no_event_id(
    kafka: KafkaConnection, schemas_of: SchemaRegistry, created_topics: TopicNames
) -> None:
    for _ in range(2):
        simulate(kafka, schemas_of, created_topics, seed=1, rate=5_000.0, count=500, stop=threading.Event())
    ids = [record(m)["event_id"] for m in read_topic(kafka, created_topics.of(INTERACTIONS))]
    assert len(set(ids)) == len(ids) == 1_000


def test_a_stop_leaves_nothing_half_sent(
    kafka: KafkaConnection, schemas_of: SchemaRegistry, created_topics: TopicNames
) -> None:
    stop = threading.Event()
    seen: list[Sent] = []

    def on_progress(sent: Sent) -> None:
        seen.append(sent)
        stop.set()

    sent = simulate(kafka, schemas_of, created_topics, seed=1, rate=1_000.0, stop=stop, on_progress=on_progress)
    assert len(seen) == 1
    assert sent.produced >= seen[0].produced > 0
    assert len(read_topic(kafka, created_topics.of(INTERACTIONS))) == sent.produced


def test_a_full_queue_is_waited_for_and_nothing_is_lost(kafka: KafkaConnection, created_topics: TopicNames) -> None:
    topic = created_topics.of(INTERACTIONS)
    waits: list[int] = []
    sender = Sender(kafka, queue_buffering_max_messages=10, linger_ms=0)
    for number in range(2_000):

        def give_up(number: int = number) -> bool:
            waits.append(number)
            return False

        assert sender.send(topic, b"k%d" % (number % 7), b"%d" % number, give_up=give_up)
    assert sender.flush() == Sent(produced=2_000, failed=0)
    assert waits
    arrived = sorted(int(m.value()) for m in read_topic(kafka, topic))
    assert arrived == list(range(2_000))


def test_keys_meet_the_partition_that_java_gives_them(kafka: KafkaConnection, created_topics: TopicNames) -> None:
    topic, partitioner = created_topics.of(INTERACTIONS), DefaultPartitioner()
    sender = Sender(kafka)
    for number in range(300):
        sender.send(topic, f"şule.öztürk.{number}".encode(), b"")
    sender.flush()
    messages = read_topic(kafka, topic)
    assert {m.partition() for m in messages} == {0, 1, 2}
    assert all(m.partition() == partitioner(m.key(), [0, 1, 2], [0, 1, 2]) for m in messages)


def test_who_waits_for_a_dead_broker_can_give_up() -> None:
    sender = Sender(NOWHERE, queue_buffering_max_messages=1)
    assert sender.send("t", b"k", b"1")
    assert not sender.send("t", b"k", b"2", give_up=lambda: True)


def test_what_was_not_delivered_is_counted_and_raised() -> None:
    sender = Sender(NOWHERE, message_timeout_ms=200)
    for _ in range(3):
        sender.send("t", b"k", b"1")
    with pytest.raises(StoreUnavailable, match=r"acknowledged 0 records, refused 3.*timed out"):
        sender.flush()
    assert sender.sent == Sent(produced=0, failed=3)


def test_what_is_still_on_its_way_at_the_end_is_raised() -> None:
    sender = Sender(NOWHERE)
    sender.send("t", b"k", b"1")
    with pytest.raises(StoreUnavailable, match=r"did not answer for 1 within 0\.2 s"):
        sender.flush(timeout_s=0.2)


def test_a_record_that_is_too_large_fails_alone(kafka: KafkaConnection, created_topics: TopicNames) -> None:
    sender = Sender(kafka)
    topic = created_topics.of(INTERACTIONS)
    for value in (b"1", b"x" * 2_000_000, b"3"):
        assert sender.send(topic, b"k", value)
    with pytest.raises(StoreUnavailable, match=r"acknowledged 2 records, refused 1.*size too large"):
        sender.flush()
    assert [m.value() for m in read_topic(kafka, topic)] == [b"1", b"3"]


def test_a_missing_topic_and_a_dead_broker_are_told_apart_before_anything_is_sent(
    kafka: KafkaConnection, names: TopicNames
) -> None:
    with pytest.raises(TopicMismatch, match="friction topics apply"):
        Sender(kafka).require_topic(names.of(INTERACTIONS))
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1 did not answer"):
        Sender(NOWHERE).require_topic("t", timeout_s=0.3)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("rate", {"rate": 0.0}),
        ("rate", {"rate": float("nan")}),
        ("count", {"rate": 1.0, "count": 0}),
        ("seconds", {"rate": 1.0, "seconds": -1.0}),
        ("customers", {"rate": 1.0, "customers": 0}),
        ("span_hours", {"rate": 1.0, "count": 10, "span_hours": 0.0}),
        ("late", {"rate": 1.0, "late": 1.0}),
        ("repeated", {"rate": 1.0, "repeated": -0.1}),
    ],
)
def test_an_argument_out_of_range_is_named(
    kafka: KafkaConnection, schemas_of: SchemaRegistry, names: TopicNames, name: str, arguments: dict[str, float]
) -> None:
    with pytest.raises(SettingsError, match=f"{name} of the simulator must be "):
        simulate(kafka, schemas_of, names, seed=1, stop=threading.Event(), **arguments)  # type: ignore[arg-type]  # by name
