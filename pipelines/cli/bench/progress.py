"""How far a group has come, and the steady part of a run."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from connectors.kafka.connection import KafkaConnection
from pipelines.cli.bench.stand import BenchFailed
from pipelines.worker.customer_records import UNTOLD
from schemas.errors import StoreUnavailable

LOOK_S = 0.02
_TIMEOUT_S = 20.0
_NO_LEADER = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE}


@dataclass(frozen=True, slots=True)
class Steady:
    """What was done between two looks, and what it cost."""

    events: int
    seconds: float
    cpu_s: float

    @property
    def events_per_s(self) -> float:
        """Throughput."""
        return self.events / self.seconds

    @property
    def cpu_s_per_million(self) -> float:
        """CPU seconds of the process for a million events."""
        return self.cpu_s / self.events * 1e6


def steady_part(
    done: Callable[[], int],
    cpu_s: Callable[[], float],
    *,
    until: int,
    warm: int = 1,
    check: Callable[[], None],
    within_s: float = 1800.0,
) -> Steady:
    """Watch ``done`` grow: from the first look at which it is ``warm`` to the first at which it is ``until``.

    done: events that are finished, for readers. cpu_s: what the process has used. check: raises if it has ended.

    Raises:
        BenchFailed: it was over before there was a steady part, or is not after ``within_s``.
    """
    end_s = time.monotonic() + within_s
    first: tuple[int, float, float] | None = None
    while True:
        count, now_s = done(), time.monotonic()
        if first is None and count >= warm:
            first = count, now_s, cpu_s()
        elif first is not None and count >= until:
            steady = Steady(count - first[0], now_s - first[1], cpu_s() - first[2])
            if steady.events <= 0:
                break
            return steady
        if first is not None and first[0] >= until:
            break
        check()
        if now_s > end_s:
            raise BenchFailed(f"Only {count:,} of {until:,} events were done after {within_s:g} s")
        time.sleep(LOOK_S)
    raise BenchFailed(f"All {until:,} events were done at the first look: ask for more, there is no steady part")


class Group:
    """Offsets that a consumer group has committed in a topic, and where the topic ends. Use it in ``with``."""

    def __init__(self, kafka: KafkaConnection, group_id: str, topic: str) -> None:
        config = kafka.confluent(group_id=group_id, enable_auto_commit=False, isolation_level="read_uncommitted")
        self._consumer = Consumer({**config, "log_level": 0})
        self._topic = topic
        self._partitions: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def committed(self) -> dict[int, int]:
        """Next offset by partition, 0 where nothing is committed.

        Raises:
            StoreUnavailable: Kafka does not answer.
        """
        return {one.partition: max(one.offset, 0) for one in self._told()}

    def _told(self) -> list[TopicPartition]:
        asked = [TopicPartition(self._topic, p) for p in self._numbers()]
        told: list[TopicPartition] = self._asked(lambda: self._consumer.committed(asked, _TIMEOUT_S))
        return told

    def ends(self) -> dict[int, int]:
        """End offset by partition.

        Raises:
            StoreUnavailable: Kafka does not answer.
        """
        return {p: self._end(TopicPartition(self._topic, p)) for p in self._numbers()}

    def _end(self, at: TopicPartition) -> int:
        return int(self._asked(lambda: self._consumer.get_watermark_offsets(at, _TIMEOUT_S))[1])

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """Ask, and again while a topic that is new has no leader yet."""
        end_s = time.monotonic() + _TIMEOUT_S
        while True:
            try:
                return ask()
            except KafkaException as error:
                passes = error.args[0].retriable() or error.args[0].code() in _NO_LEADER
                if not passes or time.monotonic() > end_s:
                    raise StoreUnavailable(
                        f"Kafka did not tell offsets of {self._topic}: {error.args[0].str()}"
                    ) from error
            time.sleep(0.1)

    def done(self) -> int:
        """How many offsets are committed."""
        return sum(self.committed().values())

    def produced(self) -> int:
        """How many offsets there are."""
        return sum(self.ends().values())

    def left(self) -> int:
        """How many offsets are not committed, and one for each partition of which the next stage has not heard all."""
        told, ends = self._told(), self.ends()
        return sum(ends[one.partition] - max(one.offset, 0) + (one.metadata == UNTOLD) for one in told)

    def _numbers(self) -> list[int]:
        if not self._partitions:
            found = self._consumer.list_topics(self._topic, timeout=_TIMEOUT_S).topics[self._topic]
            self._partitions = sorted(found.partitions)
        return self._partitions


def wait_for_end(group: Group, *, check: Callable[[], None], within_s: float = 120.0) -> None:
    """Wait until a group has committed all that its topic holds, and has told the next stage of it.

    Raises:
        BenchFailed: it has not after ``within_s``, or ``check`` says that nobody works on it any more.
    """
    end_s = time.monotonic() + within_s
    while (left := group.left()) > 0:
        check()
        if time.monotonic() > end_s:
            raise BenchFailed(f"After {within_s:g} s {left:,} records were not processed")
        time.sleep(0.1)
