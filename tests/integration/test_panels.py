"""What the panels answer, asked of the real engine with rows in it."""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from connectors.clickhouse.client import connect
from connectors.clickhouse.connection import ClickHouseConnection
from connectors.clickhouse.migrations import migrate
from pipelines.page.board import QUESTIONS, Question
from schemas.panels import Span, expanded, panels

DASHBOARD = Path(__file__).parents[2] / "deploy/grafana/dashboards/friction.json"
MINUTE = timedelta(minutes=1)
TURK = "Çağrı Işık"

Rows = Sequence[Mapping[str, Any]]


def insert(client: Any, table: str, rows: Rows, topic: str) -> None:
    """Rows with the columns that they name, behind one another on partition 0 of ``topic``."""
    placed = [{"_topic": topic, "_partition": 0, "_offset": n, **row} for n, row in enumerate(rows)]
    names = list(placed[0])
    client.insert(table, [[row[name] for name in names] for row in placed], column_names=names)


def database(clickhouse: ClickHouseConnection, name: str) -> ClickHouseConnection:
    own = clickhouse.model_copy(update={"database": name})
    migrate(own)
    return own


@pytest.fixture(scope="module")
def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def filled(clickhouse: ClickHouseConnection, now: datetime) -> Iterator[Any]:
    client = connect(database(clickhouse, "panels_filled"))
    hour_ago, minute_ago = now - 60 * MINUTE, now - MINUTE
    score = {"interactions": 3, "policy": "p", "segment": None, "_appended_at": now}
    insert(
        client,
        "friction_scores",
        [
            {  # an hour is the half-life: 20 is 10 now; 90 is 45, of which the cap leaves 30
                "customer_id": TURK,
                "scored_at": hour_ago,
                "score": 90.0,
                "band": "hot",
                "heat": 50.0,
                "scale": 40.0,
                "contributions": [("form_failure", 90.0, 3600.0, 30.0, 0.0), ("wait", 20.0, 3600.0, 60.0, 0.0)],
                **score,
            },
            {  # relief takes away more than there is: no friction
                "customer_id": "relieved",
                "scored_at": minute_ago,
                "score": 0.0,
                "band": "calm",
                "heat": 0.0,
                "scale": 40.0,
                "contributions": [("wait", 5.0, 1e9, 60.0, 0.0), ("resolved", -9.0, 1e9, 60.0, 0.0)],
                **score,
            },
            {  # cooled down since: 10,000 half-lives
                "customer_id": "forgotten",
                "scored_at": hour_ago,
                "score": 95.0,
                "band": "calm",
                "heat": 120.0,
                "scale": 40.0,
                "contributions": [("wait", 120.0, 0.36, 200.0, 0.0)],
                **score,
            },
            {  # told again: the last one stands
                "customer_id": "again",
                "scored_at": minute_ago,
                "score": 99.0,
                "band": "breaking",
                "heat": 200.0,
                "scale": 40.0,
                "contributions": [("wait", 200.0, 1e9, 200.0, 0.0)],
                **score,
            },
            {
                "customer_id": "again",
                "scored_at": minute_ago,
                "score": 22.1,
                "band": "warm",
                "heat": 10.0,
                "scale": 40.0,
                "contributions": [("return", 10.0, 1e9, 200.0, 0.0)],
                **score,
            },
        ],
        "friction.scores",
    )
    alert = {"type": "band_entered", "priority": 1, "policy": "p", "_appended_at": now}
    insert(
        client,
        "friction_alerts",
        [
            {"alert_id": "a", "revision": 1, "status": "opened", "customer_id": TURK, "touchpoint": "call",
             "raised_at": now - 9 * MINUTE, "band": "hot", "score": 61.04, "reason": "first", **alert},
            {"alert_id": "a", "revision": 2, "status": "resolved", "customer_id": TURK, "touchpoint": "call",
             "raised_at": now - 2 * MINUTE, "band": "warm", "score": 40.0, "reason": "second", **alert},
            {"alert_id": "b", "revision": 1, "status": "opened", "customer_id": None, "touchpoint": "checkout",
             "raised_at": now - 5 * MINUTE, "band": None, "score": None, "reason": "form", **alert},
        ],
        "friction.alerts",
    )  # fmt: skip
    teamed = {"type": "clock_warning", "team": "iade", "raised_at": now - 200 * MINUTE, "reason": "", "priority": 3,
              "policy": "p", "revision": 1, "status": "opened", "_appended_at": now}  # fmt: skip
    insert(
        client,
        "friction_alerts",
        [
            {"alert_id": "c", "deadline": now - 100 * MINUTE, "held_back": False, **teamed},
            {"alert_id": "d", "deadline": None, "held_back": True, **teamed},
            {"alert_id": "e", "deadline": now - 190 * MINUTE, "held_back": True, **teamed},
            {"alert_id": "e", "deadline": now - 190 * MINUTE, "held_back": False, **teamed, "revision": 2},
            {"alert_id": "f", "deadline": None, "held_back": True, **teamed, "priority": 1, "team": "çözüm"},
        ],
        "friction.teams",
    )
    start = now.replace(minute=0, second=0) - 60 * MINUTE
    window = {"window_start": start, "window_end": start + 5 * MINUTE, "other_ends": 0, "wait_mean_ms": None,
              "final": False, "source_partitions": 1, "policy": "p", "_appended_at": now}  # fmt: skip
    insert(
        client,
        "wait_windows",
        [
            {"touchpoint": "call", "channel": "phone", "revision": 1, "offered": 9, "answered": 9, "abandoned": 0,
             "in_progress": 0, "wait_sum_ms": 999_000, "wait_max_ms": 999_000, **window},
            {"touchpoint": "call", "channel": "phone", "revision": 2, "offered": 4, "answered": 2, "abandoned": 1,
             "in_progress": 1, "wait_sum_ms": 90_000, "wait_max_ms": 61_500, **window},
            {"touchpoint": "call", "channel": "chat", "revision": 1, "offered": 1, "answered": 1, "abandoned": 0,
             "in_progress": 0, "wait_sum_ms": 10_000, "wait_max_ms": 10_000, **window},
            {"touchpoint": "store", "channel": "store", "revision": 1, "offered": 2, "answered": 0, "abandoned": 0,
             "in_progress": 2, "wait_sum_ms": 0, "wait_max_ms": 0, **window},
        ],
        "friction.waits",
    )  # fmt: skip
    interaction = {"customer_id": TURK, "kind": "wait.measured", "channel": "phone", "touchpoint": "call"}
    insert(
        client,
        "interactions",
        [
            {"event_id": str(n), "occurred_at": hour_ago, "_appended_at": now - 10 * MINUTE, **interaction}
            for n in range(30)
        ],
        "friction.interactions",
    )
    letter = {"source_topic": "friction.interactions", "stage": "value", "_appended_at": minute_ago}
    letters = [
        {"exception_class": "NotFramed", "exception_message": "no magic byte", "_offset": 0, **letter},
        {"exception_class": "NotFramed", "exception_message": "no magic byte", "_offset": 0, **letter},  # landed twice
        {"exception_class": "UnknownSchema", "exception_message": "id 7", "_offset": 1, **letter},
        {"exception_class": "UnknownSchema", "exception_message": "id 7", "_offset": 2, **letter},
    ]
    insert(client, "dead_letters", letters, "friction.dead_letters")
    yield client
    client.close()


