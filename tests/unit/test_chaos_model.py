"""The core holds what the independent model of lives computes from the documentation, whatever the customers do."""

import ast
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipelines.cli.chaos.lives as models
from connectors.simulator.simulation import crowd_interactions
from pipelines.alerts.tables import Alerts
from pipelines.cli.chaos.comparison import Comparison
from pipelines.cli.chaos.crowd import MOST, short_lives
from pipelines.cli.chaos.judging import policy_text
from pipelines.cli.chaos.lives.model import LivesModel
from pipelines.cli.chaos.outcome import Outcome
from pipelines.cli.chaos.standing import Standing, stored_customers
from pipelines.cli.chaos.whole import compare_lives, lives_of
from pipelines.partition import CustomerPartition
from pipelines.policy.policy import parse_policy
from schemas.interactions import Interaction, avro_record
from tests.batches import BEGIN_MS, MINUTE_MS, Event, batch_of, event
from tests.unit.test_fold import DAY_MS, FULL_TEXT, SPAN_MS, lives

CHAOS_TEXT = policy_text("full")
# the model knows no calendars
DEFAULT_TEXT = FULL_TEXT.replace("promise: 5bd", "promise: 5d").replace("    calendar: office\n", "")
# here even what is over is soon not put right any more
BRIEF_TEXT = CHAOS_TEXT.replace("horizon: 6h", "horizon: 15m")
POLICIES = {text: parse_policy(text, "policy.yaml") for text in (CHAOS_TEXT, BRIEF_TEXT, DEFAULT_TEXT)}


def compared(
    events: Sequence[Event], end_ms: int, text: str = DEFAULT_TEXT, *, step_ms: int | None = None
) -> Comparison:
    """Let core and model take the same, with time passing in steps if wanted, and to ``end_ms`` at last."""
    core, model, alerts = CustomerPartition(0, 1, POLICIES[text]), LivesModel(text), Alerts()
    passed_ms = None if step_ms is None else events[0].append_ms
    for append_ms, together in groupby(events, key=lambda e: e.append_ms if step_ms is not None else 0):
        while passed_ms is not None and step_ms is not None and passed_ms + step_ms < append_ms:
            passed_ms += step_ms
            alerts.add(core.advance(passed_ms))
            model.advance(passed_ms)
        batch = list(together)
        alerts.add(core.apply(batch_of(batch)).alerts)
        for one in batch:
            model.feed(one.record, one.append_ms)
    alerts.add(core.advance(end_ms))
    model.advance(end_ms)
    found = Standing(Outcome({}), dict(stored_customers(core)), advanced_ms={0: end_ms})
    found.alerts = {a.alert_id: (a.type, a.status) for a in alerts if a.type != "band_entered"}
    c = Comparison()
    compare_lives(c, found, lives_of(found, {0: model}), {0: model})
    return c


def end_of(events: Sequence[Event], after_ms: int) -> int:
    return max((e.append_ms for e in events), default=BEGIN_MS) + after_ms


def told(interactions: Iterable[Interaction], late_ms: int = 0) -> list[Event]:
    """As they come, each appended when the newest happened before it was sent; without those that are too old."""
    found, now_ms = [], 0
    for one in interactions:
        now_ms = max(now_ms, one.occurred_ms)
        if now_ms - one.occurred_ms > 3 * MINUTE_MS and one.event_id.startswith("ç"):
            continue
        found.append(Event(avro_record(one), now_ms + late_ms))
    return found


def apart(events: Sequence[Event]) -> list[Event]:
    """Without those of one customer that happened in the same millisecond: which was first depends on their ids."""
    seen: dict[tuple[str, int], Event] = {}
    for e in events:
        seen.setdefault((e.record["customer_id"], e.record["occurred_at"]), e)
    return list(seen.values())


def test_the_models_share_no_code_with_the_core() -> None:
    lives_of_models = Path(models.__path__[0])
    places = [*lives_of_models.glob("*.py"), *(lives_of_models.parent / name for name in ("intake.py", "model.py"))]
    assert len(places) > 6
    for place in places:
        tree = ast.parse(place.read_text("utf-8"))
        names = {n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names}
        names |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        ours = {n for n in names if n.startswith(("pipelines.cli.chaos.lives", "pipelines.cli.chaos.intake"))}
        assert {n.partition(".")[0] for n in names - ours} - {"yaml"} <= sys.stdlib_module_names, place


