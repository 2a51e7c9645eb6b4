"""Kafka to ClickHouse: what was said on the public topics becomes rows, in blocks.

Offsets are committed after the insert, so a row may be sent twice and never not at all; the tables make a row
that was sent twice one row (schemas/clickhouse).
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from prometheus_client import REGISTRY, CollectorRegistry, Counter

from connectors.clickhouse.blocks import Backlog, BlockLimits
from connectors.clickhouse.client import connect, mapped_errors
from connectors.clickhouse.connection import ClickHouseConnection
from connectors.clickhouse.migrations import migrate
from connectors.clickhouse.rows import TABLES, RowReader, Rows, row_reader
from connectors.kafka.connection import KafkaConnection
from connectors.kafka.refusals import refusal
from connectors.registry.client import SchemaRegistry
from connectors.registry.connection import RegistryConnection
from schemas.errors import SettingsError, StoreUnavailable
from schemas.topics import TopicNames

_log = logging.getLogger(__name__)

_READ_AT_MOST = 10_000
_READ_WITHIN_S = 0.1
_FIRST_RETRY_AFTER_S = 0.25
_LAST_RETRY_AFTER_S = 10.0

_FATAL = (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID)  # noqa: SLF001 - librdkafka's public name

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class LandingReport:
    """What a landing has done since it was made. ``skipped``: interactions that could not be read."""

    rows: Mapping[str, int] = field(default_factory=dict)
    blocks: int = 0
    skipped: int = 0
    retries: int = 0


class LandingMetrics:
    """The same for Prometheus."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.rows = Counter("friction_landing_rows", "Rows inserted.", ["table"], registry=registry)
        self.blocks = Counter("friction_landing_blocks", "Blocks inserted.", ["table"], registry=registry)
        self.skipped = Counter(
            "friction_landing_skipped", "Interactions that could not be read; see the dead letters.", registry=registry
        )
        self.retries = Counter(
            "friction_landing_retries", "Times that ClickHouse or the registry was away.", registry=registry
        )


