"""What is known beside the rows, of alerts, customers and budgets, comes back from the records of a checkpoint."""

import json
from dataclasses import replace

from pipelines.alerts.desk import DESK_KEYS
from pipelines.alerts.tables import Alerts
from pipelines.partition import CustomerPartition
from pipelines.policy.policy import Policy, parse_policy
from pipelines.state.layouts import signals_id
from pipelines.state.whole_rows import LAYOUT
from pipelines.worker.customer_records import POLICY, CustomerSnapshot, Messages
from pipelines.worker.customer_state import read_state
from schemas.topics import STATE
from tests.batches import MINUTE_MS
from tests.desk import FULL_TEXT, Run, mark, plain
from tests.unit.test_incident_worker import FORM, NAMES, Log, alerts_of

TEAMS = parse_policy(FULL_TEXT + "budgets: {teams: {iade: {per_hour: 1}}}\n", "teams.yaml")


def checkpoint(log: Log, core: CustomerPartition) -> None:
    """Write what has changed to the log."""
    changes = core.take_changes()
    policy = core.policy
    header = {
        "layout": LAYOUT, "partitions": 1, "advanced_ms": changes.advanced_ms, "watermark_ms": changes.watermark_ms,
        "signal_sets": {signals_id(policy.signal_names): list(policy.signal_names)},
    }  # fmt: skip
    texts: Messages = [{"key": POLICY + f"{core.form:08x}".encode(), "value": policy.text.encode()}]
    snapshot = CustomerSnapshot(
        replace(FORM, policy=policy), 0, changes, Alerts(), [], {"a": 1}, json.dumps(header).encode(), LAYOUT, texts,
        marks=False, emitted_ms=0,
    )  # fmt: skip
    log.write(snapshot.outgoing())


def restored(log: Log, policy: Policy) -> CustomerPartition:
    core = CustomerPartition(0, 1, policy)
    read_state(log, NAMES.of(STATE), core, cancelled=lambda: False)  # type: ignore[arg-type]
    return core


def test_it_comes_back_from_the_records_of_a_checkpoint() -> None:
    log, run = Log(), Run(TEAMS)
    run.apply(
        plain("feedback.given", 0, rating=2.0),
        plain("feedback.given", 1, rating=2.0, customer_id="çağla"),
        plain("customer.preferences", 2, attributes={"do_not_contact": "true"}),
    ).advance(46 * MINUTE_MS)
    passed, held = run.alerts
    assert (passed.held_back, held.held_back, passed.do_not_contact) == (False, True, True)
    run.apply(mark("dismissed", 47 * MINUTE_MS, passed.alert_id, reason="known"))
    checkpoint(log, run.core)
    stored = log.state[NAMES.of(STATE), 0]
    assert {key[:1] for key in stored} >= {*DESK_KEYS, b"c", b"h", b"p"}

    run.core = restored(log, TEAMS)
    run.apply(plain("feedback.given", MINUTE_MS, rating=2.0, customer_id="ipek"))  # late, but of the same hour
    assert [(a.customer_id, a.held_back) for a in run.alerts[3:]] == [("ipek", True)]
    run.advance(62 * MINUTE_MS)
    assert [a.handling for a in run.alerts if a.alert_id == passed.alert_id] == [None, "dismissed"]
    assert run.last("clock_breached").held_back
    breached = next(a for a in run.alerts if a.type == "clock_breached" and a.customer_id == "ana")
    assert (breached.do_not_contact, breached.held_back) == (True, False)


def test_what_is_gone_is_removed_from_the_records() -> None:
    log, run = Log(), Run(TEAMS)
    run.apply(plain("feedback.given", 0, rating=2.0)).advance(46 * MINUTE_MS)
    run.apply(mark("acknowledged", 47 * MINUTE_MS, run.last("clock_warning").alert_id))
    checkpoint(log, run.core)
    run.apply(plain("contact.replied", 50 * MINUTE_MS, attributes={"reply": "personal"})).advance(120 * MINUTE_MS)
    checkpoint(log, run.core)
    assert b"a" not in {key[:1] for key in log.state[NAMES.of(STATE), 0]}


def test_the_records_say_everything_that_an_alert_says() -> None:
    run = Run(TEAMS)
    run.apply(
        plain("feedback.given", 0, rating=2.0),
        plain("customer.preferences", 2, attributes={"quiet_hours": "00:00-23:59", "preferred_channel": "e-posta"}),
    ).advance(46 * MINUTE_MS)
    run.apply(mark("assigned", 47 * MINUTE_MS, run.last("clock_warning").alert_id, team="çözüm", assignee="İlke"))
    changes = run.core.take_changes()
    snapshot = CustomerSnapshot(
        replace(FORM, policy=TEAMS),
        0,
        changes,
        Alerts.of(run.alerts),
        [],
        {},
        b"{}",
        LAYOUT,
        [],
        marks=False,
        emitted_ms=0,
    )
    _, told = alerts_of(snapshot.outgoing())
    alert = run.last("clock_warning")
    names = ("team", "handling", "assignee", "handled_reason", "do_not_contact", "held_back", "channel", "revision")
    assert {name: told[name] for name in names} == {name: getattr(alert, name) for name in names}
    assert (told["team"], told["handling"], told["channel"]) == ("çözüm", "assigned", "e-posta")
    assert told["handled_at"].timestamp() * 1000 == alert.handled_ms
    assert told["not_before"].timestamp() * 1000 == alert.not_before_ms
    assert told["suggested_action"].startswith("Not before ")
