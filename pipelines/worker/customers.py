"""The first stage: interactions of a source partition to scores, alerts, wait partials and state."""

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectors.kafka.dead_letters import Rejected, RejectReason, dead_letter, record_bytes
from connectors.kafka.fetched import FetchedBatch
from connectors.kafka.restore import LogReader
from connectors.kafka.transactions import Outgoing, OutgoingBatch, OutgoingRecord
from pipelines.alerts import Alert
from pipelines.index import murmur2
from pipelines.partition import Changes, CustomerPartition
from pipelines.policy import Policy
from pipelines.state import LAYOUT, signals_id
from pipelines.windows import NO_TIME, WaitCounts, WindowState
from pipelines.worker import metrics
from pipelines.worker.decoding import Decoded, InteractionDecoder
from pipelines.worker.encoding import Encoder
from pipelines.worker.stage import Start, Urgency
from schemas.errors import InvariantBroken, StateLost, TooManyDeadLetters, TopicMismatch
from schemas.topics import ALERTS, DEAD_LETTERS, INTERACTIONS, REKEYED, SCORES, STATE, WAIT_PARTIALS, TopicNames

CUSTOMER, WINDOW, HEADER = b"c", b"w", b"h"
MANY_ROWS = 50_000
MAX_REKEYED_BYTES = 1_000_000  # Kafka's default for the largest record, less what we and the protocol add

_WINDOW = struct.Struct("<5q")


