"""Incidents: many customers who fail at once are one alert; a few, or what is usual, are none."""

import itertools
import json
import random
import re
import time
from collections.abc import Sequence

import pytest

from pipelines.alerts.alert import Alert, alert_id
from pipelines.alerts.languages import TURKISH
from pipelines.incidents.alerts import Labels
from pipelines.incidents.watch import IncidentWatch
from pipelines.policy.incident_model import Incidents
from tests.incidents import INCIDENTS, NOON_MS, SECTION, SLOT_MS, Act, Crowd, Source, replayed

MINUTE_MS, HOUR_MS = 60_000, 3_600_000


def broken_form(seed: int = 1, *, hours: float = 3) -> list[Act]:
    """Scenario 5: 400 customers an hour, 2 % fail; from 12:00 on 60 of 75 fail within five minutes."""
    crowd = Crowd(seed)
    acts = crowd.acts(NOON_MS - int(hours * HOUR_MS), NOON_MS, per_hour=400, share=0.02)
    acts += crowd.exactly(NOON_MS, NOON_MS + 5 * MINUTE_MS, 75, 60)
    return acts + crowd.acts(NOON_MS + 5 * MINUTE_MS, NOON_MS + HOUR_MS, per_hour=400, share=0.02)


def short(alerts: Sequence[Alert]) -> list[tuple[str, int, str, int | None]]:
    return [(a.alert_id, a.revision, a.status, a.customers) for a in alerts]


def standing(alerts: Sequence[Alert]) -> list[tuple[str, int, int | None, tuple[str, ...]]]:
    """The last word on each alert that was not taken back."""
    last = {a.alert_id: a for a in alerts}.values()
    return [(a.status, a.raised_ms, a.customers, a.members) for a in last if a.status != "retracted"]


def test_a_broken_form_is_one_alert_with_its_customers_and_their_share() -> None:
    told = replayed(broken_form())
    assert {a.alert_id for a in told} == {
        alert_id("touchpoint_incident", "form", "form/promo", "failures", NOON_MS + SLOT_MS)
    }
    assert [a.status for a in told] == ["opened", "escalated", "escalated", "resolved"]
    assert [a.revision for a in told] == [1, 2, 3, 4]
    first, last = told[0], told[-1]
    assert (first.type, first.customer_id, first.touchpoint) == ("touchpoint_incident", None, "form/promo")
    assert last.customers is not None
    assert 60 <= last.customers <= 62  # with those whose usual failures lie in the first lookback
    assert len(set(last.members)) == last.customers
    assert last.share == pytest.approx(0.8, abs=0.02)
    assert re.search(r"usually (1\.9|2\.\d)%", first.reason)


def test_it_is_told_within_a_minute_of_the_event_that_shows_it() -> None:
    """The tenth customer who fails, with hardly one who does not: the rule is crossed."""
    acts = broken_form()
    failures = sorted(a.at_ms for a in acts if a.kind == "form.failed" and a.at_ms >= NOON_MS)
    (crossed,) = {a.raised_ms for a in replayed(acts) if a.status == "opened"}
    assert 0 <= crossed - failures[9] <= SLOT_MS


def test_it_is_resolved_when_the_rate_has_been_back_for_as_long_as_the_policy_says() -> None:
    resolved = replayed(broken_form())[-1]
    assert resolved.status == "resolved"
    assert resolved.raised_ms - NOON_MS == pytest.approx(20 * MINUTE_MS, abs=MINUTE_MS)
    assert resolved.reason == "form: at form/promo all is as usual again."


def test_when_it_is_over_nothing_is_suggested_any_more() -> None:
    rule = INCIDENTS.rules["form"].model_copy(update={"action": "Take it offline."})
    told = replayed(broken_form(), incidents=INCIDENTS.model_copy(update={"rules": {"form": rule}}))
    assert [a.suggested_action for a in told] == [*["Take it offline."] * 3, None]


