"""How customers want to be contacted: what they say, and alerts that obey it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.alerts.alert import Alert, alert_columns
from pipelines.alerts.preferences import KnownPreferences, Preferences, hours_of, quiet_until
from pipelines.alerts.tables import AlertTable
from pipelines.policy.policy import Policy, parse_policy
from tests.batches import BEGIN_MS, MINUTE_MS, batch_of, event
from tests.desk import FULL, FULL_TEXT, Run, plain

ISTANBUL, BERLIN = ZoneInfo("Europe/Istanbul"), ZoneInfo("Europe/Berlin")


def ms(text: str, zone: ZoneInfo = ISTANBUL) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def alert(raised_ms: int = 0, **fields: Any) -> Alert:
    made = Alert("id", 1, "clock_warning", "opened", "ana", raised_ms, "", "", channel="web", suggested_action="Call.")
    return made._replace(**fields)


def known(policy: Policy = FULL, **attributes: str) -> KnownPreferences:
    preferences = KnownPreferences(policy)
    preferences.take("ana", attributes, 1)
    return preferences


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("22:00-08:00", (1320, 480)),
        ("9:30 - 12:00", (570, 720)),
        ("22:00-24:00", (1320, 0)),
        ("00:00-24:00", None),
        ("08:00-08:00", None),
        ("24:30-08:00", None),
        ("22-8", None),
        ("", None),
    ],
)
def test_quiet_hours_are_read(text: str, hours: tuple[int, int] | None) -> None:
    assert hours_of(text) == hours


@pytest.mark.parametrize(
    ("hours", "at", "until"),
    [
        ("22:00-08:00", "2026-03-02 21:59:59", None),
        ("22:00-08:00", "2026-03-02 22:00", "2026-03-03 08:00"),
        ("22:00-08:00", "2026-03-03 07:59:59", "2026-03-03 08:00"),
        ("22:00-08:00", "2026-03-03 08:00", None),
        ("12:00-13:00", "2026-03-02 12:30", "2026-03-02 13:00"),
        ("12:00-13:00", "2026-03-02 13:00", None),
        ("22:00-24:00", "2026-02-28 23:00", "2026-03-01 00:00"),
    ],
)
def test_quiet_hours_end_by_the_clock_of_the_policy(hours: str, at: str, until: str | None) -> None:
    quiet = hours_of(hours)
    assert quiet is not None
    assert quiet_until(quiet, ms(at), ISTANBUL) == (None if until is None else ms(until))


def test_quiet_hours_end_when_the_clock_says_so_also_in_the_night_in_which_it_changes() -> None:
    night = ms("2026-03-28 23:00", BERLIN)
    assert quiet_until((1320, 480), night, BERLIN) == night + 8 * 3_600_000
    put_forward = int(datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp() * 1000)  # from 2:00 to 3:00, over 2:30
    assert quiet_until((1320, 150), night, BERLIN) == put_forward
    assert quiet_until((1320, 150), put_forward - 1, BERLIN) == put_forward
    assert quiet_until((1320, 150), put_forward, BERLIN) is None
    first = int(datetime(2026, 10, 25, 0, 10, tzinfo=UTC).timestamp() * 1000)  # 2:10, which comes again an hour later
    assert quiet_until((1320, 150), first, BERLIN) == first + 20 * 60_000
    assert quiet_until((1320, 150), first + 3_600_000, BERLIN) == first + 80 * 60_000
    assert quiet_until((1320, 150), first + 20 * 60_000, BERLIN) is None


def test_who_does_not_want_to_be_contacted_is_not() -> None:
    told = known(do_not_contact="true", quiet_hours="22:00-08:00").obeyed(alert(ms("2026-03-02 23:00")))
    assert (told.do_not_contact, told.not_before_ms, told.channel) == (True, None, "web")
    assert told.suggested_action == "Do not contact the customer. What would be done otherwise: Call."


def test_in_quiet_hours_it_is_said_from_when_on() -> None:
    told = known(quiet_hours="22:00-08:00", preferred_channel="e-posta").obeyed(alert(ms("2026-03-02 23:00")))
    assert (told.do_not_contact, told.not_before_ms, told.channel) == (False, ms("2026-03-03 08:00"), "e-posta")
    assert told.suggested_action == "Not before 2026-03-03 08:00 +03: Call."
    day = known(quiet_hours="22:00-08:00").obeyed(alert(ms("2026-03-02 12:00")))
    assert (day.not_before_ms, day.suggested_action) == (None, "Call.")


def test_what_is_over_asks_for_nothing_and_others_are_not_meant() -> None:
    preferences = known(do_not_contact="yes", quiet_hours="22:00-08:00")
    over = preferences.obeyed(alert(ms("2026-03-02 23:00"), status="resolved", suggested_action=None))
    assert (over.suggested_action, over.not_before_ms, over.do_not_contact) == (None, None, True)
    other = alert(customer_id="çağla")
    assert preferences.obeyed(other) is other
    incident = alert(customer_id=None)
    assert preferences.obeyed(incident) is incident


def test_it_is_said_in_the_words_of_the_policy() -> None:
    turkish = parse_policy(FULL_TEXT + "wording: {language: tr}\n", "tr.yaml")
    told = known(turkish, do_not_contact="1").obeyed(alert())
    assert (told.suggested_action or "").startswith("Müşteriyle iletişime geçmeyin.")
    own = parse_policy(FULL_TEXT + "wording: {templates: {do_not_contact: 'Hands off! ({action})'}}\n", "own.yaml")
    assert known(own, do_not_contact="1").obeyed(alert()).suggested_action == "Hands off! (Call.)"


def test_the_newest_word_on_each_counts_and_silence_changes_nothing() -> None:
    said, _ = Preferences().said({"do_not_contact": "true", "preferred_channel": "phone"}, 10)
    said, _ = said.said({"do_not_contact": "false", "quiet_hours": "22:00-08:00"}, 5)
    assert (said.refuses, said.quiet, said.channel) == (True, (1320, 480), "phone")
    said, bad = said.said({"do_not_contact": "false", "quiet_hours": "none", "preferred_channel": ""}, 20)
    assert (said.refuses, said.quiet, said.channel, bad) == (False, None, None, 0)


def test_what_cannot_be_read_is_counted_and_changes_nothing() -> None:
    preferences = known(quiet_hours="22:00-08:00")
    preferences.take("ana", {"quiet_hours": "at night", "do_not_contact": "perhaps"}, 2)
    assert preferences.bad == 2
    assert preferences.obeyed(alert(ms("2026-03-02 23:00"))).not_before_ms == ms("2026-03-03 08:00")


def test_a_customer_says_it_and_the_next_alert_obeys_it_after_a_restart_too() -> None:
    wish = plain("customer.preferences", 1, attributes={"do_not_contact": "true", "preferred_channel": "chat"})
    run = Run().apply(plain("feedback.given", 0, rating=2.0), wish).restart().advance(45 * MINUTE_MS)
    told = run.last("clock_warning")
    assert (told.do_not_contact, told.channel) == (True, "chat")
    assert run.core.desk.take_changes() == []


def test_it_counts_from_when_it_was_said_on() -> None:
    wish = plain("customer.preferences", 46 * MINUTE_MS, attributes={"do_not_contact": "true"})
    run = Run()
    run.apply(plain("feedback.given", 0, rating=2.0), wish).advance(60 * MINUTE_MS)
    assert [(a.status, a.do_not_contact) for a in run.alerts if a.type == "clock_warning"] == [
        ("opened", False), ("escalated", True),
    ]  # fmt: skip


def test_a_customer_who_is_forgotten_is_still_not_called() -> None:
    wish = plain("customer.preferences", 0, attributes={"do_not_contact": "true"})
    run = Run().apply(wish).restart()
    late_ms = 200 * 24 * 60 * MINUTE_MS
    run.advance(late_ms)
    assert run.core.take_changes().forgotten == [b"ana"]
    run.alerts.clear()
    run.apply(*[event("order.wrong", BEGIN_MS + late_ms + n, event_id=f"{n}") for n in range(2)])
    assert [(a.type, a.do_not_contact) for a in run.alerts] == [("band_entered", True)]


def test_a_batch_without_details_asks_nothing() -> None:
    short = parse_policy((Path(__file__).parents[2] / "schemas/policy/three.yaml").read_text("utf-8"), "three.yaml")
    run = Run(short)
    run.core.apply(batch_of([plain("customer.preferences", 0, attributes={"do_not_contact": "true"})]))
    assert len(run.core.desk.preferences) == 0


WISHES = st.fixed_dictionaries(
    {},
    optional={
        "do_not_contact": st.sampled_from(["true", "false"]),
        "quiet_hours": st.sampled_from(["22:00-08:00", "00:00-12:00"]),
        "preferred_channel": st.sampled_from(["telefon", "chat", "e-posta ✉"]),
    },
)
TOLD = st.builds(
    alert,
    st.integers(ms("2026-03-02 00:00"), ms("2026-03-03 00:00")),
    customer_id=st.sampled_from(["ana", "çağla", "bob"]),
    status=st.sampled_from(["opened", "escalated", "resolved", "retracted"]),
    channel=st.sampled_from([None, "web", "mağaza"]),
    suggested_action=st.sampled_from([None, "Call.", "Özür dile."]),
)


@given(st.dictionaries(st.sampled_from(["ana", "çağla"]), WISHES), st.lists(TOLD, max_size=6))
def test_a_table_obeys_as_each_of_its_alerts_does(wishes: dict[str, dict[str, str]], alerts: list[Alert]) -> None:
    preferences = KnownPreferences(FULL)
    for customer, wish in wishes.items():
        preferences.take(customer, wish, 1)
    table = AlertTable(len(alerts), alert_columns(alerts))
    places = np.arange(len(alerts))
    assert preferences.obeyed_table(table, places).alerts() == [preferences.obeyed(one) for one in alerts]
