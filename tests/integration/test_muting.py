"""What an incident mutes: the views of ClickHouse say what the core says (pipelines/incidents/muting.py)."""

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.clickhouse.client import connect
from connectors.clickhouse.connection import ClickHouseConnection
from connectors.clickhouse.migrations import migrate
from pipelines.alerts.alert import Alert, Contribution, Status
from pipelines.incidents.muting import Muting
from schemas.panels import Span, expanded, panels

NOON_MS = 1_772_452_800_000
MINUTE_MS = 60_000


def band(about: str, revision: int, minute: int, status: Status = "opened", **fields: Any) -> Alert:
    signal = fields.pop("signal", "form_failure")
    parts = (Contribution(signal, 60.0, 3600.0, 90.0), Contribution("wait", 1.0, 3600.0, 90.0))
    made = Alert(about, revision, "band_entered", status, f"müşteri {about}", NOON_MS + minute * MINUTE_MS, "", "")
    return made._replace(touchpoint="form/promosyon", contributions=parts if signal else ())._replace(**fields)


def incident(about: str, revision: int, minute: int, status: Status = "opened", **fields: Any) -> Alert:
    made = Alert(about, revision, "touchpoint_incident", status, None, NOON_MS + minute * MINUTE_MS, "", "")
    return made._replace(touchpoint="form/promosyon", began_ms=NOON_MS, mutes=("form_failure",))._replace(**fields)


STORY = [
    band("before", 1, -1),
    band("first", 1, 0),
    incident("i", 1, 2),
    band("second", 1, 3, "escalated"),
    band("elsewhere", 1, 3, touchpoint="form/iade"),
    band("other cause", 1, 3, signal="wrong_order"),
    band("nothing known", 1, 3, signal=None),
    band("over", 1, 3),
    band("over", 2, 9, "resolved", touchpoint=None, contributions=()),
    band("goes on elsewhere", 1, 3),
    band("goes on elsewhere", 2, 5, "escalated", touchpoint="shop"),
    Alert("not a band", 1, "clock_breached", "opened", "x", NOON_MS + 3 * MINUTE_MS, "", "", "form/promosyon"),
    incident("silence", 1, 4, mutes=()),
    incident("mentions", 1, 4, touchpoint=None, subject="kargo"),
    incident("never", 1, 4, touchpoint="form/iade"),
    incident("never", 2, 5, "retracted", touchpoint="form/iade"),
]
ENDED = [*STORY, incident("i", 2, 20, "resolved"), band("late", 1, 21), band("second", 2, 22, "escalated")]


def muting_of(alerts: list[Alert]) -> Muting:
    muting = Muting()
    for alert in alerts:
        muting.take(alert)
    return muting


def test_what_says_the_same_again_is_muted_while_the_incident_stands() -> None:
    muting = muting_of(STORY)
    assert muting.muted() == {"first": "i", "second": "i"}
    assert muting.listed()["i"] == ("first", "second", "over", "goes on elsewhere")


def test_when_it_is_over_nothing_is_muted_and_the_list_stays() -> None:
    muting = muting_of(ENDED)
    assert muting.muted() == {}
    assert muting.listed()["i"] == ("first", "second", "over", "goes on elsewhere")


def some(seed: int) -> list[Alert]:
    """Alerts at random, the revisions of each in their order."""
    rng, alerts = random.Random(seed), []
    revisions: dict[str, int] = {}
    for minute in range(60):
        about = rng.choice("abcdefgh")
        revisions[about] = revisions.get(about, 0) + 1
        status: Any = rng.choice(["opened", "escalated", "escalated", "resolved"])
        place, signal = rng.choice(["form/promosyon", "form/iade"]), rng.choice(["form_failure", "wait"])
        alerts.append(band(about, revisions[about], minute, status, touchpoint=place, signal=signal))
        if rng.random() < 0.2:
            which = rng.choice("ij")
            revisions[which] = revisions.get(which, 0) + 1
            place = "form/promosyon" if which == "i" else "form/iade"
            began_ms = NOON_MS + rng.randrange(20) * MINUTE_MS
            status = rng.choice(["opened", "escalated", "resolved", "retracted"])
            alerts.append(incident(which, revisions[which], minute, status, touchpoint=place, began_ms=began_ms))
    return alerts


def rows(alerts: list[Alert]) -> tuple[list[str], list[list[Any]]]:
    def at(ms: int | None) -> datetime | None:
        return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)

    made = [
        {
            "alert_id": a.alert_id, "revision": a.revision, "type": a.type, "status": a.status,
            "customer_id": a.customer_id, "touchpoint": a.touchpoint, "subject": a.subject,
            "raised_at": at(a.raised_ms), "contributions": [tuple(c) for c in a.contributions],
            "began_at": at(a.began_ms), "mutes": [(signal,) for signal in a.mutes], "reason": "", "priority": 3,
            "policy": "", "held_back": False, "_topic": "friction.alerts", "_partition": 0, "_offset": n,
            "_appended_at": datetime.now(UTC),
        }
        for n, a in enumerate(alerts)
    ]  # fmt: skip
    return list(made[0]), [list(row.values()) for row in made]


@pytest.mark.parametrize("alerts", [STORY, ENDED, *map(some, range(8))], ids=lambda alerts: f"{len(alerts)} alerts")
def test_the_views_say_the_same(alerts: list[Alert], clickhouse: ClickHouseConnection) -> None:
    own = clickhouse.model_copy(update={"database": "muting"})
    migrate(own)
    client = connect(own)
    names, values = rows(alerts)
    client.command("TRUNCATE TABLE friction_alerts")
    for row in values:  # one by one: merges may come in between
        client.insert("friction_alerts", [row], column_names=names)
    muting = muting_of(alerts)
    assert dict(client.query("SELECT alert_id, incident_id FROM friction_alerts_muted").result_rows) == muting.muted()
    listed = client.query("SELECT incident_id, alert_id FROM friction_incident_alerts").result_rows
    assert sorted(listed) == sorted((i, a) for i, about in muting.listed().items() for a in about)
    standing = {a.alert_id: a.status in {"opened", "escalated"} for a in alerts}
    to_act_on = {row[0] for row in client.query("SELECT alert_id FROM friction_alerts_to_act_on").result_rows}
    assert to_act_on == {about for about, stands in standing.items() if stands} - muting.muted().keys()
    shown = client.query(expanded(panels()["alerts"].sql, Span(NOON_MS // 1000 - 3600, NOON_MS // 1000 + 7200, 60)))
    assert {row["alert_id"] for row in shown.named_results()} == standing.keys() - muting.muted().keys()
    client.close()
