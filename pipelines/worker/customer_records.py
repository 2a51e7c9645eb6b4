"""What a checkpoint of the first stage writes: a copy of what has changed, made into records in any thread."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectors.kafka.transactions import Outgoing, OutgoingBatch, OutgoingRecord
from pipelines.alerts.tables import Alerts
from pipelines.incidents.slots import SlotState
from pipelines.intake.text_table import murmur2_compiled
from pipelines.partition import Changes
from pipelines.policy.policy import Policy
from pipelines.state.layouts import RowColumns, signals_id, write_rows
from pipelines.windows import WaitCounts, WindowState
from pipelines.worker.encoding import Encoder
from schemas.columnar.writer import ColumnarWriter
from schemas.errors import InvariantBroken
from schemas.topics import ALERTS, INCIDENT_PARTIALS, SCORES, STATE, WAIT_PARTIALS, TopicNames

CUSTOMER, WINDOW, INCIDENTS, HEADER, POLICY = b"c", b"w", b"i", b"h", b"p"
UNTOLD = "untold"
"""Noted with a committed offset: what is still open has changed, and the second stage has not heard of it yet."""

_WINDOW = struct.Struct("<5q")

Messages = list[dict[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class CustomerRecords:
    """How the records of all partitions are written. touchpoints: partitions of both topics of partials."""

    names: TopicNames
    policy: Policy
    scores: ColumnarWriter
    alerts: ColumnarWriter
    partials: Encoder
    incidents: Encoder
    touchpoints: int


@dataclass(frozen=True, slots=True)
class CustomerSnapshot:
    """What has changed in a partition since its last checkpoint. Nothing of it is shared with the partition.

    offsets: next offset of each input topic. layout: of the rows that are written.
    policies: texts of policies that are new or not needed any more. marks: whether the second stage
    is told where the watermark stands.
    """

    form: CustomerRecords
    partition: int
    changes: Changes
    alerts: Alerts
    records: list[OutgoingRecord]
    offsets: dict[str, int]
    header: bytes
    layout: int
    policies: Messages
    marks: bool
    emitted_ms: int

    def outgoing(self) -> Outgoing:
        """Make the records of the transaction."""
        of = self.form.names.of
        customers = self.changes.scores.customers.raw()
        batches = [
            OutgoingBatch(of(SCORES), self.partition, self._scores(customers)),
            OutgoingBatch(of(ALERTS), self.partition, self._told_alerts()),
            OutgoingBatch(of(STATE), self.partition, self._state(customers)),
            *self._partials(),
            *self._incidents(),
        ]
        offsets = {(topic, self.partition): offset for topic, offset in self.offsets.items()}
        incidents = self.changes.incidents
        untold = self.changes.untold or (incidents is not None and incidents.untold_ms is not None)
        return Outgoing([b for b in batches if b.messages], self.records, offsets, UNTOLD if untold else "")

    def _scores(self, customers: list[bytes]) -> Messages:
        columns = self.changes.scores.columns(self.form.policy)
        values = self.form.scores.write(len(customers), columns)
        return [{"key": key, "value": value} for key, value in zip(customers, values, strict=True)]

    def _told_alerts(self) -> Messages:
        return [{"key": k, "value": value} for k, value in self.alerts.written(self.form.alerts, self.emitted_ms)]

    def _state(self, customers: list[bytes]) -> Messages:
        changed = self.changes.rows
        if isinstance(changed, RowColumns):
            stored = write_rows(changed, self.layout, signals_id(self.form.policy.signal_names))
        else:
            stored = changed.stored()
        rows = stored.values()
        state: Messages = [{"key": CUSTOMER + c, "value": None} for c in self.changes.forgotten]
        state += [{"key": CUSTOMER + c, "value": value} for c, value in zip(customers, rows, strict=True)]
        state += [stored_window(w) for w in self.changes.windows]
        state += self.policies
        state += [{"key": key, "value": value} for key, value in self.changes.desk]
        if self.changes.incidents is not None:
            state += [{"key": INCIDENTS + key, "value": value} for key, value in self.changes.incidents.stored]
        state.append({"key": HEADER, "value": self.header})
        return state

    def _partials(self) -> Iterator[OutgoingBatch]:
        """The windows to be told, and where the watermark stands."""
        by_partition: dict[int, list[tuple[bytes, dict[str, Any]]]] = {}
        for window in self.changes.told:
            key = json.dumps([window.touchpoint, window.channel, window.start_ms], ensure_ascii=False).encode()
            to = murmur2_compiled(np.frombuffer(key, np.uint8), 0, len(key)) % self.form.touchpoints
            end_ms = window.start_ms + self.form.policy.file.windows.length
            by_partition.setdefault(to, []).append((key, self._partial(window, end_ms)))
        if self.marks:
            mark = self._partial(WindowState("", "", 0, WaitCounts(0, 0, 0, 0, 0)), end_ms=0)
            for to in range(self.form.touchpoints):
                by_partition.setdefault(to, []).append((b"", mark))
        for to, told in by_partition.items():
            values = self.form.partials.encode(record for _, record in told)
            messages: Messages = [{"key": key, "value": value} for (key, _), value in zip(told, values, strict=True)]
            yield OutgoingBatch(self.form.names.of(WAIT_PARTIALS), to, messages)

    def _incidents(self) -> Iterator[OutgoingBatch]:
        """What was seen at places, and then up to when: it must be counted before slots are judged."""
        changes = self.changes.incidents
        if changes is None:
            return
        by_partition: dict[int, list[tuple[bytes, dict[str, Any]]]] = {}
        for told in changes.told:
            key = json.dumps([told.rule, told.place], ensure_ascii=False).encode()
            to = murmur2_compiled(np.frombuffer(key, np.uint8), 0, len(key)) % self.form.touchpoints
            by_partition.setdefault(to, []).append((key, self._incident(told, 0)))
        if changes.marks:
            mark = self._incident(SlotState("", "", 0, (), (), 0, ()), max(changes.seen_ms, 0))
            for to in range(self.form.touchpoints):
                by_partition.setdefault(to, []).append((b"", mark))
        for to, records in by_partition.items():
            values = self.form.incidents.encode(record for _, record in records)
            messages: Messages = [{"key": key, "value": v} for (key, _), v in zip(records, values, strict=True)]
            yield OutgoingBatch(self.form.names.of(INCIDENT_PARTIALS), to, messages)

    def _incident(self, told: SlotState, seen_ms: int) -> dict[str, Any]:
        return {
            "rule": told.rule,
            "place": told.place,
            "slot_start": told.start_ms,
            "source_partition": self.partition,
            "source_offset": sum(self.offsets.values()),
            "seen": seen_ms,
            "tried": told.tried,
            "failed": told.failed,
            "attempted": told.attempted,
            "members": told.members,
            "policy": self.form.policy.digest,
        }

    def _partial(self, window: WindowState, end_ms: int) -> dict[str, Any]:
        counts = window.counts
        return {
            "touchpoint": window.touchpoint,
            "channel": window.channel,
            "window_start": window.start_ms,
            "window_end": end_ms,
            "source_partition": self.partition,
            "source_offset": sum(self.offsets.values()),
            "watermark": max(self.changes.watermark_ms, 0),
            "offered": counts.offered,
            "answered": counts.answered,
            "abandoned": counts.abandoned,
            "other_ends": counts.other_ends,
            "wait_sum_ms": counts.wait_sum_ms,
            "wait_max_ms": counts.wait_max_ms,
            "closed": window.closed,
            "policy": self.form.policy.digest,
        }


def stored_window(window: WindowState) -> dict[str, bytes | None]:
    """Key and value of a window in the state; a closed one is deleted there."""
    key = WINDOW + json.dumps([window.touchpoint, window.channel, window.start_ms], ensure_ascii=False).encode()
    c = window.counts
    packed = _WINDOW.pack(c.answered, c.abandoned, c.other_ends, c.wait_sum_ms, c.wait_max_ms)
    return {"key": key, "value": None if window.closed else packed}


def restored_window(key: bytes, value: bytes) -> WindowState:
    """Return a window as it was stored.

    Raises:
        InvariantBroken: it was stored otherwise.
    """
    touchpoint, channel, start_ms = json.loads(key[1:])
    if len(value) != _WINDOW.size:
        raise InvariantBroken(f"a stored window has {len(value)} bytes instead of {_WINDOW.size}")
    return WindowState(touchpoint, channel, start_ms, WaitCounts(*_WINDOW.unpack(value)))