SPANS_MS = st.sampled_from([SPAN_MS, 120 * MINUTE_MS, 30 * 60 * MINUTE_MS, 10 * DAY_MS])
REST_MS = st.sampled_from([0, 5 * MINUTE_MS, 120 * MINUTE_MS, 2 * DAY_MS, 14 * DAY_MS, 150 * DAY_MS])


@settings(max_examples=300, deadline=None)
@given(SPANS_MS.flatmap(lambda span_ms: lives(span_ms=span_ms)), REST_MS)
def test_what_is_drawn_is_what_the_model_says(events: list[Event], after_ms: int) -> None:
    assert compared(apart(events), end_of(events, after_ms)).problems == []


@settings(max_examples=150, deadline=None)
@given(st.data(), lives(), REST_MS)
def test_so_it_is_in_any_order_of_arrival(data: st.DataObject, events: list[Event], after_ms: int) -> None:
    distinct = apart(events)
    append_ms = end_of(events, 0)
    mixed = [Event(e.record, append_ms) for e in data.draw(st.permutations(distinct))]
    assert compared(mixed, append_ms + after_ms).problems == []


@pytest.mark.parametrize("seed", range(1, 4))
def test_short_lives_are_what_the_model_says(seed: int) -> None:
    events = told(short_lives(seed=seed, start_ms=BEGIN_MS, rate=100.0, total=4_000), late_ms=5)
    c = compared(events, end_of(events, 20_000), CHAOS_TEXT, step_ms=700)
    assert c.problems == []
    assert min(c.counts[kind] for kind in ("clock_warning", "clock_breached", "still_waiting", "social_risk")) > 2
    assert min(c.counts[what] for what in ("repeat_contact", "sent again", "retracted", "open cases", "heats")) > 0
    assert c.counts["bands"] > c.counts["customers"] // 4


@pytest.mark.parametrize("seed", range(4, 7))
def test_short_lives_of_which_much_comes_late_end_as_the_model_says(seed: int) -> None:
    """Decay leads out of bands before what had kept their customers in them is seen."""
    random = Random(seed)
    events = told(short_lives(seed=seed, start_ms=BEGIN_MS, rate=100.0, total=4_000))
    late = [replace(e, append_ms=e.append_ms + random.randrange(20_000) * (random.random() < 0.5)) for e in events]
    late.sort(key=lambda e: e.append_ms)
    c = compared(late, end_of(late, 1_000), CHAOS_TEXT, step_ms=700)
    assert c.problems == []
    assert c.counts["bands"] > 0.6 * c.counts["customers"]


def test_short_lives_are_short_and_late_and_repeat_themselves() -> None:
    events = told(short_lives(seed=3, start_ms=BEGIN_MS, rate=50.0, total=10_000))
    assert 9_900 < len(events) < 10_000
    by_customer: dict[str, set[tuple[str, int]]] = {}
    for e in events:
        by_customer.setdefault(e.record["customer_id"], set()).add((e.record["event_id"], e.record["occurred_at"]))
    assert MOST - 3 < max(map(len, by_customer.values())) <= MOST
    assert all(len({at_ms for _, at_ms in lived}) == len(lived) for lived in by_customer.values())
    assert 0.05 < 1 - sum(map(len, by_customer.values())) / len(events) < 0.1


@pytest.mark.parametrize("seed", [1, 2])
def test_the_simulators_customers_are_what_the_model_says(seed: int) -> None:
    crowd = crowd_interactions(
        seed=seed, start_ms=BEGIN_MS, rate=1.0, total=7_200, customers=3_000, late=0.05, repeated=0.05
    )
    events = apart_but_repeated(told(crowd))
    c = compared(events, end_of(events, DAY_MS))
    assert c.problems == []
    assert min(c.counts[kind] for kind in ("clock_warning", "clock_breached", "open clocks", "sent again")) > 50


def apart_but_repeated(events: Sequence[Event]) -> list[Event]:
    """As apart, but what is sent again is."""
    ids = {e.record["event_id"] for e in apart(events)}
    return [e for e in events if e.record["event_id"] in ids]


def test_what_a_paused_clock_could_not_say_is_said_when_it_goes_on() -> None:
    def happens(after_ms: int, kind: str, **fields: Any) -> Event:
        return event(kind, BEGIN_MS + after_ms, event_id=f"e{after_ms}", case_id="c1", **fields)

    events = [
        happens(0, "contact.opened"),
        happens(100, "case.resolved", session_id="s1"),
        happens(200, "contact.opened"),
        happens(30_000, "contact.repeated_explanation"),
        happens(40_000, "case.pending"),
        happens(85_000, "contact.repeated_explanation"),
        happens(90_000, "case.resumed"),
    ]
    assert compared(events, BEGIN_MS + 91_000, CHAOS_TEXT).problems == []


