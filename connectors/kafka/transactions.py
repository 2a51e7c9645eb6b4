"""One Kafka transaction at a time: records, and the offsets of what they were made of.

A producer is fenced when another one starts with its transactional id: it is dead then, and nothing of its open
transaction is ever seen by a read_committed reader.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from connectors.kafka.connection import KafkaConnection
from schemas.errors import StoreUnavailable

log = logging.getLogger(__name__)

_BATCH = 5_000  # messages handed to the client in one call
_QUIET = logging.getLogger("librdkafka")


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """A record with headers."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class OutgoingBatch:
    """Many records without headers for one partition, as the client takes them: dicts with key and value."""

    topic: str
    partition: int
    messages: list[dict[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What one transaction writes. offsets: the next offset of each source partition."""

    batches: Sequence[OutgoingBatch]
    records: Sequence[OutgoingRecord]
    offsets: dict[tuple[str, int], int]

    @property
    def count(self) -> int:
        """Number of records."""
        return len(self.records) + sum(len(b.messages) for b in self.batches)


@dataclass(frozen=True, slots=True)
class Committed:
    """All of it is there, for every reader, once."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """Another producer has our transactional id: nothing of it will ever be seen."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not come to an end that we know of; the log tells whoever acquires the partition next."""

    reason: str


CommitOutcome = Committed | Fenced | Failed

_FENCED = {
    KafkaError._FENCED,  # noqa: SLF001 - its public name
    KafkaError.INVALID_PRODUCER_EPOCH,
    90,  # PRODUCER_FENCED, for which the library has no name
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
}


@dataclass(slots=True)
class TransactionalProducer:
    """The one writer of a source partition's outputs. Its methods block: call them in a thread, one at a time."""

    kafka: KafkaConnection
    transactional_id: str
    group_id: str
    timeout_s: float
    _producer: Any = field(init=False, default=None)
    _group: Any = field(init=False, default=None)

    def start(self) -> None:
        """Fence the previous owner; wait until what it left open is complete or aborted.

        Raises:
            StoreUnavailable: Kafka did not answer in time.
        """
        self._producer = Producer(
            self.kafka.confluent(
                transactional_id=self.transactional_id,
                transaction_timeout_ms=int(self.timeout_s * 1000),
                linger_ms=2,
                compression_type="lz4",
                queue_buffering_max_messages=2_000_000,
                queue_buffering_max_kbytes=1_048_576,
                # a delivery may not outlive its transaction
                delivery_timeout_ms=int(self.timeout_s * 1000),
            ),
            logger=_QUIET,
        )
        # the group's metadata of a consumer that never joins: the transactional id is the fence
        group = Consumer(self.kafka.confluent(group_id=self.group_id), logger=_QUIET)
        self._group = group.consumer_group_metadata()
        group.close()
        try:
            self._producer.init_transactions(self.timeout_s * 3)
        except KafkaException as error:
            raise StoreUnavailable(f"{self.transactional_id} cannot begin to write: {_said(error)}") from error

    def commit(self, outgoing: Outgoing) -> CommitOutcome:
        """Write it all in one transaction, or nothing."""
        producer = self._producer
        try:
            producer.begin_transaction()
            for batch in outgoing.batches:
                for at in range(0, len(batch.messages), _BATCH):
                    part = batch.messages[at : at + _BATCH]
                    if producer.produce_batch(batch.topic, part, partition=batch.partition) != len(part):
                        return Failed(f"the queue of {self.transactional_id} did not take all records")
            for r in outgoing.records:
                producer.produce(r.topic, r.value, r.key, partition=r.partition, headers=r.headers)
            positions = [TopicPartition(t, p, offset) for (t, p), offset in outgoing.offsets.items()]
            producer.send_offsets_to_transaction(positions, self._group, self.timeout_s)
            return self._end()
        except KafkaException as error:
            return _outcome(error)
        except BufferError as error:
            return Failed(str(error))

    def _end(self) -> CommitOutcome:
        while True:
            try:
                self._producer.commit_transaction(self.timeout_s)
            except KafkaException as error:
                if error.args[0].retriable():
                    continue
                return _outcome(error)
            return Committed()

    def close(self, *, abort: bool) -> None:
        """Give the producer up; a transaction that is open is aborted if ``abort``, else left to its time-out."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        if abort:
            try:
                producer.abort_transaction(3)
            except KafkaException as error:  # fenced, or away: the next owner, or the time-out, aborts it
                log.debug("%s: %s", self.transactional_id, _said(error))
        producer.purge()
        producer.close()


def _said(error: KafkaException) -> str:
    reason: KafkaError = error.args[0]
    return f"{reason.name()}: {reason.str()}"


def _outcome(error: KafkaException) -> CommitOutcome:
    reason: KafkaError = error.args[0]
    if reason.code() in _FENCED or reason.fatal():
        return Fenced(_said(error))
    return Failed(_said(error))