@pytest.fixture(scope="module")
def empty(clickhouse: ClickHouseConnection) -> Iterator[Any]:
    client = connect(database(clickhouse, "panels_empty"))
    yield client
    client.close()


def ask(client: Any, panel: str, now: datetime, *, length: timedelta = 180 * MINUTE, interval_s: int = 60) -> Rows:
    to_s = int(now.timestamp()) + 1
    span = Span(to_s - int(length.total_seconds()), to_s, interval_s)
    return list(client.query(expanded(panels()[panel].sql, span)).named_results())


@pytest.mark.parametrize("number", range(len(panels())))
def test_every_statement_of_the_dashboard_answers_with_the_columns_that_it_declares(
    number: int, filled: Any, now: datetime
) -> None:
    drawn = json.loads(DASHBOARD.read_text("utf-8"))["panels"][number]
    (declared,) = [panel for panel in panels().values() if panel.title == drawn["title"]]
    to_s = int(now.timestamp()) + 1
    answer = filled.query(expanded(drawn["targets"][0]["rawSql"], Span(to_s - 14_400, to_s, 60)))
    assert list(answer.column_names) == list(declared.columns)
    assert answer.row_count > 0
    for column, of_type in zip(declared.columns.values(), answer.column_types, strict=True):
        is_time = of_type.name.removeprefix("Nullable(").startswith("DateTime")
        is_text = "String" in of_type.name
        assert (is_time, is_text) == (column.unit == "time", column.unit == "text"), (column.label, of_type.name)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: str(question.panel))
