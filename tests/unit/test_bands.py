"""Band alerts: opened, escalated, resolved, and opened again within the cooldown; each revision once."""

import io
import json
import uuid
from itertools import pairwise
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings

from pipelines.alerts.alert import Alert, alert_columns, alert_id
from pipelines.alerts.tables import encoded
from pipelines.partition import CustomerPartition
from pipelines.policy.policy import parse_policy
from schemas.columnar.writer import ColumnarWriter
from schemas.topics import avro_schema
from schemas.wire import frame_header
from tests.batches import BEGIN_MS, MINUTE_MS, POLICY, POLICY_TEXT, Step, Tick, batch_of, event, journeys
from tests.desk import FULL, Run, plain

SCORE = fastavro.parse_schema(json.loads(avro_schema("score")))


def alerts_of(*steps: Step, policy_text: str = POLICY_TEXT) -> list[Alert]:
    core = CustomerPartition(0, 1, parse_policy(policy_text, "policy.yaml"))
    told: list[Alert] = []
    for step in steps:
        told += core.advance(step.to_ms) if isinstance(step, Tick) else core.apply(batch_of([step])).alerts
    return told


def in_short(alerts: list[Alert]) -> list[tuple[str, int, str | None]]:
    return [(a.status, a.revision, a.band) for a in alerts]


def test_an_alert_is_opened_escalated_and_resolved() -> None:
    returns = [event("return.requested", BEGIN_MS + n) for n in range(3)]
    failures = [event("form.failed", BEGIN_MS + 10 + n) for n in range(2)]
    alerts = alerts_of(*returns, *failures, Tick(BEGIN_MS + 86_400_000))
    assert in_short(alerts) == [("opened", 1, "hot"), ("escalated", 2, "breaking"), ("resolved", 3, "warm")]
    assert len({a.alert_id for a in alerts}) == 1
    assert [a.priority for a in alerts] == [2, 1, 3]
    assert [a.suggested_action for a in alerts] == ["Call the customer.", "Call the customer now.", None]
    assert [a.touchpoint for a in alerts] == ["shop", "shop", None]
    assert alerts[2].score == pytest.approx(35, abs=0.01)
    assert alerts[2].reason == "The friction has cooled down to 35 of 100 (warm)."
    assert alerts[1].reason == "The friction is 82 of 100 (breaking), made of return 27, form failure 8."


def test_the_reason_is_told_in_the_language_of_the_policy_or_in_words_of_its_own() -> None:
    steps: list[Step] = [*[event("return.requested", BEGIN_MS + n) for n in range(3)], Tick(BEGIN_MS + 86_400_000)]
    turkish = alerts_of(*steps, policy_text=POLICY_TEXT + "wording: {language: tr}\n")
    assert [a.reason for a in turkish] == [
        "Müşterinin yaşadığı zorluk 100 üzerinden 59 (hot); nedeni: return 18.",
        "Müşterinin yaşadığı zorluk 100 üzerinden 35 düzeyine indi (warm).",
    ]
    own = "wording: {templates: {band_entered.resolved: '{band} again.', band_entered: '{made_of}: {score}'}}\n"
    assert [a.reason for a in alerts_of(*steps, policy_text=POLICY_TEXT + own)] == ["return 18: 59", "warm again."]


def test_an_interaction_that_leads_over_two_bands_opens_one_alert() -> None:
    many = POLICY_TEXT.replace("weight: 9,", "weight: 30,")
    assert in_short(alerts_of(event("return.requested", BEGIN_MS), policy_text=many)) == [("opened", 1, "breaking")]


def test_decay_over_several_bands_resolves_once_at_the_bound_of_the_lowest_that_alerts() -> None:
    alerts = alerts_of(*[event("return.requested", BEGIN_MS + n) for n in range(5)], Tick(BEGIN_MS + 10**9))
    assert in_short(alerts) == [("opened", 1, "hot"), ("escalated", 2, "breaking"), ("resolved", 3, "warm")]


def test_what_time_resolves_and_what_the_next_interaction_resolves_is_the_same() -> None:
    returns = [event("return.requested", BEGIN_MS + n) for n in range(3)]
    late_ms = BEGIN_MS + 86_400_000
    assert alerts_of(*returns, Tick(late_ms)) == alerts_of(*returns, event("newsletter.read", late_ms))


@pytest.mark.parametrize(("after_ms", "same"), [(0, True), (5 * MINUTE_MS, True), (5 * MINUTE_MS + 1, False)])
def test_within_the_cooldown_the_alert_goes_on_and_after_it_a_new_one_is_opened(after_ms: int, same: bool) -> None:
    returns = [event("return.requested", BEGIN_MS + n) for n in range(3)]
    opened, resolved = alerts_of(*returns, Tick(BEGIN_MS + 86_400_000))
    again = [event("return.requested", resolved.raised_ms + after_ms) for _ in range(2)]
    *_, last = alerts_of(*returns, *again)
    assert (last.status, last.raised_ms) == ("opened", resolved.raised_ms + after_ms)
    assert (last.alert_id == opened.alert_id) is same
    assert last.revision == (3 if same else 1)


