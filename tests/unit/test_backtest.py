"""friction backtest gives what the model gives, and says what it did."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.simulator.simulation import crowd_interactions
from pipelines.alerts.alert import Alert, Contribution
from pipelines.cli.backtest.replay import Replay
from pipelines.cli.backtest.results import time_text
from pipelines.cli.backtest.run import Asked, run
from pipelines.cli.chaos.model import Model
from pipelines.cli.exits import ExitCode
from pipelines.cli.explain.records import alert_records
from pipelines.cli.main import exit_code
from pipelines.policy.policy import parse_policy
from schemas.errors import InputUnreadable, SettingsError
from schemas.interactions import avro_record
from schemas.topics import avro_schema
from tests.batches import MINUTE_MS, POLICY_TEXT, batch_of, event
from tests.event_files import happened, lines, written

START_MS = 1_790_000_000_000
COUNT = 2_000


def crowd() -> list[dict[str, Any]]:
    """2,000 simulated interactions of an hour and a half, in the order in which they are told."""
    told = crowd_interactions(seed=7, start_ms=START_MS, rate=0.4, total=COUNT, customers=60)
    return [avro_record(one) for one in islice(told, COUNT)]


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


def test_what_cannot_be_taken_is_written_down_and_the_rest_goes_on(tmp_path: Path, policy_file: Path) -> None:
    bad = [
        happened(START_MS, customer_id="x" * 513),
        happened(START_MS, touchpoint="t" * 513),
        happened(START_MS, duration_ms=11 * 365 * 86_400_000),
        happened(START_MS, appended_at=START_MS + 2 * 86_400_000),
        happened(START_MS, kind=""),
    ]
    events = written(tmp_path / "events.jsonl", [happened(START_MS), *bad, happened(START_MS + 1)])
    summary = run(Asked([str(events)], tmp_path / "out", policy_file))
    assert (summary["events"], summary["accepted"], summary["rejected"]) == (7, 2, 5)
    rejected = lines(tmp_path / "out" / "rejected.jsonl")
    assert {r["line"]: json.loads(r["raw"]) for r in rejected} == dict(enumerate(bad, 2))
    said = {r["line"]: r["reason"] for r in rejected}
    for line, words in ((2, "1 to 512 bytes"), (3, "at most 512"), (4, "10 years"), (5, "max_age"), (6, "missing")):
        assert words in said[line]
    assert {r["file"] for r in rejected} == {str(events)}


def test_only_what_occurred_between_two_times_counts(tmp_path: Path, policy_file: Path) -> None:
    events = written(tmp_path / "events.jsonl", [happened(START_MS + n * 1000) for n in range(10)])
    asked = Asked(
        [str(events)], tmp_path / "out", policy_file, from_=time_text(START_MS + 2000), to=time_text(START_MS + 5000)
    )
    summary = run(asked)
    assert (summary["accepted"], summary["outside"], summary["until"]) == (3, 7, time_text(START_MS + 4000))


def test_the_order_of_arrival_can_be_asked_for(tmp_path: Path, policy_file: Path) -> None:
    late = happened(START_MS, appended_at=START_MS + 50, event_id="late")
    lines_ = [late, happened(START_MS + 20, appended_at=START_MS + 30, event_id="first")]
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
    (tmp_path / "a.jsonl").write_text(json.dumps(happened(START_MS)) + "\n{\n")
    assert exit_code(["backtest", str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "o"), *more]) == ExitCode.USAGE
    assert said in capsys.readouterr().err


def test_a_file_of_the_results_that_cannot_be_made_is_told(tmp_path: Path, policy_file: Path) -> None:
    events = written(tmp_path / "a.jsonl", [happened(START_MS)])
    in_the_way = tmp_path / "out" / "alerts.jsonl"
    in_the_way.mkdir(parents=True)
    with pytest.raises(SettingsError, match=f"--out: {in_the_way} cannot be made: Is a directory"):
        run(Asked([str(events)], tmp_path / "out", policy_file))


def test_a_run_that_fails_leaves_the_results_of_the_former_one_as_they_are(tmp_path: Path, policy_file: Path) -> None:
    events = written(tmp_path / "a.jsonl", [happened(START_MS), happened(START_MS, kind="")])
    run(Asked([str(events)], tmp_path / "out", policy_file))
    former = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert former.keys() == {"alerts.jsonl", "scores.parquet", "summary.json", "rejected.jsonl"}
    with pytest.raises(InputUnreadable, match=r"a\.jsonl:2: kind is missing"):
        run(Asked([str(events)], tmp_path / "out", policy_file, strict=True))
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == former


def test_what_is_read_is_not_replaced_by_a_result(tmp_path: Path, policy_file: Path) -> None:
    events = written(tmp_path / "rejected.jsonl", [happened(START_MS)])
    content = events.read_bytes()
    with pytest.raises(SettingsError, match=r"--out: .*/rejected\.jsonl is read, and would be replaced"):
        run(Asked([str(events)], tmp_path, policy_file))
    assert events.read_bytes() == content


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
