from collections import Counter, defaultdict
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise

import pytest

from connectors.simulator.crowd import card_id, customer
from connectors.simulator.simulation import interactions
from schemas.interactions import Interaction
from schemas.vocabulary import VOCABULARY

NOON_MS = 1_760_000_400_000  # 2025-10-09 12:00 in Istanbul
EVENTS = 50_000

# shared by all who read and write them, but for alert.*: these name an alert, and are told by the team
TOLD = {kind for kind in VOCABULARY if not kind.startswith("alert.")}
ATTRIBUTES = {
    "wait.started": {"stage"},
    "wait.ended": {"stage", "outcome"},
    "wait.measured": {"stage", "outcome"},
    "contact.replied": {"reply"},
    "callback.promised": {"deadline"},
    "promo.rejected": {"reason"},
    "checkout.cost_estimated": {"shipping"},
    "checkout.cost_revealed": {"shipping"},
    "order.promised": {"deadline"},
    "order.delayed": {"deadline"},
    "feedback.given": {"question"},
    "recovery.promised": {"deadline"},
    "identity.linked": {"same_as"},
}
# in one session there is at least one of these before
AFTER = {
    "wait.ended": {"wait.started"},
    "contact.customer_replied": {"contact.opened"},
    "contact.replied": {"contact.opened"},
    "contact.transferred": {"contact.opened"},
    "contact.repeated_explanation": {"contact.transferred"},
    "case.pending": {"contact.opened"},
    "case.on_hold": {"contact.opened"},
    "case.resumed": {"case.pending", "case.on_hold"},
    "case.resolved": {"contact.replied"},
    "case.reopened": {"case.resolved"},
    "case.closed": {"case.resolved", "contact.replied"},
    "callback.done": {"callback.promised"},
    "callback.missed": {"callback.promised"},
    "form.failed": {"form.started"},
    "form.submitted": {"form.started"},
    "form.abandoned": {"form.failed", "form.started"},
    "promo.rejected": {"form.submitted"},
    "checkout.cost_estimated": {"form.submitted"},
    "checkout.cost_revealed": {"form.submitted"},
    "checkout.abandoned": {"form.submitted"},
    "order.promised": {"order.placed"},
    "order.delayed": {"order.promised"},
    "order.delivered": {"order.promised"},
    "order.wrong": {"order.delivered"},
    "return.fee_charged": {"return.requested"},
    "refund.issued": {"return.requested"},
    "social.replied": {"social.mentioned"},
    "recovery.promised": {"contact.opened"},
    "recovery.done": {"recovery.promised"},
}
SAME_CASE = ("contact.", "case.", "recovery.", "order.", "return.", "refund.")


@cache
def crowd() -> tuple[Interaction, ...]:
    """Some 17 minutes, the bad spell left out."""
    times = range(NOON_MS, NOON_MS + EVENTS * 20, 20)
    return tuple(interactions(times, seed=7, start_ms=NOON_MS, customers=5_000))


def of_kind(*kinds: str) -> list[Interaction]:
    return [e for e in crowd() if e.kind in kinds]


def sessions() -> dict[str | None, list[Interaction]]:
    by_session = defaultdict(list)
    for event in crowd():
        by_session[event.session_id].append(event)
    return by_session


def deadline_ms(event: Interaction) -> int:
    moment = datetime.fromisoformat(event.attributes["deadline"])
    assert moment.tzinfo == UTC
    return round(moment.timestamp() * 1000)


def test_every_kind_is_told_and_no_other() -> None:
    kinds = Counter(e.kind for e in crowd())
    assert kinds.keys() == TOLD
    assert min(kinds.values()) >= 5


