"""The first stage: interactions of a source partition to scores, alerts, wait partials and state."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectors.kafka.dead_letters import Rejected, RejectReason, dead_letter, record_bytes
from connectors.kafka.fetched import FetchedBatch
from connectors.kafka.restore import LogReader
from connectors.kafka.transactions import OutgoingRecord
from pipelines.alerts import Alert
from pipelines.index import murmur2
from pipelines.partition import Changes, CustomerPartition
from pipelines.policy import Policy
from pipelines.restoring import RowRestore
from pipelines.state import LAYOUT, signals_id
from pipelines.windows import NO_TIME
from pipelines.worker import metrics
from pipelines.worker.customer_records import (
    CUSTOMER,
    HEADER,
    WINDOW,
    CustomerRecords,
    CustomerSnapshot,
    restored_window,
)
from pipelines.worker.decoding import Decoded, InteractionDecoder
from pipelines.worker.stage import Urgency
from pipelines.worker.start import Start
from schemas.errors import StateLost, TooManyDeadLetters, TopicMismatch
from schemas.topics import DEAD_LETTERS, INTERACTIONS, REKEYED, STATE, TopicNames

MANY_ROWS = 50_000
MAX_REKEYED_BYTES = 1_000_000  # Kafka's default for the largest record, less what we and the protocol add


@dataclass(frozen=True, slots=True)
class CustomerStage:
    """What the partitions of the first stage share.

    partitions: of the source. topic_ids: Kafka's id of each topic. dead_letter_limit: most dead letters of a source
    partition, counted in its state from its first record on.
    """

    app_id: str
    names: TopicNames
    policy: Policy
    decoder: InteractionDecoder
    form: CustomerRecords
    partitions: int
    topic_ids: Mapping[str, str]
    accept_loss: bool
    dead_letter_limit: int | None
    now_ms: Callable[[], int]
    name: str = "customers"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input topics on the cluster."""
        return self.names.of(INTERACTIONS), self.names.of(REKEYED)

    def transactional_id(self, partition: int) -> str:
        """The fence of a partition."""
        return f"{self.app_id}.{partition}"

    def unresolved(self, batch: FetchedBatch) -> list[int]:
        """Schemas that the registry has to be asked for first."""
        return self.decoder.unresolved(batch.records)

    def resolve(self, schema_id: int) -> None:
        """Ask for one; blocks."""
        self.decoder.resolve(schema_id)

    def restore(self, log: LogReader, partition: int, *, cancelled: Callable[[], bool]) -> "CustomerWork":
        """Read a partition's rows, windows and header back.

        Raises:
            StateLost: rows without a header, or state or source records that are gone.
            TopicMismatch: the topics had another number of partitions when the state was written, or are other ones.
        """
        state_topic = self.names.of(STATE)
        core = CustomerPartition(partition, self.partitions, self.policy)
        rows, others = RowRestore(core.rows), dict[bytes, bytes]()
        for records in log.read_to_end(state_topic, partition, cancelled=cancelled):
            is_customer = records.keys_begin_with(CUSTOMER[0])
            which = np.flatnonzero(is_customer)
            key_start, key_length = records.key_start[which] + 1, records.key_length[which] - 1
            rows.take(records.data, key_start, key_length, records.value_start[which], records.value_length[which])
            for i in np.flatnonzero(~is_customer).tolist():
                key, value = records.key(i) or b"", records.value(i)
                if value is None:
                    others.pop(key, None)
                else:
                    others[key] = value
        raw = others.pop(HEADER, None)
        if raw is None and (others or len(core.rows)):
            raise StateLost(f"{state_topic}/{partition} has rows but no header: it is not the workers' state")
        header: dict[str, Any] = {} if raw is None else json.loads(raw)
        partitions = header.get("partitions", self.partitions)
        if partitions != self.partitions:
            raise TopicMismatch(
                f"{state_topic}/{partition} was written when there were {partitions} partitions, now there are "
                f"{self.partitions}: customers would be in other partitions than their state. Partitions cannot be "
                "added to topics that hold state; make new topics, with another prefix, and send interactions there."
            )
        signal_sets = {int(i): list(names) for i, names in header.get("signal_sets", {}).items()}
        try:
            rows.finish(signal_sets)
        except ValueError as error:
            raise StateLost(f"{state_topic}/{partition}: {error}") from error
        core.windows.restore([restored_window(k, v) for k, v in others.items() if k[:1] == WINDOW])
        core.restore_times(
            watermark_ms=header.get("watermark_ms", NO_TIME), advanced_ms=header.get("advanced_ms", NO_TIME)
        )
        start = Start.of(header, self.names, state_topic, partition)
        offsets = start.checked(log, self.inputs, self.topic_ids, accept_loss=self.accept_loss)
        return CustomerWork(self, core, offsets, signal_sets, header.get("dead_letters", 0))


