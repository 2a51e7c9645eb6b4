"""friction explain ends with what a backtest says of the customer, and tells on the way what happened and why."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pyarrow.parquet as pq
import pytest

from connectors.files.rejects import RejectedRow
from connectors.simulator.simulation import crowd_interactions
from pipelines.cli.backtest.results import time_text
from pipelines.cli.backtest.run import Asked as BacktestAsked
from pipelines.cli.backtest.run import run
from pipelines.cli.exits import ExitCode
from pipelines.cli.explain.lanes import bar_rows, bars, fitted, labels, lines
from pipelines.cli.explain.records import alert_records
from pipelines.cli.explain.run import Asked, explained
from pipelines.cli.explain.story import Story
from pipelines.cli.explain.timeline import made_of, timeline
from pipelines.cli.explain.times import span_text, zone_of
from pipelines.cli.main import exit_code
from schemas.errors import SettingsError
from schemas.interactions import avro_record
from tests.event_files import written
from tests.scenarios.scenario_files import Case, ScenarioFile, scenario_files

START_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
WHOLE = Path("default")
FILES = scenario_files()
CASES = [pytest.param(name, case, id=f"{name}-{case}") for name, file in FILES.items() for case in file.cases]


def refused(row: RejectedRow) -> None:
    pytest.fail(row.reason)


def of_scenario(directory: Path, file: ScenarioFile, case: Case) -> tuple[Path, Path, list[str], int]:
    """Its events and its policy as files, its customers without most of a crowd, and a time after its end."""
    policy = directory / "policy.yaml"
    policy.write_text(file.policy_of(case).text, "utf-8")
    told = file.events_of(case)
    records = [{**{k: v for k, v in e.record.items() if v is not None}, "appended_at": e.append_ms} for e in told]
    names = list(dict.fromkeys(e.record["customer_id"] for e in told))
    customers = [name for name in names if not name.startswith("crowd ")] or names[:2]
    until_ms = max(*(file.ms(e.when) + HOUR_MS for e in case.expect), *(e.append_ms for e in told))
    return written(directory / "events.jsonl", records), policy, customers, until_ms


def story_of_case(directory: Path, name: str, case: str, *, customer: str | None = None) -> Story:
    events, policy, customers, until_ms = of_scenario(directory, FILES[name], FILES[name].cases[case])
    asked = Asked(customer or customers[0], [str(events)], policy, until=time_text(until_ms))
    return explained(asked, refused, pytest.fail)


def backtested(directory: Path, events: Path, policy: Path, until_ms: int | None) -> Iterator[tuple[str, Any, Any]]:
    """By customer the row of scores.parquet and the lines of alerts.jsonl."""
    until = None if until_ms is None else time_text(until_ms)
    run(BacktestAsked([str(events)], directory / "out", policy, until=until))
    alerts = [json.loads(line) for line in (directory / "out" / "alerts.jsonl").read_text("utf-8").splitlines()]
    for row in pq.read_table(directory / "out" / "scores.parquet").to_pylist():
        name = row["customer_id"]
        yield name, row, [alert for alert in alerts if alert["customer_id"] == name]


def same(story: Story, row: Any, alerts: list[Any]) -> None:
    """Hold a story to what a backtest says."""
    last, until_ms = story.last, story.until_ms
    assert last.score(until_ms) == pytest.approx(row["score"], rel=1e-9, abs=1e-9)
    assert (last.band_name, last.interactions) == (row["band"], row["interactions"])
    heats = {part.signal: part.heat for part in made_of(last, until_ms)}
    assert heats == pytest.approx({c["signal"]: c["heat"] for c in row["contributions"]}, rel=1e-9, abs=1e-9)
    clocks = [(c.clock, time_text(c.opened_ms), c.case_id) for c in last.opened.clocks]
    assert clocks == [
        (c["clock"], time_text(int(c["opened_at"].timestamp() * 1000)), c["case_id"]) for c in row["open_clocks"]
    ]
    told = alert_records(story.alerts)
    assert by_id(told) == by_id(alerts)


def by_id(alerts: list[Any]) -> list[Any]:
    """Alerts without what rounding may change, and without what budgets hold back: that depends on other customers."""
    found = []
    for alert in alerts:
        parts = [(c["signal"], round(c["heat"], 6)) for c in alert["contributions"]]
        found.append({**alert, "score": round(alert["score"], 6), "contributions": parts, "held_back": None})
    return sorted(found, key=lambda alert: (alert["alert_id"], alert["revision"]))


@pytest.mark.parametrize(("name", "case"), CASES)
def test_it_ends_with_what_a_backtest_says_of_every_scenario(tmp_path: Path, name: str, case: str) -> None:
    events, policy, customers, until_ms = of_scenario(tmp_path, FILES[name], FILES[name].cases[case])
    found = {who: (row, alerts) for who, row, alerts in backtested(tmp_path, events, policy, until_ms)}
    for customer in customers:
        asked = Asked(customer, [str(events)], policy, until=time_text(until_ms))
        same(explained(asked, refused, pytest.fail), *found[customer])


@pytest.mark.parametrize(
    ("policy", "until_ms"),
    [("three", None), ("three", START_MS + 100 * HOUR_MS), ("default", None), ("default", START_MS + 100 * HOUR_MS)],
)
def test_it_ends_with_what_a_backtest_says_of_simulated_customers(
    tmp_path: Path, policy: str, until_ms: int | None
) -> None:
    told = crowd_interactions(seed=7, start_ms=START_MS, rate=0.05, total=2_000, customers=40)
    events = written(tmp_path / "events.jsonl", [avro_record(one) for one in islice(told, 2_000)])
    found = list(backtested(tmp_path, events, Path(policy), until_ms))
    assert len(found) == 40
    for customer, row, alerts in found:
        until = None if until_ms is None else time_text(until_ms)
        story = explained(Asked(customer, [str(events)], Path(policy), until=until), refused, pytest.fail)
        same(story, row, alerts)


def test_an_until_before_the_last_interaction_of_anybody_is_warned_of(tmp_path: Path) -> None:
    told = [
        {"customer_id": who, "kind": "form.failed", "occurred_at": at}
        for who, at in (("a", START_MS), ("b", START_MS + 60_000))
    ]
    warnings: list[str] = []
    asked = Asked("a", [str(written(tmp_path / "e.jsonl", told))], until=time_text(START_MS))
    assert explained(asked, refused, warnings.append).until_ms == START_MS + 60_000
    assert ["is before the last interaction" in warning for warning in warnings] == [True]


@pytest.mark.parametrize("customer", ["Ayşe\u00a0Yılmaz", "\u200bgizli", "a\u0007b"])
def test_a_customer_may_have_any_text_for_a_name(tmp_path: Path, customer: str) -> None:
    told = {"customer_id": customer, "kind": "form.failed", "occurred_at": START_MS}
    story = explained(Asked(customer, [str(written(tmp_path / "e.jsonl", [told]))]), refused, pytest.fail)
    assert story.last.interactions == 1
    shown = customer.replace("\u0007", "\\x07")  # a terminal rings, or does worse
    assert next(iter(timeline(story, zone_of("UTC"), 120))).startswith(f"{shown}: score ")


def test_bytes_that_are_no_text_are_no_customer(tmp_path: Path) -> None:
    events = written(tmp_path / "e.jsonl", [{"customer_id": "a", "kind": "form.failed", "occurred_at": START_MS}])
    with pytest.raises(SettingsError, match="CUSTOMER: must be a text"):
        explained(Asked("a\udcff", [str(events)]), refused, pytest.fail)


def test_what_time_alone_did_is_told_with_its_reason(tmp_path: Path) -> None:
    story = story_of_case(tmp_path, "01_one_hour", "nothing arrives")
    told = [(time_text(m.at_ms)[11:16], len(m.happenings), [a.type for a in m.alerts]) for m in story.moments]
    assert told[:3] == [
        ("10:00", 1, []),
        ("10:45", 0, ["clock_warning"]),
        ("11:00", 0, ["clock_warning", "clock_breached"]),
    ]
    breach = story.moments[2]
    assert breach.gained == pytest.approx({"late_answer": 15.0})
    assert [change.what for change in breach.clocks] == ["breached"]
    text = "\n".join(timeline(story, zone_of("Europe/Istanbul"), 300))
    assert "13:45:00    18.3   36.7  warm      time alone" in text
    assert "clock first_response broken: the promise was 14:00" in text
    assert "-> Answer personally." in text
    assert "Zeynep: score" in text


def test_the_example_of_the_documentation_is_what_the_command_tells(tmp_path: Path) -> None:
    begin_ms = 1_772_445_600_000  # 2026-03-02 10:00 UTC
    told = {"customer_id": "Zeynep", "kind": "feedback.given", "occurred_at": begin_ms, "rating": 2, "channel": "web",
            "touchpoint": "survey"}  # fmt: skip
    asked = Asked("Zeynep", [str(written(tmp_path / "e.jsonl", [told]))], until=time_text(begin_ms + 90 * 60_000))
    text = "\n".join(timeline(explained(asked, refused, pytest.fail), zone_of("UTC"), 300))
    said = iter(text.splitlines())
    document = (Path(__file__).parents[2] / "docs" / "explain.md").read_text("utf-8")
    example = document.partition("```\nZeynep: ")[2].partition("\n```")[0]
    for line in f"Zeynep: {example}".splitlines():
        assert any(one.startswith(line.removesuffix("...").rstrip()) for one in said), line


def test_a_band_that_decay_ends_is_told_when_it_does(tmp_path: Path) -> None:
    story = story_of_case(tmp_path, "02_while_being_served", "a band is left by decay when it is left")
    left = [moment for moment in story.moments if moment.after.band < moment.before.band]
    assert [moment.after.band_name for moment in left][-1:] == ["warm"]
    assert not any(moment.happenings for moment in left)
    for moment in left:
        bound = story.policy.leave_heat[moment.before.segment, moment.before.band]
        just_before, then = moment.before.capped(np.array([moment.at_ms - 1, moment.at_ms])).tolist()
        assert just_before >= bound > then


def test_a_pause_is_a_part_of_the_bar_and_moves_the_deadline(tmp_path: Path) -> None:
    story = story_of_case(
        tmp_path,
        "17_the_ball_is_with_the_customer",
        "pending after the warning moves the deadline of the alert",
    )
    bar = next(bar for bar in bars(story) if bar.clock == "resolution")
    assert [(time_text(a)[8:16], b and time_text(b)[8:16]) for a, b in bar.pauses] == [("04T20:00", "06T08:00")]
    assert [time_text(at)[8:16] for at in bar.deadlines] == ["05T10:00", "06T22:00"]
    assert bar.breached_ms == bar.deadlines[-1]
    text = "\n".join(timeline(story, zone_of("UTC"), 300))
    assert "clock resolution (N-1) goes on, deadline 22:00, was paused for 1 d 12 h in all" in text


def test_an_interaction_sent_twice_and_an_unknown_kind_are_told(tmp_path: Path) -> None:
    one = {"customer_id": "ana", "kind": "return.requested", "occurred_at": START_MS, "event_id": "e"}
    events = written(tmp_path / "a.jsonl", [one, {**one, "occurred_at": START_MS + 5}, {**one, "kind": "no.such.kind",
                                            "occurred_at": START_MS + 9, "event_id": "f"}])  # fmt: skip
    story = explained(Asked("ana", [str(events)], WHOLE), refused, pytest.fail)
    assert [(m.repeated, m.unknown) for m in story.moments] == [(0, 0), (1, 0), (0, 1)]
    text = "\n".join(timeline(story, zone_of("UTC"), 120))
    assert "not counted again" in text
    assert "a kind that the policy does not know" in text


def test_labels_of_one_row_do_not_overlap_and_those_that_find_no_place_are_counted(tmp_path: Path) -> None:
    assert fitted([(0, 2), (1, 3), (2, 4), (2.5, 3)], 2) == [0, 1, 0, None]
    story = story_of_case(tmp_path, "10_three_months", "three months")
    day_ms = 86_400_000
    placed, without = labels(story, lambda at_ms, text: (at_ms, at_ms + len(text) * day_ms), 4)
    assert without > 0
    for row in range(4):
        own = [label for label in placed if label.row == row]
        assert all(a.at_ms + len(a.text) * day_ms <= b.at_ms for a, b in pairwise(own))
    assert labels(story, lambda at_ms, _: (at_ms, at_ms), 40)[1] == 0


def test_rows_of_clocks_and_alerts_have_names(tmp_path: Path) -> None:
    story = story_of_case(tmp_path, "10_three_months", "three months")
    assert "resolution · K-77" in dict(bar_rows(bars(story), story.until_ms))
    assert {"band_entered", "clock_breached · first_response"} <= set(dict(lines(story)))


@pytest.mark.parametrize(
    ("name", "case"),
    [("01_one_hour", "nothing arrives"), ("10_three_months", "three months"), ("14_passed_around", "within one case")],
)
def test_the_picture_is_drawn_without_a_warning(tmp_path: Path, name: str, case: str) -> None:
    from pipelines.cli.explain.picture import draw

    story = story_of_case(tmp_path, name, case)
    for suffix in ("png", "svg"):
        for path in (tmp_path / f"1.{suffix}", tmp_path / f"2.{suffix}"):
            draw(story, zone_of("Europe/Istanbul"), path)
        assert (tmp_path / f"1.{suffix}").read_bytes() == (tmp_path / f"2.{suffix}").read_bytes()
    assert (tmp_path / "1.png").read_bytes()[:4] == b"\x89PNG"
    assert ET.parse(tmp_path / "1.svg").getroot().tag.endswith("svg")  # noqa: S314 - it is ours


def test_the_heat_over_time_adds_up_to_that_of_the_score(tmp_path: Path) -> None:
    from pipelines.cli.explain.heats import heat_curve
    from pipelines.cli.explain.panels import curve

    story = story_of_case(tmp_path, "14_passed_around", "within one case")
    at_ms, counted = heat_curve(story)
    times, scores, _ = curve(story)
    heat = np.maximum(counted.sum(axis=1), 0.0)
    assert (times == at_ms).all()
    assert scores == pytest.approx(-100.0 * np.expm1(-heat / story.policy.scale[story.last.segment]), abs=1e-9)


def test_a_customer_with_one_interaction_and_a_strange_name_is_drawn(tmp_path: Path) -> None:
    name = "$İğne_{x}$ 三 🙂"
    one = {"customer_id": name, "kind": "form.failed", "occurred_at": START_MS}
    events = written(tmp_path / "a.jsonl", [one])
    out = tmp_path / "a.png"
    assert exit_code(["explain", name, "--events", str(events), "--out", str(out)]) == ExitCode.DONE
    assert out.stat().st_size > 10_000


def test_the_command_tells_a_story_and_which_rows_it_could_not_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {"customer_id": "ayşe", "kind": "form.failed", "occurred_at": START_MS, "channel": "web"}
    events = tmp_path / "a.jsonl"
    events.write_text(f"{json.dumps(good)}\n{{\n{json.dumps({**good, 'kind': ''})}\n", "utf-8")
    more = written(tmp_path / "b.jsonl", [{**good, "occurred_at": START_MS + 60_000}])
    assert exit_code(["explain", "ayşe", "--events", str(events), str(more)]) == ExitCode.DONE
    said = capsys.readouterr()
    assert "ayşe: score" in said.out
    assert said.out.count("form.failed · web") == 2
    assert "a.jsonl:2 is rejected" in said.err
    assert "a.jsonl:3 is rejected: kind is missing" in said.err


def test_as_json_it_is_one_object_with_every_revision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events, policy, _, until_ms = of_scenario(
        tmp_path, FILES["01_one_hour"], FILES["01_one_hour"].cases["nothing arrives"]
    )
    arguments = ["explain", "Zeynep", str(events), "--policy", str(policy), "--until", time_text(until_ms), "--json"]
    assert exit_code(arguments) == ExitCode.DONE
    said = json.loads(capsys.readouterr().out)
    assert (said["customer_id"], said["interactions"], said["until"]) == ("Zeynep", 1, time_text(until_ms))
    told = [
        (m["at"][11:16], a["type"], a["status"], a["raised_at"][11:16]) for m in said["moments"] for a in m["alerts"]
    ]
    assert told[:3] == [
        ("10:45", "clock_warning", "opened", "10:45"),
        ("11:00", "clock_warning", "escalated", "11:00"),
        ("11:00", "clock_breached", "opened", "11:00"),
    ]
    assert said["open_clocks"][0]["breached"] is True


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["ayse"], "no interaction of customer 'ayse' among those of 2 customers; did you mean ayşe?"),
        (["Sukru Yildiz"], "did you mean Şükrü Yıldız?"),
        (["nobody at all"], "no interaction of customer 'nobody at all' among those of 2 customers"),
        (["ayşe", "--to", "2026-01-01T00:00:00Z"], "2 interactions are outside of --from and --to"),
        (["ayşe", "--zone", "Mars/Base"], "--zone: must be UTC, local or an IANA zone"),
        (["ayşe", "--out", "a.pdf"], "--out: must end with .png or .svg, got 'a.pdf'"),
        (["ayşe", "--out", "absent/a.png"], "--out: absent/a.png cannot be written"),
        (["ayşe", "--out", "/proc/a.png"], "--out: /proc/a.png cannot be written: No such file or directory"),
        (["ayşe", "--until", "tomorrow"], "--until: needs a time with an offset"),
        (["ayşe", "--policy", "absent.yaml"], "the policy absent.yaml cannot be read"),
    ],
)
def test_what_is_asked_wrongly_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, more: list[str], said: str
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    rows = [{"customer_id": who, "kind": "form.failed", "occurred_at": START_MS} for who in ("ayşe", "Şükrü Yıldız")]
    events = written(tmp_path / "a.jsonl", rows)
    assert exit_code(["explain", *more, "--events", str(events)]) == ExitCode.USAGE
    assert said in capsys.readouterr().err


def test_without_files_it_says_how_they_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["explain", "ayşe"]) == ExitCode.USAGE
    assert "--events: names no file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ms", "said"),
    [(0, "0 s"), (12_000, "12 s"), (2_700_000, "45 min"), (5_400_000, "1 h 30 min"), (273_600_000, "3 d 4 h")],
)
def test_durations_are_told_by_their_two_largest_units(ms: int, said: str) -> None:
    assert span_text(ms) == said


def test_times_that_come_twice_are_told_apart() -> None:
    berlin, hour_ms = zone_of("Europe/Berlin"), 3_600_000
    first_ms = 1_792_888_200_000  # 2026-10-25T00:30:00Z
    assert [berlin.clock(first_ms + n * hour_ms) for n in range(3)] == ["02:30 CEST", "02:30 CET", "03:30 CET"]
    assert berlin.full(first_ms - 24 * hour_ms) == "Sat 2026-10-24 02:30"


def test_times_can_be_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Istanbul")
    assert zone_of("local").full(START_MS) == "Mon 2026-09-21 17:13:20"
    assert zone_of("utc").near(START_MS, START_MS + HOUR_MS) == "14:13:20"


def test_a_picture_ends_soon_after_the_last_moment_and_not_with_what_others_did(tmp_path: Path) -> None:
    story = story_of_case(tmp_path, "16_the_promise", "done in time")
    last_ms = story.moments[-1].at_ms
    later = replace(story, until_ms=last_ms + 90 * 24 * HOUR_MS)
    assert HOUR_MS <= later.shown_ms - last_ms < 24 * HOUR_MS
    assert replace(story, until_ms=last_ms + 1).shown_ms == last_ms + 1
