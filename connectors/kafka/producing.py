"""Sending without loss: an idempotent producer that waits when its queue is full and counts what arrived."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.refusals import cluster_metadata
from schemas.errors import StoreUnavailable, TopicMismatch

_DELIVERY_TIMEOUT_MS = 120_000  # longer than a broker needs to restart
_ROOM_S = 0.05  # how long to serve deliveries before looking for room again

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of the records so far: acknowledged by the broker, and given up."""

    produced: int
    failed: int


class Sender:
    """Produces with the partitions of Java's clients (murmur2), in order, each record once.

    more: settings of librdkafka that replace ours, underscores for dots. Not thread-safe.
    """

    def __init__(self, kafka: KafkaConnection, **more: Any) -> None:
        settings: dict[str, Any] = {
            "enable_idempotence": True,
            "partitioner": "murmur2_random",
            "compression_type": "lz4",
            "linger_ms": 5,
            "message_timeout_ms": _DELIVERY_TIMEOUT_MS,
        }
        self._kafka = kafka
        self._address = kafka.bootstrap_servers
        self._produced = 0
        self._failed = 0
        self._first_error = ""
        self._producer = Producer(
            {**kafka.confluent(**{**settings, **more}), "on_delivery": self._on_delivery}, logger=_log
        )

    @property
    def sent(self) -> Sent:
        """What is known by now; ``poll``, ``send`` and ``flush`` bring it up to date."""
        return Sent(self._produced, self._failed)

    def require_topic(self, topic: str, *, timeout_s: float = 15.0) -> None:
        """See that the broker answers and has the topic.

        Raises:
            SettingsError: the broker refuses us.
            StoreUnavailable: no answer within ``timeout_s``.
            TopicMismatch: there is no such topic.
        """
        if topic not in cluster_metadata(self._kafka, timeout_s=timeout_s).topics:
            raise TopicMismatch(f"Kafka at {self._address} has no topic {topic}; `friction topics apply` creates it")

    def send(self, topic: str, key: bytes, value: bytes, *, give_up: Callable[[], bool] = lambda: False) -> bool:
        """Hand one record over, waiting while the queue is full; False if ``give_up`` said so meanwhile.

        True does not mean that it arrived: ``flush`` waits for that. A record that the client refuses
        (too large, say) counts as failed.

        Raises:
            StoreUnavailable: the producer has broken down and will send nothing more.
        """
        while True:
            try:
                self._producer.produce(topic, value=value, key=key)
            except BufferError:
                if give_up():
                    return False
                self._producer.poll(_ROOM_S)
            except KafkaException as error:
                if error.args[0].fatal():
                    raise StoreUnavailable(
                        f"the producer for Kafka at {self._address} has broken down: {error.args[0].str()}"
                    ) from error
                self._on_failure(error.args[0])
                return True
            else:
                self._producer.poll(0)
                return True

    def poll(self) -> None:
        """Take note of deliveries."""
        self._producer.poll(0)

    def flush(self, *, timeout_s: float = 60.0) -> Sent:
        """Wait until every record has arrived or failed, and return how many did.

        Raises:
            StoreUnavailable: some failed, or are still on their way after ``timeout_s``.
        """
        waiting = self._producer.flush(timeout_s)
        if waiting or self._failed:
            why = f"; the first: {self._first_error}" if self._first_error else ""
            raise StoreUnavailable(
                f"Kafka at {self._address} acknowledged {self._produced} records, refused {self._failed}, and "
                f"did not answer for {waiting} within {timeout_s:g} s{why}"
            )
        return self.sent

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self._produced += 1
        else:
            self._on_failure(error)

    def _on_failure(self, error: KafkaError) -> None:
        self._failed += 1
        self._first_error = self._first_error or error.str()
