"""Reading what is in a topic, which is what tests compare."""

import uuid

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from connectors.kafka.connection import KafkaConnection
from tests.polling import wait_until


def read_topic(kafka: KafkaConnection, topic: str, *, timeout_s: float = 30.0) -> list[Message]:
    """Every record that the topic holds at this moment, partition by partition in order of offset."""
    consumer = Consumer(
        kafka.confluent(group_id=f"reading-{uuid.uuid4()}", enable_auto_commit=False, isolation_level="read_committed")
    )
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in partitions}
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p, end in ends.items() if end > 0])
        records: list[Message] = []

        def all_read() -> bool:
            for record in consumer.consume(10_000, timeout=0.1):
                assert record.error() is None, record.error()
                records.append(record)
            return all(at.offset >= ends[at.partition] for at in consumer.position(consumer.assignment()))

        wait_until(all_read, timeout_s)
        return sorted(records, key=lambda r: (r.partition(), r.offset()))
    finally:
        consumer.close()
