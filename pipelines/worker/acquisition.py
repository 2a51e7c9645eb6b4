"""How a partition becomes ours: prove that we are in the group, fence the last owner, restore, position.

An acquisition is void when a rebalance begins or the worker ends; it looks again before each step that others feel.
"""

import asyncio
import ctypes
import logging
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.log_columns import Cancelled
from connectors.kafka.restore import LogReader
from connectors.kafka.transactions import TransactionalProducer
from connectors.kafka.transport import Consumer
from pipelines.worker import metrics
from pipelines.worker.background import Background
from pipelines.worker.ownership import Name, Owned
from pipelines.worker.stage import Stage
from schemas.errors import FrictionError, StoreUnavailable

log = logging.getLogger(__name__)

PROOF_RETRY_S = 0.5
RETRY_S = 1.0


class Acquisitions:
    """The partitions that are on their way. ``acquired`` takes those that have arrived."""

    def __init__(
        self,
        *,
        kafka: KafkaConnection,
        group_id: str,
        transaction_timeout_s: float,
        background: Background,
        acquired: Callable[[Owned], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._kafka = kafka
        self._group_id = group_id
        self._transaction_timeout_s = transaction_timeout_s
        self._background = background
        self._acquired = acquired
        self._fail = fail
        self._wanted: dict[Name, object] = {}

    def begin(self, consumer: Consumer, stage: Stage, partition: int, *, after_s: float = 0.0) -> None:
        """Acquire a partition; one that is on its way already begins anew."""
        token = self._wanted[stage.name, partition] = object()

        def void() -> bool:
            return self._wanted.get((stage.name, partition)) is not token

        self._background.spawn(self._acquire(consumer, stage, partition, void, after_s))

    def void(self) -> None:
        """None of those on their way is wanted any more."""
        self._wanted.clear()

    async def _acquire(
        self, consumer: Consumer, stage: Stage, partition: int, void: Callable[[], bool], after_s: float
    ) -> None:
        name = stage.name, partition
        await asyncio.sleep(after_s)
        # whoever was paused beyond the session timeout must not fence the partition's new owner
        while not void() and not await _proven(consumer):  # noqa: ASYNC110 - the coordinator raises no event
            await asyncio.sleep(PROOF_RETRY_S)
        if void():
            return
        begun_s = monotonic()
        try:
            owned: Owned = await self._background.in_thread(self._restore, stage, partition, void)
        except Cancelled:
            return
        except StoreUnavailable as error:
            log.warning("%s/%s cannot be restored yet: %s", *name, error)
            if not void():
                self.begin(consumer, stage, partition, after_s=RETRY_S)
            return
        except FrictionError as error:
            if not void():
                self._fail(error)
            return
        there = not void() and await consumer.go_on_at(owned.positions)
        if void():
            self._background.in_thread(owned.producer.close)
        elif not there:
            self._background.in_thread(owned.producer.close)
            self.begin(consumer, stage, partition, after_s=RETRY_S)
        else:
            del self._wanted[name]
            self._acquired(owned)
            metrics.RESTORE_SECONDS.labels(stage.name).set(monotonic() - begun_s)
            log.info("%s/%s goes on at %s after %.2f s", *name, owned.work.next_offsets, monotonic() - begun_s)

    def _restore(self, stage: Stage, partition: int, void: Callable[[], bool]) -> Owned:
        fence = stage.transactional_id(partition)
        producer = TransactionalProducer(self._kafka, fence, self._group_id, self._transaction_timeout_s)
        try:
            producer.start(cancelled=void)
            with LogReader(self._kafka, self._group_id) as reader:
                work = stage.restore(reader, partition, cancelled=void)
                told = reader.committed([(topic, partition) for topic in stage.inputs])
        except BaseException:
            producer.close()
            raise
        _give_back_memory()
        mirrored = all(told[topic, partition] == at for topic, at in work.next_offsets.items())
        return Owned(stage, partition, work, producer, dict(work.next_offsets), mirrored=mirrored)


def _give_back_memory() -> None:
    """Give back to the system what reading the log has taken and freed: several times what the state takes itself."""
    with suppress(AttributeError):  # a C library without it
        ctypes.CDLL(None).malloc_trim(0)


async def _proven(consumer: Consumer) -> bool:
    """Whether the group's coordinator has just confirmed that we are a member of this generation."""
    try:
        return await consumer.prove_membership()
    except Exception as error:  # noqa: BLE001 - aiokafka raises errors of many kinds here; all mean no
        log.info("the group's coordinator did not confirm us: %r", error)
        return False