class Landing:
    """Reads the public topics as one member of a consumer group and inserts what they say.

    group_id: the group, ``<prefix>friction.landing`` unless given. instance_id: makes the member a static one, so
    that it has its partitions back at once after it was killed; no two may use the same.
    """

    def __init__(
        self,
        kafka: KafkaConnection,
        registry: RegistryConnection,
        clickhouse: ClickHouseConnection,
        names: TopicNames,
        *,
        group_id: str | None = None,
        instance_id: str | None = None,
        limits: BlockLimits | None = None,
        metrics: LandingMetrics | None = None,
    ) -> None:
        self._kafka = kafka
        self._clickhouse = clickhouse
        self._group_id = group_id or names.of("friction.landing")
        self._instance_id = instance_id
        self._metrics = metrics
        self._backlog = Backlog(limits or BlockLimits())
        schemas = SchemaRegistry(registry)
        self._readers: dict[str, RowReader] = {names.of(t): row_reader(t, schemas) for t in TABLES}
        self._tables = {names.of(topic): table for topic, table in TABLES.items()}
        self._client: Client | None = None
        self._complained: set[int] = set()
        self._end: SettingsError | StoreUnavailable | None = None
        self._report = LandingReport()

    @property
    def report(self) -> LandingReport:
        """What has been done so far; any thread may ask."""
        return self._report

    def run(self, stop: threading.Event) -> None:
        """Migrate the tables and land until ``stop`` is set; then finish what was read, commit, leave the group.

        Waits as long as Kafka, the registry or ClickHouse are away.

        Raises:
            StatementRejected: ClickHouse refuses a block; nothing of it is committed.
            SchemaIncompatible: the tables are not those of this version (see ``migrate``).
            InvariantBroken: a topic that only workers write has a record that cannot be read.
            SettingsError: credentials are wrong.
            StoreUnavailable: Kafka put it out of its group: another landing runs with the same instance_id, or the
                broker crashed and forgot who had joined. A new landing goes on where this one committed.
        """
        consumer = Consumer(self._consumer_config())
        try:
            consumer.subscribe(list(self._tables), on_revoke=self._lost, on_lost=self._lost)
            self._patiently(consumer, stop, partial(migrate, self._clickhouse))
            while not stop.is_set():
                self._read(consumer, _READ_AT_MOST)
                for topic in self._backlog.due(time.monotonic()):
                    self._land(consumer, topic, stop)
            for topic in self._backlog.topics():
                self._land(consumer, topic, stop)
        finally:
            consumer.close()
            if self._client is not None:
                self._client.close()
                self._client = None

    def _consumer_config(self) -> dict[str, Any]:
        config = self._kafka.confluent(
            group_id=self._group_id,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            enable_partition_eof=True,  # tells the offset behind transaction markers, which are no records
            partition_assignment_strategy="cooperative-sticky",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=2_000,
        )
        config["log_level"] = 2  # what librdkafka logs as an error comes to error_cb too, which says it once
        config["error_cb"] = self._complain
        if self._instance_id is not None:
            config["group.instance.id"] = self._instance_id
        return config

    def _read(self, consumer: Consumer, at_most: int) -> None:
        try:
            messages: list[Message] = consumer.consume(at_most, timeout=_READ_WITHIN_S)
        except KafkaException as e:
            self._complain(e.args[0])
            messages = []
        if self._end is not None:
            raise self._end
        records = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - as above
                self._backlog.add(records, time.monotonic())
                records = []
                self._backlog.reach(message.topic(), message.partition(), message.offset())
            else:
                self._complain(error)
        if records:
            self._complained.clear()
            self._backlog.add(records, time.monotonic())

    def _lost(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        for partition in partitions:
            self._backlog.forget(partition.topic, partition.partition)

    def _land(self, consumer: Consumer, topic: str, stop: threading.Event) -> None:
        """Insert what waits of a topic and commit it; when stopped while something is away, do neither."""
        reader, table = self._readers[topic], self._tables[topic]
        blocks = self._backlog.take(topic)
        for block in blocks:
            rows = self._patiently(consumer, stop, partial(reader.read, block))
            if rows is None:
                return
            if rows.table.num_rows and not self._patiently(consumer, stop, partial(self._insert, table, rows)):
                return
            self._count(table, rows)
        if blocks:
            self._backlog.landed(topic)
        offsets = self._backlog.uncommitted(topic)
        if not offsets:
            return
        try:
            consumer.commit(
                offsets=[TopicPartition(topic, partition, offset) for partition, offset in offsets.items()],
                asynchronous=False,
            )
        except KafkaException as e:  # the group moved on, or Kafka is away: the rows come again and are the same
            _log.info("Offsets of %s were not committed: %s", topic, e.args[0].str())
        else:
            self._backlog.commit(topic, offsets)

    def _insert(self, table: str, rows: Rows) -> bool:
        with mapped_errors(self._clickhouse):
            if self._client is None:
                self._client = connect(self._clickhouse)
            self._client.insert_arrow(table, rows.table, settings={"async_insert": 0})
        return True

    def _patiently(self, consumer: Consumer, stop: threading.Event, work: Callable[[], _T]) -> _T | None:
        """The result of ``work``, repeated while a store is away; None when stopped before it succeeded."""
        began_s = time.monotonic()
        after_s = _FIRST_RETRY_AFTER_S
        while True:
            try:
                result = work()
            except StoreUnavailable as e:
                if after_s == _FIRST_RETRY_AFTER_S:
                    _log.warning("The landing waits: %s", e)
            else:
                if after_s > _FIRST_RETRY_AFTER_S:
                    _log.warning("The landing goes on, after %.1f s", time.monotonic() - began_s)
                    consumer.resume(consumer.assignment())
                return result
            if stop.is_set():
                return None
            self._count_retry()
            self._stay_in_the_group(consumer, after_s * random.uniform(0.8, 1.2), stop)
            after_s = min(after_s * 2, _LAST_RETRY_AFTER_S)

    def _stay_in_the_group(self, consumer: Consumer, for_s: float, stop: threading.Event) -> None:
        """Keep polling, with every partition paused, so that the group does not think us dead."""
        until_s = time.monotonic() + for_s
        while time.monotonic() < until_s and not stop.is_set():
            consumer.pause(consumer.assignment())
            self._read(consumer, 100)

    def _complain(self, error: KafkaError) -> None:
        """Say once what is wrong with Kafka; note it as the end when waiting cannot help."""
        refused = refusal(self._kafka, error)
        if refused is not None:
            self._end = refused
        elif error.fatal() or error.code() in _FATAL:
            self._end = StoreUnavailable(
                f"Kafka put the landing out of the group {self._group_id}: {error.str()}. Another landing may run with "
                "the same instance id, or the broker crashed; what was not committed is read again by the next start."
            )
        elif error.code() not in self._complained:
            self._complained.add(error.code())
            _log.warning("The landing hears from its Kafka client: %s", error.str())

    def _count(self, table: str, rows: Rows) -> None:
        number, done = rows.table.num_rows, self._report
        counts = {**done.rows, table: done.rows.get(table, 0) + number}
        self._report = LandingReport(counts, done.blocks + 1, done.skipped + rows.skipped, done.retries)
        if self._metrics is not None:
            self._metrics.rows.labels(table).inc(number)
            self._metrics.blocks.labels(table).inc()
            self._metrics.skipped.inc(rows.skipped)

    def _count_retry(self) -> None:
        done = self._report
        self._report = LandingReport(done.rows, done.blocks, done.skipped, done.retries + 1)
        if self._metrics is not None:
            self._metrics.retries.inc()