def test_the_page_gets_an_answer_from_tables_without_a_row(question: Question, empty: Any, now: datetime) -> None:
    rows = ask(empty, question.panel, now, length=timedelta(seconds=question.length_s))
    values = [value for row in rows for name, value in row.items() if name not in ("time", "landed")]
    assert not any(values), rows


def test_a_score_is_decayed_to_now_with_each_half_life_and_cap(filled: Any, now: datetime) -> None:
    rows = {row["customer_id"]: row for row in ask(filled, "highest_scores", now)}
    age_s = time.time() - (now.timestamp() - 3600)
    heat = 30 + 20 * 2 ** (-age_s / 3600)
    assert rows[TURK]["score"] == pytest.approx(100 * (1 - math.exp(-heat / 40)), abs=0.2)
    assert rows[TURK]["why"] == "form failure 75 %, wait 25 %"
    assert rows[TURK]["segment"] == ""


def test_only_customers_with_friction_are_listed_the_highest_first(filled: Any, now: datetime) -> None:
    assert [row["customer_id"] for row in ask(filled, "highest_scores", now)] == [TURK, "again"]


def test_a_customer_counts_once_in_the_band_of_the_last_score(filled: Any, now: datetime) -> None:
    assert ask(filled, "bands", now) == [{"breaking": 0, "hot": 1, "warm": 1, "calm": 2}]


def test_an_alert_is_listed_once_as_its_last_revision_left_it(filled: Any, now: datetime) -> None:
    told = [(row["alert_id"], row["status"], row["about"], row["reason"]) for row in ask(filled, "alerts", now)]
    assert told == [("a", "resolved", TURK, "second"), ("b", "opened", "checkout", "form")]


def test_a_team_sees_how_many_it_was_given_and_how_many_are_held_back_in_the_end(filled: Any, now: datetime) -> None:
    rows = ask(filled, "budgets", now, length=240 * MINUTE)
    hour = (now - 200 * MINUTE).replace(minute=0, second=0)
    told = [(row["hour"], row["team"], row["passed"], row["held_back"]) for row in rows]
    assert told == [(hour, "iade", 2, 1), (hour, "çözüm", 0, 1)]


def test_the_view_ranks_by_priority_and_time_left_within_team_and_hour(filled: Any) -> None:
    query = "SELECT team, place, alert_id, held_back FROM friction_alerts_ranked ORDER BY team, place"
    assert filled.query(query).result_rows == [
        ("iade", 1, "e", True), ("iade", 2, "c", False), ("iade", 3, "d", True), ("çözüm", 1, "f", True),
    ]  # fmt: skip


def test_alerts_outside_the_span_are_left_out(filled: Any, now: datetime) -> None:
    assert [row["alert_id"] for row in ask(filled, "alerts", now, length=3 * MINUTE)] == ["a"]


def test_the_mean_wait_weighs_ended_waits_of_the_last_revisions(filled: Any, now: datetime) -> None:
    rows = ask(filled, "wait_windows", now, interval_s=300)
    assert [(row["touchpoint"], row["mean_s"], row["longest_s"]) for row in rows] == [("call", 25.0, 61.5)]


def test_the_rate_is_per_second_and_has_no_holes(filled: Any, now: datetime) -> None:
    rows = ask(filled, "interaction_rate", now, length=20 * MINUTE, interval_s=10)
    times = [row["time"] for row in rows]
    assert {b - a for a, b in pairwise(times)} == {timedelta(seconds=10)}
    assert times[-1] <= now - timedelta(seconds=9), "an interval that is not over is left out"
    assert [row["per_s"] for row in rows if row["per_s"]] == [3.0]


def test_freshness_is_the_age_of_the_newest_row(filled: Any, now: datetime) -> None:
    ages = {row["landed"]: row["behind_s"] for row in ask(filled, "freshness", now)}
    passed_s = time.time() - now.timestamp()
    assert ages["interactions"] == pytest.approx(600 + passed_s, abs=1)
    assert ages["friction_scores"] == pytest.approx(passed_s, abs=1)


def test_a_table_without_a_row_has_no_age(empty: Any, now: datetime) -> None:
    assert {row["behind_s"] for row in ask(empty, "freshness", now)} == {None}


def test_a_dead_letter_that_was_landed_twice_counts_once(filled: Any, now: datetime) -> None:
    told = [(row["reason"], row["records"], row["example"]) for row in ask(filled, "dead_letters", now)]
    assert told == [("UnknownSchema", 2, "id 7"), ("NotFramed", 1, "no magic byte")]