def test_most_of_it_is_the_shop_the_calls_and_the_messages() -> None:
    kinds = Counter(e.kind for e in crowd())
    everyday = (
        "wait.measured", "form.started", "form.submitted", "order.placed", "contact.opened", "contact.replied",
        "case.resolved", "return.requested", "search.no_result", "article.viewed",
    )  # fmt: skip
    assert 0.75 < sum(kinds[kind] for kind in everyday) / EVENTS < 0.9
    assert 0.11 < kinds["wait.measured"] / EVENTS < 0.16
    assert 0.05 < kinds["wait.ended"] / (kinds["wait.ended"] + kinds["wait.measured"]) < 0.15


@pytest.mark.parametrize("kind", sorted(ATTRIBUTES))
def test_each_has_the_attributes_that_its_kind_needs(kind: str) -> None:
    assert all(e.attributes.keys() >= ATTRIBUTES[kind] for e in of_kind(kind))


def test_in_a_session_one_thing_comes_after_the_other() -> None:
    for events in sessions().values():
        before: set[str] = set()
        for event in events:
            assert event.kind not in AFTER or AFTER[event.kind] & before, (event, before)
            before.add(event.kind)


def test_what_belongs_to_a_case_names_it_and_there_is_one_in_a_session() -> None:
    for events in sessions().values():
        cases = {e.case_id for e in events if e.kind.startswith(SAME_CASE)}
        assert None not in cases
        assert len(cases) <= 1


def test_a_wait_that_is_told_live_ends_in_its_stage_and_its_session_waits_for_nothing_else_meanwhile() -> None:
    stages = Counter[str]()
    for events in sessions().values():
        for started, ended in pairwise(events):
            if started.kind == "wait.started":
                assert ended.kind == "wait.ended"
                assert ended.attributes["stage"] == started.attributes["stage"]
                assert ended.touchpoint == started.touchpoint
                stages[ended.attributes["stage"]] += 1
    assert stages.keys() == {"queue", "counter", "hold"}


def test_a_deadline_is_later_than_its_promise_and_missed_only_after_it() -> None:
    promised_ms = {}
    for event in crowd():
        if "deadline" in event.attributes:
            promised_ms[event.session_id] = deadline_ms(event)
            assert deadline_ms(event) > event.occurred_ms
        if event.kind == "callback.missed":
            assert event.occurred_ms > promised_ms[event.session_id]


def test_some_promises_are_kept_and_some_are_broken() -> None:
    for promise, keeping in (
        ("callback.promised", "callback.done"),
        ("recovery.promised", "recovery.done"),
        ("order.promised", "order.delivered"),
    ):
        kept = {True: 0, False: 0}
        for events in sessions().values():
            last_ms = {e.kind: e.occurred_ms for e in events}
            due_ms = [deadline_ms(e) for e in events if e.kind == promise]
            if due_ms and keeping in last_ms:
                kept[last_ms[keeping] <= due_ms[0]] += 1
        assert kept[True] > kept[False] > 0, promise


def test_a_delay_is_proactive_if_it_is_told_before_the_promised_moment() -> None:
    seen = Counter[bool]()
    for events in sessions().values():
        due_ms = [deadline_ms(e) for e in events if e.kind == "order.promised"]
        for delayed in (e for e in events if e.kind == "order.delayed"):
            proactive = delayed.attributes.get("proactive") == "true"
            assert proactive == (delayed.occurred_ms < due_ms[0] + 500), "a deadline is told in whole seconds"
            seen[proactive] += 1
    assert min(seen[True], seen[False]) > 5


def test_costs_have_a_price_and_some_that_are_revealed_are_a_surprise() -> None:
    surprises = estimates = 0
    for events in sessions().values():
        costs = [e for e in events if e.kind.startswith("checkout.cost_")]
        assert len({e.amount for e in costs}) <= 1
        assert all(e.amount and e.currency == "TRY" and float(e.attributes["shipping"]) >= 0 for e in costs)
        if len(costs) == 2:
            estimates += 1
            assert [e.kind for e in costs] == ["checkout.cost_estimated", "checkout.cost_revealed"]
            surprises += float(costs[1].attributes["shipping"]) > float(costs[0].attributes["shipping"])
    assert 0.15 < surprises / estimates < 0.35


