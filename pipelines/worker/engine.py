"""Exactly once: which partitions are ours, and that what they lead to is written once (docs/engine.md).

The engine is told by Faust of revocations, assignments, positions and batches. It never lets Faust decide about an
offset: the header in a partition's state says where it goes on, and the transactional id is the fence between owners.
"""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic, time
from typing import Any

from faust.types import TP

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.records import RecordColumns
from connectors.kafka.restore import LogReader
from connectors.kafka.transport import Consumer, Delivered, FetchSettings
from pipelines.worker import metrics
from pipelines.worker.acquisition import Acquisitions
from pipelines.worker.background import Background
from pipelines.worker.checkpoint import Checkpoints
from pipelines.worker.lookout import Lookout
from pipelines.worker.ownership import Name, Owned, named
from pipelines.worker.resolving import resolve
from pipelines.worker.stage import Stage
from schemas.errors import StoreUnavailable, TopicMismatch

log = logging.getLogger(__name__)

FLUSH_S = 4.0  # how long a revocation may wait for transactions; heartbeats run meanwhile
REACQUIRE_S = 0.2
OVERDUE_S = 5.0  # beyond the transaction's time-out

_APART = (
    "partition {1} of {0} is not assigned to one worker: one was deleted, or their numbers of partitions differ now. "
    "They must be the same (friction topics diff), and stay what they were when the first state was written."
)


