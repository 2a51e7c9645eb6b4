"""The agent of incidents: what all source partitions have seen to alerts, exactly once each."""

import io
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import fastavro
import numpy as np

from connectors.kafka.fetched import FetchedBatch
from connectors.kafka.records import RecordColumns
from connectors.kafka.restore import LogReader
from connectors.kafka.transactions import Outgoing, OutgoingBatch, OutgoingRecord
from connectors.registry.client import SchemaRegistry
from pipelines.alerts.alert import Alert, alert_columns
from pipelines.alerts.tables import encoded
from pipelines.incidents.alerts import Labels
from pipelines.incidents.slots import SlotState
from pipelines.incidents.watch import IncidentWatch
from pipelines.intake.interactions import NO_TIME
from pipelines.intake.text_table import murmur2_compiled
from pipelines.policy.incident_model import Incidents
from pipelines.worker import metrics
from pipelines.worker.decoding import MAX_PLACE_BYTES
from pipelines.worker.partials import HEADER, MOST, rejected, same_sources, unresolved
from pipelines.worker.stage import Urgency
from pipelines.worker.start import Start
from schemas.columnar.frames import schema_ids
from schemas.columnar.writer import ColumnarWriter
from schemas.errors import StateLost, UnknownSchema
from schemas.topics import ALERTS, DEAD_LETTERS, INCIDENT_PARTIALS, INCIDENT_STATE, TopicNames, avro_schema
from schemas.wire import HEADER_BYTES

log = logging.getLogger(__name__)


def _plain(schema: str) -> Any:
    """A schema whose times are plain milliseconds, parsed."""
    said = json.loads(schema, object_hook=lambda o: o["type"] if "logicalType" in o else o)
    return fastavro.parse_schema(said)


_SCHEMA = _plain(avro_schema("incident_partial"))


