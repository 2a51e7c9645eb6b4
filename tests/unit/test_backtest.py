"""friction backtest gives what the model gives, and says what it did."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.simulator.simulation import crowd_interactions
from pipelines.alerts.alert import Alert, Contribution
from pipelines.cli.backtest.events import Order
from pipelines.cli.backtest.replay import BATCH_EVENTS, Replay
from pipelines.cli.backtest.results import time_text
from pipelines.cli.backtest.run import Asked, run
from pipelines.cli.chaos.model import Model
from pipelines.cli.exits import ExitCode
from pipelines.cli.explain.records import alert_records
from pipelines.cli.main import exit_code
from pipelines.policy.policy import parse_policy
from pipelines.worker.policy_file import load_policy
from schemas.errors import InputUnreadable, SettingsError
from schemas.interactions import avro_record
from schemas.topics import avro_schema
from tests.batches import MINUTE_MS, POLICY_TEXT, Event, batch_of, event

START_MS = 1_790_000_000_000
COUNT = 2_000


@pytest.fixture(scope="module")
def policy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text(POLICY_TEXT, "utf-8")
    return path


def crowd() -> list[dict[str, Any]]:
    """2,000 simulated interactions of an hour and a half, in the order in which they are told."""
    told = crowd_interactions(seed=7, start_ms=START_MS, rate=0.4, total=COUNT, customers=60)
    return [avro_record(one) for one in islice(told, COUNT)]


def written(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), "utf-8")
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize(("order", "batch_events"), [("event", 16_384), ("event", 100), ("file", 1)])
def test_it_gives_what_the_model_gives(
    tmp_path: Path, policy_file: Path, monkeypatch: pytest.MonkeyPatch, order: str, batch_events: int
) -> None:
    monkeypatch.setattr(Replay.run, "__kwdefaults__", {"batch_events": batch_events})
    records = crowd()
    model = Model(POLICY_TEXT)
    ordered = sorted(records, key=lambda r: r["occurred_at"]) if order == "event" else records
    newest_ms = 0
    for record in ordered:
        model.feed(record, record["occurred_at"])
        newest_ms = max(newest_ms, record["occurred_at"])
        model.advance(newest_ms)
    until_ms = newest_ms + 20 * MINUTE_MS
    model.advance(until_ms)
    events = written(tmp_path / "events.jsonl", records)
    summary = run(
        Asked(events=[str(events)], out=tmp_path / "out", policy=policy_file, order=order, until=time_text(until_ms))
    )
    assert {k: summary[k] for k in ("events", "accepted", "rejected", "customers", "late", "unknown_kinds")} == {
        "events": COUNT, "accepted": COUNT, "rejected": 0, "customers": len(model.customers), "late": model.late,
        "unknown_kinds": model.unknown_kinds,
    }  # fmt: skip
    assert len(model.alerts) > 20
    told = [
        (a["alert_id"], a["revision"], a["status"], a["customer_id"], a["band"], a["raised_at"])
        for a in lines(tmp_path / "out" / "alerts.jsonl")
    ]
    assert sorted(told) == sorted(
        (a.alert_id, a.revision, a.status, a.customer_id, a.band, time_text(a.raised_ms)) for a in model.alerts
    )
    if order == "event":
        assert [one[-1] for one in told] == sorted(one[-1] for one in told)
    rows = pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    assert {r["customer_id"] for r in rows} == set(model.customers)
    for row in rows:
        name = row["customer_id"]
        customer = model.customers[name]
        assert row["score"] == pytest.approx(model.score(name, until_ms), rel=1e-9, abs=1e-9)
        assert row["score_at_last_event"] == pytest.approx(model.score(name), rel=1e-9, abs=1e-9)
        assert row["band"] == customer.band
        assert row["interactions"] == customer.interactions
        assert time_text(int(row["last_event_at"].timestamp() * 1000)) == time_text(customer.updated_ms)
        assert row["heat"] == pytest.approx(sum(min(c["heat"], c["cap"]) for c in row["contributions"]))


def test_files_cut_and_formatted_otherwise_give_the_same_alerts(tmp_path: Path, policy_file: Path) -> None:
    records = crowd()[:600]
    whole = run(Asked([str(written(tmp_path / "a.jsonl", records))], tmp_path / "1", policy_file))
    written(tmp_path / "b-1.jsonl", records[::2])
    rest = [{**r, "attributes": [*r["attributes"].items()]} for r in records[1::2]]
    schema = pa.schema([("attributes", pa.map_(pa.utf8(), pa.utf8()))])
    table = pa.Table.from_pylist([{k: v for k, v in r.items() if k != "attributes"} for r in rest])
    maps = pa.array([r["attributes"] for r in rest], schema.field(0).type)
    pq.write_table(table.append_column("attributes", maps), tmp_path / "b-2.parquet")
    cut = run(Asked([str(tmp_path / "b-*")], tmp_path / "2", policy_file))
    assert cut["alerts"] == whole["alerts"]
    alerts = [sorted(a["alert_id"] for a in lines(tmp_path / n / "alerts.jsonl")) for n in ("1", "2")]
    assert alerts[0] == alerts[1]


def interaction(occurred_ms: int, **fields: Any) -> dict[str, Any]:
    return {"customer_id": "ana", "kind": "form.failed", "occurred_at": occurred_ms, **fields}


def test_what_cannot_be_taken_is_written_down_and_the_rest_goes_on(tmp_path: Path, policy_file: Path) -> None:
    bad = [
        interaction(START_MS, customer_id="x" * 513),
        interaction(START_MS, touchpoint="t" * 513),
        interaction(START_MS, duration_ms=11 * 365 * 86_400_000),
        interaction(START_MS, appended_at=START_MS + 2 * 86_400_000),
        interaction(START_MS, kind=""),
    ]
    events = written(tmp_path / "events.jsonl", [interaction(START_MS), *bad, interaction(START_MS + 1)])
    summary = run(Asked([str(events)], tmp_path / "out", policy_file))
    assert (summary["events"], summary["accepted"], summary["rejected"]) == (7, 2, 5)
    rejected = lines(tmp_path / "out" / "rejected.jsonl")
    assert {r["line"]: json.loads(r["raw"]) for r in rejected} == dict(enumerate(bad, 2))
    said = {r["line"]: r["reason"] for r in rejected}
    for line, words in ((2, "1 to 512 bytes"), (3, "at most 512"), (4, "10 years"), (5, "max_age"), (6, "missing")):
        assert words in said[line]
    assert {r["file"] for r in rejected} == {str(events)}


def test_only_what_occurred_between_two_times_counts(tmp_path: Path, policy_file: Path) -> None:
    events = written(tmp_path / "events.jsonl", [interaction(START_MS + n * 1000) for n in range(10)])
    asked = Asked(
        [str(events)], tmp_path / "out", policy_file, from_=time_text(START_MS + 2000), to=time_text(START_MS + 5000)
    )
    summary = run(asked)
    assert (summary["accepted"], summary["outside"], summary["until"]) == (3, 7, time_text(START_MS + 4000))


def test_the_order_of_arrival_can_be_asked_for(tmp_path: Path, policy_file: Path) -> None:
    late = interaction(START_MS, appended_at=START_MS + 50, event_id="late")
    lines_ = [late, interaction(START_MS + 20, appended_at=START_MS + 30, event_id="first")]
    events = written(tmp_path / "events.jsonl", lines_)
    for order in ("event", "file", "appended"):
        summary = run(Asked([str(events)], tmp_path / order, policy_file, order=order))
        assert (summary["accepted"], summary["order"]) == (2, order)


def test_an_empty_input_is_told_and_gives_empty_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("")
    assert exit_code(["backtest", str(tmp_path / "a.csv"), "--out", str(tmp_path / "out")]) == ExitCode.DONE
    assert "a.csv is empty" in capsys.readouterr().err
    assert pq.read_table(tmp_path / "out" / "scores.parquet").num_rows == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["until"] is None
    assert (tmp_path / "out" / "alerts.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--strict"], "a.jsonl:2: the line is no JSON"),
        (["--order", "random"], "--order: must be event, file, appended, got 'random'"),
        (["--format", "xml"], "--format: must be jsonl, csv, parquet, got 'xml'"),
        (["--from", "yesterday"], "--from: needs a time with an offset"),
        (["--until", "2026-03-01T00:00:00"], "--until: needs a time with an offset"),
        (["--from", "2026-03-02T00:00:00Z", "--to", "2026-03-01T00:00:00Z"], "--to: must be after --from"),
        (["--map", "absent.toml"], "the mapping absent.toml cannot be read"),
        (["--policy", "absent.yaml"], "the policy absent.yaml cannot be read"),
    ],
)
def test_what_is_asked_wrongly_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, more: list[str], said: str
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / "a.jsonl").write_text(json.dumps(interaction(START_MS)) + "\n{\n")
    assert exit_code(["backtest", str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "o"), *more]) == ExitCode.USAGE
    assert said in capsys.readouterr().err


def test_a_file_of_the_results_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    events = written(tmp_path / "a.jsonl", [interaction(START_MS)])
    in_the_way = tmp_path / "out" / "alerts.jsonl"
    in_the_way.mkdir(parents=True)
    with pytest.raises(SettingsError, match=f"--out: {in_the_way} cannot be made: Is a directory"):
        run(Asked([str(events)], tmp_path / "out", FULL))


def test_a_run_that_fails_leaves_the_results_of_the_former_one_as_they_are(tmp_path: Path, policy_file: Path) -> None:
    events = written(tmp_path / "a.jsonl", [interaction(START_MS), interaction(START_MS, kind="")])
    run(Asked([str(events)], tmp_path / "out", policy_file))
    former = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert former.keys() == {"alerts.jsonl", "scores.parquet", "summary.json", "rejected.jsonl"}
    with pytest.raises(InputUnreadable, match=r"a\.jsonl:2: kind is missing"):
        run(Asked([str(events)], tmp_path / "out", policy_file, strict=True))
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == former


def test_what_is_read_is_not_replaced_by_a_result(tmp_path: Path, policy_file: Path) -> None:
    events = written(tmp_path / "rejected.jsonl", [interaction(START_MS)])
    content = events.read_bytes()
    with pytest.raises(SettingsError, match=r"--out: .*/rejected\.jsonl is read, and would be replaced"):
        run(Asked([str(events)], tmp_path, policy_file))
    assert events.read_bytes() == content


FULL = Path(__file__).parents[2] / "schemas/policy/default.yaml"


def test_ratings_off_their_scale_are_rejected_and_what_is_sent_twice_counts_once(tmp_path: Path) -> None:
    rated = [interaction(START_MS, kind="feedback.given", rating=rating) for rating in (0, 11, None, 10, -1)]
    twice = interaction(START_MS + 5, event_id="e")
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
    rows = [interaction(START_MS, kind="social.mentioned", reach=5000, sentiment=one) for one in said]
    summary = run(Asked([str(written(tmp_path / "a.jsonl", rows))], tmp_path / "out", FULL))
    assert (summary["accepted"], summary["rejected"]) == (4, 2)
    rejected = lines(tmp_path / "out" / "rejected.jsonl")
    assert [(r["line"], r["reason"]) for r in rejected] == [(n, "sentiment must lie between -1 and 1") for n in (1, 6)]


def test_rejected_rows_stand_in_the_order_of_their_lines_whoever_found_them(tmp_path: Path) -> None:
    off = json.dumps(interaction(START_MS, kind="feedback.given", rating=11))
    (tmp_path / "a.jsonl").write_text("\n".join([json.dumps(interaction(START_MS)), off, "{", off, "{"]) + "\n")
    run(Asked([str(tmp_path / "a.jsonl")], tmp_path / "out", FULL))
    assert [r["line"] for r in lines(tmp_path / "out" / "rejected.jsonl")] == [2, 3, 4, 5]
    with pytest.raises(InputUnreadable, match=r"a\.jsonl:2: rating 11 is not on the scale"):
        run(Asked([str(tmp_path / "a.jsonl")], tmp_path / "out", FULL, strict=True))


def test_a_clock_that_runs_out_after_the_last_interaction_is_told(tmp_path: Path) -> None:
    opened = interaction(START_MS, kind="contact.opened", case_id="c", subject="refund", channel="email")
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
        interaction(START_MS, customer_id=f"c{n}", kind="callback.promised", attributes={"deadline": said})
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
        interaction(
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
        interaction(START_MS, customer_id=f"c{n}", kind="feedback.given", rating=1.0, attributes=one)
        for n, one in enumerate(told)
    ]
    rows.append(interaction(START_MS, customer_id="c4", kind="feedback.given", attributes={"question": "csat5"}))
    summary = run(Asked([str(written(tmp_path / "a.jsonl", rows))], tmp_path / "out", FULL))
    assert (summary["unknown_questions"], summary["accepted"]) == (2, 5)
    scores = pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    assert {row["customer_id"] for row in scores if row["heat"] > 0} == {"c0", "c2"}


def late_reply(at: dict[str, int]) -> list[dict[str, Any]]:
    """Feedback at 0:00, somebody else at 1:05, and the answer of 0:50 behind it; at: when it was appended."""
    personal = {"attributes": {"reply": "personal"}}
    return [
        interaction(START_MS, customer_id="Ayşe", kind="feedback.given", rating=2),
        interaction(START_MS + 65 * MINUTE_MS, customer_id="Bora", kind="search.no_result"),
        interaction(START_MS + 50 * MINUTE_MS, customer_id="Ayşe", kind="contact.replied", **personal, **at),
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
    rows = [interaction(START_MS + n, kind="contact.replied", **one) for n, one in enumerate(told)]
    rows += [{**rows[0], "event_id": "twice"}] * 2
    rows += [interaction(START_MS), interaction(START_MS, kind="mars.landed")]  # of other kinds nobody asks
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
        {**interaction(START_MS, kind="form.failed", customer_id=word), "attributes": {"urgency": word}}
        for word in said
    ]
    run(Asked(events=[str(written(tmp_path / "e.jsonl", records))], out=tmp_path / "out", policy=policy))
    rows = pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    assert sorted(row["customer_id"] for row in rows if row["heat"]) == sorted(said[:8])


@pytest.mark.parametrize("name", ["three", "policy_file"])
def test_a_policy_that_does_not_ask_who_has_replied_counts_no_unknown_replies(
    tmp_path: Path, policy_file: Path, name: str
) -> None:
    events = written(tmp_path / "a.jsonl", [interaction(START_MS, kind="contact.replied")])
    summary = run(Asked([str(events)], tmp_path / "out", policy_file if name == "policy_file" else Path(name)))
    assert summary["unknown_replies"] == 0


def test_an_until_before_the_last_interaction_is_warned_of(tmp_path: Path) -> None:
    events = written(tmp_path / "a.jsonl", [interaction(START_MS), interaction(START_MS + 60_000)])
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
    rows = [interaction(START_MS + n, **{"event_id": f"e{n}", **row}) for n in range(20)]
    events = written(tmp_path / "events.jsonl", rows)
    assert exit_code(["backtest", str(events), "--out", str(tmp_path / "out"), *more]) == ExitCode.DONE
    told = capsys.readouterr()
    assert said in told.out
    assert warned in told.err


def test_an_alert_has_every_field_of_its_schema() -> None:
    alert = Alert(
        "id",
        1,
        "band_entered",
        "opened",
        "ana",
        START_MS,
        "why",
        "p",
        contributions=(Contribution("w", 1.0, 2.0, 3.0),),
    )
    (made,) = alert_records([alert])
    names = [f["name"] for f in json.loads(avro_schema("alert"))["fields"]]
    assert list(made) == [name for name in names if name != "emitted_at"]
    assert made["raised_at"] == "2026-09-21T14:13:20.000Z"
    assert made["contributions"] == [{"signal": "w", "heat": 1.0, "half_life_s": 2.0, "cap": 3.0, "held": 0.0}]
    assert (made["deadline"], made["open_clocks"], made["customers"]) == (None, [], None)


def test_an_incident_has_its_members_by_name() -> None:
    alert = Alert(
        "i", 1, "touchpoint_incident", "opened", None, START_MS, "", "", members=("ana", "çağla"), mutes=("wait",)
    )
    (made,) = alert_records([alert])
    assert made["members"] == [{"customer_id": "ana"}, {"customer_id": "çağla"}]
    assert made["mutes"] == [{"signal": "wait"}]


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


def test_customers_who_are_forgotten_keep_their_last_row() -> None:
    policy = parse_policy(POLICY_TEXT, "policy")
    told: list[Alert] = []
    replay = Replay(policy, told.extend)
    days = 86_400_000
    for n, (name, at_ms) in enumerate((("ana", START_MS), ("bea", START_MS + 30 * days))):
        replay.run(batch_of([event("form.failed", at_ms, customer_id=name)], n))
    replay.run_on(START_MS + 31 * days)
    assert len(replay.standing) == 2
    assert replay.standing.interactions[:2].tolist() == [1, 1]
