"""The second stage: wait partials of all source partitions to wait windows, exactly once each."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectors.kafka.fetched import FetchedBatch
from connectors.kafka.records import RecordColumns
from connectors.kafka.restore import LogReader
from connectors.kafka.transactions import Outgoing, OutgoingBatch, OutgoingRecord
from connectors.registry.client import SchemaRegistry
from pipelines.touchpoints import Partial, Place, Told, TouchpointPartition, Window
from pipelines.windows import WaitCounts
from pipelines.worker.decoding import MAX_PLACE_BYTES
from pipelines.worker.encoding import Encoder
from pipelines.worker.partials import HEADER, MOST, rejected, same_sources, unresolved
from pipelines.worker.stage import Urgency
from pipelines.worker.start import Start
from schemas.arrays import Int64s
from schemas.columnar import ColumnarReader
from schemas.columnar.frames import schema_ids
from schemas.columnar.kernel import REASONS
from schemas.columnar.plan import Plan
from schemas.columnar.rows import python_rows
from schemas.errors import StateLost, UnknownSchema
from schemas.topics import DEAD_LETTERS, TOUCHPOINT_STATE, WAIT_PARTIALS, WAITS, TopicNames
from schemas.wire import HEADER_BYTES

log = logging.getLogger(__name__)

WINDOW = b"w"


@dataclass(frozen=True, slots=True)
class TouchpointStage:
    """What the partitions of the second stage share.

    sources: partitions of the first. topic_ids: Kafka's id of each topic.
    """

    app_id: str
    names: TopicNames
    registry: SchemaRegistry
    windows: Encoder
    policy_digest: str
    sources: int
    lateness_ms: int
    topic_ids: Mapping[str, str]
    accept_loss: bool
    reader: ColumnarReader
    writers: dict[int, Plan | None]
    name: str = "touchpoints"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input topics on the cluster."""
        return (self.names.of(WAIT_PARTIALS),)

    def transactional_id(self, partition: int) -> str:
        """The fence of a partition."""
        return f"{self.app_id}.touchpoints.{partition}"

    def prepare(self, _records: RecordColumns) -> None:
        """Nothing: partials are few."""

    def unresolved(self, batch: FetchedBatch) -> list[int]:
        """Schemas that the registry has to be asked for first."""
        return unresolved(batch.records, self.writers)

    def resolve(self, schema_id: int) -> None:
        """Ask for one; blocks."""
        try:
            text = self.registry.schema(schema_id)
        except UnknownSchema:
            return
        try:
            self.writers[schema_id] = self.reader.plan(text)
        except Exception as error:  # noqa: BLE001 - a registry keeps other schemas than Avro too, parsers raise anything
            log.warning("schema %s is not that of a wait partial: %s", schema_id, error)
            self.writers[schema_id] = None

    def restore(self, log: LogReader, partition: int, *, cancelled: Callable[[], bool]) -> "TouchpointWork":
        """Read a partition's windows and header back.

        Raises:
            StateLost: windows without a header, or state or partials that are gone.
            TopicMismatch: there were another number of source partitions, or a topic is another one than it was.
        """
        core = TouchpointPartition(self.sources, self.lateness_ms)
        topic = self.names.of(TOUCHPOINT_STATE)
        header: dict[str, Any] = {}
        for records in log.read_to_end(topic, partition, cancelled=cancelled):
            for i in range(len(records)):
                key, value = records.key(i) or b"", records.value(i)
                if key == HEADER and value is not None:
                    header = json.loads(value)
                elif value is None:
                    core.windows.pop(_place(key), None)
                else:
                    core.windows[_place(key)] = _window(value)
        if core.windows and not header:
            raise StateLost(f"{topic}/{partition} has windows but no header: it is not the workers' state")
        core.watermarks_ms = header.get("watermarks_ms", core.watermarks_ms)
        same_sources(topic, partition, len(core.watermarks_ms), self.sources)
        start = Start.of(header, self.names, topic, partition)
        offsets = start.checked(log, self.inputs, self.topic_ids, accept_loss=self.accept_loss)
        return TouchpointWork(self, partition, core, offsets)


