"""From the public topics to rows: every kind, through kills and outages, without holes or doubles."""

import io
import json
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fastavro
import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, Producer, TopicPartition
from prometheus_client import CollectorRegistry

from connectors.child import start_child, stop_child
from connectors.clickhouse.blocks import BlockLimits
from connectors.clickhouse.client import connect
from connectors.clickhouse.connection import ClickHouseConnection
from connectors.clickhouse.embedded import EmbeddedClickHouse
from connectors.clickhouse.landing import Landing, LandingMetrics
from connectors.clickhouse.migrations import migrate
from connectors.kafka.connection import KafkaConnection
from connectors.registry.client import SchemaRegistry, register_contract
from connectors.registry.connection import RegistryConnection
from schemas.errors import InvariantBroken, StatementRejected, StoreUnavailable
from schemas.topics import ALERTS, DEAD_LETTERS, INTERACTIONS, SCORES, WAITS, TopicNames, avro_schema, topics
from schemas.wire import frame_header
from tests.polling import wait_until

NOW = datetime.now(UTC).replace(microsecond=0)
CONTRIBUTION = {"signal": "wait", "heat": 12.5, "half_life_s": 3600.0, "cap": 40.0, "held": 2.5}
SCORE = {
    "customer_id": "ada", "scored_at": NOW, "score": 33.0, "band": "warm", "heat": 12.5, "scale": 30.0,
    "contributions": [CONTRIBUTION], "interactions": 4, "segment": None, "policy": "abc",
}  # fmt: skip
ALERT = {
    "alert_id": "6b1f", "revision": 1, "type": "clock_breached", "status": "opened", "customer_id": "ada",
    "raised_at": NOW, "reason": "waits", "contributions": [CONTRIBUTION], "score": 33.0, "deadline": NOW,
    "open_clocks": [{"clock": "reply", "opened_at": NOW, "deadline": None, "case_id": "c1"}],
    "earlier": [{"occurred_at": NOW, "channel": "email", "tried": "template"}],
}  # fmt: skip
WAIT = {
    "touchpoint": "call/support", "channel": "phone", "window_start": NOW,
    "window_end": NOW + timedelta(minutes=5), "revision": 3, "offered": 5, "answered": 3, "abandoned": 1,
    "other_ends": 0, "in_progress": 1, "wait_sum_ms": 9000, "wait_max_ms": 5000, "wait_mean_ms": 2250.0,
    "final": True, "source_partitions": 3, "policy": "abc",
}  # fmt: skip


def interaction(number: int, customer: str = "ada") -> dict[str, Any]:
    return {
        "event_id": f"e{number}", "customer_id": customer, "kind": "wait.measured", "channel": "phone",
        "touchpoint": "call/support", "occurred_at": NOW, "duration_ms": number, "attributes": {"stage": "şube"},
    }  # fmt: skip


@pytest.fixture
def database(clickhouse: ClickHouseConnection) -> ClickHouseConnection:
    connection = clickhouse.model_copy(update={"database": f"d{uuid.uuid4().hex[:10]}"})
    migrate(connection)
    return connection


@pytest.fixture
def client(database: ClickHouseConnection) -> Client:
    return connect(database)


class Talk:
    """Produces what workers and producers would."""

    def __init__(self, kafka: KafkaConnection, registry: RegistryConnection, names: TopicNames) -> None:
        self._ids = register_contract(SchemaRegistry(registry), names)
        self._names = names
        self._producer = Producer(kafka.confluent(enable_idempotence=True, linger_ms=5))

    def value(self, topic: str, record: dict[str, Any]) -> bytes:
        out = io.BytesIO()
        schema = fastavro.parse_schema(json.loads(avro_schema(topics()[topic].schema_name or "")))
        fastavro.schemaless_writer(out, schema, record)
        return frame_header(self._ids[topic]) + out.getvalue()

    def say(self, topic: str, *records: dict[str, Any]) -> None:
        for record in records:
            self.send(topic, self.value(topic, record))

    def send(self, topic: str, value: bytes | None, **more: Any) -> None:
        self._producer.produce(self._names.of(topic), value=value, **more)
        self._producer.poll(0)

    def flush(self) -> None:
        assert self._producer.flush(30) == 0


