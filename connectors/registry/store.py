"""The registry's topic: compacted, one partition, and one writer at a time.

Ids must be given once, so the writer is a transactional producer whose id belongs to the topic: a second
registry that starts on the same topic fences the first, reads all that it wrote, and goes on from there; the
first one's next write fails and says so. Every write is waited for and read back, in order.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.refusals import cluster_metadata
from schemas.errors import InvariantBroken, StoreUnavailable, TopicMismatch

Record = tuple[bytes, bytes | None]

_TIMEOUT_S = 10.0
_OPEN_TIMEOUT_S = 30.0  # the broker may just have started, and its transaction coordinator with it
_FENCED = (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH)  # noqa: SLF001 - librdkafka's own codes begin with an underscore, this one is public
# a topic that has just been created is not known to every part of the broker at once
_NOT_KNOWN_YET = (KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART)  # noqa: SLF001 - as above


class SchemaStore:
    """Records of the topic, handed to ``apply`` in the order of the topic, each exactly once."""

    def __init__(self, kafka: KafkaConnection, topic: str, apply: Callable[[bytes, bytes | None], None]) -> None:
        self._kafka = kafka
        self._topic = topic
        self._apply = apply
        self._lock = RLock()
        self._consumer: Consumer | None = None
        self._producer: Producer | None = None
        self._taken_over = False
        self._next_offset = 0

    def open(self) -> None:
        """Create the topic if it is missing, become its writer, and read it to its end.

        Raises:
            SettingsError: the broker refuses us.
            StoreUnavailable: the broker did not answer in time.
            TopicMismatch: the topic is not compacted, has more partitions than one, or holds other records.
        """
        with self._lock:
            cluster_metadata(self._kafka, timeout_s=_OPEN_TIMEOUT_S)
            try:
                self._prepare_topic()
                self._consumer = Consumer(
                    self._config(
                        group_id=f"{self._topic}-reader",
                        enable_auto_commit=False,
                        enable_partition_eof=True,
                        isolation_level="read_committed",
                        auto_offset_reset="earliest",
                    )
                )
                self._consumer.assign([TopicPartition(self._topic, 0, 0)])
                self._become_writer(_OPEN_TIMEOUT_S)
            except KafkaException as err:
                raise self._unavailable(err.args[0]) from err

    def close(self) -> None:
        """Let go of the broker."""
        with self._lock:
            self._producer = None
            if self._consumer is not None:
                self._consumer.close()
                self._consumer = None

    def catch_up(self) -> None:
        """Read on to the present end of the topic: afterwards, what is not known does not exist."""
        with self._lock:
            self._read_to(self._end())

    def _end(self) -> int:
        give_up_s = time.monotonic() + _TIMEOUT_S
        while True:
            try:
                _, end = self._reader().get_watermark_offsets(
                    TopicPartition(self._topic, 0), timeout=_TIMEOUT_S, cached=False
                )
            except KafkaException as err:
                if err.args[0].code() in _NOT_KNOWN_YET and time.monotonic() < give_up_s:
                    time.sleep(0.05)
                    continue
                raise self._unavailable(err.args[0]) from err
            return int(end)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Decide what to write, and ``append`` it, with nobody else writing: what has been read is all there is.

        Raises:
            StoreUnavailable: Kafka did not answer, or another registry has taken the topic over.
        """
        with self._lock:
            if self._taken_over:
                raise self._lost()
            if self._producer is None:
                self._become_writer(_TIMEOUT_S)
            yield

    def append(self, records: Sequence[Record]) -> None:
        """Write all the records or none, and return when they have been applied."""
        last = -1

        def delivered(error: KafkaError | None, message: Message) -> None:
            nonlocal last
            if error is None:
                last = max(last, message.offset() or 0)

        producer = self._producer
        if producer is None:
            raise InvariantBroken("the registry's store was written outside of writing()")
        try:
            producer.begin_transaction()
            for key, value in records:
                producer.produce(self._topic, value, key, partition=0, on_delivery=delivered)
            producer.flush(_TIMEOUT_S)
            producer.commit_transaction(_TIMEOUT_S)
        except KafkaException as err:
            # Not known whether it was written: the next writer, we or another, finds out by reading.
            self._producer = None
            if err.args[0].code() in _FENCED:
                self._taken_over = True
                raise self._lost() from err
            raise self._unavailable(err.args[0]) from err
        self._read_to(last + 1)

    def _become_writer(self, timeout_s: float) -> None:
        producer = Producer(
            self._config(
                transactional_id=f"friction-registry-{self._topic}",
                transaction_timeout_ms=int(_TIMEOUT_S * 1000),
                linger_ms=0,
            )
        )
        try:
            producer.init_transactions(timeout_s)
        except KafkaException as err:
            raise self._unavailable(err.args[0]) from err
        self.catch_up()
        self._producer = producer

    def _read_to(self, end: int) -> None:
        reader, deadline, trouble = self._reader(), time.monotonic() + _TIMEOUT_S, None
        while self._next_offset < end:
            if time.monotonic() > deadline:
                raise self._unavailable(trouble)
            message = reader.poll(0.5)
            if message is None:
                continue
            error, offset = message.error(), message.offset()
            if error is None and offset is not None:
                self._apply(message.key() or b"", message.value())
                self._next_offset = offset + 1
            elif error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - public, as above
                self._next_offset = max(self._next_offset, offset or 0)  # past the markers of transactions
            else:
                trouble = error

    def _reader(self) -> Consumer:
        if self._consumer is None:
            raise InvariantBroken("the registry's store was used before open() or after close()")
        return self._consumer

    def _prepare_topic(self) -> None:
        admin = AdminClient(self._config())
        wanted = NewTopic(self._topic, 1, config={"cleanup.policy": "compact"})
        try:
            admin.create_topics([wanted], request_timeout=_OPEN_TIMEOUT_S)[self._topic].result()
        except KafkaException as err:
            if err.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        else:
            return
        partitions = len(admin.list_topics(self._topic, _TIMEOUT_S).topics[self._topic].partitions)
        resource = ConfigResource(ConfigResource.Type.TOPIC, self._topic)
        settings = admin.describe_configs([resource], request_timeout=_TIMEOUT_S)[resource].result()
        policy = settings["cleanup.policy"].value
        if partitions != 1 or policy != "compact":
            raise TopicMismatch(
                f"The registry's topic {self._topic} must have 1 partition and cleanup.policy=compact, "
                f"it has {partitions} and {policy}: schemas would be lost. Give the registry another topic."
            )

    def _config(self, **more: str | int | bool) -> dict[str, Any]:
        return {**self._kafka.confluent(**more), "log_level": 0}  # what goes wrong is in our errors

    def _unavailable(self, error: KafkaError | None) -> StoreUnavailable:
        why = "it did not answer in time" if error is None else error.str()
        return StoreUnavailable(f"Kafka at {self._kafka.bootstrap_servers}, topic {self._topic}: {why}.")

    def _lost(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"Another registry has taken over the topic {self._topic}: this one registers nothing any more. "
            "Run one registry per topic: stop this one, or give it another topic."
        )