class TouchpointWork:
    """A restored partition of the second stage."""

    def __init__(self, stage: TouchpointStage, number: int, core: TouchpointPartition, offsets: dict[str, int]) -> None:
        self.next_offsets = offsets
        self._stage = stage
        self._number = number
        self._core = core
        self._records: list[OutgoingRecord] = []
        self._changed = False

    def process(self, batch: FetchedBatch) -> None:
        """Merge the partials of a batch."""
        self._changed = True
        records = batch.records
        ids, known = schema_ids(records.data, records.value_start, records.value_length)
        for i in np.flatnonzero(ids < 0).tolist():
            self._reject(batch, i, "no wait partial: it does not begin with the id of a schema")
        for schema_id in known:
            which = np.flatnonzero(ids == schema_id)
            writer = self._stage.writers.get(schema_id)
            if writer is None:
                for i in which.tolist():
                    self._reject(batch, i, f"no wait partial: schema {schema_id}")
            else:
                self._read(batch, which, writer)

    def _read(self, batch: FetchedBatch, which: Int64s, writer: Plan) -> None:
        """Merge the partials of one writer, the records ``which`` (int64[k]) of a batch."""
        records = batch.records
        start, end = records.value_start[which], records.value_start[which] + records.value_length[which]
        arrays = self._stage.reader.arrays(writer, records.data, start + HEADER_BYTES, end)
        for problem in np.flatnonzero(arrays.problem).tolist():
            self._reject(batch, int(which[problem]), REASONS[arrays.problem[problem]])
        kept, rows = python_rows(arrays)
        for i, row in zip(which[kept].tolist(), rows, strict=True):
            if self._plausible(row):
                self._merge(row)
            else:
                self._reject(batch, i, "no wait partial of ours: a number is out of its range")

    def _plausible(self, row: dict[str, Any]) -> bool:
        counts = (row[name] for name in WaitCounts.__slots__)
        return (
            0 <= row["source_partition"] < self._stage.sources
            and all(0 <= n < MOST for n in counts)
            and max(len(row[name].encode()) for name in ("touchpoint", "channel")) <= MAX_PLACE_BYTES
        )

    def _merge(self, row: dict[str, Any]) -> None:
        source = row["source_partition"]
        if row["window_end"] > row["window_start"]:
            place = (row["touchpoint"], row["channel"], row["window_start"])
            ends = row["answered"], row["abandoned"], row["other_ends"]
            counts = WaitCounts(*ends, row["wait_sum_ms"], row["wait_max_ms"])
            self._core.merge(place, row["window_end"], source, Partial(row["source_offset"], counts))
        else:  # the mark, behind the partials of its checkpoint: they must be counted before windows become final
            self._core.move_watermark(source, row["watermark"])

    def _reject(self, batch: FetchedBatch, i: int, reason: str) -> None:
        to_topic = self._stage.names.of(DEAD_LETTERS)
        self._records.append(rejected(batch, i, reason, to_topic=to_topic, sources=self._stage.sources))

    def advance(self, to_ms: int) -> None:
        """Time comes with the partials' watermarks."""

    def urgency(self) -> Urgency:
        """How soon it wants to be written down."""
        return Urgency.CHANGES if self._changed else Urgency.NOTHING

    def snapshot(self, *, whole: bool) -> "TouchpointSnapshot":  # noqa: ARG002 - each of ours is
        """Copy the windows that changed."""
        told = self._core.take_changes()
        header = {
            "offsets": {WAIT_PARTIALS: self.next_offsets[self._stage.inputs[0]]},
            "topic_ids": {t: self._stage.topic_ids[self._stage.names.of(t)] for t in (WAIT_PARTIALS, TOUCHPOINT_STATE)},
            "watermarks_ms": self._core.watermarks_ms,
        }
        state: list[dict[str, bytes | None]] = [
            {"key": WINDOW + _key(t.place), "value": None if t.final else _stored(self._core.windows[t.place])}
            for t in told
        ]
        state.append({"key": HEADER, "value": json.dumps(header, separators=(",", ":")).encode()})
        records, self._records, self._changed = self._records, [], False
        return TouchpointSnapshot(self._stage, self._number, told, state, records, dict(self.next_offsets))


@dataclass(frozen=True, slots=True)
class TouchpointSnapshot:
    """What has changed in a partition of the second stage since its last checkpoint."""

    stage: TouchpointStage
    partition: int
    told: list[Told]
    state: list[dict[str, bytes | None]]
    records: list[OutgoingRecord]
    offsets: dict[str, int]

    def outgoing(self) -> Outgoing:
        """Make the records of the transaction."""
        of = self.stage.names.of
        values = self.stage.windows.encode(self._record(t) for t in self.told)
        published: list[dict[str, bytes | None]] = [
            {"key": _key(t.place), "value": v} for t, v in zip(self.told, values, strict=True)
        ]
        batches = [
            OutgoingBatch(of(WAITS), self.partition, published),
            OutgoingBatch(of(TOUCHPOINT_STATE), self.partition, self.state),
        ]
        offsets = {(topic, self.partition): offset for topic, offset in self.offsets.items()}
        return Outgoing([b for b in batches if b.messages], self.records, offsets)

    def _record(self, told: Told) -> dict[str, Any]:
        touchpoint, channel, start_ms = told.place
        counts = told.counts
        return {
            "touchpoint": touchpoint,
            "channel": channel,
            "window_start": start_ms,
            "window_end": told.end_ms,
            "revision": told.revision,
            "offered": counts.offered,
            "answered": counts.answered,
            "abandoned": counts.abandoned,
            "other_ends": counts.other_ends,
            "wait_sum_ms": counts.wait_sum_ms,
            "wait_max_ms": counts.wait_max_ms,
            "wait_mean_ms": counts.wait_sum_ms / counts.offered if counts.offered else None,
            "final": told.final,
            "source_partitions": told.source_partitions,
            "policy": self.stage.policy_digest,
        }


def _key(place: Place) -> bytes:
    return json.dumps(list(place), ensure_ascii=False).encode()


def _place(key: bytes) -> Place:
    touchpoint, channel, start_ms = json.loads(key[1:])
    return touchpoint, channel, start_ms


def _stored(window: Window) -> bytes:
    partials = {
        source: [p.source_offset, *(getattr(p.counts, name) for name in WaitCounts.__slots__)]
        for source, p in window.partials.items()
    }
    return json.dumps([window.end_ms, window.revision, partials], separators=(",", ":")).encode()


def _window(value: bytes) -> Window:
    end_ms, revision, partials = json.loads(value)
    known = {int(source): Partial(said[0], WaitCounts(*said[1:])) for source, said in partials.items()}
    return Window(end_ms, revision, known)