@pytest.fixture
def talk(kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames) -> Talk:
    return Talk(kafka, registry, created_topics)


MakeLanding = Callable[..., Landing]


@pytest.fixture
def make_landing(
    kafka: KafkaConnection, registry: RegistryConnection, database: ClickHouseConnection, created_topics: TopicNames
) -> MakeLanding:
    def make(clickhouse: ClickHouseConnection = database, **more: Any) -> Landing:
        limits = BlockLimits(rows=1000, age_s=0.1)
        return Landing(kafka, registry, clickhouse, created_topics, **{"limits": limits, **more})

    return make


@contextmanager
def running(landing: Landing) -> Iterator[Future[None]]:
    """The landing in a thread; what it raised is raised at the end."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(landing.run, stop)
        try:
            yield done
        finally:
            stop.set()
        done.result(60)


def counted(client: Client, table: str) -> int:
    [(rows,)] = client.query(f"SELECT count() FROM {table} FINAL").result_rows  # noqa: S608 - a table of ours
    return int(rows)


def committed(kafka: KafkaConnection, group: str, names: TopicNames, topic: str) -> tuple[int, int]:
    """Sum of the committed offsets and of the ends, over the partitions of a topic."""
    consumer = Consumer(kafka.confluent(group_id=group))
    try:
        name = names.of(topic)
        partitions = [TopicPartition(name, p) for p in consumer.list_topics(name, timeout=10).topics[name].partitions]
        offsets = [max(found.offset, 0) for found in consumer.committed(partitions, timeout=10)]
        ends = [consumer.get_watermark_offsets(partition, timeout=10)[1] for partition in partitions]
        return sum(offsets), sum(ends)
    finally:
        consumer.close()


def test_every_public_topic_becomes_rows(talk: Talk, make_landing: MakeLanding, client: Client) -> None:
    talk.say(INTERACTIONS, *(interaction(i) for i in range(250)))
    talk.say(SCORES, SCORE)
    talk.say(ALERTS, ALERT)
    talk.say(WAITS, WAIT)
    told = {"topic": "friction.interactions", "partition": "2", "offset": "17", "stage": "VALUE_CONVERTER"}
    headers = [(f"__connect.errors.{name}", text.encode()) for name, text in told.items()]
    talk.send(DEAD_LETTERS, b"\xff\x00raw", key=b"\xfekey", headers=[*headers, ("own", b"\x80"), ("none", None)])
    talk.flush()
    prometheus = CollectorRegistry()
    landing = make_landing(metrics=LandingMetrics(prometheus))
    with running(landing):
        wait_until(lambda: sum(landing.report.rows.values()) == 254)

    assert client.query(
        "SELECT count(), uniqExact(event_id), sum(duration_ms), any(attributes['stage']), any(occurred_at),"
        " countIf(isNull(segment)), uniqExact(_partition, _offset) FROM interactions FINAL"
    ).result_rows == [(250, 250, sum(range(250)), "şube", NOW, 250, 250)]
    assert client.query(
        "SELECT customer_id, scored_at, score, heat, contributions, interactions, segment FROM friction_scores"
    ).result_rows == [("ada", NOW, 33.0, 12.5, [CONTRIBUTION], 4, None)]
    assert counted(client, "customer_friction") == 1
    assert client.query(
        "SELECT alert_id, status, contributions, open_clocks, earlier, touchpoint FROM friction_alerts_standing"
    ).result_rows == [("6b1f", "opened", [CONTRIBUTION], ALERT["open_clocks"], ALERT["earlier"], None)]
    assert client.query(
        "SELECT touchpoint, window_end, revision, offered, wait_mean_ms, final FROM wait_windows"
    ).result_rows == [("call/support", NOW + timedelta(minutes=5), 3, 5, 2250.0, True)]
    assert client.query(
        "SELECT source_topic, source_partition, source_offset, stage, exception_class, hex(key), hex(value),"
        " hex(headers['own']), length(headers) FROM dead_letters"
    ).result_rows == [("friction.interactions", 2, 17, "VALUE_CONVERTER", None, "FE6B6579", "FF00726177", "80", 6)]
    assert prometheus.get_sample_value("friction_landing_rows_total", {"table": "interactions"}) == 250


def test_interactions_that_cannot_be_read_are_left_to_the_dead_letters(
    talk: Talk, make_landing: MakeLanding, client: Client, kafka: KafkaConnection, created_topics: TopicNames
) -> None:
    good = talk.value(INTERACTIONS, interaction(1))
    for bad in (b"", b"\x00", b"plain text", good[:-1], good + b"\x00", frame_header(987_654) + good[5:], None):
        talk.send(INTERACTIONS, bad, partition=0)
    talk.send(INTERACTIONS, good, partition=0)
    talk.flush()
    landing = make_landing(group_id=f"{created_topics.prefix}skips")
    with running(landing):
        wait_until(lambda: landing.report.skipped == 7)
    assert client.query("SELECT event_id, _offset FROM interactions").result_rows == [("e1", 7)]
    assert committed(kafka, f"{created_topics.prefix}skips", created_topics, INTERACTIONS) == (8, 8)


def test_event_times_of_any_year_are_landed(talk: Talk, make_landing: MakeLanding, client: Client) -> None:
    talk.say(
        INTERACTIONS, *({**interaction(i), "occurred_at": at} for i, at in enumerate((0, -(10**15), 2**62, -(2**63))))
    )
    talk.flush()
    landing = make_landing()
    with running(landing):
        wait_until(lambda: landing.report.rows.get("interactions") == 4)
    assert counted(client, "interactions") == 4


@pytest.mark.parametrize("topic", [SCORES, ALERTS, WAITS])
def test_a_record_of_our_own_that_cannot_be_read_stops_the_landing_and_is_named(
    talk: Talk, make_landing: MakeLanding, topic: str
) -> None:
    talk.send(topic, b"not ours", partition=1)
    talk.flush()
    with pytest.raises(InvariantBroken, match=rf"{topic}/1 offset 0 cannot be landed"):
        make_landing().run(threading.Event())


def test_a_missing_table_stops_the_landing_with_the_words_of_clickhouse(
    talk: Talk, make_landing: MakeLanding, client: Client
) -> None:
    client.command("DROP TABLE interactions")
    talk.say(INTERACTIONS, interaction(1))
    talk.flush()
    with pytest.raises(StatementRejected, match=r"Code: 60.*interactions"):
        make_landing().run(threading.Event())


def test_killed_in_the_middle_and_started_again_there_is_no_hole_and_no_double(
    talk: Talk,
    client: Client,
    kafka: KafkaConnection,
    registry: RegistryConnection,
    database: ClickHouseConnection,
    created_topics: TopicNames,
    tmp_path: Path,
) -> None:
    number = 20_000
    talk.say(INTERACTIONS, *(interaction(i, customer=f"c{i % 50}") for i in range(number)))
    talk.flush()
    said = {
        "kafka": kafka.bootstrap_servers,
        "registry": registry.url,
        "clickhouse": database.url,
        "database": database.database,
        "prefix": created_topics.prefix,
    }
    argv: Sequence[str] = [sys.executable, str(Path(__file__).with_name("landing_child.py")), json.dumps(said)]
    for enough in (500, 5000):
        child = start_child(argv, log=tmp_path / "landing.log")
        wait_until(lambda enough=enough: counted(client, "interactions") >= enough, every_s=0.005)  # type: ignore[misc]  # mypy does not infer a lambda with a default
        child.kill()
        child.wait()
    child = start_child(argv, log=tmp_path / "landing.log")
    group = created_topics.of("friction.landing")
    wait_until(lambda: committed(kafka, group, created_topics, INTERACTIONS) == (number, number), 60)
    assert stop_child(child, timeout_s=20) == 0, (tmp_path / "landing.log").read_text()
    assert client.query(
        "SELECT count(), uniqExact(_partition, _offset), uniqExact(event_id) FROM interactions FINAL"
    ).result_rows == [(number, number, number)]


def test_clickhouse_away_is_waited_for_and_nothing_is_lost(
    talk: Talk, make_landing: MakeLanding, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = EmbeddedClickHouse(tmp_path)
    connection = engine.start()
    engine.stop()
    landing = make_landing(connection)
    talk.say(INTERACTIONS, interaction(0))
    talk.flush()
    with running(landing) as done:
        wait_until(lambda: landing.report.retries >= 1)  # away when we begin
        engine.start()
        wait_until(lambda: landing.report.rows.get("interactions") == 1)
        engine.stop()
        talk.say(INTERACTIONS, *(interaction(i) for i in range(1, 400)))
        talk.flush()
        wait_until(lambda: landing.report.retries >= 3)
        assert not done.done()
        engine.start()
        wait_until(lambda: landing.report.rows.get("interactions") == 400)
    try:
        assert counted(connect(connection), "interactions") == 400
    finally:
        engine.stop()
    waits = [record.message for record in caplog.records if "The landing waits" in record.message]
    assert len(waits) == 2  # once for each outage, however often it was tried


def test_the_registry_away_is_waited_for(
    talk: Talk,
    kafka: KafkaConnection,
    registry: RegistryConnection,
    database: ClickHouseConnection,
    created_topics: TopicNames,
    client: Client,
) -> None:
    talk.say(INTERACTIONS, interaction(1))
    talk.flush()
    nowhere = RegistryConnection(url="http://127.0.0.1:9")  # nobody listens on the discard port
    group = created_topics.of("away")
    away = Landing(kafka, nowhere, database, created_topics, group_id=group, limits=BlockLimits(age_s=0.1))
    with running(away):
        wait_until(lambda: away.report.retries >= 2)
    assert committed(kafka, group, created_topics, INTERACTIONS)[0] == 0
    back = Landing(kafka, registry, database, created_topics, group_id=group, limits=BlockLimits(age_s=0.1))
    with running(back):
        wait_until(lambda: counted(client, "interactions") == 1)


def test_positions_behind_transactions_are_committed(
    talk: Talk, make_landing: MakeLanding, kafka: KafkaConnection, created_topics: TopicNames
) -> None:
    worker = Producer(kafka.confluent(transactional_id=f"{created_topics.prefix}worker"))
    worker.init_transactions(30)
    for aborted in (True, False):
        worker.begin_transaction()
        worker.produce(created_topics.of(SCORES), talk.value(SCORES, SCORE), partition=0)
        worker.flush(30)
        if aborted:
            worker.abort_transaction(30)
        else:
            worker.commit_transaction(30)
    landing = make_landing()
    group = created_topics.of("friction.landing")
    with running(landing):
        wait_until(lambda: committed(kafka, group, created_topics, SCORES) == (4, 4))
    assert landing.report.rows == {"friction_scores": 1}


def test_two_landings_share_the_partitions_and_one_leaves(
    talk: Talk, make_landing: MakeLanding, client: Client
) -> None:
    first, second = make_landing(), make_landing()
    with running(first):
        with running(second):
            talk.say(INTERACTIONS, *(interaction(i) for i in range(1000)))
            talk.flush()
            wait_until(lambda: counted(client, "interactions") == 1000)
        talk.say(INTERACTIONS, *(interaction(i) for i in range(1000, 1500)))
        talk.flush()
        wait_until(lambda: counted(client, "interactions") == 1500)
    assert client.query("SELECT count(), uniqExact(event_id) FROM interactions FINAL").result_rows == [(1500, 1500)]


def test_a_second_landing_with_the_same_instance_id_puts_the_first_out_and_it_says_so(
    talk: Talk, make_landing: MakeLanding
) -> None:
    talk.say(INTERACTIONS, interaction(1))
    talk.flush()
    first, second = make_landing(instance_id="one"), make_landing(instance_id="one")
    with ThreadPoolExecutor(1) as thread:
        put_out = thread.submit(first.run, threading.Event())
        wait_until(lambda: first.report.blocks)
        with running(second):
            error = put_out.exception(60)
    assert isinstance(error, StoreUnavailable)  # a broker that crashed does this too: the next start goes on
    assert "same instance id" in str(error)