@dataclass(frozen=True, slots=True)
class CustomerStage:
    """What the partitions of the first stage share.

    partitions: of the source. touchpoints: of the partials. dead_letter_limit: most dead letters of a source partition,
    counted in its state from its first record on.
    """

    app_id: str
    names: TopicNames
    policy: Policy
    decoder: InteractionDecoder
    scores: Encoder
    alerts: Encoder
    partials: Encoder
    partitions: int
    touchpoints: int
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
            StateLost: rows without a header, or source records that are gone.
            TopicMismatch: the topics had another number of partitions when the state was written.
        """
        state_topic = self.names.of(STATE)
        rows: dict[bytes, bytes] = {}
        for key, value in log.read_to_end(state_topic, partition, cancelled=cancelled):
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
        raw = rows.pop(HEADER, None)
        if raw is None and rows:
            raise StateLost(f"{state_topic}/{partition} has rows but no header: it is not the workers' state")
        header: dict[str, Any] = {} if raw is None else json.loads(raw)
        partitions = header.get("partitions", self.partitions)
        if partitions != self.partitions:
            raise TopicMismatch(
                f"{state_topic}/{partition} was written when there were {partitions} partitions, now there are "
                f"{self.partitions}: customers would be in other partitions than their state. Partitions cannot be "
                "added to topics that hold state; make new topics, with another prefix, and send interactions there."
            )
        core = CustomerPartition(partition, self.partitions, self.policy)
        customers = [k for k in rows if k[:1] == CUSTOMER]
        signal_sets = {int(i): list(names) for i, names in header.get("signal_sets", {}).items()}
        try:
            core.rows.restore([k[1:] for k in customers], [rows[k] for k in customers], signal_sets)
        except ValueError as error:
            raise StateLost(f"{state_topic}/{partition}: {error}") from error
        core.windows.restore([_window(k, v) for k, v in rows.items() if k[:1] == WINDOW])
        core.restore_times(
            watermark_ms=header.get("watermark_ms", NO_TIME), advanced_ms=header.get("advanced_ms", NO_TIME)
        )
        start = Start({self.names.of(t): o for t, o in header.get("offsets", {}).items()})
        offsets = start.checked(log, self.inputs, partition, accept_loss=self.accept_loss)
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
        self._told_window = NO_TIME

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
        self._changed |= bool(alerts) or self._core.windows.closing()

    def urgency(self) -> Urgency:
        """How soon it wants to be written down."""
        if self._alerts:
            return Urgency.ALERTS
        if self._events >= MANY_ROWS:
            return Urgency.MANY
        return Urgency.CHANGES if self._changed else Urgency.NOTHING

    def snapshot(self) -> Outgoing:
        """Copy what has changed since the last call."""
        stage, number, of = self._stage, self._core.number, self._stage.names.of
        changes = self._core.take_changes()
        scores = stage.scores.encode(changes.scores.avro_records(stage.policy))
        customers = changes.scores.customers
        alerts = self._alerts
        told = stage.alerts.encode(a.avro_record(stage.now_ms()) for a in alerts)
        width, raw = changes.stored.shape[1], changes.stored.tobytes()
        state: list[dict[str, bytes | None]] = [
            {"key": CUSTOMER + c, "value": raw[i * width : (i + 1) * width]} for i, c in enumerate(customers)
        ]
        state += [_stored_window(w) for w in changes.windows]
        state.append({"key": HEADER, "value": self._header(changes)})
        batches = [
            OutgoingBatch(of(SCORES), number, [{"key": k, "value": v} for k, v in zip(customers, scores, strict=True)]),
            OutgoingBatch(of(ALERTS), number, [
                {"key": (a.customer_id or a.touchpoint or "").encode(), "value": v}
                for a, v in zip(alerts, told, strict=True)
            ]),
            OutgoingBatch(of(STATE), number, state),
            *self._partials(changes),
        ]  # fmt: skip
        records, self._alerts, self._records, self._events, self._changed = self._records, [], [], 0, False
        offsets = {(topic, number): offset for topic, offset in self.next_offsets.items()}
        return Outgoing([b for b in batches if b.messages], records, offsets)

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

    def _partials(self, changes: Changes) -> Iterator[OutgoingBatch]:
        """The windows that changed, and, when the watermark has come to another window, where it stands."""
        stage, topic = self._stage, self._stage.names.of(WAIT_PARTIALS)
        source_offset = sum(self.next_offsets.values())
        by_partition: dict[int, list[tuple[bytes, dict[str, Any]]]] = {}
        for window in changes.windows:
            key = json.dumps([window.touchpoint, window.channel, window.start_ms], ensure_ascii=False).encode()
            with np.errstate(over="ignore"):
                to = murmur2(np.frombuffer(key, np.uint8), 0, len(key)) % stage.touchpoints
            by_partition.setdefault(to, []).append((key, self._partial(window, changes.watermark_ms, source_offset)))
        reached = changes.watermark_ms // self._core.windows.length_ms
        if reached > self._told_window:
            self._told_window = reached
            mark = WindowState("", "", 0, WaitCounts(0, 0, 0, 0, 0))
            record = {**self._partial(mark, changes.watermark_ms, source_offset), "window_end": 0}
            for to in range(stage.touchpoints):
                by_partition.setdefault(to, []).append((b"", record))
        for to, told in by_partition.items():
            values = stage.partials.encode(record for _, record in told)
            messages: list[dict[str, bytes | None]] = [
                {"key": key, "value": value} for (key, _), value in zip(told, values, strict=True)
            ]
            yield OutgoingBatch(topic, to, messages)

    def _partial(self, window: WindowState, watermark_ms: int, source_offset: int) -> dict[str, Any]:
        counts = window.counts
        return {
            "touchpoint": window.touchpoint,
            "channel": window.channel,
            "window_start": window.start_ms,
            "window_end": window.start_ms + self._core.windows.length_ms,
            "source_partition": self._core.number,
            "source_offset": source_offset,
            "watermark": max(watermark_ms, 0),
            "offered": counts.offered,
            "answered": counts.answered,
            "abandoned": counts.abandoned,
            "other_ends": counts.other_ends,
            "wait_sum_ms": counts.wait_sum_ms,
            "wait_max_ms": counts.wait_max_ms,
            "closed": window.closed,
            "policy": self._stage.policy.digest,
        }

    def _header(self, changes: Changes) -> bytes:
        declared = {self._stage.names.of(t): t for t in (INTERACTIONS, REKEYED)}
        header = {
            "layout": LAYOUT,
            "offsets": {declared[topic]: offset for topic, offset in self.next_offsets.items()},
            "watermark_ms": changes.watermark_ms,
            "advanced_ms": changes.advanced_ms,
            "signal_sets": self._signal_sets,
            "partitions": self._core.partitions,
            "dead_letters": self._dead_letters,
            "policy": self._stage.policy.digest,
        }
        return json.dumps(header, separators=(",", ":")).encode()


def _stored_window(window: WindowState) -> dict[str, bytes | None]:
    key = WINDOW + json.dumps([window.touchpoint, window.channel, window.start_ms], ensure_ascii=False).encode()
    c = window.counts
    packed = _WINDOW.pack(c.answered, c.abandoned, c.other_ends, c.wait_sum_ms, c.wait_max_ms)
    return {"key": key, "value": None if window.closed else packed}


def _window(key: bytes, value: bytes) -> WindowState:
    touchpoint, channel, start_ms = json.loads(key[1:])
    if len(value) != _WINDOW.size:
        raise InvariantBroken(f"a stored window has {len(value)} bytes instead of {_WINDOW.size}")
    return WindowState(touchpoint, channel, start_ms, WaitCounts(*_WINDOW.unpack(value)))
