"""The tables as the engine has them: migrated once, exact under repeated inserts, scores as of now."""

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import exp
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from connectors.clickhouse.client import connect
from connectors.clickhouse.connection import ClickHouseConnection
from connectors.clickhouse.migrations import migrate, migrations
from schemas.errors import SchemaIncompatible

NOW = datetime.now(UTC).replace(microsecond=0)
ORIGIN = ["_topic", "_partition", "_offset", "_appended_at"]


@pytest.fixture
def database(clickhouse: ClickHouseConnection) -> ClickHouseConnection:
    connection = clickhouse.model_copy(update={"database": f"d{uuid.uuid4().hex[:10]}"})
    migrate(connection)
    return connection


@pytest.fixture
def client(database: ClickHouseConnection) -> Iterator[Client]:
    client = connect(database)
    yield client
    client.close()


def test_migrating_twice_is_migrating_once(clickhouse: ClickHouseConnection) -> None:
    connection = clickhouse.model_copy(update={"database": f"d{uuid.uuid4().hex[:10]}"})
    assert migrate(connection) == [migration.name for migration in migrations()]
    client = connect(connection)
    tables = client.query("SHOW TABLES").result_rows
    assert migrate(connection) == []
    assert client.query("SHOW TABLES").result_rows == tables


def test_a_migration_that_was_cut_short_is_applied_again(database: ClickHouseConnection, client: Client) -> None:
    client.command("DELETE FROM schema_migrations WHERE name = '003_customer_friction.sql'")
    assert migrate(database) == ["003_customer_friction.sql"]


def test_an_applied_migration_that_has_changed_is_an_error_that_names_it(
    database: ClickHouseConnection, client: Client
) -> None:
    client.command("DELETE FROM schema_migrations WHERE name = '001_interactions.sql'")
    client.insert("schema_migrations", [["001_interactions.sql", "0" * 64]], column_names=["name", "checksum"])
    with pytest.raises(SchemaIncompatible, match=r"001_interactions\.sql has changed"):
        migrate(database)


def score(
    client: Client, offset: int, *, seconds_ago: float, heats: list[tuple[str, float, float, float, float]]
) -> None:
    scored_at = NOW - timedelta(seconds=seconds_ago)
    client.insert(
        "friction_scores",
        [["ada", scored_at, 50.0, "hot", 10.0, 20.0, heats, 3, "friction.scores", 0, offset, NOW]],
        column_names=[
            *("customer_id", "scored_at", "score", "band", "heat", "scale", "contributions", "interactions"),
            *ORIGIN,
        ],
    )


def test_the_last_published_score_stands_however_often_and_in_whatever_order_it_arrives(client: Client) -> None:
    for offset in (7, 9, 8, 9, 7):
        score(client, offset, seconds_ago=0, heats=[("wait", float(offset), 60.0, 100.0, 0.0)])
    assert client.query("SELECT customer_id, _offset FROM customer_friction FINAL").result_rows == [("ada", 9)]
    assert client.query("SELECT _offset FROM friction_scores FINAL ORDER BY _offset").result_rows == [(7,), (8,), (9,)]


def test_scores_as_of_now_decay_each_heat_that_no_case_holds_with_its_own_half_life_and_cap(client: Client) -> None:
    heats = [("wait", 40.0, 3600.0, 15.0, 0.0), ("form", 8.0, 1800.0, 100.0, 3.0), ("relief", -2.0, 3600.0, 100.0, 0.0)]
    run_s = (datetime.now(UTC) - NOW).total_seconds()  # the tests before this one take minutes
    score(client, 1, seconds_ago=3600 - run_s, heats=heats)
    [(now, heat, contributions, age_s)] = client.query(
        "SELECT score_now, heat_now, heats_now, age_s FROM customer_friction_now"
    ).result_rows
    assert 3600 <= age_s < 3600 + 300
    expected = {"wait": 15.0, "form": 3 + 5 * 2 ** (-age_s / 1800), "relief": -2 * 2 ** (-age_s / 3600)}
    assert {each["signal"]: each["heat"] for each in contributions} == pytest.approx(expected)
    assert heat == pytest.approx(sum(expected.values()))
    assert now == pytest.approx(100 * (1 - exp(-heat / 20)))


def test_relief_alone_is_no_negative_score(client: Client) -> None:
    score(client, 1, seconds_ago=10, heats=[("relief", -5.0, 3600.0, 100.0, 0.0)])
    assert client.query("SELECT score_now FROM customer_friction_now").result_rows == [(0.0,)]


def test_the_highest_revision_of_a_window_stands(client: Client) -> None:
    names = ["touchpoint", "channel", "window_start", "window_end", "revision", "offered", *ORIGIN]
    for revision in (2, 3, 1, 3):
        row = ["call", "phone", NOW, NOW + timedelta(minutes=5), revision, revision * 10, "w", 0, revision, NOW]
        client.insert("wait_windows", [row], column_names=names)
    assert client.query("SELECT revision, offered FROM wait_windows FINAL").result_rows == [(3, 30)]


def test_every_revision_of_an_alert_is_kept_and_the_standing_ones_are_seen(client: Client) -> None:
    names = ["alert_id", "revision", "type", "status", "raised_at", "reason", *ORIGIN]
    told = [("a", 1, "opened"), ("a", 2, "resolved"), ("b", 1, "opened"), ("b", 2, "escalated"), ("b", 2, "escalated")]
    for offset, (alert_id, revision, status) in enumerate(told):
        row = [alert_id, revision, "band_entered", status, NOW, "why", "alerts", 0, offset, NOW]
        client.insert("friction_alerts", [row], column_names=names)
    assert client.query("SELECT count() FROM friction_alerts FINAL").result_rows == [(4,)]
    assert client.query("SELECT alert_id, revision FROM friction_alerts_latest ORDER BY 1").result_rows == [
        ("a", 2),
        ("b", 2),
    ]
    assert client.query("SELECT alert_id, status FROM friction_alerts_standing").result_rows == [("b", "escalated")]
    assert client.query("SELECT alert_id FROM friction_alerts_latest WHERE status = 'opened'").result_rows == []


def test_every_query_of_the_documentation_runs(client: Client) -> None:
    text = (Path(__file__).parents[2] / "docs" / "clickhouse.md").read_text("utf-8")
    queries = re.findall(r"```sql\n(.*?);\n```", text, re.DOTALL)
    assert len(queries) >= 4
    for query in queries:
        assert client.query(query).result_rows == []
