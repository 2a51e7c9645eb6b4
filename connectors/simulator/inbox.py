"""The alerts that are told while a simulation runs, as a subscriber reads them."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import fastavro
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from connectors.kafka.connection import KafkaConnection
from connectors.registry.client import SchemaRegistry
from schemas.columnar.foreign import NotAvro, read_foreign
from schemas.errors import SchemaIncompatible, StoreUnavailable, TopicMismatch, UnknownSchema
from schemas.topics import ALERTS, TopicNames, avro_schema
from schemas.wire import NotFramed, split_frame

_ANSWER_S = 15.0
_AT_ONCE = 500


class AlertInbox:
    """Alerts of friction.alerts from now on, committed ones only. What cannot be read is passed over.

    Raises:
        TopicMismatch: there is no such topic.
        StoreUnavailable: Kafka does not answer.
    """

    def __init__(self, kafka: KafkaConnection, registry: SchemaRegistry, names: TopicNames) -> None:
        self._registry = registry
        self._ours = fastavro.parse_schema(json.loads(avro_schema("alert")))
        self._writers: dict[int, Any] = {}
        self._consumer = Consumer(
            kafka.confluent(
                group_id=f"simulated-team-{uuid.uuid4()}",
                enable_auto_commit=False,
                isolation_level="read_committed",
                fetch_wait_max_ms=50,
            )
        )
        topic = names.of(ALERTS)
        try:
            partitions = self._consumer.list_topics(topic, timeout=_ANSWER_S).topics[topic].partitions
            if not partitions:
                raise TopicMismatch(f"Kafka has no topic {topic}; `friction topics apply` creates it")
            ends = [TopicPartition(topic, p, OFFSET_END) for p in partitions]
            for end in ends:  # now, not when the first fetch is answered
                end.offset = self._consumer.get_watermark_offsets(end, timeout=_ANSWER_S)[1]
            self._consumer.assign(ends)
        except KafkaException as error:
            self._consumer.close()
            raise StoreUnavailable(f"{topic} cannot be read: {error}") from error

    def poll(self) -> Iterator[dict[str, Any]]:
        """What has been told since the last time, without waiting."""
        for message in self._consumer.consume(_AT_ONCE, timeout=0):
            error, value = message.error(), message.value()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF and not error.retriable():  # noqa: SLF001 - its public name
                    raise StoreUnavailable(f"alerts cannot be read: {error}")
            elif value is not None:
                try:
                    schema_id, body = split_frame(value)
                    yield read_foreign(body, self._writer(schema_id), self._ours)
                except (NotFramed, NotAvro, UnknownSchema, SchemaIncompatible):
                    continue

    def close(self) -> None:
        """Leave Kafka."""
        self._consumer.close()

    def _writer(self, schema_id: int) -> Any:
        if schema_id not in self._writers:
            self._writers[schema_id] = fastavro.parse_schema(json.loads(self._registry.schema(schema_id)))
        return self._writers[schema_id]
