"""Workers come, go and are replaced: who keeps a partition is not disturbed, and everything counts once."""

from functools import partial

from connectors.kafka.connection import KafkaConnection
from connectors.registry.connection import RegistryConnection
from pipelines.cli.chaos.outcome import outcome
from schemas.topics import STATE, TopicNames
from tests.integration.live import POLICY, live
from tests.integration.outcome import assert_exactly_once, models
from tests.integration.workers import NewWorker, WorkerProcess, wait_until_processed
from tests.polling import wait_until
from tests.reading import read_topic

NOT_THERE = -1.0


def partitions_of(*workers: WorkerProcess) -> list[float]:
    def owned(worker: WorkerProcess) -> float:
        try:
            return worker.metric("friction_worker_partitions", stage="customers")
        except OSError:  # it has not begun to answer
            return NOT_THERE

    return sorted(owned(worker) for worker in workers)


def goes_on_since(worker: WorkerProcess, begin: int) -> bool:
    return "customers/" in worker.log[begin:] and "goes on at" in worker.log[begin:].partition("customers/")[2]


def test_static_members_are_replaced_one_after_the_other_and_the_others_keep_what_they_have(
    kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames, new_worker: NewWorker
) -> None:
    names = created_topics
    patient = {"FRICTION_WORKER__SESSION_TIMEOUT_S": "40"}  # longer than a process needs to start on any machine
    first, second = new_worker("first", **patient), new_worker("second", **patient)
    first.start()
    second.start(ready=False)
    wait_until(lambda: partitions_of(first, second) == [1.0, 2.0], 60.0)
    with live(kafka, registry, names, seed=11, seconds=20.0):
        for replaced, other in ((first, second), (second, first)):
            replaced_begin, other_begin = len(replaced.log), len(other.log)
            replaced.kill()  # as an upgrade that does not ask the old process
            replaced.start(ready=False)
            wait_until(partial(goes_on_since, replaced, replaced_begin), 60.0)
            wait_until(lambda: partitions_of(first, second) == [1.0, 2.0], 60.0)
            assert "is dropped" not in other.log[other_begin:]
    wait_until_processed(kafka, names, f"{names.prefix}app")
    assert [first.stop(), second.stop()] == [0, 0]
    assert_exactly_once(outcome(kafka, names), models(kafka, names, POLICY))


def test_with_more_workers_than_partitions_one_waits_and_takes_over(
    kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames, new_worker: NewWorker
) -> None:
    names = created_topics
    workers = [new_worker(name) for name in ("a", "b", "c", "d")]
    for worker in workers:
        worker.start(ready=False)
    wait_until(lambda: partitions_of(*workers) == [0.0, 1.0, 1.0, 1.0], 60.0)
    with live(kafka, registry, names, seed=12, seconds=12.0):
        busy = next(w for w in workers if partitions_of(w) == [1.0])
        others = [w for w in workers if w is not busy]
        assert busy.stop() == 0
        wait_until(lambda: partitions_of(*others) == [1.0, 1.0, 1.0], 40.0)
    wait_until_processed(kafka, names, f"{names.prefix}app")
    assert [w.stop() for w in others] == [0, 0, 0]
    assert_exactly_once(outcome(kafka, names), models(kafka, names, POLICY))


def layouts(kafka: KafkaConnection, names: TopicNames) -> set[int]:
    """Layouts of all the rows that are in the log."""
    rows = [m.value() or b"" for m in read_topic(kafka, names.of(STATE)) if (m.key() or b"")[:1] == b"c"]
    return {int.from_bytes(row[:2], "little") for row in rows if row}


def test_rows_are_written_in_the_layout_that_is_there_until_all_are_upgraded(
    kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames, new_worker: NewWorker
) -> None:
    names, worker = created_topics, new_worker("only", FRICTION_WORKER__STATE_LAYOUT="1")
    for number, (setting, there) in enumerate([("1", {1}), (None, {1}), ("2", {1, 2}), (None, {1, 2})]):
        if setting is None:
            del worker.env["FRICTION_WORKER__STATE_LAYOUT"]
        else:
            worker.env["FRICTION_WORKER__STATE_LAYOUT"] = setting
        worker.start()
        with live(kafka, registry, names, seed=20 + number, seconds=2.0):
            pass
        wait_until_processed(kafka, names, f"{names.prefix}app", by=worker)
        assert worker.stop() == 0
        assert layouts(kafka, names) == there
    assert_exactly_once(outcome(kafka, names), models(kafka, names, POLICY))