def test_it_is_told_in_the_language_of_the_policy() -> None:
    told = replayed(broken_form(), labels=Labels(language=TURKISH))
    assert re.fullmatch(
        r"form: form/promo noktasında \d+ müşterinin işlemi başarısız oldu, 5 dk içinde en çok %\d+; "
        r"olağan oran %[12],\d\.",
        told[0].reason,
    )
    assert told[-1].reason == "form: form/promo noktasında durum olağana döndü."


@pytest.mark.parametrize(
    ("lookback", "said"), [("90s", "90 s"), ("60s", "1 min"), ("150s", "150 s"), ("300s", "5 min")]
)
def test_a_lookback_is_told_as_long_as_it_is(lookback: str, said: str) -> None:
    """It was cut to whole minutes."""
    form = {**SECTION["rules"]["form"], "lookback": lookback}
    incidents = Incidents.model_validate({**SECTION, "rules": {**SECTION["rules"], "form": form}})
    assert f"of all within {said};" in replayed(broken_form(hours=1), incidents=incidents)[0].reason


def test_three_failures_of_three_customers_on_a_quiet_form_are_none() -> None:
    acts = [Act(NOON_MS + n * 1000, f"c{n}", kind) for n in range(3) for kind in ("form.started", "form.failed")]
    assert replayed(acts, to_ms=NOON_MS + HOUR_MS) == []


def test_one_customer_who_fails_again_and_again_is_none() -> None:
    acts = [Act(NOON_MS + n * 1000, f"c{n % 3}", "form.failed") for n in range(300)]
    assert replayed(acts, to_ms=NOON_MS + HOUR_MS) == []


def test_a_new_form_on_which_nearly_everybody_fails_is_one() -> None:
    told = replayed(Crowd().exactly(NOON_MS, NOON_MS + 5 * MINUTE_MS, 75, 60), to_ms=NOON_MS + HOUR_MS)
    assert [a.status for a in told][:1] == ["opened"]
    assert told[-1].status == "resolved"


def test_a_form_that_always_fails_for_a_third_is_none() -> None:
    assert replayed(Crowd(3).acts(NOON_MS, NOON_MS + 6 * HOUR_MS, per_hour=400, share=0.33)) == []


def test_without_attempts_the_rule_learns_what_is_usual_first_and_then_holds_failures_against_it() -> None:
    crowd = Crowd(4)
    acts = crowd.acts(NOON_MS - 3 * HOUR_MS, NOON_MS, per_hour=240, share=0.5, attempts=False)
    assert replayed(acts) == []  # ten customers in each lookback, and nobody else is known
    acts += [Act(NOON_MS + n * 2_000, f"x{n}", "form.failed") for n in range(60)]
    told = replayed(acts, to_ms=NOON_MS + HOUR_MS)
    assert (told[0].status, told[-1].status) == ("opened", "resolved")
    assert told[0].share is None
    assert "usually 1" in told[0].reason


def test_attempts_that_are_not_reported_any_more_do_not_make_every_failure_an_incident() -> None:
    crowd = Crowd(5)
    acts = crowd.acts(NOON_MS - 2 * HOUR_MS, NOON_MS, per_hour=9000, share=0.02)
    acts += crowd.acts(NOON_MS, NOON_MS + 10 * MINUTE_MS, per_hour=9000, share=0.02, attempts=False)
    assert [a for a in replayed(acts, batch=2000) if a.members] == []