class CustomerWork:
    """A restored partition of the first stage."""

    def __init__(
        self,
        stage: CustomerStage,
        core: CustomerPartition,
        offsets: dict[str, int],
        signal_sets: dict[int, list[str]],
        dead_letters: int,
    ) -> None:
        self.next_offsets = offsets
        self._stage = stage
        self._core = core
        self._signal_sets = {**signal_sets, signals_id(core.rows.signal_names): list(core.rows.signal_names)}
        self._alerts: list[Alert] = []
        self._records: list[OutgoingRecord] = []
        self._changed = False
        self._events = 0
        self._dead_letters = dead_letters
        self._told_window = self._reached_window()

    def process(self, batch: FetchedBatch) -> None:
        """Count a batch that begins where the topic goes on.

        Raises:
            TooManyDeadLetters: the limit is passed. What it has counted since the last checkpoint must not be written.
        """
        decoded = self._stage.decoder.decode(batch.records)
        applied = self._core.apply(decoded.interactions)
        for rejected in decoded.rejected:
            self._reject(batch, rejected)
        for row in applied.misrouted:
            self._send_on(batch, decoded, int(row))
        self._raise(applied.alerts)
        self._events += len(decoded.interactions)
        self._changed = True
        metrics.INTERACTIONS.inc(len(decoded.interactions) - applied.misrouted.shape[0])
        metrics.UNKNOWN_KINDS.inc(applied.unknown_kinds)
        metrics.LATE_WAITS.inc(applied.late)
        metrics.KEYS_DIFFER.inc(decoded.keys_differ)

    def advance(self, to_ms: int) -> None:
        """Let time pass."""
        alerts = self._core.advance(to_ms)
        self._raise(alerts)
        windows = self._core.windows
        self._changed |= bool(alerts) or windows.closing() or self._reached_window() > self._told_window

    def _reached_window(self) -> int:
        """Number of the window that the watermark has reached: the second stage is told of each."""
        return self._core.windows.watermark_ms // self._core.windows.length_ms

    def urgency(self) -> Urgency:
        """How soon it wants to be written down."""
        if self._alerts:
            return Urgency.ALERTS
        if self._events >= MANY_ROWS:
            return Urgency.MANY
        return Urgency.CHANGES if self._changed else Urgency.NOTHING

    def snapshot(self) -> CustomerSnapshot:
        """Copy what has changed since the last call."""
        changes = self._core.take_changes()
        reached = self._reached_window()
        snapshot = CustomerSnapshot(
            form=self._stage.form,
            partition=self._core.number,
            changes=changes,
            alerts=self._alerts,
            records=self._records,
            offsets=dict(self.next_offsets),
            header=self._header(changes),
            marks=reached > self._told_window,
            emitted_ms=self._stage.now_ms(),
        )
        self._told_window = max(self._told_window, reached)
        self._alerts, self._records, self._events, self._changed = [], [], 0, False
        return snapshot

    def _raise(self, alerts: list[Alert]) -> None:
        self._alerts += alerts
        for alert in alerts:
            metrics.ALERTS.labels(alert.type, alert.status).inc()

    def _reject(self, batch: FetchedBatch, rejected: Rejected) -> None:
        records, i, limit = batch.records, rejected.index, self._stage.dead_letter_limit
        self._dead_letters += 1
        if limit is not None and self._dead_letters > limit:
            raise TooManyDeadLetters(
                f"record {records.offset[i]} of {batch.topic}/{batch.partition} cannot be accepted "
                f"({rejected.reason.value}: {rejected.message[:200]}), and worker.dead_letter_limit allows {limit} "
                "dead letters of a partition. It has not been put aside, nor anything after it processed. Repair what "
                "sends such records, and start with a higher limit, or `off`, if these shall be put aside."
            )
        self._records.append(
            dead_letter(
                to_topic=self._stage.names.of(DEAD_LETTERS),
                topic=batch.topic,
                partition=batch.partition,
                offset=int(records.offset[i]),
                key=records.key(i),
                value=records.value(i),
                headers=records.headers(i),
                rejected=rejected,
            )
        )
        metrics.DEAD_LETTERS.labels(rejected.reason.value).inc()

    def _send_on(self, batch: FetchedBatch, decoded: Decoded, row: int) -> None:
        """Send an interaction to the partition of its customer."""
        i = int(decoded.index[row])
        if batch.topic != self._stage.inputs[0]:
            message = f"{batch.topic} holds a customer of another partition; only the workers write there"
            self._reject(batch, Rejected(i, RejectReason.BAD_CUSTOMER, message))
            return
        customer = decoded.interactions.customer
        start, length = int(customer.start[row]), int(customer.length[row])
        key = decoded.interactions.data[start : start + length]
        with np.errstate(over="ignore"):
            to = murmur2(key, 0, length) % self._core.partitions
        origin = [
            ("friction.origin.topic", batch.topic.encode()),
            ("friction.origin.partition", str(batch.partition).encode()),
            ("friction.origin.offset", str(batch.records.offset[i]).encode()),
        ]
        headers = [*batch.records.headers(i), *origin]
        if record_bytes(key.tobytes(), batch.records.value(i), headers) > MAX_REKEYED_BYTES:
            message = "it is in another partition than its customer's, and too large to be sent on"
            self._reject(batch, Rejected(i, RejectReason.TOO_LARGE, message))
            return
        topic = self._stage.names.of(REKEYED)
        self._records.append(OutgoingRecord(topic, to, key.tobytes(), batch.records.value(i), headers))
        metrics.REKEYED.inc()

    def _header(self, changes: Changes) -> bytes:
        of = self._stage.names.of
        header = {
            "layout": LAYOUT,
            "offsets": {t: self.next_offsets[of(t)] for t in (INTERACTIONS, REKEYED)},
            "topic_ids": {t: self._stage.topic_ids[of(t)] for t in (INTERACTIONS, REKEYED, STATE)},
            "watermark_ms": changes.watermark_ms,
            "advanced_ms": changes.advanced_ms,
            "signal_sets": self._signal_sets,
            "partitions": self._core.partitions,
            "dead_letters": self._dead_letters,
            "policy": self._stage.policy.digest,
        }
        return json.dumps(header, separators=(",", ":")).encode()
