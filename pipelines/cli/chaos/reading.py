"""Reading what a topic holds, as a subscriber sees it."""

import uuid
from collections.abc import Iterator
from time import monotonic

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.kafka.connection import KafkaConnection
from schemas.errors import StoreUnavailable


def read_topic(
    kafka: KafkaConnection, topic: str, *, timeout_s: float = 30.0, by_partition: bool = False
) -> Iterator[Message]:
    """Yield every committed record that the topic holds now, in order of offset within each partition.

    by_partition: one partition after the other.

    Raises:
        StoreUnavailable: Kafka did not answer, or the end was not reached within ``timeout_s`` of the record before:
            a transaction is open, for example.
    """
    consumer = Consumer(
        kafka.confluent(
            group_id=f"reading-{uuid.uuid4()}",
            enable_auto_commit=False,
            enable_partition_eof=True,
            fetch_wait_max_ms=20,
            isolation_level="read_committed",
        )
    )
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        bounds = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10) for p in partitions}
        ends = {p: end for p, (low, end) in sorted(bounds.items()) if low < end}
        for some in [{p: end} for p, end in ends.items()] if by_partition else [ends]:
            yield from _read(consumer, topic, some, timeout_s)
    except KafkaException as error:
        raise StoreUnavailable(f"{topic} cannot be read: {error}") from error
    finally:
        consumer.close()


def _read(consumer: Consumer, topic: str, ends: dict[int, int], timeout_s: float) -> Iterator[Message]:
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in ends])
    left, progress_s = dict(ends), monotonic()
    while left:
        messages = consumer.consume(10_000, timeout=0.05)
        for message in messages:
            error = message.error()
            if error is None:
                yield message
            elif error.code() != KafkaError._PARTITION_EOF and not error.retriable():  # noqa: SLF001 - its public name
                raise KafkaException(error)
        if messages:  # the end of a partition is told too, behind the markers of transactions
            progress_s = monotonic()
            at = {tp.partition: tp.offset for tp in consumer.position([TopicPartition(topic, p) for p in left])}
            left = {p: end for p, end in left.items() if at[p] < end}
        elif monotonic() - progress_s > timeout_s:
            raise StoreUnavailable(f"the ends of {topic} were not reached within {timeout_s:g} s: {left}")