def test_money_has_a_currency() -> None:
    kinds = ("order.placed", "return.requested", "return.fee_charged", "refund.issued", "checkout.abandoned")
    assert all(e.amount and e.currency == "TRY" for e in of_kind(*kinds))
    for events in sessions().values():
        asked = [e.amount for e in events if e.kind == "return.requested"]
        assert all(e.amount == asked[0] for e in events if e.kind == "refund.issued")


def test_few_contacts_are_critical_and_these_are_taken_on() -> None:
    opened = of_kind("contact.opened")
    critical = {e.case_id for e in opened if e.attributes.get("urgency") == "critical"}
    assert 0.01 < len(critical) / len(opened) < 0.03
    assert {e.case_id for e in of_kind("recovery.promised")} <= critical


def test_replies_are_automatic_from_a_template_and_personal() -> None:
    assert {e.attributes["reply"] for e in of_kind("contact.replied")} == {"automatic", "template", "personal"}


def test_answers_are_on_the_scale_of_their_question() -> None:
    answers = of_kind("feedback.given")
    assert {e.attributes["question"] for e in answers} == {"csat", "nps", "effort", "again_in_a_month"}
    ratings = Counter(e.rating for e in answers)
    assert ratings.keys() == {float(rating) for rating in range(11)}


def test_who_was_helped_answers_better_than_who_was_not_and_with_less_effort() -> None:
    means = {}
    for helped in (True, False):
        for hard in (True, False):
            found = []
            for events in sessions().values():
                kinds = {e.kind for e in events}
                if "contact.opened" in kinds and ("case.resolved" in kinds) == helped:
                    answers = [e for e in events if e.kind == "feedback.given"]
                    found += [e.rating or 0.0 for e in answers if (e.attributes["question"] == "effort") == hard]
            means[helped, hard] = sum(found) / len(found)
    assert means[True, False] > 6
    assert means[False, False] < 4
    assert means[True, True] < 4
    assert means[False, True] > 6


def test_a_mention_has_a_mood_a_reach_a_subject_and_a_network() -> None:
    mentions = of_kind("social.mentioned")
    assert {e.channel for e in mentions} == {"social_x", "social_instagram"}
    assert all(e.sentiment is not None and -1 <= e.sentiment <= 1 and e.subject for e in mentions)
    assert min(e.sentiment or 0 for e in mentions) < -0.8
    assert max(e.sentiment or 0 for e in mentions) > 0.8
    reaches = sorted(e.reach or 0 for e in mentions)
    assert reaches[0] >= 1
    assert reaches[len(reaches) // 2] < 200
    assert reaches[-1] > 1_000


def test_only_new_customers_take_the_first_steps() -> None:
    steps = of_kind("onboarding.step_failed", "onboarding.completed")
    assert {e.segment for e in steps} == {"new"}


def test_a_linked_identifier_is_the_same_person_each_time() -> None:
    names: dict[str, str] = {}
    for event in of_kind("identity.linked"):
        assert names.setdefault(event.attributes["same_as"], event.customer_id) == event.customer_id
        assert event.attributes["same_as"] != event.customer_id
    assert card_id(customer(17)) == "card.17"


def test_few_do_not_want_to_be_contacted() -> None:
    told = of_kind("customer.preferences")
    assert 0 < sum(e.attributes.get("do_not_contact") == "true" for e in told) < EVENTS / 1_000
    assert {key for e in told for key in e.attributes} == {"do_not_contact", "preferred_channel", "quiet_hours"}


def test_some_customers_are_turkish_in_name_and_subject() -> None:
    assert any(set("şğçöü") & set(e.customer_id) for e in crowd())
    assert {"kargo gecikmesi", "iade ücreti", "değişim"} <= {e.subject for e in of_kind("contact.opened")}
