"""Reading the state of a partition back from its compacted topic, up to what has been committed."""

import logging
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from connectors.kafka.connection import KafkaConnection
from schemas.errors import StoreUnavailable

_QUIET = logging.getLogger("librdkafka")
_CHUNK = 20_000
_TIMEOUT_S = 10.0


class Cancelled(Exception):
    """The partition is not wanted any more."""


class LogReader:
    """Reads committed records of single partitions. Not thread-safe; close it."""

    def __init__(self, kafka: KafkaConnection, group_id: str) -> None:
        self._consumer = Consumer(
            kafka.confluent(
                group_id=group_id,
                enable_auto_commit=False,
                isolation_level="read_committed",
                enable_partition_eof=True,
                fetch_max_bytes=64 * 1024 * 1024,
                max_partition_fetch_bytes=16 * 1024 * 1024,
                queued_max_messages_kbytes=262_144,
                fetch_wait_max_ms=50,
            ),
            logger=_QUIET,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset and the end of a partition.

        Raises:
            StoreUnavailable: Kafka did not answer in time.
        """
        try:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), _TIMEOUT_S, cached=False)
        except KafkaException as error:
            raise StoreUnavailable(f"Kafka did not tell the bounds of {topic}/{partition}: {error}") from error
        return int(low), int(high)

    def committed(self, partitions: list[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Offsets that the group has committed; below 0 for none. Waits for transactions that are being committed.

        Raises:
            StoreUnavailable: Kafka did not answer in time.
        """
        try:
            told = self._consumer.committed([TopicPartition(t, p) for t, p in partitions], _TIMEOUT_S)
        except KafkaException as error:
            raise StoreUnavailable(f"Kafka did not tell the committed offsets: {error}") from error
        return {(t.topic, t.partition): t.offset for t in told}

    def read_to_end(
        self, topic: str, partition: int, *, cancelled: Callable[[], bool]
    ) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield key and value of each committed record from the first to the end as it is now.

        Raises:
            Cancelled: the partition is not wanted any more.
            StoreUnavailable: the log could not be read to its end.
        """
        low, high = self.bounds(topic, partition)
        if high <= low:
            return
        at = TopicPartition(topic, partition, low)
        self._consumer.assign([at])
        done, progress_s = False, monotonic()
        while not done:
            if cancelled():
                raise Cancelled
            messages = self._consumer.consume(_CHUNK, 0.03)
            if not messages and monotonic() - progress_s > _TIMEOUT_S:
                raise StoreUnavailable(f"Kafka gave nothing of {topic}/{partition} for {_TIMEOUT_S:.0f} s")
            for message in messages:
                error = message.error()
                if error is None:
                    progress_s = monotonic()
                    yield message.key(), message.value()
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                    done = True
                elif not error.retriable():
                    raise StoreUnavailable(f"the state in {topic}/{partition} cannot be read: {error}")
        position = self._consumer.position([TopicPartition(topic, partition)])[0].offset
        if position < high:
            raise StoreUnavailable(f"the state in {topic}/{partition} ends at {position}, before {high}")