def test_a_form_that_nobody_uses_any_more_is_a_silence_and_ends_when_it_is_used_again() -> None:
    crowd = Crowd(6)
    acts = crowd.acts(NOON_MS - 3 * HOUR_MS, NOON_MS, per_hour=400, share=0.02)
    acts += crowd.acts(NOON_MS + 30 * MINUTE_MS, NOON_MS + 2 * HOUR_MS, per_hour=400, share=0.02)
    acts += [Act(NOON_MS + n * MINUTE_MS, f"other{n}", "form.started", "form/other") for n in range(30)]
    told = replayed(acts)
    assert [a.status for a in told] == ["opened", "resolved"]
    assert told[0].raised_ms - NOON_MS <= 6 * MINUTE_MS
    assert told[0].touchpoint == "form/promo"
    assert (told[0].customers, told[0].members) == (None, ())
    assert told[1].raised_ms - NOON_MS == pytest.approx(45 * MINUTE_MS, abs=3 * MINUTE_MS)
    assert told[0].alert_id != alert_id("touchpoint_incident", "form", "form/promo", "failures", NOON_MS)


def test_a_silence_needs_no_event_to_be_told() -> None:
    acts = Crowd(6).acts(NOON_MS - 3 * HOUR_MS, NOON_MS, per_hour=400, share=0.02)
    assert replayed(acts, to_ms=NOON_MS) == []
    assert [a.status for a in replayed(acts, to_ms=NOON_MS + 10 * MINUTE_MS)] == ["opened"]


def test_years_without_anything_are_passed_over_and_the_place_begins_anew() -> None:
    """A row whose time is in seconds lies in 1970: all slots since then would take minutes, and all memory."""
    year_ms = 365 * 24 * HOUR_MS
    acts = [Act(NOON_MS - 50 * year_ms, "early", "form.failed"), *broken_form()]
    begun_s = time.thread_time()
    assert standing(replayed(acts)) == standing(replayed(broken_form()))
    assert time.thread_time() - begun_s < 60.0


@pytest.mark.parametrize("batch", [20, 100, 400])
def test_a_place_that_was_forgotten_begins_anew_whenever_its_slots_are_judged(batch: int) -> None:
    """A subject that is spoken of at times, and not for ten hours: what is usual is forgotten after eight."""
    incidents = Incidents.model_validate({**SECTION, "memory": "1h"})
    acts = [Act(NOON_MS + n * MINUTE_MS, f"c{n}", "form.started") for n in range(24 * 60)]
    for hour in (0, 1, 2, 3, 14, 15):
        begin_ms = NOON_MS + hour * HOUR_MS
        acts += [
            Act(begin_ms + n * 75_000, f"{hour}-{n}", "social.mentioned", "price") for n in range(48)
        ]  # eight in ten minutes
    told = [replayed(acts, incidents=incidents, batch=n) for n in (batch, len(acts))]
    assert told[0] == told[1]
    assert told[0][0].status == "opened"
    assert all(a.raised_ms > NOON_MS + 14 * HOUR_MS for a in told[0])


def test_a_form_that_falls_asleep_slowly_is_no_silence() -> None:
    crowd, acts = Crowd(7), list[Act]()
    for n in range(24):
        begin_ms = NOON_MS + n * 15 * MINUTE_MS
        acts += crowd.acts(begin_ms, begin_ms + 15 * MINUTE_MS, per_hour=400 * 0.85**n, share=0.02)
    assert replayed(acts, to_ms=NOON_MS + 7 * HOUR_MS) == []


