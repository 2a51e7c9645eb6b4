"""friction backtest of the default policy: what is counted, what is told, and what comes late."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from connectors.simulator.simulation import crowd_interactions
from pipelines.alerts.alert import Alert
from pipelines.cli.backtest.events import Order
from pipelines.cli.backtest.replay import BATCH_EVENTS, Replay
from pipelines.cli.backtest.results import time_text
from pipelines.cli.backtest.run import Asked, run
from pipelines.cli.exits import ExitCode
from pipelines.cli.main import exit_code
from pipelines.worker.policy_file import load_policy
from schemas.errors import InputUnreadable
from schemas.interactions import avro_record
from tests.batches import MINUTE_MS, POLICY_TEXT, Event, batch_of, event
from tests.event_files import happened, lines, written

START_MS = 1_790_000_000_000
FULL = Path(__file__).parents[2] / "schemas/policy/default.yaml"


def test_ratings_off_their_scale_are_rejected_and_what_is_sent_twice_counts_once(tmp_path: Path) -> None:
    rated = [happened(START_MS, kind="feedback.given", rating=rating) for rating in (0, 11, None, 10, -1)]
    twice = happened(START_MS + 5, event_id="e")
    summary = run(Asked([str(written(tmp_path / "a.jsonl", [*rated, twice, twice]))], tmp_path / "out", FULL))
    assert {k: summary[k] for k in ("events", "accepted", "rejected", "duplicates")} == {
        "events": 7, "accepted": 4, "rejected": 2, "duplicates": 1,
    }  # fmt: skip
    rejected = lines(tmp_path / "out" / "rejected.jsonl")
    assert [(r["line"], r["reason"]) for r in rejected] == [
        (2, "rating 11 is not on the scale of its question"),
        (5, "rating -1 is not on the scale of its question"),
    ]


def test_sentiments_off_their_scale_are_rejected(tmp_path: Path) -> None:
    said = [-5, -1, 0.5, None, 1, 1.0001]
    rows = [happened(START_MS, kind="social.mentioned", reach=5000, sentiment=one) for one in said]
    summary = run(Asked([str(written(tmp_path / "a.jsonl", rows))], tmp_path / "out", FULL))
    assert (summary["accepted"], summary["rejected"]) == (4, 2)
    rejected = lines(tmp_path / "out" / "rejected.jsonl")
    assert [(r["line"], r["reason"]) for r in rejected] == [(n, "sentiment must lie between -1 and 1") for n in (1, 6)]


def test_rejected_rows_stand_in_the_order_of_their_lines_whoever_found_them(tmp_path: Path) -> None:
    off = json.dumps(happened(START_MS, kind="feedback.given", rating=11))
    (tmp_path / "a.jsonl").write_text("\n".join([json.dumps(happened(START_MS)), off, "{", off, "{"]) + "\n")
    run(Asked([str(tmp_path / "a.jsonl")], tmp_path / "out", FULL))
    assert [r["line"] for r in lines(tmp_path / "out" / "rejected.jsonl")] == [2, 3, 4, 5]
    with pytest.raises(InputUnreadable, match=r"a\.jsonl:2: rating 11 is not on the scale"):
        run(Asked([str(tmp_path / "a.jsonl")], tmp_path / "out", FULL, strict=True))


def test_a_clock_that_runs_out_after_the_last_interaction_is_told(tmp_path: Path) -> None:
    opened = happened(START_MS, kind="contact.opened", case_id="c", subject="refund", channel="email")
    events = written(tmp_path / "a.jsonl", [opened])
    run(Asked([str(events)], tmp_path / "still", FULL))
    assert lines(tmp_path / "still" / "alerts.jsonl") == []
    run(Asked([str(events)], tmp_path / "on", FULL, until=time_text(START_MS + 3 * 3_600_000)))
    told = [a for a in lines(tmp_path / "on" / "alerts.jsonl") if a["clock"] == "first_response"]
    assert [a["type"] for a in told if a["status"] == "opened"] == ["clock_warning", "clock_breached"]
    assert {a["deadline"] for a in told} == {time_text(START_MS + 3_600_000)}
    assert {a["case_id"] for a in told} == {"c"}
    assert told[0]["raised_at"] == time_text(START_MS + 45 * MINUTE_MS)


def test_a_deadline_that_is_no_time_is_counted_and_the_promise_of_the_policy_holds(tmp_path: Path) -> None:
    in_a_minute = [time_text(START_MS + 60_000), str(START_MS + 60_000), f"{START_MS + 60_000}.0"]
    told = ["tomorrow at three", *in_a_minute, "2026-13-45T10:00:00Z", "", f"{START_MS}.0."]
    rows = [
        happened(START_MS, customer_id=f"c{n}", kind="callback.promised", attributes={"deadline": said})
        for n, said in enumerate(told)
    ]
    summary = run(Asked([str(written(tmp_path / "a.jsonl", rows))], tmp_path / "out", FULL))
    assert (summary["bad_deadlines"], summary["accepted"]) == (3, 7)
    scores = {
        row["customer_id"]: row["open_clocks"] for row in pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    }
    deadlines = {who: clocks[0]["deadline"] for who, clocks in scores.items()}
    assert len({deadlines[c] for c in ("c0", "c4", "c5", "c6")}) == 1
    assert deadlines["c0"] > deadlines["c1"] == deadlines["c2"] == deadlines["c3"]


def test_shipping_that_is_no_number_is_counted_and_counts_as_not_told(tmp_path: Path) -> None:
    told = ["1200", "1200.50", "1.200,50", "free", "", "-5"]
    rows = [
        happened(
            START_MS, customer_id=f"c{n}", kind="checkout.cost_revealed", amount=1000.0, attributes={"shipping": s}
        )
        for n, s in enumerate(told)
    ]
    summary = run(Asked([str(written(tmp_path / "a.jsonl", rows))], tmp_path / "out", FULL))
    assert (summary["bad_shipping"], summary["accepted"]) == (2, 6)
    scores = pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    assert {row["customer_id"] for row in scores if row["heat"] > 0} == {"c0", "c1"}


def test_a_rating_to_a_question_that_the_policy_does_not_know_is_counted_and_says_nothing(tmp_path: Path) -> None:
    told = [{"question": "csat"}, {"question": "csat5"}, {}, {"question": "Stars"}]
    rows = [
        happened(START_MS, customer_id=f"c{n}", kind="feedback.given", rating=1.0, attributes=one)
        for n, one in enumerate(told)
    ]
    rows.append(happened(START_MS, customer_id="c4", kind="feedback.given", attributes={"question": "csat5"}))
    summary = run(Asked([str(written(tmp_path / "a.jsonl", rows))], tmp_path / "out", FULL))
    assert (summary["unknown_questions"], summary["accepted"]) == (2, 5)
    scores = pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    assert {row["customer_id"] for row in scores if row["heat"] > 0} == {"c0", "c2"}


def late_reply(at: dict[str, int]) -> list[dict[str, Any]]:
    """Feedback at 0:00, somebody else at 1:05, and the answer of 0:50 behind it; at: when it was appended."""
    personal = {"attributes": {"reply": "personal"}}
    return [
        happened(START_MS, customer_id="Ayşe", kind="feedback.given", rating=2),
        happened(START_MS + 65 * MINUTE_MS, customer_id="Bora", kind="search.no_result"),
        happened(START_MS + 50 * MINUTE_MS, customer_id="Ayşe", kind="contact.replied", **personal, **at),
    ]


@pytest.mark.parametrize(
    ("order", "records"),
    [
        ("file", late_reply({})),
        ("appended", late_reply({"appended_at": START_MS + 65 * MINUTE_MS})),
        ("appended", late_reply({"appended_at": START_MS + 65 * MINUTE_MS})[::2]),  # nobody else
    ],
)
def test_a_reply_that_is_seen_after_the_breach_takes_it_back(
    tmp_path: Path, order: str, records: list[dict[str, Any]]
) -> None:
    events, until = written(tmp_path / "a.jsonl", records), time_text(START_MS + 90 * MINUTE_MS)
    run(Asked([str(events)], tmp_path / "out", FULL, order=order, until=until))
    told = [(a["type"], a["status"], a["raised_at"]) for a in lines(tmp_path / "out" / "alerts.jsonl")]
    assert told == [
        ("clock_warning", "opened", time_text(START_MS + 45 * MINUTE_MS)),
        ("clock_warning", "escalated", time_text(START_MS + 60 * MINUTE_MS)),
        ("clock_breached", "opened", time_text(START_MS + 60 * MINUTE_MS)),
        ("clock_breached", "retracted", time_text(START_MS + 65 * MINUTE_MS)),
        ("clock_warning", "resolved", time_text(START_MS + 50 * MINUTE_MS)),
    ]
    run(Asked([str(events)], tmp_path / "in order", FULL, until=until))
    in_order = [(a["type"], a["status"]) for a in lines(tmp_path / "in order" / "alerts.jsonl")]
    assert in_order == [("clock_warning", "opened"), ("clock_warning", "resolved")]


@pytest.mark.parametrize("order", ["file", "appended"])
def test_what_comes_late_is_told_the_same_however_batches_are_cut(order: Order) -> None:
    crowd = islice(crowd_interactions(seed=6, start_ms=START_MS, rate=0.3, customers=300, late=0.4), 3_000)
    batch = batch_of([Event(avro_record(one), START_MS) for one in crowd])
    batch = replace(batch, append_ms=np.maximum.accumulate(batch.occurred_ms))
    revisions: list[list[tuple[Any, ...]]] = []
    for batch_events in (1, 400, BATCH_EVENTS):
        told: list[Alert] = []
        replay = Replay(load_policy(None), told.extend, order=order)
        replay.run(batch, batch_events=batch_events)
        replay.run_on(START_MS + 4 * 3_600_000)
        told = [a for a in told if a.type != "touchpoint_incident"]
        revisions.append(sorted((a.alert_id, a.revision, a.type, a.status, a.raised_ms, a.band or "") for a in told))
    assert revisions[0] == revisions[1] == revisions[2]
    assert "retracted" in {status for _, _, _, status, *_ in revisions[0]}


def test_replies_that_do_not_say_how_they_were_made_are_counted_once(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = [{}, {"attributes": {"reply": "unknown"}}]
    told += [{"attributes": {"reply": one}} for one in ("personal", "template", "automatic", "by hand", "")]
    rows = [happened(START_MS + n, kind="contact.replied", **one) for n, one in enumerate(told)]
    rows += [{**rows[0], "event_id": "twice"}] * 2
    rows += [happened(START_MS), happened(START_MS, kind="mars.landed")]  # of other kinds nobody asks
    events = written(tmp_path / "a.jsonl", rows)
    summary = run(Asked([str(events)], tmp_path / "out", FULL))
    assert (summary["unknown_replies"], summary["duplicates"]) == (4, 1)


def test_values_are_the_same_in_upper_and_lower_case_in_turkish_too(tmp_path: Path) -> None:
    """Where the dot stays with the letter; as elsewhere, too."""
    policy = tmp_path / "policy.yaml"
    asked = "[{kind: form.failed, where: {urgency: [kritik, acil, ışık, İADE]}}]"
    policy.write_text(POLICY_TEXT.replace("[form.failed]", asked, 1), "utf-8")
    said = ["KRİTİK", "KRITIK", "Kritik", "ACİL", "IŞIK", "Işık", "iade", "İade", "işik", "critical"]
    records = [
        {**happened(START_MS, kind="form.failed", customer_id=word), "attributes": {"urgency": word}} for word in said
    ]
    run(Asked(events=[str(written(tmp_path / "e.jsonl", records))], out=tmp_path / "out", policy=policy))
    rows = pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    assert sorted(row["customer_id"] for row in rows if row["heat"]) == sorted(said[:8])


@pytest.mark.parametrize("name", ["three", "policy_file"])
def test_a_policy_that_does_not_ask_who_has_replied_counts_no_unknown_replies(
    tmp_path: Path, policy_file: Path, name: str
) -> None:
    events = written(tmp_path / "a.jsonl", [happened(START_MS, kind="contact.replied")])
    summary = run(Asked([str(events)], tmp_path / "out", policy_file if name == "policy_file" else Path(name)))
    assert summary["unknown_replies"] == 0


def test_an_until_before_the_last_interaction_is_warned_of(tmp_path: Path) -> None:
    events = written(tmp_path / "a.jsonl", [happened(START_MS), happened(START_MS + 60_000)])
    summary = run(Asked([str(events)], tmp_path / "out", FULL, until=time_text(START_MS)))
    assert summary["until"] == time_text(START_MS + 60_000)
    assert "is before the last interaction" in summary["warnings"][0]


@pytest.mark.parametrize("batch_events", [1, 50, BATCH_EVENTS])
def test_a_subject_that_is_new_after_hours_of_watching_is_an_incident_however_batches_are_cut(
    batch_events: int,
) -> None:
    said = [(START_MS + n * MINUTE_MS, f"o{n}", "other") for n in range(170)]
    said += [(START_MS + 3 * 3_600_000 + n * 15_000, f"c{n}", "outage") for n in range(20)]
    events = [event("social.mentioned", at_ms, customer_id=who, subject=subject) for at_ms, who, subject in said]
    told: list[Alert] = []
    replay = Replay(load_policy(None), told.extend)
    replay.run(batch_of(events), batch_events=batch_events)
    replay.run_on(START_MS + 5 * 3_600_000)
    found = [(a.status, a.subject, a.customers) for a in told if a.type == "touchpoint_incident"]
    assert found == [("opened", "outage", 9), ("escalated", "outage", 19), ("resolved", "outage", 20)]


def test_when_no_row_can_be_taken_it_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text('{"customer_id": "ana", "kind": "form.failed", "occurred_at": "yesterday"}\n' * 3, "utf-8")
    assert exit_code(["backtest", str(events), "--out", str(tmp_path / "out")]) == ExitCode.DONE
    told = capsys.readouterr().err
    assert "all 3 rows were rejected, the first one in line 1: occurred_at" in " ".join(told.split())


@pytest.mark.parametrize(
    ("row", "more", "said", "warned"),
    [
        ({"event_id": "7"}, [], "19 sent twice", "19 of 20 interactions have an event_id that their customer had"),
        ({}, ["--from", "2031-01-01T00:00:00Z"], "20 outside --from and --to", "20 interactions are outside"),
        ({"kind": "ticket.solved"}, [], "0 rows rejected, ", "20 of 20 interactions are of kinds that the policy does"),
    ],
)
def test_what_did_not_count_is_told_when_it_is_nearly_all(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    row: dict[str, Any],
    more: list[str],
    said: str,
    warned: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    rows = [happened(START_MS + n, **{"event_id": f"e{n}", **row}) for n in range(20)]
    events = written(tmp_path / "events.jsonl", rows)
    assert exit_code(["backtest", str(events), "--out", str(tmp_path / "out"), *more]) == ExitCode.DONE
    told = capsys.readouterr()
    assert said in told.out
    assert warned in told.err


BUDGET = "budgets: {teams: {iade: {types: [touchpoint_incident, band_entered], per_hour: 5}}}\n"


def test_what_teams_do_and_are_not_given_is_counted(tmp_path: Path) -> None:
    """A form fails for many, who are hot at once: one incident, their alerts are muted, and most of them held back."""
    full = FULL.read_text("utf-8")
    hot = full.replace("    until: [form.submitted]\n    weight: 10\n", "    until: [form.submitted]\n    weight: 80\n")
    hot = hot.replace("    cap: 60\n    magnitude: consecutive\n", "    cap: 90\n    magnitude: consecutive\n")
    policy = tmp_path / "policy.yaml"
    policy.write_text(hot + BUDGET, "utf-8")
    begin_ms = START_MS // 3_600_000 * 3_600_000
    usual = [("form.started", n * 4_500) for n in range(1_600)]  # 800 an hour, for two hours
    broken = [("form.failed", 7_200_000 + n * 5_000) for n in range(60)]
    records = [
        event(kind, begin_ms + at_ms, customer_id=f"müşteri {n}", touchpoint="form/iade", event_id=f"{n}").record
        for n, (kind, at_ms) in enumerate([*usual, *broken])
    ]
    said = [
        ("alert.dismissed", {"alert_id": "nobody's"}),
        ("customer.preferences", {"quiet_hours": "at night", "do_not_contact": "true"}),
    ]
    last_ms = begin_ms + 7_200_000 + 310_000
    records += [event(kind, last_ms + n, attributes=a, event_id=kind).record for n, (kind, a) in enumerate(said)]
    out = tmp_path / "out"
    summary = run(Asked(events=[str(written(tmp_path / "e.jsonl", records))], out=out, policy=policy))
    told = lines(out / "alerts.jsonl")
    incidents = [a for a in told if a["type"] == "touchpoint_incident"]
    assert {a["team"] for a in incidents} == {"iade"}
    assert incidents[-1]["mutes"] == [{"signal": "form_failure"}]
    assert len({a["alert_id"] for a in incidents}) == 1
    assert not any(a["held_back"] for a in incidents)
    passed = [a for a in told if a["type"] == "band_entered" and not a["held_back"]]
    assert (len(passed), summary["held_back"], summary["muted"]) == (5, {"iade": 55}, 60)
    assert (summary["unknown_marks"], summary["bad_preferences"], summary["unknown_kinds"]) == (1, 1, 0)
