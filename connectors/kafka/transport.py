"""A Faust transport that delivers one message for each fetched batch of a partition, and leaves offsets to us.

Faust keeps what it is good at: group membership, assignment, agents and life cycle. What it would do with offsets
(acknowledgements, gaps, commits) is taken out: the state's header in the log says where a partition goes on
(docs/architecture.md). The app that uses the transport has an attribute ``hooks`` (ConsumerHooks).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol
from weakref import WeakSet

from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from connectors.kafka.fetched import Answer, FetchedBatch, read_as_columns
from connectors.kafka.records import RecordColumns
from schemas.errors import InvariantBroken

IDLE_S = 0.02  # how often to look again while every partition is still being restored


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """How the worker's consumer fetches.

    wait_ms: how long the broker waits for ``min_bytes``. partition_bytes: most bytes of a partition in one answer.
    total_bytes: most bytes of one answer. buffer_bytes: so much, unpacked, may wait for the agents before no more is
    taken from what has been fetched, and so nothing more is fetched. check_crc: verify the checksum of every batch.
    """

    wait_ms: int = 25
    min_bytes: int = 40_000
    partition_bytes: int = 4 * 1024 * 1024
    total_bytes: int = 16 * 1024 * 1024
    buffer_bytes: int = 64 * 1024 * 1024
    check_crc: bool = True


@dataclass(frozen=True, slots=True)
class Delivered:
    """A fetched batch and the generation of the group in which it was delivered."""

    batch: FetchedBatch
    generation: int


class ConsumerHooks(Protocol):
    """What the app decides about its consumer."""

    fetch: FetchSettings

    def prepare(self, topic: str, records: RecordColumns) -> object:
        """Make what can be made of fetched records in the consumer's thread; must not raise."""

    async def on_positions(self, consumer: "Consumer", assigned: frozenset[TP]) -> None:
        """Say where each assigned partition goes on. Heartbeats run, the flow has not resumed."""


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that owns the aiokafka consumer."""

    async def on_start(self) -> None:
        """Start the consumer with our fetch settings; Faust has some of them fixed."""
        fetch: FetchSettings = self.app.hooks.fetch
        consumer = self._create_consumer(loop=self.thread_loop)
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = fetch.wait_ms
        consumer._fetch_min_bytes = fetch.min_bytes
        consumer._fetch_max_bytes = fetch.total_bytes
        self._consumer = consumer
        self.time_started = monotonic()
        await consumer.start()  # nothing is subscribed yet, so nothing is fetched
        self.answers = read_as_columns(consumer, check_crc=fetch.check_crc, prepare=self.app.hooks.prepare)

    async def on_thread_stop(self) -> None:
        """Stop the consumer; aiokafka lets the cancellation of its own fetches through while Kafka is away."""
        try:
            await super().on_thread_stop()
        except asyncio.CancelledError:
            await self._consumer._client.close()

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        """Never reached."""
        raise InvariantBroken(f"Faust wanted to commit {dict(offsets)}: offsets belong to our transactions")

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's livelock detector looks at commits of its own, which it never makes here."""


class _NoOffsets(dict[TP, int | None]):
    """Takes the place of Faust's read offsets, by which it would drop messages on its own account."""

    def __getitem__(self, tp: TP) -> None:
        return None

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        pass

    def update(self, *offsets: Any, **more: Any) -> None:
        """Forget them."""