def test_a_clock_without_a_key_that_is_open_is_kept_whatever_else_is_open() -> None:
    events = [
        event("contact.opened", BEGIN_MS, event_id="e1", case_id="c1"),
        event("contact.opened", BEGIN_MS + 1_000, event_id="e2"),
        event("contact.opened", BEGIN_MS + 2_000, event_id="e3"),
    ]
    assert compared(events, BEGIN_MS + 3_000).problems == []


def test_a_risk_is_over_with_the_case_that_the_mention_names() -> None:
    def happens(after_ms: int, kind: str, **fields: Any) -> Event:
        return event(kind, BEGIN_MS + after_ms, event_id=f"e{after_ms}", **fields)

    events = [
        happens(0, "contact.opened", case_id="c1"),
        happens(1_000, "contact.opened", case_id="c2"),
        happens(2_000, "social.mentioned", case_id="c1", sentiment=-0.9, reach=5_000),
        happens(3_000, "case.resolved", case_id="c1"),
    ]
    assert compared(events, BEGIN_MS + 4_000).problems == []


def test_a_band_that_decay_has_left_is_left_however_far_time_passes_at_once() -> None:
    def happens(after_ms: int, kind: str, **fields: Any) -> Event:
        return event(kind, BEGIN_MS + after_ms, event_id=f"e{after_ms}", **fields)

    events = [
        happens(300, "contact.replied", attributes={"reply": "template"}, case_id="c1"),
        happens(1_680, "form.failed", session_id="s1", segment="loyal"),
        happens(5_280, "form.failed", session_id="s1"),
        happens(6_000, "search.no_result"),
        happens(12_480, "form.failed", case_id="c2"),
        happens(20_820, "case.resolved", session_id="s2"),
        happens(71_640, "search.no_result"),
        happens(145_740, "contact.opened", attributes={"urgency": "critical"}, case_id="c1"),
    ]
    end_ms = BEGIN_MS + 2 * DAY_MS
    assert compared(events, end_ms, DEFAULT_TEXT).problems == []


def test_a_band_is_not_entered_because_something_is_not_put_right_any_more() -> None:
    """A case was resolved, two are open again: what they hold is felt more and more, but nothing happens any more."""
    events = [
        event("case.resolved", BEGIN_MS, event_id="e1", case_id="c9"),
        event("case.reopened", BEGIN_MS + 10, event_id="e2", case_id="c1"),
        event("case.reopened", BEGIN_MS + 20, event_id="e3", case_id="c2"),
    ]
    assert compared(events, BEGIN_MS + 14 * MINUTE_MS, BRIEF_TEXT).problems == []
    assert compared(events, BEGIN_MS + 30 * MINUTE_MS, BRIEF_TEXT).problems == []


def test_a_band_is_entered_when_time_alone_does_something_and_relief_has_decayed_meanwhile() -> None:
    """What open cases hold is felt more and more; whether it is enough is looked at when something happens."""
    good: dict[str, Any] = {"rating": 1.0, "attributes": {"question": "effort"}}
    events = [
        event("case.reopened", BEGIN_MS, event_id="e1", segment="loyal", case_id="c3"),
        event("feedback.given", BEGIN_MS + 290, event_id="e2", segment="loyal", **good),
        event("search.no_result", BEGIN_MS + 3_570, event_id="e3", segment="new"),
    ]
    assert compared(events, BEGIN_MS + 70_000, CHAOS_TEXT).problems == []


def test_a_difference_is_told() -> None:
    events = told(short_lives(seed=9, start_ms=BEGIN_MS, rate=100.0, total=500))
    core, model = CustomerPartition(0, 1, POLICIES[CHAOS_TEXT]), LivesModel(CHAOS_TEXT)
    left_out = Random(9).randrange(len(events))
    core.apply(batch_of(events[:left_out] + events[left_out + 1 :]))
    for e in events:
        model.feed(e.record, e.append_ms)
    found = Standing(Outcome({}), dict(stored_customers(core)), advanced_ms={0: core.advanced_ms})
    c = Comparison()
    compare_lives(c, found, lives_of(found, {0: model}), {0: model})
    assert any("customers differ" in problem for problem in c.problems)
