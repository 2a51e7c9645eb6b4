"""The engine without Kafka: orders of events, and failures, that are hard to arrange with one."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from faust.types import TP

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.fetched import FetchedBatch
from connectors.kafka.records import RecordColumns
from connectors.kafka.transactions import CommitOutcome, Committed, Failed, Outgoing, Refused
from connectors.kafka.transport import Delivered, FetchSettings
from pipelines.worker import engine as engine_module
from pipelines.worker.checkpoint import Checkpoints
from pipelines.worker.engine import Engine
from pipelines.worker.ownership import Owned
from pipelines.worker.stage import Urgency
from schemas.errors import SettingsError, StoreUnavailable, TopicMismatch

IN = TP("in", 0)


class FakeSnapshot:
    def outgoing(self) -> Outgoing:
        return Outgoing([], [], {})


class FakeWork:
    def __init__(self) -> None:
        self.next_offsets = {"in": 0}
        self.changed = False
        self.much = False
        self.snapshot_fails = False

    def process(self, batch: FetchedBatch) -> None:
        self.changed = True

    def advance(self, to_ms: int) -> None:
        pass

    def urgency(self) -> Urgency:
        if self.changed and self.much:
            return Urgency.MANY
        return Urgency.CHANGES if self.changed else Urgency.NOTHING

    def snapshot(self, *, whole: bool) -> FakeSnapshot:
        self.changed = False
        if self.snapshot_fails:
            raise ArithmeticError("half of the changes were taken")
        return FakeSnapshot()


class FakeProducer:
    def __init__(self, commit: Callable[[], CommitOutcome]) -> None:
        self._commit = commit
        self.commits = 0
        self.closed = threading.Event()

    def commit(self, outgoing: Outgoing) -> CommitOutcome:
        self.commits += 1
        return self._commit()

    def close(self) -> None:
        self.closed.set()


class FakeStage:
    name = "stage"
    inputs: tuple[str, ...] = ("in",)

    def __init__(self) -> None:
        self.asks = 0

    def prepare(self, records: RecordColumns) -> object:
        if len(records):
            raise ArithmeticError("these cannot be read")
        return "read"

    def unresolved(self, batch: FetchedBatch) -> list[int]:
        return [7] if batch.position == 100 else []

    def resolve(self, schema_id: int) -> None:
        self.asks += 1
        raise StoreUnavailable("the registry is away")


class FakeConsumer:
    def __init__(self) -> None:
        self.membership = ("member", 1)
        self.stands_at: dict[TP, int] = {}
        self.sought: list[dict[TP, int]] = []
        self.resumed: set[TP] = set()

    def pause_partitions(self, tps: Any) -> None:
        self.resumed -= set(tps)

    def resume_partitions(self, tps: Any) -> None:
        self.resumed |= set(tps)

    async def go_on_at(self, positions: dict[TP, int]) -> bool:
        self.sought.append(dict(positions))
        return True

    async def prove_membership(self) -> bool:
        return True

    def fetch_positions(self) -> dict[TP, int]:
        return self.stands_at


class House:
    """An engine with a stage of one topic. ``acquired`` are the partitions that it has brought back from its log."""

    def __init__(self, commit: Callable[[], CommitOutcome] = Committed, *, transaction_timeout_s: float = 5.0) -> None:
        self.stage = FakeStage()
        self.consumer = FakeConsumer()
        self.acquired: list[Owned] = []
        self.failures: list[BaseException] = []
        self.group: Callable[[], dict[TP, int]] = dict
        self.engine = Engine(
            kafka=KafkaConnection(),
            group_id="group",
            stages=(self.stage,),  # type: ignore[arg-type]  # what is not needed here is left out
            fetch=FetchSettings(),
            checkpoints=Checkpoints(interval_s=0.0, alert_gap_s=0.0),
            transaction_timeout_s=transaction_timeout_s,
            stop=self.failures.append,
        )

        def restored(stage: Any, partition: int, void: Callable[[], bool]) -> Owned:
            producer: Any = FakeProducer(commit)
            self.acquired.append(Owned(stage, partition, FakeWork(), producer, {"in": 0}))
            return self.acquired[-1]

        self.engine._acquisitions._restore = restored  # type: ignore[method-assign]
        self.engine._committed = lambda kept: self.group()  # type: ignore[method-assign]
        self.engine._lookout._bounds = lambda tp: (0, 1_000)  # type: ignore[method-assign]

    async def assigned(self, *tps: TP) -> None:
        await self.engine.on_revoked(frozenset())
        self.consumer.membership = "member", self.consumer.membership[1] + 1
        self.engine.on_assigned(frozenset(tps), self.consumer)  # type: ignore[arg-type]
        await self.engine.on_positions(self.consumer, frozenset(tps))  # type: ignore[arg-type]

    async def owning(self) -> Owned:
        await self.assigned(IN)
        await until(lambda: ("stage", 0) in self.engine.owned)
        return self.engine.owned["stage", 0]

    async def process(self, position: int, next_position: int) -> None:
        batch = FetchedBatch("in", 0, position, next_position, no_records())
        await self.engine.process(Delivered(batch, generation=1))


def no_records() -> RecordColumns:
    longs, ints = np.zeros(0, np.int64), np.zeros(0, np.int32)
    return RecordColumns(np.frombuffer(b"", np.uint8), longs, longs, longs, ints, longs, ints, longs, ints)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10.0):
        while not condition():  # noqa: ASYNC110 - threads set no event of the loop
            await asyncio.sleep(0.005)


def test_positions_of_an_assignment_that_is_over_acquire_nothing() -> None:
    async def run() -> None:
        house = House()
        owned = await house.owning()
        asked, answer = threading.Event(), threading.Event()

        def slow() -> dict[TP, int]:
            asked.set()
            assert answer.wait(10.0)
            return {}

        house.group = slow
        positions = asyncio.create_task(house.assigned(IN, TP("in", 1)))
        await until(asked.is_set)
        await house.engine.on_revoked(frozenset([IN, TP("in", 1)]))  # partition 1 is about to be another worker's
        answer.set()
        await positions
        assert house.acquired == [owned]
        assert house.consumer.resumed == set()
        house.group = dict
        await house.assigned(IN)
        assert not owned.gone, "what we never lost is kept"
        assert house.consumer.resumed == {IN}
        assert house.acquired == [owned]
        await house.engine.close()

    asyncio.run(run())


def test_nothing_is_counted_between_a_revocation_and_the_next_positions() -> None:
    async def run() -> None:
        house = House()
        owned = await house.owning()
        await house.engine.on_revoked(frozenset([IN]))
        await house.process(0, 5)
        assert owned.work.next_offsets == {"in": 0}
        await house.assigned(IN)
        assert house.consumer.sought[-1] == {IN: 0}
        await house.process(0, 5)
        assert owned.work.next_offsets == {"in": 5}
        await house.engine.close()

    asyncio.run(run())


def test_a_partition_whose_offsets_in_the_group_have_moved_is_acquired_anew() -> None:
    async def run() -> None:
        house = House()
        owned = await house.owning()
        house.group = lambda: {IN: 3}
        await house.assigned(IN)
        await until(lambda: len(house.acquired) == 2)
        assert owned.gone
        await house.engine.close()
        assert all(o.producer.closed.is_set() for o in house.acquired)  # type: ignore[attr-defined]

    asyncio.run(run())


def test_a_store_that_does_not_tell_offsets_costs_a_restore_and_not_the_worker() -> None:
    async def run() -> None:
        house = House()
        await house.owning()

        def away() -> dict[TP, int]:
            raise StoreUnavailable("Kafka did not tell the committed offsets")

        house.group = away
        await house.assigned(IN)
        await until(lambda: len(house.acquired) == 2 and ("stage", 0) in house.engine.owned)
        assert house.failures == []
        await house.engine.close()

    asyncio.run(run())


def test_a_snapshot_that_fails_stops_the_worker_and_nothing_is_written_after_it() -> None:
    async def run() -> None:
        house = House()
        owned = await house.owning()
        owned.work.snapshot_fails = True  # type: ignore[attr-defined]
        await house.process(0, 5)
        assert [type(error) for error in house.failures] == [ArithmeticError]
        owned.work.snapshot_fails = False  # type: ignore[attr-defined]
        owned.work.changed = True  # type: ignore[attr-defined]
        house.engine.tick()
        await house.engine.close()
        assert owned.producer.commits == 0  # type: ignore[attr-defined]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("raised", "stops_with"),
    [(ValueError("of a library"), ValueError), (Refused("MSG_SIZE_TOO_LARGE"), SettingsError)],
)
def test_a_transaction_that_cannot_be_repeated_stops_the_worker(
    raised: CommitOutcome | ValueError, stops_with: type[BaseException]
) -> None:
    def commit() -> CommitOutcome:
        if isinstance(raised, ValueError):
            raise raised
        return raised

    async def run() -> None:
        house = House(commit)
        await house.owning()
        await house.process(0, 5)
        await until(lambda: house.failures)
        assert [type(error) for error in house.failures] == [stops_with]
        assert house.engine.owned == {}
        await house.process(5, 9)
        house.engine.tick()
        await house.engine.close()
        assert [o.producer.commits for o in house.acquired] == [1]  # type: ignore[attr-defined]

    asyncio.run(run())


def test_a_transaction_that_failed_is_never_repeated_but_read_from_the_log() -> None:
    outcomes: Iterator[CommitOutcome] = iter([Failed("timed out"), Committed()])

    async def run() -> None:
        house = House(lambda: next(outcomes))
        first = await house.owning()
        await house.process(0, 5)
        await until(lambda: house.engine.owned.get(("stage", 0)) not in (None, first))
        assert first.gone
        assert house.consumer.sought[-1] == {IN: 0}, "where the log says"
        await house.process(0, 5)
        await until(lambda: house.acquired[1].committed == {"in": 5})
        assert house.failures == []
        await house.engine.close()

    asyncio.run(run())


def test_a_transaction_that_never_comes_to_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "OVERDUE_S", 0.0)
    never = threading.Event()

    def commit() -> CommitOutcome:
        never.wait()
        return Committed()

    async def run() -> None:
        house = House(commit, transaction_timeout_s=0.05)
        first = await house.owning()
        await house.process(0, 5)

        def is_acquired_again() -> bool:
            house.engine.tick()
            return len(house.acquired) == 2 and ("stage", 0) in house.engine.owned

        await until(is_acquired_again)
        assert first.gone
        await asyncio.wait_for(house.engine.close(), 5.0)

    asyncio.run(run())
    never.set()


def test_while_kafka_is_slow_no_more_is_counted_than_can_be_written() -> None:
    goes_on = threading.Event()

    def commit() -> CommitOutcome:
        assert goes_on.wait(10.0)
        return Committed()

    async def run() -> None:
        house = House(commit)
        owned = await house.owning()
        owned.work.much = True  # type: ignore[attr-defined]
        await house.process(0, 5)  # its transaction does not come to an end
        waiting = asyncio.create_task(house.process(5, 9))
        await until(lambda: owned.work.next_offsets == {"in": 9})
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done(), "the agent takes no further batch, so nothing more is fetched"
        assert owned.producer.commits == 1  # type: ignore[attr-defined]
        goes_on.set()
        await asyncio.wait_for(waiting, 5.0)
        await until(lambda: owned.committed == {"in": 9})
        await house.engine.close()

    asyncio.run(run())


def test_a_partition_that_is_restored_for_long_does_not_hold_the_others_back() -> None:
    async def run() -> None:
        house = House()
        finish = threading.Event()
        restored = house.engine._acquisitions._restore

        def slow(stage: Any, partition: int, void: Callable[[], bool]) -> Owned:
            if partition == 0:
                assert finish.wait(10.0)
            return restored(stage, partition, void)

        house.engine._acquisitions._restore = slow  # type: ignore[method-assign]
        await house.assigned(IN, TP("in", 1))
        await until(lambda: ("stage", 1) in house.engine.owned)
        assert house.consumer.resumed == {TP("in", 1)}
        await house.engine.process(Delivered(FetchedBatch("in", 1, 0, 7, no_records()), generation=1))
        assert house.engine.owned["stage", 1].work.next_offsets == {"in": 7}
        assert ("stage", 0) not in house.engine.owned
        finish.set()
        await until(lambda: ("stage", 0) in house.engine.owned)
        await house.engine.close()

    asyncio.run(run())


def test_a_worker_that_waits_for_the_registry_fetches_nothing_again_and_can_be_stopped() -> None:
    async def run() -> None:
        house = House()
        owned = await house.owning()
        await house.process(0, 100)
        house.consumer.stands_at = {IN: 300}  # two more batches stand before the agent
        sought = len(house.consumer.sought)
        waiting = asyncio.create_task(house.process(100, 200))
        await until(lambda: house.stage.asks)
        for _ in range(5):
            house.engine.watch()
            await asyncio.sleep(0)
        assert len(house.consumer.sought) == sought
        await asyncio.wait_for(house.engine.close(), 5.0)
        await asyncio.wait_for(waiting, 5.0)
        assert owned.work.next_offsets == {"in": 100}
        assert house.failures == []

    asyncio.run(run())


def test_what_has_been_prepared_needs_no_registry_and_what_is_left_of_a_batch_is_read_anew() -> None:
    async def run() -> None:
        house = House()
        owned = await house.owning()
        await house.process(0, 100)
        prepared = house.engine.prepare("in", no_records())
        assert prepared == "read"
        batch = FetchedBatch("in", 0, 100, 200, no_records(), prepared)
        await house.engine.process(Delivered(batch, generation=1))
        assert owned.work.next_offsets == {"in": 200}
        assert house.stage.asks == 0
        assert batch.since(150).prepared is None
        await house.engine.close()

    asyncio.run(run())


def test_an_error_while_preparing_is_left_to_whoever_processes_the_batch() -> None:
    async def run() -> None:
        house = House()
        await house.owning()
        ones, ints = np.ones(1, np.int64), np.ones(1, np.int32)
        some = RecordColumns(np.zeros(9, np.uint8), ones, ones, ones, ints, ones, ints, ones, ints)
        assert house.engine.prepare("in", some) is None
        assert house.engine.prepare("another topic", some) is None
        assert house.failures == []
        await house.engine.close()

    asyncio.run(run())


def test_a_last_batch_that_was_lost_is_fetched_again() -> None:
    async def run() -> None:
        house = House()
        await house.owning()
        house.consumer.stands_at = {IN: 30}
        for _ in range(2):
            house.engine.watch()
        await until(lambda: house.consumer.sought[-1] == {IN: 0} and len(house.consumer.sought) == 2)
        await house.engine.close()

    asyncio.run(run())


def test_what_was_deleted_under_the_position_is_not_asked_for_again_and_again() -> None:
    async def run() -> None:
        house = House()
        owned = await house.owning()
        house.engine._lookout._bounds = lambda tp: (50, 60)  # type: ignore[method-assign]
        await house.process(50, 60)
        await until(lambda: len(house.acquired) == 2)  # whose restore says that records are lost
        assert owned.gone
        await house.engine.close()

    asyncio.run(run())


def test_topics_that_are_not_assigned_together_stop_the_worker() -> None:
    async def run() -> None:
        house = House()
        house.stage.inputs = ("in", "beside")
        house.engine._stage_of["beside"] = house.stage  # type: ignore[assignment]
        await house.assigned(IN)
        assert [type(error) for error in house.failures] == [TopicMismatch]
        await house.engine.close()

    asyncio.run(run())
