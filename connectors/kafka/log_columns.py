"""A partition from its first record to its end, as columns: how much state is read back in little time."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from time import monotonic

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.credentials import aiokafka_arguments
from connectors.kafka.fetched import FetchedSet, read_as_sets
from connectors.kafka.records import CorruptBatch, RecordColumns
from schemas.errors import StoreUnavailable

_FETCH_BYTES = 8 * 1024 * 1024
_QUIET_S = 10.0  # without anything for so long, Kafka is away


class Cancelled(Exception):
    """The partition is not wanted any more."""


def read_columns(
    kafka: KafkaConnection, topic: str, partition: int, *, begin: int, end: int, cancelled: Callable[[], bool]
) -> Iterator[RecordColumns]:
    """Yield the committed records from ``begin`` up to ``end``, in order. Blocks; not on a thread with an event loop.

    Raises:
        Cancelled: the partition is not wanted any more.
        StoreUnavailable: it could not be read to its end.
    """
    if end <= begin:
        return
    loop = asyncio.new_event_loop()
    sets = _sets(kafka, TopicPartition(topic, partition), begin, end, cancelled)
    try:
        while True:
            try:
                yield from loop.run_until_complete(anext(sets)).pieces()
            except StopAsyncIteration:
                return
            except (KafkaError, CorruptBatch, asyncio.CancelledError) as error:  # nobody but aiokafka cancels here
                raise StoreUnavailable(f"{topic}/{partition} cannot be read: {error}") from error
    finally:
        loop.run_until_complete(sets.aclose())
        loop.close()


async def _sets(
    kafka: KafkaConnection, tp: TopicPartition, begin: int, end: int, cancelled: Callable[[], bool]
) -> AsyncGenerator[FetchedSet, None]:
    consumer = AIOKafkaConsumer(
        **aiokafka_arguments(kafka),
        enable_auto_commit=False,
        isolation_level="read_committed",
        fetch_max_wait_ms=50,
        fetch_max_bytes=_FETCH_BYTES,
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    try:
        await consumer.start()
        read_as_sets(consumer)
        consumer.assign([tp])
        consumer.seek(tp, begin)
        position, progress_s = begin, monotonic()
        while position < end:
            if cancelled():
                raise Cancelled
            fetched = await consumer.getmany(timeout_ms=200)
            for one in fetched.get(tp, ()):
                position = one.next_position
                yield one
                progress_s = monotonic()  # however long they took who have it
            if monotonic() - progress_s > _QUIET_S:
                raise StoreUnavailable(f"Kafka gave nothing of {tp.topic}/{tp.partition} for {_QUIET_S:.0f} s")
    finally:
        with suppress(asyncio.CancelledError):  # aiokafka lets the cancellation of its own tasks through
            await consumer.stop()
