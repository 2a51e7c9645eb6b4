"""The bare consumer: what confluent-kafka reads on this machine when nothing is done with it."""

import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from confluent_kafka import Consumer, TopicPartition

from connectors.kafka.connection import KafkaConnection
from pipelines.cli.bench.progress import Steady
from pipelines.cli.bench.stand import BenchFailed

BATCH = 20_000
_PATIENCE_S = 60.0


def consume(kafka: KafkaConnection, topic: str, *, events: int) -> Steady:
    """Read a whole topic in a process of its own: ``consume(20000)`` and ``value()`` of each record.

    The steady part begins when the first batch is there.

    Raises:
        BenchFailed: there is only one batch, or nothing comes any more.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        return alone.submit(_consume_all, kafka, topic, events).result()


def _consume_all(kafka: KafkaConnection, topic: str, events: int) -> Steady:
    consumer = Consumer(
        kafka.confluent(
            group_id="bench-consume",  # never joined
            enable_auto_commit=False,
            isolation_level="read_committed",
            fetch_max_bytes=64 * 1024 * 1024,
            max_partition_fetch_bytes=4 * 1024 * 1024,  # as our worker
            queued_min_messages=1_000_000,
            queued_max_messages_kbytes=262_144,
        )
    )
    try:
        found = consumer.list_topics(topic, timeout=10.0).topics[topic].partitions
        consumer.assign([TopicPartition(topic, p, 0) for p in sorted(found)])
        seen = _read(consumer)
        first, begun_s, begun_cpu_s = seen, time.monotonic(), _cpu_s()
        if first >= events:
            raise BenchFailed(f"The bare consumer got all {events:,} events at once: ask for more than {BATCH:,}")
        while seen < events:
            seen += _read(consumer)
        return Steady(seen - first, time.monotonic() - begun_s, _cpu_s() - begun_cpu_s)
    finally:
        consumer.close()


def _read(consumer: Consumer) -> int:
    """Take the next batch, which may be smaller at the end of the topic."""
    end_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end_s:
        messages = consumer.consume(BATCH, 0.1)
        if messages:
            for message in messages:
                message.value()
            return len(messages)
    raise BenchFailed(f"Kafka gave the bare consumer nothing for {_PATIENCE_S:g} s")


def _cpu_s() -> float:
    used = os.times()
    return used.user + used.system
