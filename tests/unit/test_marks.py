"""What teams do with alerts is told with them; a dismissed one is silent. Neither cuts nor restarts change it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from pipelines.alerts.alert import Alert
from pipelines.alerts.memory import AlertMemory, Remembered
from pipelines.policy.marks import Mark
from tests.batches import BEGIN_MS, MINUTE_MS, Event, event
from tests.desk import Run, mark, plain
from tests.plain import uncompiled


def warned() -> Run:
    """A bad rating, and 45 minutes later the warning that nobody has answered."""
    return Run().apply(plain("feedback.given", 0, rating=2.0)).advance(45 * MINUTE_MS)


def test_a_mark_is_a_revision_of_its_own_and_stays_with_the_alert() -> None:
    run = warned()
    about = run.last("clock_warning").alert_id
    run.apply(mark("assigned", 46 * MINUTE_MS, about, assignee="Zeynep", team="çözüm"))
    told = run.last("clock_warning")
    assert (told.status, told.revision, told.handling) == ("opened", 2, "assigned")
    assert (told.assignee, told.team, told.handled_ms) == ("Zeynep", "çözüm", BEGIN_MS + 46 * MINUTE_MS)
    assert told.raised_ms == BEGIN_MS + 45 * MINUTE_MS
    assert told.deadline_ms == BEGIN_MS + 60 * MINUTE_MS
    run.restart().apply(plain("contact.replied", 50 * MINUTE_MS, attributes={"reply": "personal"}))
    over = run.last("clock_warning")
    assert (over.status, over.revision, over.handling, over.assignee) == ("resolved", 3, "assigned", "Zeynep")
    assert run.unknown == 0


def test_a_dismissed_alert_is_not_escalated_any_more_and_is_resolved() -> None:
    run = warned()
    about = run.last("clock_warning").alert_id
    run.apply(mark("dismissed", 46 * MINUTE_MS, about, reason="known")).restart().advance(70 * MINUTE_MS)
    assert run.told("clock_warning") == [("opened", 1, None), ("opened", 2, "dismissed")]
    assert run.last("clock_warning").handled_reason == "known"
    assert run.told("clock_breached") == [("opened", 1, None)]  # another alert
    run.apply(plain("contact.replied", 80 * MINUTE_MS, attributes={"reply": "personal"}))
    assert run.told("clock_warning")[2:] == [("resolved", 3, "dismissed")]


def test_somebody_who_takes_a_dismissed_alert_on_after_all_hears_of_it_again() -> None:
    run = warned()
    about = run.last("clock_warning").alert_id
    run.apply(mark("dismissed", 46 * MINUTE_MS, about), mark("acknowledged", 47 * MINUTE_MS, about))
    run.advance(70 * MINUTE_MS)
    assert run.told("clock_warning")[2:] == [("opened", 3, "acknowledged"), ("escalated", 4, "acknowledged")]


def test_what_repeats_does_not_repeat_when_it_is_dismissed() -> None:
    run = Run().apply(plain("wait.started", 0, session_id="s")).advance(2 * MINUTE_MS)
    run.apply(mark("dismissed", 3 * MINUTE_MS, run.last("still_waiting").alert_id, reason="no_capacity"))
    run.advance(10 * MINUTE_MS).apply(plain("wait.ended", 11 * MINUTE_MS, session_id="s"))
    assert run.told("still_waiting") == [
        ("opened", 1, None), ("opened", 2, "dismissed"), ("resolved", 3, "dismissed"),
    ]  # fmt: skip


def test_a_band_is_not_told_to_be_higher_nor_again_when_its_alert_is_dismissed() -> None:
    run = Run().apply(*[plain("order.wrong", n) for n in range(2)])
    band = run.last("band_entered")
    run.apply(mark("acknowledged", MINUTE_MS, band.alert_id))
    assert (run.last("band_entered").status, run.last("band_entered").band) == ("opened", "hot")
    run.apply(mark("dismissed", 2 * MINUTE_MS, band.alert_id, reason="false_alarm")).restart()
    run.apply(plain("order.wrong", 3 * MINUTE_MS), plain("return.fee_charged", 4 * MINUTE_MS))
    assert run.core.rows.band[0] == 3
    assert run.told("band_entered") == [
        ("opened", 1, None), ("opened", 2, "acknowledged"), ("opened", 3, "dismissed"),
    ]  # fmt: skip
    assert run.last("band_entered").reason.startswith("The friction is")
    run.advance(30 * 24 * 60 * MINUTE_MS)
    assert run.told("band_entered")[3:] == [("resolved", 4, "dismissed")]


def test_a_mark_of_an_alert_that_the_customer_has_not_is_counted_and_changes_nothing() -> None:
    run = warned()
    about = run.last("clock_warning").alert_id
    before = len(run.alerts)
    run.apply(
        mark("dismissed", 46 * MINUTE_MS, "8a9c7a52-0000-5000-8000-000000000000"),
        mark("dismissed", 47 * MINUTE_MS, ""),
        plain("alert.assigned", 46 * MINUTE_MS),
        event("alert.dismissed", BEGIN_MS, customer_id="çağla", attributes={"alert_id": about}),
    )
    assert run.unknown == 4
    assert len(run.alerts) == before


def test_the_newest_mark_counts_and_one_that_is_sent_twice_once() -> None:
    run = warned()
    about = run.last("clock_warning").alert_id
    newer, older = mark("acknowledged", 50 * MINUTE_MS, about), mark("dismissed", 46 * MINUTE_MS, about.upper())
    run.apply(newer, newer, older).advance(70 * MINUTE_MS)
    assert run.told("clock_warning") == [
        ("opened", 1, None), ("opened", 2, "acknowledged"), ("escalated", 3, "acknowledged"),
    ]  # fmt: skip


def life() -> list[Event]:
    """Friction, its alerts and what a team does with them, in the order of time."""
    run = warned()
    about = run.last("clock_warning").alert_id
    wrong = [plain("order.wrong", 46 * MINUTE_MS + n) for n in range(2)]
    band = run.apply(*wrong).last("band_entered").alert_id
    return [
        plain("feedback.given", 0, rating=2.0),
        *wrong,
        mark("dismissed", 47 * MINUTE_MS, about),
        mark("assigned", 48 * MINUTE_MS, band, assignee="İlke"),
        mark("dismissed", 49 * MINUTE_MS, "nobody's"),
        *[plain("order.wrong", 61 * MINUTE_MS + n) for n in range(3)],
        mark("dismissed", 62 * MINUTE_MS, band),
        plain("contact.replied", 63 * MINUTE_MS, attributes={"reply": "personal"}),
    ]


@pytest.mark.parametrize("restarts", [False, True])
def test_cuts_and_restarts_change_nothing_of_what_is_told(restarts: bool) -> None:
    whole, cut = Run().apply(*life()), Run()
    for one in life():
        cut.apply(one)
        if restarts:
            cut.restart()
    assert cut.alerts == whole.alerts
    assert cut.unknown == whole.unknown == 1


def test_it_is_the_same_compiled_and_not() -> None:
    fast = Run().apply(*life())
    with uncompiled():
        plainly = Run().apply(*life())
    assert plainly.alerts == fast.alerts
    stored = [r.core.rows.copied(np.zeros(1, np.int64), r.core.form).stored().data for r in (fast, plainly)]
    assert stored[0] == stored[1]


def memory_of(entries: Sequence[tuple[str, Remembered]]) -> AlertMemory:
    memory = AlertMemory(keep_ms=10)
    for alert_id, entry in entries:
        memory.put(alert_id, entry)
    return memory


def revision(alert_id: str, status: Any, raised_ms: int) -> Alert:
    return Alert(alert_id, 1, "clock_warning", status, "ana", raised_ms, "", "")


def test_what_is_over_is_forgotten_after_a_time_unless_it_goes_on() -> None:
    memory = memory_of([("a", Remembered("dismissed", 1)), ("b", Remembered("dismissed", 1))])
    for alert_id in "ab":
        memory.follow(revision(alert_id, "resolved", 5))
    memory.follow(revision("a", "opened", 6))
    stored = dict(memory.take_changes())
    again = AlertMemory(keep_ms=10)
    for key, value in stored.items():
        again.restore(key, value or b"")
    again.finish()
    for one in (memory, again):
        one.forget(15)
        assert len(one) == 2
        one.forget(16)
        assert (one.is_dismissed("a"), one.of("b")) == (True, None)
        assert list(one.take_changes()) == [(b"ab", None)]


def test_who_has_it_stays_until_somebody_else_has() -> None:
    entry = Remembered().marked(Mark("a", "assigned", 1, None, "İlke", "iade"))
    entry = entry.marked(Mark("a", "acknowledged", 2))
    assert (entry.did, entry.assignee, entry.team) == ("acknowledged", "İlke", "iade")
    entry = entry.marked(Mark("a", "assigned", 3, None, None, "kargo"))
    assert (entry.assignee, entry.team) == (None, "kargo")
    assert entry.marked(Mark("a", "dismissed", 2)) == entry


def test_what_was_tried_stays_when_somebody_takes_a_dismissed_alert_on_after_all() -> None:
    run = Run()
    for n, kind in enumerate(("contact.replied", "case.resolved", "contact.replied")):
        asked = plain("contact.opened", 2 * n * MINUTE_MS, case_id=f"c{n}", subject="iade")
        run.apply(asked, plain(kind, (2 * n + 1) * MINUTE_MS, case_id=f"c{n}", attributes={"reply": "template"}))
    about = run.last("repeat_contact").alert_id
    run.apply(mark("dismissed", 7 * MINUTE_MS, about), mark("acknowledged", 8 * MINUTE_MS, about))
    run.apply(plain("contact.opened", 9 * MINUTE_MS, case_id="c3", subject="iade"))
    tried = [contact.tried for contact in run.last("repeat_contact").earlier]
    assert tried == ["contact.replied", "case.resolved", "contact.replied"]
