"""What a source partition does for incidents: from a batch to what it tells, what it stores and what it has seen."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipelines.incidents.kinds import IncidentKinds
from pipelines.incidents.slots import IncidentSlots, SlotState
from pipelines.incidents.state import Chunks, restore_chunks
from pipelines.intake.index import TextIndex
from pipelines.intake.interactions import NO_TIME, InteractionBatch
from pipelines.policy.incident_model import Incidents
from schemas.arrays import Int32s, Int64s
from schemas.columnar.writer import TextColumn


@dataclass(frozen=True, slots=True)
class IncidentChanges:
    """What has changed since the last checkpoint.

    stored: keys and values of the state, null for what is to be removed. told: slots of which the second stage hears.
    seen_ms: event time up to which everything was seen, give or take the lateness. marks: whether that is to be told.
    untold_ms: None when the second stage has heard everything, else the ``seen_ms`` when it last had. begun_ms: the
    earliest time of the first interactions, of whatever kind; NO_TIME before them, and after a restart.
    """

    stored: list[tuple[bytes, bytes | None]]
    told: list[SlotState]
    seen_ms: int
    marks: bool
    untold_ms: int | None = None
    begun_ms: int = NO_TIME


class IncidentSource:
    """One source partition. customers: the index that gives the numbers of ``add``."""

    def __init__(self, incidents: Incidents, customers: TextIndex) -> None:
        self.slots = IncidentSlots(incidents)
        self._kinds = IncidentKinds(incidents)
        self._customers = customers
        self._chunks = Chunks()
        self._told_ms = self.slots.seen_ms
        self._begun_ms = NO_TIME

    def add(self, batch: InteractionBatch, customer: Int32s) -> None:
        """Count a batch in offset order; customer: int32[n], the number of each."""
        if self._begun_ms == NO_TIME and len(batch):
            self._begun_ms = int(np.minimum(batch.occurred_ms, batch.append_ms).min())
        rule, role = self._kinds.rules(batch)
        place = self._kinds.places(batch, rule)
        self.slots.add(batch.data, place, rule, role, customer, batch.occurred_ms, batch.append_ms)

    def advance(self, to_ms: int) -> None:
        """Nothing that was appended before ``to_ms`` is still to come."""
        self.slots.advance(to_ms)

    @property
    def changed(self) -> bool:
        """Whether there is something to store, or to tell: a slot, or that one is over."""
        return self.slots.changed or self.untold

    @property
    def untold(self) -> bool:
        """Whether there is something to tell that has been stored."""
        return self.slots.untold or self._marks

    @property
    def _marks(self) -> bool:
        """Whether a slot is over of which that has not been told."""
        return self.slots.seen_ms // self.slots.slot_ms > self._told_ms // self.slots.slot_ms

    def take_changes(self, *, whole: bool = True, stored: bool = True) -> IncidentChanges:
        """Copy what has changed since the last call.

        whole: whether it is told, too; that can wait, for it is cumulative. stored: whether somebody keeps the state.
        """
        kept = self._chunks.take(self.slots, self._customers, self._told_ms) if stored else []
        if not stored:
            self.slots.take_observations()
        told, marks, seen_ms = list[SlotState](), whole and self._marks, self.slots.seen_ms
        if whole:
            told = self.slots.take_slots(self._names)
            self._told_ms = seen_ms
        return IncidentChanges(kept, told, seen_ms, marks, self._told_ms if self.untold else None, self._begun_ms)

    def restore(self, stored: Mapping[bytes, bytes], seen_ms: int, untold_ms: int | None = None) -> None:
        """Take back what was stored, by key, and what was still to be told of it.

        Raises:
            StateLost: it is not as we write it.
        """
        self._chunks = restore_chunks(self.slots, self._customers, stored, seen_ms)
        self._told_ms = seen_ms if untold_ms is None else untold_ms
        if untold_ms is not None:
            self.slots.tell_again(untold_ms)

    def _names(self, numbers: Int64s) -> list[str]:
        return [raw.decode() for raw in TextColumn(*self._customers.texts(np.asarray(numbers))).raw()]