def mentions(customers: int, *, within_ms: int, again: int = 1) -> list[Act]:
    """Of a subject that nobody has mentioned since the watch began, two hours ago."""
    return [
        Act(NOON_MS - 2 * HOUR_MS, "somebody", "form.started"),
        *(
            Act(NOON_MS + n * within_ms // customers + k, f"m{n}", "social.mentioned", "refund")
            for n in range(customers)
            for k in range(again)
        ),
    ]


def test_nine_customers_who_mention_a_new_subject_in_ten_minutes_are_an_incident() -> None:
    told = replayed(mentions(9, within_ms=8 * MINUTE_MS), to_ms=NOON_MS + HOUR_MS, batch=1)
    assert [a.status for a in told] == ["opened", "resolved"]
    assert (told[0].touchpoint, told[0].subject, told[0].share) == (None, "refund", None)
    assert told[0].customers == len(told[0].members) >= 8


def test_seven_customers_or_eight_in_half_an_hour_or_one_often_are_none() -> None:
    assert replayed(mentions(7, within_ms=5 * MINUTE_MS, again=5), to_ms=NOON_MS + HOUR_MS, batch=1) == []
    assert replayed(mentions(8, within_ms=30 * MINUTE_MS), to_ms=NOON_MS + HOUR_MS, batch=1) == []


def test_a_subject_that_is_mentioned_as_often_as_always_is_none_and_three_times_as_often_one() -> None:
    rng = random.Random(8)
    acts = [  # ten in ten minutes
        Act(NOON_MS + rng.randrange(8 * HOUR_MS), f"m{n}", "social.mentioned", "price") for n in range(8 * 60)
    ]
    assert replayed(acts) == []
    at_ms = NOON_MS + 7 * HOUR_MS
    more = [Act(at_ms + n * 6_000, f"more{n}", "social.mentioned", "price") for n in range(50)]
    assert [a.status for a in replayed(acts + more) if a.raised_ms > at_ms][:1] == ["opened"]


@pytest.mark.parametrize("sources", [2, 5])
def test_several_source_partitions_are_one(sources: int) -> None:
    acts = broken_form(9)
    assert replayed(acts, sources=sources) == replayed(acts)


def test_what_stands_does_not_depend_on_the_order_within_the_lateness() -> None:
    acts, rng = broken_form(10), random.Random(10)
    late = [a._replace(append_ms=a.at_ms + rng.randrange(12 * MINUTE_MS)) for a in acts]
    # the marks of the late ones are those of the others: nothing comes after its slot is settled
    end_ms = NOON_MS + 90 * MINUTE_MS
    assert standing(replayed(late, to_ms=end_ms)) == standing(replayed(acts, to_ms=end_ms))


@pytest.mark.parametrize("seed", range(6))
def test_what_comes_late_is_told_of_an_incident_that_is_over_already(seed: int) -> None:
    """Much is late, and quiet is short: when it is told to be over, some of its customers are still to come."""
    incidents = Incidents.model_validate({**SECTION, "quiet": "1m"})
    acts, rng = broken_form(seed), random.Random(seed)
    late = [a._replace(append_ms=a.at_ms + (rng.random() < 0.3) * rng.randrange(14 * MINUTE_MS)) for a in acts]
    end_ms = NOON_MS + 90 * MINUTE_MS
    told = replayed(late, to_ms=end_ms, incidents=incidents, batch=20)
    assert standing(told) == standing(replayed(acts, to_ms=end_ms, incidents=incidents))
    assert all(a.revision == b.revision + 1 for b, a in itertools.pairwise(told) if a.alert_id == b.alert_id)


def test_what_came_late_can_show_that_it_was_none() -> None:
    """First those who fail are seen, and then all the others."""
    crowd = Crowd(11)  # watched for too short a time to fall silent
    acts = crowd.acts(NOON_MS - HOUR_MS // 2, NOON_MS, per_hour=4000, share=0.02)
    much = crowd.exactly(NOON_MS, NOON_MS + 5 * MINUTE_MS, 1500, 30)
    fails = {a.customer for a in much if a.kind == "form.failed"}
    late = [a if a.customer in fails else a._replace(append_ms=a.at_ms + 8 * MINUTE_MS) for a in much]
    told = replayed(acts + late, to_ms=NOON_MS + 15 * MINUTE_MS, batch=10)
    assert [a.status for a in told] == ["opened", "retracted"]
    assert [a.revision for a in told] == [1, 2]
    assert told[0].alert_id == told[1].alert_id


def test_a_restart_between_any_two_batches_changes_nothing() -> None:
    acts = broken_form(12, hours=1.5)
    assert replayed(acts, restart=True, sources=2, batch=40) == replayed(acts, sources=2, batch=40)


def test_what_was_stored_before_hours_were_kept_apart_is_gone_on_with() -> None:
    source, watch = Source(), IncidentWatch(INCIDENTS, 1)
    source.add(Crowd(19).acts(NOON_MS, NOON_MS + 3 * HOUR_MS, per_hour=400, share=0.02))
    source.tell(watch, 0, 0)
    watch.take_alerts()
    stored = {key: value for key, value in watch.take_state() if value is not None}
    before = dict(stored)
    for key in [k for k in stored if k[:1] == b"p"]:
        said = json.loads(stored[key])
        (share, slow, fast, hours), *state = said[4]
        said[4] = [[share, slow, fast, [usual for usual, _ in hours]], *state[:-2]]
        before[key] = json.dumps(said).encode()
    again = []
    for one in (stored, before):
        other = IncidentWatch(INCIDENTS, 1)
        other.seen_ms, other.begun_ms = list(watch.seen_ms), watch.begun_ms
        other.restore(one)
        again.append([w.state._replace(heard=0) for w in other.places.values()])
    assert again[0] == again[1]


def test_the_base_leaves_the_incident_out() -> None:
    """The second failure of the form is measured by what was usual before the first."""
    crowd = Crowd(13)
    acts = crowd.acts(NOON_MS - 2 * HOUR_MS, NOON_MS, per_hour=400, share=0.02)
    for hour in range(2):
        begin_ms = NOON_MS + hour * HOUR_MS
        acts += crowd.acts(begin_ms, begin_ms + 20 * MINUTE_MS, per_hour=800, share=0.8)
        acts += crowd.acts(begin_ms + 20 * MINUTE_MS, begin_ms + HOUR_MS, per_hour=400, share=0.02)
    told = replayed(acts)
    usual = [a.reason.rpartition("usually ")[2] for a in told if a.status == "opened"]
    assert len(usual) == 2
    assert all(float(u.removesuffix("%.")) < 3 for u in usual)


def test_what_lasts_longer_than_the_policy_accepts_is_usual_from_then_on() -> None:
    crowd = Crowd(14)
    acts = crowd.acts(NOON_MS - 2 * HOUR_MS, NOON_MS, per_hour=400, share=0.02)
    acts += crowd.acts(NOON_MS, NOON_MS + 5 * HOUR_MS, per_hour=400, share=0.4)
    incidents = Incidents.model_validate({**SECTION, "accept_after": "2h"})
    told = replayed(acts, incidents=incidents)
    assert len({a.alert_id for a in told}) == 1
    assert told[-1].status == "resolved"
    assert told[-1].raised_ms - told[0].raised_ms == 2 * HOUR_MS


def test_an_incident_of_many_counts_beyond_the_customers_that_it_names() -> None:
    acts = Crowd(15).exactly(NOON_MS, NOON_MS + 2 * MINUTE_MS, 3000, 2500)
    last = replayed(acts, to_ms=NOON_MS + HOUR_MS, batch=500)[-1]
    assert (last.customers, len(last.members)) == (2500, 1000)


def test_an_outage_of_a_place_that_is_well_known_is_told_however_unlikely_it_is() -> None:
    """Two of its customers fail in five minutes as a rule, for a day; then 400 do: their chance is no float."""
    crowd = Crowd(18)
    acts = crowd.acts(NOON_MS - 24 * HOUR_MS, NOON_MS, per_hour=24, share=1.0, attempts=False)
    acts += [Act(NOON_MS + n * 500, f"x{n}", "form.failed") for n in range(400)]
    told = replayed(acts, to_ms=NOON_MS + HOUR_MS, batch=500)
    assert (told[0].status, told[-1].status, told[-1].customers) == ("opened", "resolved", 402)


def test_an_incident_that_begins_with_more_than_it_names_has_all_of_them_from_its_first_revision_on() -> None:
    """A busy form on which a fifth fails is told when half do: nobody's slot is full, the lookback is."""
    crowd = Crowd(16)
    acts = crowd.acts(NOON_MS - 2 * HOUR_MS, NOON_MS, per_hour=60_000, share=0.2)
    acts += crowd.acts(NOON_MS, NOON_MS + 5 * MINUTE_MS, per_hour=60_000, share=0.5)
    first = replayed(acts, batch=5000)[0]
    assert first.status == "opened"
    failed = {
        a.customer for a in acts if a.kind == "form.failed" and first.raised_ms - 300_000 <= a.at_ms < first.raised_ms
    }
    assert (first.customers, len(first.members)) == (len(failed), 1000)
    assert len(failed) > 1000


def test_the_share_of_an_incident_is_known_only_as_long_as_attempts_are_reported() -> None:
    """Half of the customers fail; then the page breaks that reports who tries."""
    crowd = Crowd(17)
    acts = crowd.acts(NOON_MS - 2 * HOUR_MS, NOON_MS, per_hour=800, share=0.02)
    acts += crowd.acts(NOON_MS, NOON_MS + 10 * MINUTE_MS, per_hour=800, share=0.5)
    acts += crowd.acts(NOON_MS + 10 * MINUTE_MS, NOON_MS + 20 * MINUTE_MS, per_hour=800, share=0.5, attempts=False)
    told = [a for a in replayed(acts, to_ms=NOON_MS + HOUR_MS) if a.members]
    assert told[-1].status == "resolved"
    assert told[-1].share == pytest.approx(0.55, abs=0.1)


def test_the_expected_false_alarms_are_those_of_the_policy() -> None:
    assert INCIDENTS.alpha * 2880 * 30 == pytest.approx(INCIDENTS.false_alarms)


# -- too many places --------------------------------------------------------------------------------------------

FEW = Incidents.model_validate({**SECTION, "most_places": 20})


def orders(count: int, *, step_ms: int) -> list[Act]:
    """One customer at a page of each order."""
    return [Act(NOON_MS + n * step_ms, f"o{n}", "form.failed", f"order/{n}/pay") for n in range(count)]


def watched(acts: list[Act], *, batch: int = 100) -> tuple[list[Alert], IncidentWatch, Source]:
    """What is told of few places at a time, who watched them, and the source partition."""
    source, watch, told = Source(FEW), IncidentWatch(FEW, 1), list[Alert]()
    watch.begin(acts[0].at_ms)
    for offset, at in enumerate(range(0, len(acts), batch)):
        source.add(acts[at : at + batch])
        source.tell(watch, 0, offset)
        told += watch.take_alerts()
    return told, watch, source


def test_names_with_identifiers_in_them_are_not_all_watched_and_do_not_hide_an_incident() -> None:
    acts = sorted(orders(1000, step_ms=2_000) + [a for a in broken_form() if a.at_ms >= NOON_MS])
    told, watch, _ = watched(acts)
    assert len(watch.places) <= 20
    assert watch.take_left_out() > 900
    assert watch.take_left_out() == 0
    assert (told[0].status, told[0].touchpoint) == ("opened", "form/promo")
    again = replayed(acts, batch=100, incidents=FEW, restart=True)
    assert standing(again) == standing(told)


def test_a_place_where_an_incident_stands_makes_no_room_for_others() -> None:
    acts = Crowd(20).exactly(NOON_MS, NOON_MS + 2 * MINUTE_MS, 60, 50)
    for n in range(60):
        acts += [Act(NOON_MS + (120 + n) * 1000, f"{k} at {n}", "form.failed", f"page/{n}") for k in "ab"]
    told, watch, _ = watched(acts)
    assert [a.touchpoint for a in told if a.status == "opened"] == ["form/promo"]
    assert {place for _, place in watch.places} >= {"form/promo", "page/59"}
    assert ("form", "page/0") not in watch.places


def test_a_source_forgets_the_names_of_places_of_which_nothing_is_kept() -> None:
    *_, source = watched(orders(5000, step_ms=20_000))
    assert len(source.slots.places) < 1000
    assert source.slots.places.text(source.slots.places.numbers - 1).startswith("order/")