class Consumer(driver.Consumer):
    """Faust's consumer with one message per batch."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._read_offset = _NoOffsets()
        self._handed_over = WeakSet[ConsumerMessage]()  # what Faust drops in a rebalance is gone from it too

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Yield a message for each batch that has been fetched, stamped with the group's generation."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        active = self._get_active_partitions()
        if not active or self._waiting_bytes() > self.app.hooks.fetch.buffer_bytes:  # Faust would sleep for a second
            await self.sleep(IDLE_S)
            return
        batches = await self._getmany(active_partitions=active, timeout=timeout)
        generation = self.app.consumer_generation_id
        for tp, fetched in batches.items():
            if self.should_stop or not self.flow_active or self.app.consumer_generation_id != generation:
                return
            if tp in active:
                for batch in fetched:
                    message = _message(batch, generation)
                    self._handed_over.add(message)
                    yield tp, message
                    del message

    async def _drain_messages(self, fetcher: Any) -> None:
        """Hand over what has been fetched.

        Faust makes four tasks for each message, in case the queue of its agent is full. None is while fewer messages
        wait than one queue takes.
        """
        try:
            while not (self.should_stop or fetcher.should_stop):
                async for _, message in self.getmany(timeout=1.0):
                    handed = self.callback(message)
                    if self.flow_active and len(self._handed_over) <= self.app.conf.stream_buffer_maxsize:
                        await handed
                    else:
                        await self.wait_first(handed, self.suspend_flow.wait())
        except (*self.consumer_stopped_errors, asyncio.CancelledError):
            if not self.app.should_stop:
                raise

    def _waiting_bytes(self) -> int:
        """Size of the batches that agents have not processed."""
        return sum(message.value.batch.records.data.nbytes for message in self._handed_over)

    def ack(self, message: ConsumerMessage) -> bool:
        """Forget the message; where to go on is none of Faust's business."""
        if message.acked:
            return False
        message.acked = True
        self._handed_over.discard(message)
        self._unacked_messages.discard(message)
        return True

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Keep no list of gaps, which would grow."""

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit nothing."""
        return False

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        raise InvariantBroken(f"Faust wanted to commit {dict(offsets)}: offsets belong to our transactions")

    def on_buffer_full(self, tp: TP) -> None:
        """The bounded queue of the agent is all the back-pressure there is."""

    def on_buffer_drop(self, tp: TP) -> None:
        """As above."""

    async def perform_seek(self) -> None:
        """Faust asks for the positions after an assignment."""
        hooks: ConsumerHooks = self.app.hooks
        await hooks.on_positions(self, frozenset(self.assignment()))

    @property
    def membership(self) -> tuple[str, int]:
        """Member id and generation, as the group's coordinator knows us."""
        coordinator = self._thread._consumer._coordinator
        return coordinator.member_id, coordinator.generation

    async def prove_membership(self) -> bool:
        """Whether a heartbeat just now was accepted with our member id and generation."""
        alive: bool = await self._thread.call_thread(self._thread._consumer._coordinator._do_heartbeat)
        return alive

    async def go_on_at(self, positions: Mapping[TP, int]) -> bool:
        """Fetch from these positions on; False when one is not assigned: a rebalance has begun."""
        try:
            await self.seek_wait(positions)
        except (
            IllegalStateError,
            AssertionError,
            TimeoutError,
        ) as error:  # aiokafka asserts that there is an assignment
            self.log.info("cannot go on at %r: %r", positions, error)
            return False
        return True

    def fetch_answers(self) -> dict[TP, Answer]:
        """The brokers' last answers, by partition."""
        return {TP(tp.topic, tp.partition): answer for tp, answer in self._thread.answers.copy().items()}

    def fetch_positions(self) -> dict[TP, int]:
        """Where the consumer would fetch next, by partition; empty during a rebalance."""
        subscription = self._thread._consumer._subscription.subscription
        assignment = None if subscription is None else subscription.assignment
        if assignment is None or not assignment.active:
            return {}
        states = ((tp, assignment.state_value(tp)) for tp in assignment.tps)
        return {
            TP(tp.topic, tp.partition): state._position for tp, state in states if state and state._position is not None
        }


def _message(batch: FetchedBatch, generation: int) -> ConsumerMessage:
    tp = TP(batch.topic, batch.partition)
    return ConsumerMessage(
        batch.topic, batch.partition, batch.next_position - 1, 0.0, 0, (), None, Delivered(batch, generation),
        None, 0, 0, tp, generation_id=generation,
    )  # fmt: skip


class Transport(driver.Transport):
    """The entry point ``columnar`` of the group ``faust.transports``."""

    Consumer = Consumer
