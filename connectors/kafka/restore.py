"""Reading the state of a partition back from its compacted topic, up to what has been committed."""

import logging
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.log_columns import read_columns
from connectors.kafka.records import RecordColumns
from schemas.errors import StoreUnavailable

_QUIET = logging.getLogger("librdkafka")
_TIMEOUT_S = 10.0
_PROGRESS_S = 2.0

log = logging.getLogger(__name__)


class LogReader:
    """Reads committed records of single partitions. Not thread-safe; close it."""

    def __init__(self, kafka: KafkaConnection, group_id: str) -> None:
        self.group_id = group_id
        self._kafka = kafka
        self._consumer = Consumer(
            kafka.confluent(
                group_id=group_id,
                enable_auto_commit=False,
                isolation_level="read_committed",
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

    def read_to_end(self, topic: str, partition: int, *, cancelled: Callable[[], bool]) -> Iterator[RecordColumns]:
        """Yield the committed records from the first to the end as it is now.

        Raises:
            Cancelled: the partition is not wanted any more.
            StoreUnavailable: the log could not be read to its end.
        """
        begin, end = self.bounds(topic, partition)
        told_s, count = monotonic(), 0
        for records in read_columns(self._kafka, topic, partition, begin=begin, end=end, cancelled=cancelled):
            count += len(records)
            yield records
            if monotonic() - told_s > _PROGRESS_S and len(records):
                told_s, at = monotonic(), int(records.offset[-1]) + 1
                log.info("%s/%s: %.0f %% read, %s records", topic, partition, 100 * (at - begin) / (end - begin), count)
