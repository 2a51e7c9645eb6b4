"""The first stage: interactions of a source partition to scores, alerts, wait partials and state."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connectors.kafka.dead_letters import Rejected, RejectReason, dead_letter, record_bytes
from connectors.kafka.fetched import FetchedBatch
from connectors.kafka.records import RecordColumns
from connectors.kafka.restore import LogReader
from connectors.kafka.transactions import OutgoingRecord
from pipelines.alerts.tables import Alerts
from pipelines.incidents.source import IncidentChanges
from pipelines.intake.text_table import murmur2_compiled
from pipelines.partition import Changes, CustomerPartition
from pipelines.policy.policy import Policy
from pipelines.state.layouts import NEWEST, signals_id
from pipelines.state.whole_rows import LAYOUT as WHOLE
from pipelines.worker import metrics
from pipelines.worker.customer_records import POLICY, CustomerRecords, CustomerSnapshot, Messages
from pipelines.worker.customer_state import Header, read_state
from pipelines.worker.decoding import Decoded, InteractionDecoder
from pipelines.worker.stage import Urgency
from pipelines.worker.start import Start
from schemas.errors import TooManyDeadLetters
from schemas.topics import DEAD_LETTERS, INTERACTIONS, REKEYED, STATE, TopicNames

MANY_ROWS = 50_000  # to be written: some 20 MB on their way to Kafka
MANY_ALERTS = 10_000
MAX_REKEYED_BYTES = 1_000_000  # Kafka's default for the largest record, less what we and the protocol add


@dataclass(frozen=True, slots=True)
class CustomerStage:
    """What the partitions of the first stage share.

    partitions: of the source. topic_ids: Kafka's id of each topic. dead_letter_limit: most dead letters of a source
    partition, counted in its state from its first record on. state_layout: in which rows are written; None: as they
    are, the newest in a new partition.
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
    state_layout: int | None
    now_ms: Callable[[], int]
    name: str = "customers"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input topics on the cluster."""
        return self.names.of(INTERACTIONS), self.names.of(REKEYED)

    def transactional_id(self, partition: int) -> str:
        """The fence of a partition."""
        return f"{self.app_id}.{partition}"

    def prepare(self, records: RecordColumns) -> Decoded | None:
        """Decode, unless a schema has to be asked for first."""
        return self.decoder.decode_known(records)

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
        core = CustomerPartition(partition, self.partitions, self.policy)
        state_topic = self.names.of(STATE)
        header = read_state(log, state_topic, core, cancelled=cancelled)
        start = Start.of(header.said, self.names, state_topic, partition)
        offsets = start.checked(log, self.inputs, self.topic_ids, accept_loss=self.accept_loss)
        return CustomerWork(self, core, offsets, header)


class CustomerWork:
    """A restored partition of the first stage."""

    def __init__(
        self,
        stage: CustomerStage,
        core: CustomerPartition,
        offsets: dict[str, int],
        header: Header,
    ) -> None:
        self.next_offsets = offsets
        self._stage = stage
        self._core = core
        self._layout = WHOLE if core.whole else stage.state_layout or min(header.layout or NEWEST, NEWEST)
        self._told_policies = header.policies
        self._signal_sets = {**header.signal_sets, signals_id(core.rows.signal_names): list(core.rows.signal_names)}
        self._alerts = Alerts()
        self._urgent = False  # whether one of them may not wait
        self._records: list[OutgoingRecord] = []
        self._changed = False
        self._since = 0  # interactions since the last checkpoint: no more rows than that have changed
        self._dead_letters = header.dead_letters
        self._told_window = self._reached_window()

    def process(self, batch: FetchedBatch) -> None:
        """Count a batch that begins where the topic goes on.

        Raises:
            TooManyDeadLetters: the limit is passed. What it has counted since the last checkpoint must not be written.
        """
        ready = batch.prepared
        decoded = ready if isinstance(ready, Decoded) else self._stage.decoder.decode(batch.records)
        applied = self._core.apply(decoded.interactions)
        for rejected in decoded.rejected:
            self._reject(batch, rejected)
        for row in applied.unrated.tolist():
            message = "rating is not on the scale of its question (feedback.questions of the policy)"
            self._reject(batch, Rejected(int(decoded.index[row]), RejectReason.BAD_RATING, message))
        for row in applied.misrouted:
            self._send_on(batch, decoded, int(row))
        self._urgent |= bool(self._raise(applied.alerts))
        self._since += len(decoded.interactions)
        self._changed = True
        not_counted = applied.misrouted.shape[0] + applied.unrated.shape[0] + applied.rare.duplicates
        metrics.INTERACTIONS.inc(len(decoded.interactions) - not_counted)
        for name, count in applied.rare._asdict().items():
            if count:
                metrics.RARE[name].inc(count)
        if decoded.keys_differ:
            metrics.KEYS_DIFFER.inc(decoded.keys_differ)

    def advance(self, to_ms: int) -> None:
        """Let time pass. That an alert is over, if that is all that time has led to, waits for the next checkpoint."""
        alerts = self._core.advance(to_ms)
        self._urgent |= any(status != "resolved" for _, status in self._raise(alerts))
        windows = self._core.windows
        self._changed |= (
            bool(alerts) or self._core.forgets or windows.closing() or self._reached_window() > self._told_window
        )
        self._changed |= self._core.incidents is not None and self._core.incidents.changed

    def _reached_window(self) -> int:
        """Number of the window that the watermark has reached: the second stage is told of each."""
        return self._core.windows.watermark_ms // self._core.windows.length_ms

    def urgency(self) -> Urgency:
        """How soon it wants to be written down."""
        many = self._since >= MANY_ROWS and self._core.rows.changed >= MANY_ROWS
        if many or len(self._alerts) >= MANY_ALERTS:
            return Urgency.MANY
        if self._urgent:
            return Urgency.ALERTS
        return Urgency.CHANGES if self._changed or self._core.untold else Urgency.NOTHING

    def snapshot(self, *, whole: bool) -> CustomerSnapshot:
        """Copy what has changed since the last call; partials of what is still open only when it is ``whole``."""
        changes = self._core.take_changes(whole=whole)
        metrics.FORGOTTEN.inc(len(changes.forgotten))
        reached = self._reached_window()
        snapshot = CustomerSnapshot(
            form=self._stage.form,
            partition=self._core.number,
            changes=changes,
            alerts=self._alerts,
            records=self._records,
            offsets=dict(self.next_offsets),
            header=self._header(changes),
            layout=self._layout,
            policies=self._new_policies(),
            marks=reached > self._told_window,
            emitted_ms=self._stage.now_ms(),
        )
        self._told_window = max(self._told_window, reached)
        self._alerts, self._records, self._since = Alerts(), [], 0
        self._urgent = self._changed = False
        return snapshot

    def _new_policies(self) -> Messages:
        """The text of our policy, if it is not kept: whoever has another one reads our rows by it."""
        if not self._core.whole or self._core.form in self._told_policies:
            return []
        self._told_policies |= {self._core.form}
        return [{"key": POLICY + f"{self._core.form:08x}".encode(), "value": self._stage.policy.text.encode()}]

    def _raise(self, alerts: Alerts) -> Counter[tuple[str, str]]:
        """Count them, by type and status."""
        self._alerts.add(alerts)
        counts = alerts.counts()
        for about, count in counts.items():
            metrics.ALERTS.labels(*about).inc(count)
        for team, count in alerts.held_back().items():
            metrics.HELD_BACK.labels(team).inc(count)
        return counts

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
        to = murmur2_compiled(key, 0, length) % self._core.partitions
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
            "layout": self._layout,
            "offsets": {t: self.next_offsets[of(t)] for t in (INTERACTIONS, REKEYED)},
            "topic_ids": {t: self._stage.topic_ids[of(t)] for t in (INTERACTIONS, REKEYED, STATE)},
            "watermark_ms": changes.watermark_ms,
            "advanced_ms": changes.advanced_ms,
            "signal_sets": self._signal_sets,
            "partitions": self._core.partitions,
            "dead_letters": self._dead_letters,
            **_incident_times(changes.incidents),
            "untold": changes.untold,
            "policy": self._stage.policy.digest,
        }
        return json.dumps(header, separators=(",", ":")).encode()


def _incident_times(changes: IncidentChanges | None) -> dict[str, int]:
    if changes is None:
        return {}
    untold = {} if changes.untold_ms is None else {"incidents_untold_ms": changes.untold_ms}
    return {"incidents_seen_ms": changes.seen_ms, **untold}
