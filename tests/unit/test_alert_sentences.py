"""What alerts say of waits that stood still, of budgets and of their own sentences: by small stories of one policy."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.backtest.run import Asked, run
from tests.batches import BEGIN_MS, MINUTE_MS, event
from tests.desk import Run, plain
from tests.event_files import written

PERSONAL = {"reply": "personal"}

HEAD = """version: 1
score: {scale: 40}
bands: {levels: [{name: w, enter: 99, leave: 98}], cooldown: 1m}
windows: {kinds: [wait.measured], length: 5m, lateness: 1d}
acceptance: {max_age: 7d, max_ahead: 5m}
"""
SIGNAL = "signals: {s: {kinds: [z], weight: 1, half_life: 1h, cap: 9}}\n"
PAUSED = "c: {opens: [o], closes: [x], pauses: [p], resumes: [r], breaks: [b], promise: %s}\n"


def told(
    directory: Path, policy: str, *events: tuple[str, str, str], order: str = "event", head: str = HEAD + SIGNAL
) -> list[dict[str, Any]]:
    """Alerts of events of the 2nd of March, 2026: minute, customer, and kind with attributes behind a blank."""
    (directory / "policy.yaml").write_text(head + policy, "utf-8")
    rows = []
    for at, who, what in events:
        kind, _, attributes = what.partition(" ")
        own = json.loads(attributes or "{}")
        subject = own.pop("subject", None)
        rows.append(
            {
                "customer_id": who,
                "kind": kind,
                "occurred_at": f"2026-03-02T{at}:00Z",
                "subject": subject,
                "attributes": own,
            }
        )
    path = written(directory / "events.jsonl", rows)
    run(Asked([str(path)], directory / "out", directory / "policy.yaml", order=order))
    return [json.loads(line) for line in (directory / "out" / "alerts.jsonl").read_text("utf-8").splitlines()]


def at(alert: dict[str, Any]) -> str:
    return str(alert["raised_at"][11:16])


@pytest.mark.parametrize("promise", ["1h", "20m"])
@pytest.mark.parametrize("broken", ["10:11", "11:00", "11:30"])
def test_a_clock_that_stands_still_is_broken_when_that_is_told(tmp_path: Path, broken: str, promise: str) -> None:
    policy = "clocks:\n  " + PAUSED % promise
    alerts = told(tmp_path, policy, ("10:00", "a", "o"), ("10:10", "a", "p"), (broken, "a", "b"), ("20:00", "a", "r"))
    assert [(a["type"], a["status"], at(a)) for a in alerts] == [("clock_breached", "opened", broken)]


def test_nobody_has_waited_for_less_than_it_stood_still(tmp_path: Path) -> None:
    clock = "c: {opens: [o], closes: [x], pauses: [p], resumes: [r], promise: 3h, still_waiting: [1h]}\n"
    alerts = told(tmp_path, f"clocks:\n  {clock}", ("10:00", "a", "o"), ("10:05", "a", "p"), ("16:00", "a", "r"))
    assert [(at(a), a["reason"]) for a in alerts] == [("11:00", "c: the customer still waits, for 1 h now.")]


def test_nothing_is_left_of_a_promise_that_stood_still_at_its_end(tmp_path: Path) -> None:
    clock = "c: {opens: [o], closes: [x], pauses: [p], resumes: [r], promise: 2h, warn: 30m}\n"
    alerts = told(tmp_path, f"clocks:\n  {clock}", ("10:00", "a", "o"), ("12:00", "a", "p"), ("13:00", "a", "r"))
    warned = [a["reason"] for a in alerts if a["type"] == "clock_warning" and a["status"] == "opened"]
    assert warned[-1].startswith("c: < 1 min left until the promise of 2026-03-02 13:00 UTC is broken.")


@pytest.mark.parametrize(
    "said",
    [
        "999999999999999", "253402300800000", "9999-12-31T23:59:59-23:59", "2026-02-30T11:00:00Z",
        "2026-04-31T11:00:00Z", "2026-03-02T24:30:00Z", "2026-03-02T11:00:00Zxyz", "2026/03/02 11.00.00Z",
        "2026-03-02T11:00:00+99:99", "2200-01-01T00:00:00Z",
    ],
)  # fmt: skip
def test_a_deadline_that_does_not_exist_or_is_of_no_time_of_ours_counts_as_not_told(tmp_path: Path, said: str) -> None:
    policy = "clocks:\n  c: {opens: [o], closes: [x], promise: 1h, deadline: deadline, breaks: [b]}\n"
    alerts = told(tmp_path, policy, ("10:00", "a", f'o {{"deadline": "{said}"}}'), ("12:00", "a", "x"))
    assert [(a["type"], a["status"], a["deadline"][11:16]) for a in alerts] == [
        ("clock_breached", "opened", "11:00"), ("clock_breached", "resolved", "11:00")
    ]  # fmt: skip
    assert json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))["bad_deadlines"] == 1


@pytest.mark.parametrize("order", ["event", "file"])
@pytest.mark.parametrize("ends", [[], [("10:40", "a", "x")]])
def test_a_backtest_gives_a_budget_to_who_comes_first(
    tmp_path: Path, order: str, ends: list[tuple[str, str, str]]
) -> None:
    policy = "clocks: {c: {opens: [o], closes: [x], promise: 5m}}\nbudgets: {teams: {t: {per_hour: 1}}}\n"
    events = [("10:00", "a", "o"), ("10:10", "b", "o"), ("10:30", "b", "x"), *ends]
    alerts = told(tmp_path, policy, *events, order=order)
    opened = {a["customer_id"]: (at(a), a["held_back"]) for a in alerts if a["status"] == "opened"}
    assert opened == {"a": ("10:05", False), "b": ("10:15", True)}


def test_contacts_of_one_millisecond_are_listed(tmp_path: Path) -> None:
    policy = "contacts: {kinds: [k], count: 3, within: 2d}\n"
    alerts = told(tmp_path, policy, *[("10:00", "a", f'k {{"subject": "late", "n": "{n}"}}') for n in range(3)])
    (repeated,) = [a for a in alerts if a["type"] == "repeat_contact"]
    assert len(repeated["earlier"]) == 2


def test_a_sentence_without_a_status_is_for_opened_and_escalated_and_one_of_the_end_for_all(tmp_path: Path) -> None:
    policy = """clocks: {c: {opens: [o], closes: [x], promise: 1h, warn: 30m}}
