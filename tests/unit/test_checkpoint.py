"""When a partition is written down: every second, soon when an alert waits, and less often while it is behind."""

import asyncio
from time import monotonic
from typing import Any, cast

import pytest

from pipelines.worker import checkpoint
from pipelines.worker.checkpoint import Checkpoints
from pipelines.worker.ownership import Owned
from pipelines.worker.stage import Urgency

RHYTHM = Checkpoints(interval_s=1.0, alert_gap_s=0.05)


class FakeWork:
    def __init__(self, urgency: Urgency) -> None:
        self.next_offsets: dict[str, int] = {}
        self._urgency = urgency

    def urgency(self) -> Urgency:
        return self._urgency


def due(urgency: Urgency, *, after_s: float, late_s: float = 0.0, now: bool = False, mirrored: bool = True) -> bool:
    work: Any = FakeWork(urgency)
    nobody: Any = None
    owned = Owned(nobody, 0, work, nobody, {}, mirrored=mirrored, late_s=late_s, checkpoint_s=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "monotonic", lambda: after_s)
        return RHYTHM.due(owned, now=now)


def test_changes_are_written_once_a_second_and_nothing_never() -> None:
    assert not due(Urgency.CHANGES, after_s=0.9)
    assert due(Urgency.CHANGES, after_s=1.0)
    assert due(Urgency.CHANGES, after_s=0.0, now=True)
    assert not due(Urgency.NOTHING, after_s=60.0, now=True)
    assert due(Urgency.NOTHING, after_s=1.0, mirrored=False), "the group has not the offsets of the header"


def test_an_alert_goes_out_within_50_ms_of_its_batch() -> None:
    assert not due(Urgency.ALERTS, after_s=0.04)
    assert due(Urgency.ALERTS, after_s=0.05)
    assert due(Urgency.ALERTS, after_s=0.05, late_s=0.4), "live, records are some 100 ms old"


@pytest.mark.parametrize(("late_s", "gap_s"), [(2.0, 0.2), (8.0, 0.8), (3600.0, 1.0)])
def test_in_a_backlog_an_alert_waits_a_tenth_longer_than_it_has_waited(late_s: float, gap_s: float) -> None:
    assert not due(Urgency.ALERTS, after_s=gap_s - 0.01, late_s=late_s)
    assert due(Urgency.ALERTS, after_s=gap_s + 0.01, late_s=late_s)


def test_when_much_has_changed_nothing_is_waited_for() -> None:
    assert due(Urgency.MANY, after_s=0.0, late_s=3600.0)


@pytest.mark.parametrize(
    ("urgency", "after_s", "whole"),
    [
        (Urgency.ALERTS, 0.9, False),
        (Urgency.ALERTS, 1.0, True),
        (Urgency.CHANGES, 0.1, True),
        (Urgency.MANY, 0.1, True),
    ],
)
def test_all_is_told_once_a_second_however_many_alerts_there_are(
    monkeypatch: pytest.MonkeyPatch, urgency: Urgency, after_s: float, whole: bool
) -> None:
    work, nobody = cast("Any", FakeWork(urgency)), cast("Any", None)
    owned = Owned(nobody, 0, work, nobody, {}, checkpoint_s=after_s, whole_s=0.0)
    monkeypatch.setattr(checkpoint, "monotonic", lambda: after_s)
    assert RHYTHM.whole(owned) is whole


def test_alerts_that_wait_are_looked_at_when_they_are_due_and_once() -> None:
    async def run() -> list[float]:
        loop = asyncio.get_running_loop()
        work, nobody = cast("Any", FakeWork(Urgency.ALERTS)), cast("Any", None)
        owned = Owned(nobody, 0, work, nobody, {}, checkpoint_s=monotonic())
        begun_s, looked_s, rhythm = monotonic(), [], Checkpoints(interval_s=1.0, alert_gap_s=0.05)
        looked = loop.create_future()

        def look(_owned: Owned) -> None:
            looked_s.append(monotonic() - begun_s)
            assert rhythm.due(owned, now=False)
            looked.set_result(None)

        for _ in range(3):
            rhythm.ring(owned, look)
        await looked
        return looked_s

    assert [after_s >= 0.05 for after_s in asyncio.run(run())] == [True]


def test_nobody_looks_when_no_alert_waits() -> None:
    work, nobody = cast("Any", FakeWork(Urgency.CHANGES)), cast("Any", None)
    owned = Owned(nobody, 0, work, nobody, {})
    RHYTHM.ring(owned, lambda _: pytest.fail("nothing is due"))
    assert not owned.rings