class Engine:
    """The partitions that this worker owns, across rebalances and failures."""

    def __init__(
        self,
        *,
        kafka: KafkaConnection,
        group_id: str,
        stages: tuple[Stage, ...],
        fetch: FetchSettings,
        checkpoints: Checkpoints,
        transaction_timeout_s: float,
        stop: Callable[[BaseException], None],
    ) -> None:
        self.fetch = fetch
        self.owned: dict[Name, Owned] = {}
        self._kafka = kafka
        self._group_id = group_id
        self._stages = {s.name: s for s in stages}
        self._stage_of = {topic: s for s in stages for topic in s.inputs}
        self._checkpoints = checkpoints
        self._transaction_timeout_s = transaction_timeout_s  # longest that a commit takes
        self._stop = stop
        self._consumer: Consumer | None = None
        self._assigned: frozenset[TP] = frozenset()
        self._epoch = 0  # of the assignment: what began in another one is void
        self._membership: tuple[str, int] | None = None
        self._rebalancing = True  # until the first assignment has its positions
        self._busy = 0  # batches that agents work on, or wait with
        self._background = Background(self.fail)
        self._acquisitions = Acquisitions(
            kafka=kafka,
            group_id=group_id,
            transaction_timeout_s=transaction_timeout_s,
            background=self._background,
            acquired=self._take,
            fail=self.fail,
        )
        self._lookout = Lookout(kafka=kafka, group_id=group_id, background=self._background, renew=self._acquire_again)
        self._in_flight: set[asyncio.Future[Any]] = set()
        self._failed = False
        self._closing = False

    # -- batches ------------------------------------------------------------------------------------------------

    def prepare(self, topic: str, records: RecordColumns) -> object:
        """Read records in the consumer's thread, while the event loop works on those before them."""
        try:
            stage = self._stage_of.get(topic)
            return None if stage is None else stage.prepare(records)
        except Exception as error:  # noqa: BLE001 - what is wrong with them is found when they are processed
            log.debug("records of %s are not prepared: %r", topic, error)
            return None

    async def process(self, delivered: Delivered) -> None:
        """Count a batch if it begins where its partition goes on; else ask for the right one."""
        self._busy += 1
        try:
            await self._process(delivered)
        except Exception as error:  # noqa: BLE001 - the one catch-all: Faust acknowledges what raised
            self.fail(error)
        finally:
            self._busy -= 1

    def fail(self, error: BaseException) -> None:
        """Stop the worker before anything more is processed or committed."""
        if not self._failed:
            self._failed = True
            self._acquisitions.void()
            for owned in list(self.owned.values()):
                self._drop(owned, "the worker failed")
            self._stop(error)

    async def _process(self, delivered: Delivered) -> None:
        batch = delivered.batch
        stage = self._stage_of[batch.topic]
        owned = self.owned.get((stage.name, batch.partition))
        if owned is None or not self._works_on(owned):
            return
        position = owned.work.next_offsets[batch.topic]
        if batch.next_position <= position:
            return
        if batch.position > position:
            if self._consumer is not None:
                self._lookout.ask_again(self._consumer, owned, batch.topic)
            return
        for schema_id in stage.unresolved(batch) if batch.prepared is None else ():
            await resolve(stage, schema_id, self._background, wanted=lambda: self._works_on(owned))
        if not self._works_on(owned):
            return  # while we asked the registry, the partition was lost
        if batch.position < position:
            batch = batch.since(position)
        owned.work.process(batch)
        owned.work.next_offsets[batch.topic] = batch.next_position
        if len(batch.records):
            owned.late_s = time() - batch.records.timestamp_ms.item(-1) / 1000
        self._checkpoint_if_due(owned)
        while owned.in_flight is not None and self._checkpoints.behind(owned):
            await asyncio.wait([owned.in_flight])  # Kafka is slower than we are: no more than can be written

    def _works_on(self, owned: Owned) -> bool:
        """Whether batches of a partition are counted; what is not counted now comes again."""
        return owned.ready and not (self._rebalancing or self._closing or self._failed)

    # -- the group ----------------------------------------------------------------------------------------------

    async def on_revoked(self, revoked: frozenset[TP]) -> None:
        """The flow has stopped, heartbeats run: write down what we have, for nobody else may do it."""
        self._rebalancing = True
        self._epoch += 1
        self._acquisitions.void()
        owned = list(self.owned.values())
        done = await asyncio.gather(*(self._flush(o, FLUSH_S) for o in owned))
        for o, whole in zip(owned, done, strict=True):
            if not whole:
                self._drop(o, "its last transaction did not come to an end")
        log.info("revoked %s", named(revoked))

    def on_assigned(self, assigned: frozenset[TP], consumer: Consumer) -> None:
        """No heartbeats run in here, so there is no I/O: drop what is lost, or may have been another's."""
        self._epoch += 1
        self._consumer = consumer
        self._assigned = frozenset(tp for tp in assigned if tp.topic in self._stage_of)
        before, self._membership = self._membership, consumer.membership
        succeeds = before is not None and (before[0], before[1] + 1) == self._membership
        for owned in list(self.owned.values()):
            if not succeeds:
                self._drop(owned, "a generation ran without us")
            elif not self._assigned.issuperset(owned.tps):
                self._drop(owned, "it is another worker's now")
        log.info("assigned %s in generation %s", named(self._assigned), self._membership[1])

    async def on_positions(self, consumer: Consumer, assigned: frozenset[TP]) -> None:
        """Go on with what we kept, and acquire the rest; heartbeats run, the flow has not resumed.

        The next rebalance may begin while we wait: then nothing of this assignment goes on.
        """
        epoch = self._epoch
        ours = {tp for tp in assigned if tp.topic in self._stage_of}
        consumer.pause_partitions(ours)
        kept = [o for o in self.owned.values() if ours.issuperset(o.tps)]
        if kept:
            await self._drop_moved(kept)
            kept = [o for o in kept if not o.gone]
            positions = {tp: at for o in kept for tp, at in o.positions.items()}
            if epoch == self._epoch and not await consumer.go_on_at(positions):
                for owned in kept:
                    self._drop(owned, "it is not assigned")
        if epoch != self._epoch or self._closing or self._failed:
            return
        self._rebalancing = False
        consumer.resume_partitions({tp for o in kept for tp in o.tps if not o.gone})
        for stage in self._stages.values():
            for n in sorted({tp.partition for tp in ours if tp.topic in stage.inputs}):
                if not all(TP(topic, n) in ours for topic in stage.inputs):
                    self.fail(TopicMismatch(_APART.format(" and ".join(stage.inputs), n)))
                elif (stage.name, n) not in self.owned:
                    self._acquisitions.begin(consumer, stage, n)

    async def _drop_moved(self, kept: list[Owned]) -> None:
        """Drop those of ``kept`` that have not come to an end, or whose offsets in the group are not ours."""
        try:
            told = await self._background.in_thread(self._committed, kept)
        except StoreUnavailable as error:
            for owned in kept:
                self._drop(owned, str(error))
            return
        for owned in kept:
            if not owned.clean or any(
                told.get(TP(topic, owned.partition), at) != at for topic, at in owned.committed.items()
            ):
                self._drop(owned, "the group's offsets are not ours")

    def _committed(self, kept: list[Owned]) -> dict[TP, int]:
        """What the group has committed for partitions of ours; those without an offset are left out."""
        with LogReader(self._kafka, self._group_id) as reader:
            told = reader.committed([(tp.topic, tp.partition) for o in kept for tp in o.tps])
        return {TP(*tp): at for tp, at in told.items() if at >= 0}

    # -- acquiring and losing -----------------------------------------------------------------------------------

    def _take(self, owned: Owned) -> None:
        """A partition has been acquired."""
        owned.ready = True
        self.owned[owned.name] = owned
        metrics.OWNED.labels(owned.stage.name).inc()
        if self._consumer is not None:
            self._consumer.resume_partitions(set(owned.tps))

    def _drop(self, owned: Owned, why: str) -> None:
        """Forget a partition; what is not committed will be processed again by whoever acquires it."""
        if owned.gone:
            return
        owned.gone, owned.ready = True, False
        if self.owned.get(owned.name) is owned:
            del self.owned[owned.name]
            metrics.OWNED.labels(owned.stage.name).dec()
        log.info("%s/%s is dropped: %s", *owned.name, why)
        in_flight = owned.in_flight
        if in_flight is None:
            self._background.in_thread(owned.producer.close)
        else:  # the producer is in use: close it after
            in_flight.add_done_callback(lambda _: self._background.in_thread(owned.producer.close))

    # -- checkpoints --------------------------------------------------------------------------------------------

    def _checkpoint_if_due(self, owned: Owned, *, now: bool = False) -> "asyncio.Future[Any] | None":
        """Begin a checkpoint if one is due and none is in flight."""
        if owned.gone or not owned.ready or owned.in_flight is not None:
            return None
        if not self._checkpoints.due(owned, now=now):
            self._checkpoints.ring(owned, self._checkpoint_if_due)
            return None
        try:
            in_flight = self._checkpoints.begin(owned, self._background.own_threads)
        except Exception as error:  # noqa: BLE001 - half of the changes may have been taken: nothing must follow them
            self.fail(error)
            return None
        self._in_flight.add(in_flight)
        in_flight.add_done_callback(lambda done: self._settle(owned, done))
        return in_flight

    def _settle(self, owned: Owned, done: "asyncio.Future[Any]") -> None:
        self._in_flight.discard(done)
        try:
            problem = self._checkpoints.settle(owned, done)
        except Exception as error:  # noqa: BLE001 - the event loop would only log it, and the changes are lost
            self.fail(error)
            return
        if problem is None:
            self._checkpoint_if_due(owned)
        else:
            self._acquire_again(owned, problem)

    def _acquire_again(self, owned: Owned, why: str) -> None:
        """Drop a partition; if it is still ours, bring it back from the log."""
        was_gone = owned.gone
        self._drop(owned, why)
        if was_gone or self._rebalancing or self._closing or self._failed or self._consumer is None:
            return
        if self._assigned.issuperset(owned.tps):
            self._consumer.pause_partitions(owned.tps)
            self._acquisitions.begin(self._consumer, owned.stage, owned.partition, after_s=REACQUIRE_S)

    async def _flush(self, owned: Owned, within_s: float) -> bool:
        """Finish the transaction in flight and write down the rest; whether all of it is committed."""
        end_s = monotonic() + within_s
        while not owned.gone:
            in_flight = owned.in_flight or self._checkpoint_if_due(owned, now=True)
            if in_flight is None:
                return owned.clean
            await asyncio.wait([in_flight], timeout=max(0.0, end_s - monotonic()))
            if not in_flight.done():
                return False
            await asyncio.sleep(0)
        return True

    def tick(self) -> None:
        """Begin the checkpoints that are due, give up those that do not end. Called many times a second."""
        for owned in list(self.owned.values()):
            if self._checkpoints.overdue(owned, after_s=self._transaction_timeout_s + OVERDUE_S):
                self._acquire_again(owned, "its transaction does not come to an end")
            self._checkpoint_if_due(owned)

    def advance(self) -> None:
        """Let time pass for partitions that have processed everything."""
        if self._consumer is not None and not self._rebalancing:
            self._lookout.advance(self._consumer, self.owned.values())

    def watch(self) -> None:
        """Look for batches that were lost.

        While an agent waits, for the registry or for Kafka, batches stand before it and nothing is lost.
        """
        if self._busy:
            for owned in self.owned.values():
                owned.stuck_at.clear()
        elif self._consumer is not None and not self._rebalancing:
            self._lookout.watch(self._consumer, self.owned.values())

    # -- the end ------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Write down what we have and give everything up. Takes little more than a transaction may."""
        self._closing = True
        self._acquisitions.void()
        owned = list(self.owned.values())
        await asyncio.gather(*(self._flush(o, FLUSH_S) for o in owned))
        for o in owned:
            self._drop(o, "the worker stops")
        # what still runs ends by itself: transactions, and acquisitions that are void now
        await self._background.close(also=self._in_flight, within_s=self._transaction_timeout_s)
