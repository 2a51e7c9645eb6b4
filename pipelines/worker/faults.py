"""Faults that a test asks for, and the witness of the way that a partition went (docs/chaos.md).

Nothing of this is in the way of a worker whose environment does not name FRICTION_TEST_FAULTS: a JSON object with the
fields of ``Faults``. What does harm by intention is ``plant``; the others must be without any effect on the outcome.
"""

import asyncio
import json
import logging
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal

from faust.types import TP
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connectors.kafka.fetched import FetchedBatch
from connectors.kafka.records import RecordColumns
from connectors.kafka.restore import LogReader
from connectors.kafka.transactions import Failed, Outgoing, OutgoingBatch, OutgoingRecord
from connectors.kafka.transport import Consumer, Delivered
from pipelines.worker.checkpoint import Checkpoints
from pipelines.worker.engine import Engine
from pipelines.worker.ownership import Owned, Written
from pipelines.worker.stage import Snapshot, Stage, Urgency, Work
from schemas.errors import SettingsError
from schemas.topics import STATE

FAULTS_VARIABLE = "FRICTION_TEST_FAULTS"

Bug = Literal["skip-row", "double-offset", "lose-chunk", "lose-row", "send-twice", "early-time"]
Chance = float

log = logging.getLogger(__name__)

_OPPORTUNITY = 5  # the planted bug takes this one
_EARLY_MS = 30_000


