"""What an interaction adds: the rules that it fulfils, and the points that they give."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.fold.facts import FactReader, Facts
from pipelines.fold.matching import matched, points_of
from pipelines.intake.index import TextIndex
from pipelines.partition import CustomerPartition
from pipelines.policy.policy import Policy, parse_policy
from pipelines.policy.rules import (
    CLOCK_CLOSE,
    CLOCK_OPEN,
    CONTACT,
    OP,
    PROMISE_MS,
    SIGNAL,
    TARGET,
    Rules,
    first_rule,
    rule_word,
)
from schemas.arrays import Float64s, Int32s, Int64s
from schemas.compiled import compiled
from tests.batches import BEGIN_MS, POLICY, Event, batch_of, event
from tests.plain import uncompiled

FULL = parse_policy(
    (Path(__file__).parents[2] / "schemas" / "policy" / "default.yaml").read_text("utf-8"),
    "schemas/policy/default.yaml",
)

# what the example policies leave out: amounts, and relief by praise
OTHER = parse_policy(
    """
version: 1
score: {scale: 20}
feedback:
  question: csat
  questions: {csat: {worst: 0, best: 10}, effort: {worst: 10, best: 0}}
  bad: 0.4
  good: 0.8
signals:
  fee: {kinds: [fee.charged], weight: 3, half_life: 1h, cap: 60, magnitude: amount, reference: 10}
  anger: {kinds: [social.mentioned], weight: 6, half_life: 1h, cap: 60, magnitude: reach}
  praise: {kinds: [social.mentioned], relief: true, weight: 6, half_life: 1h, cap: 60, magnitude: reach}
  bad_feedback: {kinds: [feedback.given], weight: 12, half_life: 1h, cap: 60, magnitude: rating}
  good_feedback: {kinds: [feedback.given], relief: true, weight: 15, half_life: 1h, cap: 60, magnitude: rating}
bands: {cooldown: 5m, levels: [{name: warm, enter: 25, leave: 15}]}
windows: {kinds: [wait.measured], length: 1m, lateness: 3m}
acceptance: {max_age: 1d, max_ahead: 5m}
retention: {quiet: 60h}
""",
    "other.yaml",
)


def read(policy: Policy, *events: Event) -> tuple[Int32s, Facts]:
    """Kinds of interactions, below 0 for those of which the policy does not speak, and their facts."""
    batch, made = batch_of(events), policy.compiled
    facts = FactReader(policy.file, made.attributes, made.deadline).read(batch)
    return TextIndex(made.kinds).find(batch.data, batch.kind.start, batch.kind.length), facts


def fulfilled(policy: Policy, one: Event) -> list[int]:
    """Numbers of the rules that an interaction fulfils."""
    kind, facts = read(policy, one)
    if kind[0] < 0:
        return []
    rules, mask = policy.compiled.rules, matched(0, int(kind[0]), facts, policy.compiled.rules)
    first, end = first_rule(rules, int(kind[0])), first_rule(rules, int(kind[0]) + 1)
    return [int(r) for r in range(first, end) if mask >> int(r - first) & 1]


def weighed(policy: Policy, kind: str, duration_ms: int | None = None, **fields: Any) -> dict[str, float]:
    """Points of each signal that an interaction feeds."""
    one = event(kind, BEGIN_MS, duration_ms=duration_ms, **fields)
    _, facts = read(policy, one)
    rules, ms = policy.compiled.rules, -1 if duration_ms is None else duration_ms
    return {
        policy.signal_names[rule_word(rules, r, TARGET)]: points_of(0, r, ms, facts, rules)
        for r in fulfilled(policy, one)
        if rule_word(rules, r, OP) == SIGNAL
    }


@pytest.mark.parametrize(
    ("kind", "signals"),
    [
        ("wait.measured", ["wait"]),
        ("wait.on_hold", ["wait"]),
        ("form.failed", ["form_failure"]),
        ("return.requested", ["return"]),
        ("queue.left", []),
        ("form.failed ", []),
        ("Form.failed", []),
        ("form.faile", []),
        ("", []),
        ("müşteri.soru", []),
    ],
)
def test_a_kind_feeds_the_signal_that_names_it(kind: str, signals: list[str]) -> None:
    assert list(weighed(POLICY, kind)) == signals


def test_magnitude_one_ignores_the_duration() -> None:
    assert weighed(POLICY, "form.failed") == weighed(POLICY, "form.failed", 3_600_000) == {"form_failure": 7.5}


@pytest.mark.parametrize(
    ("duration_ms", "points"),
    [
        (0, 0),
        (29_999, 0),
        (30_000, 0),
        (60_000, 6),
        (120_000, 12),
        (240_000, 18),
        (45_000, 6 * 0.5849625007211562),
    ],
)
def test_each_doubling_of_the_tolerated_wait_counts_once(duration_ms: int, points: float) -> None:
    assert weighed(POLICY, "wait.measured", duration_ms) == {"wait": pytest.approx(points)}


def test_a_wait_whose_length_is_not_told_adds_nothing_unless_its_clock_knows_it() -> None:
    assert weighed(POLICY, "wait.measured") == {"wait": -30_000.0}
    core = CustomerPartition(0, 1, POLICY)
    core.apply(batch_of([event("wait.measured", BEGIN_MS)]))
    assert core.rows.heat[0].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("stage", "as_if"),
    [(s, s) for s in ("queue", "counter", "hold", "page", "callback", "other")] + [("new", "other"), (None, "other")],
)
def test_what_is_tolerated_depends_on_the_stage(stage: str | None, as_if: str) -> None:
    wait = FULL.file.signals["wait"]
    assert wait.tolerated is not None
    tolerated_ms = wait.tolerated[as_if]
    told = {} if stage is None else {"stage": stage}
    assert weighed(FULL, "wait.measured", tolerated_ms, attributes=told) == {"wait": 0.0}
    doubled_twice = weighed(FULL, "wait.measured", 4 * tolerated_ms, attributes=told)
    assert doubled_twice == {"wait": pytest.approx(2 * wait.weight)}


ASKED = parse_policy(
    """