wording: {templates: {clock_warning: "MINE {clock}", resolved: "MINE over"}}
"""
    alerts = told(tmp_path, policy, ("10:00", "a", "o"), ("12:00", "a", "x"))
    said = {(a["type"], a["status"]): a["reason"] for a in alerts}
    assert said["clock_warning", "opened"] == said["clock_warning", "escalated"] == "MINE c"
    assert said["clock_warning", "resolved"] == said["clock_breached", "resolved"] == "MINE over"


def test_a_score_is_made_of_what_is_something(tmp_path: Path) -> None:
    policy = """signals:
  much: {kinds: [k], weight: 300, half_life: 1h, cap: 300}
  little: {kinds: [l], weight: 0.2, half_life: 1h, cap: 300}
"""
    levels = "bands: {levels: [{name: w, enter: 99, leave: 98, action: Call.}], cooldown: 1m}"
    base = HEAD.replace("bands: {levels: [{name: w, enter: 99, leave: 98}], cooldown: 1m}", levels)
    (alert,) = told(tmp_path, policy, ("10:00", "a", "l"), ("10:00", "a", "k"), head=base)
    assert alert["reason"] == "The friction is 100 of 100 (w), made of much 300."


def test_what_comes_too_late_to_undo_a_breach_ends_it_no_sooner_than_it_began() -> None:
    run = Run().apply(plain("feedback.given", 0, rating=2.0)).advance(80 * MINUTE_MS)
    run.apply(
        event("contact.replied", BEGIN_MS + 50 * MINUTE_MS, append_ms=BEGIN_MS + 80 * MINUTE_MS, attributes=PERSONAL)
    )
    told = [(a.type, a.status, (a.raised_ms - BEGIN_MS) // MINUTE_MS) for a in run.alerts if a.type != "band_entered"]
    assert told[-2:] == [("clock_warning", "resolved", 60), ("clock_breached", "resolved", 60)]
