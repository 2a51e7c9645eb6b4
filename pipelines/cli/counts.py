"""What is produced, processed and landed: end offsets, committed offsets and rows, never our own counters."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from connectors.clickhouse.client import connect, mapped_errors
from connectors.clickhouse.connection import ClickHouseConnection
from connectors.kafka.connection import KafkaConnection
from connectors.kafka.refusals import cluster_metadata
from schemas.errors import StoreUnavailable, TopicMismatch
from schemas.topics import ALERTS, DEAD_LETTERS, INTERACTIONS, SCORES, WAITS, TopicNames

TIMEOUT_S = 5.0
_BATCH = 10_000
_TOLD = {"friction_scores": SCORES, "wait_windows": WAITS, "friction_alerts": ALERTS, "dead_letters": DEAD_LETTERS}
_QUIET = {"log_level": 0}  # what goes wrong is raised


@dataclass(frozen=True, slots=True)
class Counts:
    """Where everything stands; every number is a count of records or rows since the beginning of the topics.

    produced: records of friction.interactions (end offsets).
    processed: of these, those that the workers' group has committed.
    alerts, dead_letters: records that a read_committed consumer gets from their topics.
    landed: rows by table. For interactions the distinct offsets, else the rows that FINAL shows.
    refused: dead letters whose interaction has no row of its own, because its bytes could not be read.
    lag: produced - processed. landing_lag: produced - landed interactions - refused.
    taken_at: ISO 8601, UTC.
    """

    taken_at: str
    produced: int
    processed: int
    lag: int
    alerts: int
    dead_letters: int
    refused: int
    landing_lag: int
    landed: Mapping[str, int]

    @property
    def complete(self) -> bool:
        """Everything produced is processed, and is a row or a dead letter that could not become one."""
        return self.lag == 0 and self.landing_lag == 0 and self.landed["dead_letters"] == self.dead_letters

    def as_json(self) -> dict[str, Any]:
        """Return the counts as ``friction status --json`` prints them."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Pace:
    """The cheap part of the counts, for a line every second. landed: up to the newest landed offset."""

    produced: int
    processed: int
    landed: int
    alerts: int