@pytest.mark.parametrize("passed_ms", [0, 10 * MINUTE_MS, 17 * MINUTE_MS])
def test_what_comes_later_than_it_can_be_corrected_may_lead_into_a_band(passed_ms: int) -> None:
    run = Run().apply(plain("return.requested", 30_000, segment="loyal")).advance(passed_ms)
    assert run.core.rows.band[0] == 0
    run.apply(plain("wait.measured", 0, segment="loyal", duration_ms=25 * MINUTE_MS, attributes={"stage": "queue"}))
    assert run.core.policy.band_names[run.core.rows.band[0]] == "hot"


def test_the_id_is_that_of_the_customer_and_the_episode() -> None:
    (opened,) = alerts_of(*[event("return.requested", BEGIN_MS + n, customer_id="çağla") for n in range(3)])
    # opened by the second one
    namespace = uuid.UUID("5c0b7a52-4a53-5e0f-9a0c-6f1d2c8e7b11")
    wanted = uuid.uuid5(namespace, f"band_entered\x1fçağla\x1f{BEGIN_MS + 1}")
    assert opened.alert_id == alert_id("band_entered", "çağla", BEGIN_MS + 1) == str(wanted)


def test_an_alert_names_the_touchpoint_and_channel_of_the_interaction_that_raised_it() -> None:
    *_, alert = alerts_of(
        event("return.requested", BEGIN_MS, touchpoint="mağaza", channel="store"),
        event("return.requested", BEGIN_MS + 3, touchpoint="ödeme", channel=""),
    )
    assert (alert.touchpoint, alert.channel) == ("ödeme", "")


def test_contributions_are_in_descending_capped_heat_and_ties_by_name() -> None:
    text = POLICY_TEXT.replace("weight: 7.5", "weight: 9")
    steps = [event(kind, BEGIN_MS) for kind in ("return.requested", "return.requested", "form.failed")]
    (alert,) = alerts_of(*steps, policy_text=text.replace("cap: 30}", "cap: 9}"))
    assert [(c.signal, c.heat, c.cap) for c in alert.contributions] == [("form_failure", 9, 20), ("return", 18, 9)]


def test_contributions_say_what_of_the_heat_open_cases_hold() -> None:
    run = Run().apply(
        plain("contact.opened", 0, case_id="ç1"), plain("order.wrong", 1, case_id="ç1"), plain("order.wrong", 2),
        plain("order.wrong", 3),
    )  # fmt: skip
    (told,) = [part for alert in run.alerts if alert.type == "band_entered" for part in alert.contributions]
    assert told.signal == "wrong_order"
    assert told.heat == pytest.approx(50)
    assert told.held == 25
    scores = run.core.take_changes().scores
    record = ColumnarWriter(avro_schema("score"), 7).write(1, scores.columns(FULL))[0]
    (part,) = fastavro.schemaless_reader(io.BytesIO(record[len(frame_header(7)) :]), SCORE, None)["contributions"]
    assert (part["heat"], part["held"]) == (pytest.approx(75), 25)


def test_without_an_action_there_are_no_alerts() -> None:
    silent = POLICY_TEXT.replace(", action: Call the customer.", "").replace(", action: Call the customer now.", "")
    assert alerts_of(*[event("return.requested", BEGIN_MS + n) for n in range(9)], policy_text=silent) == []


@settings(max_examples=100, deadline=None)
@given(journeys())
def test_every_episode_is_told_as_opened_then_escalated_or_resolved_and_each_revision_once(steps: list[Step]) -> None:
    alerts = alerts_of(*steps)
    assert len({(a.alert_id, a.revision) for a in alerts}) == len(alerts)
    for episode in {a.alert_id for a in alerts}:
        told = [a for a in alerts if a.alert_id == episode]
        assert [a.revision for a in told] == list(range(1, len(told) + 1))
        assert told[0].status == "opened"
        follows = {"opened": {"escalated", "resolved"}, "escalated": {"escalated", "resolved"}, "resolved": {"opened"}}
        assert all(b.status in follows[a.status] for a, b in pairwise(told))


def avro(alert: Alert, emitted_ms: int) -> dict[str, Any]:
    record = {**alert._asdict(), "raised_at": alert.raised_ms, "emitted_at": emitted_ms}
    return {**record, "contributions": [c._asdict() for c in alert.contributions]}


@settings(max_examples=50, deadline=None)
@given(journeys())
def test_alerts_are_written_as_fastavro_writes_them(steps: list[Step]) -> None:
    schema = fastavro.parse_schema(json.loads(avro_schema("alert")))
    alerts = alerts_of(*steps)
    incident = Alert("id", 1, "touchpoint_incident", "opened", None, BEGIN_MS, "Çok müşteri bekliyor.", "abc")
    for some in ([], [*alerts, incident]):
        written = encoded(len(some), alert_columns(some), ColumnarWriter(avro_schema("alert"), 7), BEGIN_MS + 9)
        wanted = []
        for alert in some:
            out = io.BytesIO()
            fastavro.schemaless_writer(out, schema, avro(alert, BEGIN_MS + 9))
            wanted.append(frame_header(7) + out.getvalue())
        assert written == wanted
    assert all(alert.policy == POLICY.digest for alert in alerts)
