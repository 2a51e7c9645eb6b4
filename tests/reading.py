"""Reading what is in a topic, which is what tests compare."""

from confluent_kafka import Message

from connectors.kafka.connection import KafkaConnection
from pipelines.cli.chaos import reading


def read_topic(kafka: KafkaConnection, topic: str, *, timeout_s: float = 30.0) -> list[Message]:
    """Every record that the topic holds at this moment, partition by partition in order of offset."""
    records = reading.read_topic(kafka, topic, timeout_s=timeout_s)
    return sorted(records, key=lambda r: (r.partition() or 0, r.offset() or 0))