class Probe:
    """Asks Kafka and ClickHouse. Keep one, and what was counted once in a topic is not read again.

    Every method raises StoreUnavailable when one of them does not answer, SettingsError when it refuses us, and
    TopicMismatch when a topic is missing. Not safe to share between threads.
    """

    def __init__(
        self, kafka: KafkaConnection, clickhouse: ClickHouseConnection, names: TopicNames, *, app_id: str
    ) -> None:
        self._kafka = kafka
        self._clickhouse_at = clickhouse
        self._names = names
        self._clickhouse: Any = None
        self._admin = self._new_admin()
        self._group = Consumer({**kafka.confluent(group_id=app_id, enable_auto_commit=False), **_QUIET})
        self._alerts = _ReadableRecords(kafka, names.of(ALERTS))
        self._dead_letters = _ReadableRecords(kafka, names.of(DEAD_LETTERS))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave Kafka and ClickHouse."""
        self._group.close()
        self._alerts.close()
        self._dead_letters.close()
        if self._clickhouse is not None:
            self._clickhouse.close()

    def counts(self) -> Counts:
        """Count everything. Reads what is new in the topics of alerts and dead letters."""
        # From the end of the path to its begin, so that what happens meanwhile never looks like a surplus.
        refused, landed = self._refused(), self._landed()
        cluster_metadata(self._kafka, timeout_s=TIMEOUT_S)  # says why, if Kafka does not let us in
        dead_letters, alerts = self._dead_letters.count(), self._alerts.count()
        processed, produced = self._offsets()
        return Counts(
            taken_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            produced=produced,
            processed=processed,
            lag=produced - processed,
            alerts=alerts,
            dead_letters=dead_letters,
            refused=refused,
            landing_lag=produced - landed["interactions"] - refused,
            landed=landed,
        )

    def pace(self) -> Pace:
        """Count what changes every second."""
        landed = self._ask(
            "SELECT sum(m) FROM (SELECT max(_offset) + 1 AS m FROM interactions WHERE _topic = {topic:String} "
            "GROUP BY _partition)"
        )
        alerts = self._alerts.count()
        processed, produced = self._offsets()
        return Pace(produced, processed, landed, alerts)

    def _landed(self) -> dict[str, int]:
        landed = {
            "interactions": self._ask(
                "SELECT uniqExact(_partition, _offset) FROM interactions WHERE _topic = {topic:String}"
            )
        }
        for table, topic in _TOLD.items():
            landed[table] = self._ask(
                "SELECT count() FROM {table:Identifier} FINAL WHERE _topic = {topic:String}", topic, table
            )
        return landed

    def _refused(self) -> int:
        return self._ask(
            "SELECT uniqExact(source_partition, source_offset) FROM dead_letters "
            "WHERE source_topic = {topic:String} AND (assumeNotNull(source_partition), assumeNotNull(source_offset)) "
            "NOT IN (SELECT _partition, _offset FROM interactions WHERE _topic = {topic:String})"
        )

    def _ask(self, statement: str, topic: str = INTERACTIONS, table: str = "interactions") -> int:
        if self._clickhouse is None:
            self._clickhouse = connect(self._clickhouse_at)
        with mapped_errors(self._clickhouse_at):
            rows = self._clickhouse.query(
                statement, parameters={"topic": self._names.of(topic), "table": table}
            ).result_rows
        return int(rows[0][0])

    def _new_admin(self) -> AdminClient:
        return AdminClient({**self._kafka.confluent(), **_QUIET})

    def _offsets(self) -> tuple[int, int]:
        """Return the sums of committed and of end offsets of the interactions, asked in this order."""
        topic = self._names.of(INTERACTIONS)
        try:
            partitions = _partitions(self._group, topic)
            committed = self._group.committed(partitions, timeout=TIMEOUT_S)
            asked = self._admin.list_offsets(
                {one: OffsetSpec.latest() for one in partitions}, request_timeout=TIMEOUT_S
            )
            ends = [future.result(TIMEOUT_S).offset for future in asked.values()]
        except (KafkaException, TimeoutError) as error:
            self._admin = self._new_admin()  # the old one would ask for the leaders of before a crash for ever
            raise _away(self._kafka, error) from error
        return sum(max(one.offset, 0) for one in committed), sum(ends)


class _ReadableRecords:
    """Counts a topic's records as a read_committed consumer gets them: markers of transactions are none."""

    def __init__(self, kafka: KafkaConnection, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._count = 0
        self._next: dict[int, int] = {}
        config = kafka.confluent(
            group_id="friction-status",  # never joined, nothing is committed
            enable_auto_commit=False,
            enable_partition_eof=True,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_wait_max_ms=20,  # the end of a partition is told with the answer to a fetch
        )
        self._consumer = Consumer({**config, **_QUIET})

    def count(self) -> int:
        """Read on to the end, and return how many there are so far."""
        try:
            partitions = _partitions(self._consumer, self._topic)
            waiting = {one.partition for one in partitions}
            for one in partitions:
                one.offset = self._next.get(one.partition, OFFSET_BEGINNING)
            self._consumer.assign(partitions)
            deadline_s = time.monotonic() + TIMEOUT_S
            while waiting:
                for message in self._consumer.consume(_BATCH, 0.05):  # waits so long for a whole batch
                    self._take(message, waiting)
                    deadline_s = time.monotonic() + TIMEOUT_S
                if time.monotonic() > deadline_s:
                    raise StoreUnavailable(f"Kafka at {self._kafka.bootstrap_servers} sends nothing of {self._topic}.")
            self._consumer.unassign()
        except KafkaException as error:
            raise _away(self._kafka, error) from error
        return self._count

    def _take(self, message: Any, waiting: set[int]) -> None:
        error = message.error()
        if error is None:
            self._count += 1
            self._next[message.partition()] = message.offset() + 1
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the library's name for it
            waiting.discard(message.partition())
        elif error.fatal() or not error.retriable():
            raise KafkaException(error)

    def close(self) -> None:
        self._consumer.close()


def _partitions(consumer: Consumer, topic: str) -> list[TopicPartition]:
    found = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
    if found.error is not None:
        raise TopicMismatch(f"Topic {topic} does not exist: `friction topics apply` creates it.")
    return [TopicPartition(topic, number) for number in sorted(found.partitions)]


def _away(kafka: KafkaConnection, error: Exception) -> StoreUnavailable:
    told = error.args[0] if error.args else error
    said = told.str() if isinstance(told, KafkaError) else str(error) or type(error).__name__
    return StoreUnavailable(f"Kafka at {kafka.bootstrap_servers} did not answer: {said}.")