class Faults(BaseModel):
    """What is injected, each with its chance from 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    throw_away: Chance = Field(default=0.0, ge=0, le=1)
    """A fetched batch is thrown away before it is counted."""
    rewind: Chance = Field(default=0.0, ge=0, le=1)
    """After a batch, the consumer goes back into its middle."""
    time_out: Chance = Field(default=0.0, ge=0, le=1)
    """A transaction ends with nobody knowing how: half of them are there, half are not."""
    witness: str | None = None
    """Topic, with partitions as the interactions, that is told in each transaction when time was let pass."""
    raise_at: int | None = None
    """The agent raises when it has counted the batch that holds this offset of a source partition."""
    plant: Bug | None = None
    """A bug, once in the life of the worker."""


def engine_class() -> Callable[..., Engine]:
    """The engine, or one that is disturbed as the environment says.

    Raises:
        SettingsError: the variable cannot be read.
    """
    text = os.environ.get(FAULTS_VARIABLE)
    if not text:
        return Engine
    try:
        faults = Faults.model_validate_json(text)
    except ValidationError as error:
        raise SettingsError(f"{FAULTS_VARIABLE}: {error.errors()[0]['msg']}, got {text}") from error
    log.warning("faults are injected into this worker: %s", text)
    return lambda **arguments: DisturbedEngine(faults, **arguments)


class DisturbedEngine(Engine):
    """An engine that is given fewer batches than were fetched, old ones again, and outcomes that are not true."""

    def __init__(
        self, faults: Faults, *, stages: tuple[Stage, ...], checkpoints: Checkpoints, **arguments: Any
    ) -> None:
        self._faults = faults
        self._random = Random(faults.seed)
        self._seeker: Consumer | None = None
        planted = _Planted(faults.plant)
        super().__init__(
            stages=tuple(
                _Disturbed(stage, faults, planted) if stage.name == "customers" else stage for stage in stages
            ),
            checkpoints=_Doubtful(checkpoints.interval_s, checkpoints.alert_gap_s, faults),
            **arguments,
        )

    def on_assigned(self, assigned: frozenset[TP], consumer: Consumer) -> None:
        """As the engine; and remember who can seek."""
        self._seeker = consumer
        super().on_assigned(assigned, consumer)

    async def process(self, delivered: Delivered) -> None:
        """As the engine, mostly."""
        if self._random.random() < self._faults.throw_away:
            log.info("fault: thrown away %s", _named(delivered.batch))
            return
        await super().process(delivered)
        if self._random.random() < self._faults.rewind and self._seeker is not None:
            batch = delivered.batch
            at = self._random.randint(batch.position, batch.next_position)
            log.info("fault: back to %s of %s", at, _named(batch))
            await self._seeker.go_on_at({TP(batch.topic, batch.partition): at})


def _named(batch: FetchedBatch) -> str:
    return f"{batch.topic}/{batch.partition} {batch.position} to {batch.next_position}"


class _Doubtful(Checkpoints):
    """Checkpoints some of whose outcomes are not known."""

    def __init__(self, interval_s: float, alert_gap_s: float, faults: Faults) -> None:
        super().__init__(interval_s, alert_gap_s)
        self._random = Random(faults.seed + 1)
        self._chance = faults.time_out

    def begin(self, owned: Owned, threads: Executor) -> "asyncio.Future[Written]":
        if self._random.random() >= self._chance:
            return super().begin(owned, threads)
        return super().begin(owned, _TimingOut(threads, written=self._random.random() < 0.5))


class _TimingOut(Executor):
    """Lets a transaction be written, or not, and does not tell which."""

    def __init__(self, threads: Executor, *, written: bool) -> None:
        self._threads = threads
        self._written = written

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **more: Any) -> "Future[Any]":
        """Run it in a thread of the others."""
        return self._threads.submit(self._run, call, *arguments, **more)

    def _run(self, call: Callable[..., Written], *arguments: Any, **more: Any) -> Written:
        log.info("fault: time-out of a transaction that is %s", "there" if self._written else "not there")
        records = call(*arguments, **more)[1] if self._written else 0
        return Failed("it timed out, as a test wanted it"), records


class _Planted:
    """The bug of a worker: it strikes once."""

    def __init__(self, bug: Bug | None) -> None:
        self.lost_key: bytes | None = None
        """Key of the row that is left out from now on: written once more, it would be as if nothing had been."""
        self._bug = bug
        self._opportunities = 0

    def strikes(self, *bugs: Bug) -> bool:
        """Whether the bug is one of these and its time has come; asked when there is an opportunity."""
        if self._bug not in bugs:
            return False
        self._opportunities += 1
        return self._opportunities == _OPPORTUNITY


@dataclass(frozen=True, slots=True)
class _Disturbed:
    """A stage whose partitions are witnessed, and one of which has a bug."""

    stage: Stage
    faults: Faults
    planted: _Planted

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.stage.inputs

    def transactional_id(self, partition: int) -> str:
        return self.stage.transactional_id(partition)

    def prepare(self, records: RecordColumns) -> object:
        return self.stage.prepare(records)

    def unresolved(self, batch: FetchedBatch) -> list[int]:
        return self.stage.unresolved(batch)

    def resolve(self, schema_id: int) -> None:
        self.stage.resolve(schema_id)

    def restore(self, log: LogReader, partition: int, *, cancelled: Callable[[], bool]) -> Work:
        work = self.stage.restore(log, partition, cancelled=cancelled)
        return _WitnessedWork(work, self.inputs[0], partition, self.faults, self.planted)


class _WitnessedWork:
    """A partition that remembers at which offset time was let pass to when, and has the planted bug."""

    def __init__(self, work: Work, topic: str, partition: int, faults: Faults, planted: _Planted) -> None:
        self.next_offsets = work.next_offsets  # the same one: the engine writes into it
        self._work = work
        self._raise_at = faults.raise_at
        self._topic = topic
        self._partition = partition
        self._witness = faults.witness
        self._planted = planted
        self._begin = self.next_offsets[topic]
        self._advances: list[tuple[int, int]] = []
        self._bugs: list[str] = []

    def process(self, batch: FetchedBatch) -> None:
        offsets = batch.records.offset
        if batch.topic != self._topic or len(offsets) < 2:
            self._work.process(batch)
        elif self._planted.strikes("lose-chunk"):
            self._bugs.append(f"{len(offsets)} interactions from {offsets[0]} on were not counted")
        elif self._planted.strikes("skip-row"):
            self._bugs.append(f"interaction {offsets[0]} was skipped")
            self._work.process(batch.since(int(offsets[0]) + 1))
        elif self._planted.strikes("double-offset"):
            self._bugs.append(f"interaction {offsets[-1]} was counted twice")
            self._work.process(batch)
            self._work.process(batch.since(int(offsets[-1])))
        else:
            self._work.process(batch)
        if batch.topic == self._topic and self._raise_at in offsets:
            raise ArithmeticError(f"a test wanted it at offset {self._raise_at}")

    def advance(self, to_ms: int) -> None:
        if self._planted.strikes("early-time"):
            self._bugs.append(f"time was let pass {_EARLY_MS} ms too far")
            to_ms += _EARLY_MS
        at = self.next_offsets[self._topic]
        if self._advances and self._advances[-1][0] == at:
            to_ms = max(to_ms, self._advances.pop()[1])
        self._advances.append((at, to_ms))
        self._work.advance(to_ms)

    def urgency(self) -> Urgency:
        return self._work.urgency()

    def snapshot(self, *, whole: bool) -> Snapshot:
        told = {"from": self._begin, "to": self.next_offsets[self._topic], "advances": self._advances}
        snapshot = _WitnessedSnapshot(
            self._work.snapshot(whole=whole), self._witness, self._partition, told, self._bugs, self._planted
        )
        self._begin, self._advances, self._bugs = self.next_offsets[self._topic], [], []
        return snapshot


@dataclass(frozen=True, slots=True)
class _WitnessedSnapshot:
    snapshot: Snapshot
    witness: str | None
    partition: int
    told: dict[str, Any]
    bugs: list[str]
    planted: _Planted

    def outgoing(self) -> Outgoing:
        outgoing = self.snapshot.outgoing()
        rows = [batch for batch in outgoing.batches if batch.topic.endswith(STATE) and len(batch.messages) > 1]
        if rows and self.planted.strikes("lose-row"):
            self.planted.lost_key = rows[0].messages[0]["key"]
            self.bugs.append(f"the row of {self.planted.lost_key!r} is not stored any more")
        elif rows and self.planted.strikes("send-twice"):
            outgoing = replace(outgoing, batches=[*outgoing.batches, *outgoing.batches])
            self.bugs.append("all records of a checkpoint were written twice")
        if self.planted.lost_key is not None:
            outgoing = replace(outgoing, batches=[self._without_lost(batch) for batch in outgoing.batches])
        if self.witness is None:
            return outgoing
        value = json.dumps({**self.told, "planted": self.bugs}).encode()
        record = OutgoingRecord(self.witness, self.partition, None, value, [])
        return replace(outgoing, records=[*outgoing.records, record])

    def _without_lost(self, batch: OutgoingBatch) -> OutgoingBatch:
        if not batch.topic.endswith(STATE):
            return batch
        kept = [message for message in batch.messages if message["key"] != self.planted.lost_key]
        return OutgoingBatch(batch.topic, batch.partition, kept)