@dataclass(frozen=True, slots=True)
class IncidentStage:
    """What the partitions of the agent share.

    sources: partitions of the interactions, and of the alerts. topic_ids: Kafka's id of each topic. writers: parsed
    schemas by id, None for one that is not that of a partial.
    """

    app_id: str
    names: TopicNames
    registry: SchemaRegistry
    alerts: ColumnarWriter
    incidents: Incidents
    labels: Labels
    sources: int
    topic_ids: Mapping[str, str]
    accept_loss: bool
    now_ms: Callable[[], int]
    writers: dict[int, Any]
    name: str = "incidents"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input topics on the cluster."""
        return (self.names.of(INCIDENT_PARTIALS),)

    def transactional_id(self, partition: int) -> str:
        """The fence of a partition."""
        return f"{self.app_id}.incidents.{partition}"

    def prepare(self, _records: RecordColumns) -> None:
        """Nothing: partials are few."""

    def unresolved(self, batch: FetchedBatch) -> list[int]:
        """Schemas that the registry has to be asked for first."""
        return unresolved(batch.records, self.writers)

    def resolve(self, schema_id: int) -> None:
        """Ask for one; blocks."""
        try:
            schema = _plain(self.registry.schema(schema_id))
            self.writers[schema_id] = schema if schema["name"] == _SCHEMA["name"] else None
        except UnknownSchema:
            return
        except Exception as error:  # noqa: BLE001 - a registry keeps other schemas than Avro too, parsers raise anything
            log.warning("schema %s is not that of an incident partial: %s", schema_id, error)
            self.writers[schema_id] = None

    def restore(self, log: LogReader, partition: int, *, cancelled: Callable[[], bool]) -> "IncidentWork":
        """Read a partition's places and header back.

        Raises:
            StateLost: places without a header, or state or partials that are gone.
            TopicMismatch: there were another number of source partitions, or a topic is another one than it was.
        """
        topic, stored = self.names.of(INCIDENT_STATE), dict[bytes, bytes]()
        for records in log.read_to_end(topic, partition, cancelled=cancelled):
            for i in range(len(records)):
                key, value = records.key(i) or b"", records.value(i)
                if value is None:
                    stored.pop(key, None)
                else:
                    stored[key] = value
        raw = stored.pop(HEADER, None)
        header: dict[str, Any] = {} if raw is None else json.loads(raw)
        if stored and raw is None:
            raise StateLost(f"{topic}/{partition} has places but no header: it is not the workers' state")
        watch = IncidentWatch(self.incidents, self.sources, self.labels)
        watch.seen_ms = header.get("seen_ms", watch.seen_ms)
        watch.begun_ms = header.get("begun_ms", NO_TIME)
        same_sources(topic, partition, len(watch.seen_ms), self.sources)
        watch.restore(stored)
        start = Start.of(header, self.names, topic, partition)
        offsets = start.checked(log, self.inputs, self.topic_ids, accept_loss=self.accept_loss)
        return IncidentWork(self, partition, watch, offsets)


class IncidentWork:
    """A restored partition of the agent."""

    def __init__(self, stage: IncidentStage, number: int, watch: IncidentWatch, offsets: dict[str, int]) -> None:
        self.next_offsets = offsets
        self._stage = stage
        self._number = number
        self._watch = watch
        self._alerts: list[Alert] = []
        self._records: list[OutgoingRecord] = []
        self._changed = False

    def process(self, batch: FetchedBatch) -> None:
        """Merge the partials of a batch, and judge the slots that it brings to an end."""
        self._changed = True
        records = batch.records
        ids = schema_ids(records.data, records.value_start, records.value_length)[0]
        for i, writer_id in enumerate(ids.tolist()):
            value, writer = records.value(i) or b"", self._stage.writers.get(writer_id)
            if writer is None:
                what = "it does not begin with the id of a schema" if writer_id < 0 else f"schema {writer_id}"
                self._reject(batch, i, f"no incident partial: {what}")
                continue
            try:
                said: Any = fastavro.schemaless_reader(io.BytesIO(value[HEADER_BYTES:]), writer, _SCHEMA)
            except Exception as error:  # noqa: BLE001 - fastavro raises anything on bytes that are not Avro
                self._reject(batch, i, f"no incident partial: {error!r}"[:500])
                continue
            if self._is_plausible(said):
                self._merge(said)
            else:
                self._reject(batch, i, "no incident partial of ours: a number is out of its range")
        metrics.PLACES_LEFT_OUT.inc(self._watch.take_left_out())
        alerts = self._watch.take_alerts()
        self._alerts += alerts
        for alert in alerts:
            metrics.ALERTS.labels(alert.type, alert.status).inc()

    def _is_plausible(self, said: dict[str, Any]) -> bool:
        numbers = (*said["tried"], *said["failed"], said["attempted"], said["seen"], said["slot_start"])
        return (
            0 <= said["source_partition"] < self._stage.sources
            and min(numbers) >= 0
            and max(numbers) < MOST
            and len(said["place"].encode()) <= MAX_PLACE_BYTES
        )

    def _merge(self, said: dict[str, Any]) -> None:
        source = said["source_partition"]
        if not said["rule"]:  # the mark, behind the partials of its checkpoint
            self._watch.move_mark(source, said["seen"])
            return
        counts = tuple(said["tried"]), tuple(said["failed"]), said["attempted"], tuple(said["members"])
        told = SlotState(said["rule"], said["place"], said["slot_start"], *counts)
        self._watch.merge(source, said["source_offset"], told)

    def _reject(self, batch: FetchedBatch, i: int, reason: str) -> None:
        to_topic = self._stage.names.of(DEAD_LETTERS)
        self._records.append(rejected(batch, i, reason, to_topic=to_topic, sources=self._stage.sources))

    def advance(self, to_ms: int) -> None:
        """Time comes with what the partials say was seen."""

    def urgency(self) -> Urgency:
        """How soon it wants to be written down."""
        if self._alerts:
            return Urgency.ALERTS
        return Urgency.CHANGES if self._changed else Urgency.NOTHING

    def snapshot(self, *, whole: bool) -> "IncidentSnapshot":  # noqa: ARG002 - each of ours is
        """Copy what has changed."""
        of, watch = self._stage.names.of, self._watch
        header = {
            "offsets": {INCIDENT_PARTIALS: self.next_offsets[self._stage.inputs[0]]},
            "topic_ids": {t: self._stage.topic_ids[of(t)] for t in (INCIDENT_PARTIALS, INCIDENT_STATE)},
            "seen_ms": watch.seen_ms,
            "begun_ms": watch.begun_ms,
        }
        state: list[dict[str, bytes | None]] = [{"key": key, "value": value} for key, value in watch.take_state()]
        state.append({"key": HEADER, "value": json.dumps(header, separators=(",", ":")).encode()})
        alerts, self._alerts = self._alerts, []
        records, self._records, self._changed = self._records, [], False
        return IncidentSnapshot(
            self._stage, self._number, alerts, state, records, dict(self.next_offsets), self._stage.now_ms()
        )


@dataclass(frozen=True, slots=True)
class IncidentSnapshot:
    """What has changed in a partition of the agent since its last checkpoint."""

    stage: IncidentStage
    partition: int
    alerts: list[Alert]
    state: list[dict[str, bytes | None]]
    records: list[OutgoingRecord]
    offsets: dict[str, int]
    emitted_ms: int

    def outgoing(self) -> Outgoing:
        """Make the records of the transaction. An alert's partition is that of its key, as a producer finds it."""
        of = self.stage.names.of
        values = encoded(len(self.alerts), alert_columns(self.alerts), self.stage.alerts, self.emitted_ms)
        by_partition: dict[int, list[dict[str, bytes | None]]] = {}
        for alert, value in zip(self.alerts, values, strict=True):
            key = (alert.touchpoint or alert.subject or "").encode()
            to = murmur2_compiled(np.frombuffer(key, np.uint8), 0, len(key)) % self.stage.sources
            by_partition.setdefault(to, []).append({"key": key, "value": value})
        batches = [OutgoingBatch(of(ALERTS), to, messages) for to, messages in by_partition.items()]
        batches.append(OutgoingBatch(of(INCIDENT_STATE), self.partition, self.state))
        offsets = {(topic, self.partition): offset for topic, offset in self.offsets.items()}
        return Outgoing(batches, self.records, offsets)
