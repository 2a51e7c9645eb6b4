"""One Kafka transaction at a time: records, and the offsets of what they were made of.

A producer is fenced when another one starts with its transactional id: it is dead then, and nothing of its open
transaction is ever seen by a read_committed reader.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.log_columns import Cancelled
from connectors.kafka.remedies import REFUSALS, remedy
from schemas.errors import SettingsError, StoreUnavailable

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 16_777_216  # the largest that a topic of ours takes (friction.state), before compression

_BATCH = 5_000  # messages handed to the client in one call
_LOOK_S = 0.5  # how often to look whether a partition is still wanted
_ABORT_S = 3.0
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
    """What one transaction writes. offsets: the next one of each source partition; the group keeps ``note`` with it."""

    batches: Sequence[OutgoingBatch]
    records: Sequence[OutgoingRecord]
    offsets: dict[tuple[str, int], int]
    note: str = ""

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


@dataclass(frozen=True, slots=True)
class Refused:
    """Kafka refuses the records, or us: the same again is refused again. Nothing of it will ever be seen."""

    reason: str


CommitOutcome = Committed | Fenced | Failed | Refused

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
    _topics: str = field(init=False, default="")
    _undelivered: tuple[KafkaError, str | None] | None = field(init=False, default=None)

    def start(self, *, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Fence the previous owner; wait until what it left open is complete or aborted.

        ``cancelled`` is asked again and again, so that nobody is fenced for a partition that is not wanted any more.

        Raises:
            Cancelled: the partition is not wanted any more.
            StoreUnavailable: Kafka did not answer in time.
            SettingsError: Kafka does not let us write transactions, or not such long ones.
        """
        settings = self.kafka.confluent(
            transactional_id=self.transactional_id,
            transaction_timeout_ms=int(self.timeout_s * 1000),
            linger_ms=2,
            retry_backoff_ms=20,  # a transaction that begins while the broker still ends the last one waits for so long
            reconnect_backoff_max_ms=1000,
            # otherwise a broker that comes back is another one to the client, which waits for the old one for ever in
            # send_offsets_to_transaction (librdkafka issues 5456 and 5511)
            metadata_recovery_strategy="none",
            compression_type="lz4",
            message_max_bytes=MAX_MESSAGE_BYTES,
            queue_buffering_max_messages=2_000_000,
            queue_buffering_max_kbytes=1_048_576,
            # a delivery may not outlive its transaction
            delivery_timeout_ms=int(self.timeout_s * 1000),
            delivery_report_only_error=True,
        )
        producer = Producer({**settings, "on_delivery": self._note}, logger=_QUIET)
        # the group's metadata of a consumer that never joins: the transactional id is the fence
        group = Consumer(self.kafka.confluent(group_id=self.group_id), logger=_QUIET)
        self._group = group.consumer_group_metadata()
        group.close()
        end_s = monotonic() + self.timeout_s * 3
        while not cancelled():
            try:
                producer.init_transactions(_LOOK_S)
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                if reason.retriable() and monotonic() < end_s:
                    continue  # the client goes on where it was
                said = f"{self.transactional_id} cannot begin to write: {_said(reason)}"
                if reason.code() in REFUSALS or (reason.fatal() and reason.code() not in _FENCED):
                    raise SettingsError(said + self._remedy(reason.code(), None)) from error
                raise StoreUnavailable(said) from error
            self._producer = producer
            return
        raise Cancelled

    def commit(self, outgoing: Outgoing) -> CommitOutcome:
        """Write it all in one transaction, or nothing.

        Takes little more than ``timeout_s`` when Kafka is away; but librdkafka has been seen to wait for ever (5456).
        """
        producer, end_s = self._producer, monotonic() + self.timeout_s
        self._undelivered = None
        written = [batch.topic for batch in outgoing.batches] + [record.topic for record in outgoing.records]
        self._topics = " or ".join(dict.fromkeys(written))
        try:
            producer.begin_transaction()
            for batch in outgoing.batches:
                for at in range(0, len(batch.messages), _BATCH):
                    part = batch.messages[at : at + _BATCH]
                    if producer.produce_batch(batch.topic, part, partition=batch.partition) != len(part):
                        return self._not_taken(batch.topic, part)
            for r in outgoing.records:
                producer.produce(r.topic, r.value, r.key, partition=r.partition, headers=r.headers)
            positions = [TopicPartition(t, p, offset, outgoing.note) for (t, p), offset in outgoing.offsets.items()]
            producer.send_offsets_to_transaction(positions, self._group, max(end_s - monotonic(), _LOOK_S))
            return self._end(end_s)
        except KafkaException as error:
            return self._outcome(error.args[0])
        except BufferError as error:
            return Failed(str(error))

    def _end(self, end_s: float) -> CommitOutcome:
        while True:
            try:
                self._producer.commit_transaction(max(end_s - monotonic(), _LOOK_S))
            except KafkaException as error:
                if error.args[0].retriable() and monotonic() < end_s:
                    continue
                return self._outcome(error.args[0])
            return Committed()

    def _note(self, error: KafkaError | None, message: Message) -> None:
        """Remember why a record was not delivered: the transaction's own error does not say it."""
        if error is not None and (self._undelivered is None or error.code() in REFUSALS):
            self._undelivered = error, message.topic()

    def _not_taken(self, topic: str, part: list[dict[str, Any]]) -> CommitOutcome:
        first: KafkaError = next(m["_error"] for m in part if "_error" in m)
        self._undelivered = first, topic
        return self._outcome(first)

    def _outcome(self, error: KafkaError) -> Fenced | Failed | Refused:
        with suppress(KafkaException):  # a producer that is dead says so once more
            self._producer.poll(0)  # delivers the reports that have not been
        causes: list[tuple[KafkaError, str | None]] = [(error, None)]
        if self._undelivered is not None:
            causes.append(self._undelivered)
        said = "; ".join(_said(cause) + (f" for {topic}" if topic else "") for cause, topic in causes)
        if any(cause.code() in _FENCED for cause, _ in causes) or error.fatal():
            return Fenced(said)
        for cause, topic in reversed(causes):
            if cause.code() in REFUSALS:
                return Refused(said + self._remedy(cause.code(), topic))
        return Failed(said)

    def _remedy(self, code: int, topic: str | None) -> str:
        known = remedy(
            code,
            transactional_id=self.transactional_id,
            group_id=self.group_id,
            where=topic or self._topics,
            most_bytes=MAX_MESSAGE_BYTES,
        )
        return known and f"; {known}"

    def close(self) -> None:
        """Give the producer up, and abort a transaction that is open."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            producer.abort_transaction(_ABORT_S)
        except KafkaException as error:  # there is none; or fenced, or away: the next owner, or the time-out, aborts it
            log.debug("%s: %s", self.transactional_id, _said(error.args[0]))
        producer.purge()


def _said(error: KafkaError) -> str:
    return f"{error.name()}: {error.str()}"