version: 1
score: {scale: 20}
feedback:
  question: csat
  questions: {csat: {worst: 0, best: 10}, effort: {worst: 10, best: 0}, nps: {worst: -100, best: 100}}
  bad: 0.4
  good: 0.8
signals:
  wait: {kinds: [wait.measured], weight: 10, half_life: 1h, cap: 60, magnitude: wait, tolerated: {hold: 1m, other: 2m}}
  held: {kinds: [{kind: wait.measured, where: {stage: [asma, hold]}}], weight: 1, half_life: 1h, cap: 60}
  hard: {kinds: [{kind: feedback.given, where: {question: [effort, Kritik]}}], weight: 1, half_life: 1h, cap: 60}
  rated: {kinds: [feedback.given], weight: 10, half_life: 1h, cap: 60, magnitude: rating}
  urgent: {kinds: [{kind: form.failed, where: {urgency: kritik}}], weight: 1, half_life: 1h, cap: 60}
bands: {cooldown: 5m, levels: [{name: warm, enter: 25, leave: 15}]}
windows: {kinds: [wait.measured], length: 1m, lateness: 3m}
acceptance: {max_age: 1d, max_ahead: 5m}
""",
    "asked.yaml",
)


@pytest.mark.parametrize(
    ("stage", "doublings", "held"),
    [("hold", 2, 1), ("Hold", 2, 1), ("asma", 1, 1), ("queue", 1, 0), ("new", 1, 0), ("", 1, 0), ("unknown", 1, 0)],
)
def test_a_condition_about_the_stage_changes_nothing_of_what_is_tolerated(
    stage: str, doublings: int, held: int
) -> None:
    told = weighed(ASKED, "wait.measured", 4 * 60_000, attributes={"stage": stage})
    assert told == {"wait": 10.0 * doublings, **({"held": 1.0} if held else {})}


@pytest.mark.parametrize(
    ("question", "rating", "points"),
    [
        ("effort", 10, 20),
        ("effort", 0, 0),
        ("nps", -100, 20),
        ("csat", 0, 20),
        ("csat", 10, 0),
        ("", 0, 20),
        ("x", 0, 0),
    ],
)
def test_a_condition_about_the_question_changes_nothing_of_its_scale(question: str, rating: int, points: int) -> None:
    told = weighed(ASKED, "feedback.given", rating=rating, attributes={"question": question})
    assert told == {"rated": points, **({"hard": 1.0} if question == "effort" else {})}


@pytest.mark.parametrize("urgency", ["kritik", "Kritik", "KRİTİK", "KRITIK"])
def test_a_value_that_another_condition_names_in_other_letters_is_still_the_same(urgency: str) -> None:
    assert weighed(ASKED, "form.failed", attributes={"urgency": urgency}) == {"urgent": 1.0}


@pytest.mark.parametrize(
    ("amount", "points"),
    [
        (None, 0),
        (-5.0, 0),
        (0.0, 0),
        (10.0, 3.0),
        (30.0, 6.0),
        (70.0, 9.0),
        (1e300, 2_979.7695),
        (1.7e308, 2_989.735),
        (np.inf, 2_989.735),
    ],
)
def test_an_amount_counts_by_its_doublings_of_the_reference(amount: float | None, points: float) -> None:
    assert weighed(OTHER, "fee.charged", amount=amount) == {"fee": pytest.approx(points)}


@pytest.mark.parametrize(
    ("question", "rating", "bad", "good"),
    [
        (None, 0, 24.0, 0.0),
        (None, 2, 18.0, 0.0),
        (None, 4, 12.0, 0.0),
        (None, 8, 0.0, 15.0),
        (None, 9, 0.0, 22.5),
        (None, 10, 0.0, 30.0),
        ("effort", 10, 24.0, 0.0),
        ("effort", 0, 0.0, 30.0),
        (None, 11, 0.0, 0.0),
        (None, None, 0.0, 0.0),
        ("of nobody", 0, 0.0, 0.0),
    ],
)
def test_a_rating_counts_by_how_far_it_is_beyond_its_bound(
    question: str | None, rating: float | None, bad: float, good: float
) -> None:
    told = {} if question is None else {"question": question}
    points = weighed(OTHER, "feedback.given", rating=rating, attributes=told)
    assert points == {"bad_feedback": pytest.approx(bad), "good_feedback": pytest.approx(good)}


@pytest.mark.parametrize(
    ("reach", "sentiment", "anger", "praise"),
    [
        (None, None, 3.0, 3.0),
        (90, -1.0, 12.0, 0.0),
        (990, -0.5, 9.0, 0.0),
        (990, 0.5, 0.0, 9.0),
        (0, 0.0, 0.0, 0.0),
    ],
)
def test_reach_counts_by_its_tenfolds_and_the_mood(
    reach: int | None, sentiment: float | None, anger: float, praise: float
) -> None:
    points = weighed(OTHER, "social.mentioned", reach=reach, sentiment=sentiment)
    assert points == {"anger": pytest.approx(anger), "praise": pytest.approx(praise)}


@pytest.mark.parametrize(
    ("kind", "fields", "times"),
    [
        ("contact.replied", {"attributes": {"reply": "template"}}, {"template_reply": 1}),
        ("contact.replied", {"attributes": {"reply": "personal"}}, {}),
        ("contact.replied", {}, {}),
        ("order.delayed", {"attributes": {"proactive": "true"}}, {"delay": 0.5}),
        ("order.delayed", {"attributes": {"proactive": "false"}}, {"delay": 1}),
        ("order.delayed", {}, {"delay": 1}),
        ("feedback.given", {"rating": 5}, {}),
        ("feedback.given", {"rating": 9}, {"good_feedback": 1}),
        ("feedback.given", {"rating": 0}, {"bad_feedback": 2}),
        ("social.mentioned", {"sentiment": -0.1, "reach": 5}, {}),
        ("social.mentioned", {"sentiment": 0.9, "reach": 5}, {}),
        ("social.mentioned", {"sentiment": -1.0, "reach": 90}, {"public_complaint": 2}),
    ],
)
def test_of_several_rules_of_a_signal_the_first_counts_whose_conditions_hold(
    kind: str, fields: dict[str, Any], times: dict[str, float]
) -> None:
    wanted = {name: FULL.file.signals[name].weight * n for name, n in times.items()}
    assert weighed(FULL, kind, **fields) == pytest.approx(wanted)


def clocks(op: int, kind: str, **attributes: str) -> dict[str, int]:
    """Clocks on which an interaction has an effect, and the promise that its rule makes."""
    rules, names = FULL.compiled.rules, tuple(FULL.file.clocks)
    return {
        names[rule_word(rules, r, TARGET)]: int(rule_word(rules, r, PROMISE_MS))
        for r in fulfilled(FULL, event(kind, BEGIN_MS, attributes=attributes))
        if rule_word(rules, r, OP) == op
    }


def test_of_several_openings_of_a_clock_the_first_counts_whose_conditions_hold() -> None:
    plain, critical = (clocks(CLOCK_OPEN, "contact.opened", **told) for told in ({}, {"urgency": "critical"}))
    assert plain.keys() == critical.keys() == {"first_response", "resolution"}
    assert 0 < critical["first_response"] < plain["first_response"], "it has a promise of its own"
    assert critical["resolution"] == plain["resolution"] > plain["first_response"]
    assert clocks(CLOCK_OPEN, "contact.opened", urgency="low") == clocks(CLOCK_OPEN, "contact.opened")


def test_unknown_is_that_an_attribute_is_absent_or_says_so() -> None:
    both = {"first_response", "reply"}
    assert clocks(CLOCK_CLOSE, "contact.replied").keys() == both
    assert clocks(CLOCK_CLOSE, "contact.replied", reply="unknown").keys() == both
    assert clocks(CLOCK_CLOSE, "contact.replied", reply="personal").keys() == both
    assert clocks(CLOCK_CLOSE, "contact.replied", reply="template").keys() == set()
    assert clocks(CLOCK_CLOSE, "contact.replied", reply="something new").keys() == set()


def test_what_a_kind_does_besides_signals_is_in_its_rules_too() -> None:
    rules = FULL.compiled.rules
    assert CONTACT in [rule_word(rules, r, OP) for r in fulfilled(FULL, event("contact.opened", BEGIN_MS))]


def test_kinds_of_windows_are_known_even_if_they_feed_nothing() -> None:
    kind, _ = read(
        POLICY, *[event(k, BEGIN_MS) for k in ("queue.left", "wait.measured", "wait.on_hold", "newsletter.read")]
    )
    assert (kind >= 0).tolist() == [True, True, True, False]
    assert fulfilled(POLICY, event("queue.left", BEGIN_MS)) == []


def weigh(kind: Int32s, duration_ms: Int64s, facts: Facts, rules: Rules, masks: Int64s, points: Float64s) -> None:
    """What is fulfilled of n interactions, int64[n], and the points of each rule, float64[n, 64]."""
    for i in range(kind.shape[0]):
        if kind[i] < 0:
            continue
        masks[i] = matched(i, kind[i], facts, rules)
        first = first_rule(rules, kind[i])
        for r in range(first, first_rule(rules, kind[i] + 1)):
            if rule_word(rules, r, OP) == SIGNAL:
                points[i, r - first] = points_of(i, r, duration_ms[i], facts, rules)


weigh_compiled = compiled(weigh)

_KINDS = sorted({*FULL.compiled.kinds, *OTHER.compiled.kinds, "newsletter.read"})
_SAID = {
    "reply": ["personal", "template", "unknown", "new"],
    "urgency": ["critical", "low"],
    "proactive": ["true", "false"],
    "stage": ["queue", "hold", "page", "elsewhere"],
    "question": ["csat", "effort", "nps", "of nobody"],
    "shipping": ["4.5", "", "much"],
}
_TOLD = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in _SAID.items()})
_NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def interactions(draw: st.DrawFn) -> Event:
    """Any interaction of a kind that the policies know."""
    return event(
        draw(st.sampled_from(_KINDS)),
        BEGIN_MS,
        duration_ms=draw(st.none() | st.integers(0, 2**62)),
        amount=draw(_NUMBERS),
        rating=draw(st.none() | st.floats(-1, 11)),
        sentiment=draw(st.none() | st.floats(-1, 1)),
        reach=draw(st.none() | st.integers(0, 2**60)),
        attributes=draw(_TOLD),
    )


@settings(deadline=None)
@given(st.lists(interactions(), max_size=20), st.sampled_from([FULL, OTHER, POLICY]))
def test_the_kernels_give_the_same_bits_uncompiled(events: list[Event], policy: Policy) -> None:
    duration_ms = batch_of(events).duration_ms
    told = []
    for kernel in (weigh, weigh_compiled):
        kind, facts = read(policy, *events)
        masks, points = np.full(len(events), -1, np.int64), np.full((len(events), 64), 9.0)
        kernel(kind, duration_ms, facts, policy.compiled.rules, masks, points)
        told.append((masks.tolist(), points.tobytes()))
    assert told[0] == told[1]
    with uncompiled():
        _, plain = read(policy, *events)
    assert [column.tobytes() for column in plain] == [column.tobytes() for column in facts]
