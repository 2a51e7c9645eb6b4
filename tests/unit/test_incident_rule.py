"""The rule of incidents in numbers: tails against sums done by hand, false alarms of quiet days, keys of the policy."""

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.incidents.judge import Judge, State
from pipelines.incidents.replay import IncidentReplay
from pipelines.incidents.sums import SlotSum, SlotSums
from pipelines.incidents.tails import rate_left, rate_tail, share_tail
from pipelines.intake.index import TextIndex
from pipelines.policy.incident_model import Incidents
from tests.batches import batch_of, event
from tests.bench.bench_incidents import INCIDENTS as MEASURED
from tests.bench.bench_incidents import QUIET, false_incidents
from tests.incidents import INCIDENTS, NOON_MS, SECTION, Act, replayed
from tests.unit.test_incidents import MINUTE_MS, broken_form


def beta_binomial(k: int, n: int, a: float, b: float) -> float:
    def beta(x: float, y: float) -> float:
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    return math.comb(n, k) * math.exp(beta(k + a, n - k + b) - beta(a, b))


def negative_binomial(k: int, mean: float, shape: float) -> float:
    log = math.lgamma(k + shape) - math.lgamma(shape) - math.lgamma(k + 1)
    return math.exp(log + shape * math.log(shape / (shape + mean)) + k * math.log(mean / (shape + mean)))


@given(st.integers(0, 80), st.data(), st.floats(0.001, 0.9), st.floats(0.5, 1000))
def test_the_tail_of_a_share_is_the_sum_of_its_terms(n: int, data: st.DataObject, usual: float, weight: float) -> None:
    failed = data.draw(st.integers(0, n))
    a, b = usual * weight, (1 - usual) * weight
    assert share_tail(failed, n, usual, weight) == pytest.approx(
        min(1.0, sum(beta_binomial(k, n, a, b) for k in range(failed, n + 1))), rel=1e-6
    )


@given(st.integers(0, 60), st.floats(0.01, 50), st.floats(0.2, 50))
def test_the_tails_of_a_rate_are_the_sums_of_their_terms(count: int, mean: float, shape: float) -> None:
    below = sum(negative_binomial(k, mean, shape) for k in range(count))
    assert rate_left(count, mean, shape) == pytest.approx(below + negative_binomial(count, mean, shape), rel=1e-6)
    assert rate_tail(count, mean, shape) == pytest.approx(1 - below, abs=1e-9)


def test_what_is_well_known_has_the_tails_of_the_binomial_and_of_poisson() -> None:
    binomial = sum(math.comb(75, k) * 0.02**k * 0.98 ** (75 - k) for k in range(6, 76))
    poisson = 1 - sum(math.exp(-2.0) * 2.0**k / math.factorial(k) for k in range(8))
    assert share_tail(6, 75, 0.02, 1e7) == pytest.approx(binomial, rel=1e-3)
    assert rate_tail(8, 2.0, 1e7) == pytest.approx(poisson, rel=1e-3)


@pytest.mark.parametrize(("count", "mean"), [(300, 2.0), (20_000, 120.0), (10**6, 0.5), (2 * 10**6, 10**5)])
def test_so_many_that_their_chance_is_no_float_are_nearly_impossible(count: int, mean: float) -> None:
    assert rate_tail(count, mean, 50.0) <= 1e-300
    assert share_tail(10_000, 10_000, 0.02, 1000.0) <= 1e-300


def test_so_few_that_their_chance_is_no_float_are_usual_again() -> None:
    assert rate_tail(1000, 10**6, 50.0) == share_tail(1, 10**5, 0.5, 1000.0) == 1.0
    assert rate_left(10**6, 10**4, 50.0) == 1.0
    assert rate_left(1, 10**9, 50.0) == 0.0


def test_more_failures_than_customers_cannot_be_and_none_are_certain() -> None:
    assert share_tail(5, 4, 0.02, 10.0) == 0.0
    assert share_tail(0, 0, 0.02, 10.0) == rate_tail(0, 1.0, 1.0) == 1.0


@pytest.mark.parametrize("attempts", [True, False])
def test_quiet_days_have_no_more_false_incidents_than_the_policy_allows(attempts: bool) -> None:
    """3.3 in 1,000 days of a place are allowed; 120 days have more than one with a chance of 6 %."""
    places = [q for q in QUIET if q.rule == "form" and q.per_hour == 400 and q.attempts is attempts and not q.daily]
    assert MEASURED.false_alarms == INCIDENTS.false_alarms
    assert sum(false_incidents(place, 60, seed=n)[0] for n, place in enumerate(places)) <= 1


def test_a_replay_of_batches_tells_what_the_stages_tell() -> None:
    acts = sorted(broken_form(30, hours=1))
    customers, told = TextIndex(), []
    replay = IncidentReplay(INCIDENTS, customers)
    for at in range(0, len(acts), 40):
        events = [event(a.kind, a.at_ms, customer_id=a.customer, touchpoint=a.place) for a in acts[at : at + 40]]
        batch = batch_of(events)
        told += replay.apply(batch, customers.add(batch.data, batch.customer.start, batch.customer.length))
    assert told == replayed(acts, batch=40)
    assert replay.advance(acts[-1].at_ms) == []


def test_without_subjects_a_rule_by_subject_sees_nothing() -> None:
    customers, replay = TextIndex(), IncidentReplay(INCIDENTS, TextIndex())
    batch = batch_of([event("social.mentioned", NOON_MS + n, customer_id=f"m{n}") for n in range(50)])
    assert replay.apply(batch, customers.add(batch.data, batch.customer.start, batch.customer.length)) == []
    assert replay.advance(NOON_MS + 60 * MINUTE_MS) == []
    assert replay.watch.places == {}


def changed(*, form: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    rules = {**SECTION["rules"], "form": {**SECTION["rules"]["form"], **(form or {})}}
    return {**SECTION, **changes, "rules": rules}


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (changed(slot="7s"), "lateness must be a multiple of slot, 7s, got 15m"),
        (changed(slot="2m"), "slot must be at most 1m, or an incident is told too late, got 2m"),
        (changed(lateness="30m"), "must be at most 62 slots together, 31m, got 40m"),
        (changed(quiet="10s"), "quiet must be a multiple of slot, 30s, got 10s"),
        (changed(form={"lookback": "100s"}), "rules.form.lookback must be a multiple of slot"),
        (changed(form={"failures": ["form.started"]}), "kind form.started cannot be an attempt and a failure"),
        (changed(form={"attempts": []}), "silence needs attempts"),
        (changed(form={"min_customers": 1}), "greater than or equal to 2"),
        (changed(form={"failures": []}), "at least 1 item"),
        (changed(form={"unknown": 1}), "Extra inputs"),
        (changed(false_alarms=0.0), "greater than 0"),
        ({**SECTION, "rules": {}}, "at least 1 item"),
        (
            {**SECTION, "rules": {**SECTION["rules"], "other": {**SECTION["rules"]["mentions"]}}},
            "kind social.mentioned belongs to both mentions and other",
        ),
    ],
)
def test_a_wrong_key_is_told_by_name(said: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError) as error:
        Incidents.model_validate(said)
    assert problem in str(error.value)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12), st.booleans()), max_size=60), st.integers(1, 3))
@settings(deadline=None, max_examples=30)
def test_partitions_and_batches_do_not_change_what_stands(said: list[tuple[int, int, bool]], sources: int) -> None:
    acts = [
        Act(NOON_MS + slot * 30_000, f"c{customer}-{n % 40}", "form.failed" if fails else "form.started")
        for n, (slot, customer, fails) in enumerate(said * 3)
    ]
    end_ms = NOON_MS + 120 * MINUTE_MS
    one = replayed(acts, to_ms=end_ms, batch=1000)
    several = replayed(acts, to_ms=end_ms, sources=sources, batch=7)
    final = [{a.alert_id: (a.status, a.customers, a.members) for a in told} for told in (one, several)]
    assert final[0] == final[1]


@given(
    st.sampled_from(["form", "mentions"]),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 40), st.integers(0, 30), st.booleans()), max_size=12),
    st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_slots_in_which_nothing_can_begin_are_gone_through_together_as_one_by_one(
    rule: str, said: list[tuple[int, int, int, bool]], is_new: bool
) -> None:
    """Stretches of slots, of so many customers and so many of them who fail, with attempts or without."""
    judge, last, at = Judge(INCIDENTS, INCIDENTS.rules[rule]), 2500, 0
    span, slots = judge.lookback, SlotSums(judge.lookback)
    for length, tried, failed, attempts in said:
        for slot in range(at, at + length if tried else at):
            counts = (tried,) * span, (min(failed, tried),) * span
            slots.put(slot, SlotSum(*counts, tried if attempts else 0, (), all_named=True))
        at += length
    one_by_one = [State(unusual_to=-1, is_new=is_new)]
    for slot in range(last):
        one_by_one.append(judge.step(one_by_one[-1], slots, slot))
    together, done, asked = one_by_one[0], -1, list[int]()
    while done < last - 1:
        together, done = judge.calm(together, slots, done + 1, last - 1, forgotten=10**9)
        assert together == one_by_one[done + 1]
        if done < last - 1:
            done += 1
            asked.append(done)
            together = judge.step(together, slots, done)
    assert {n for n in range(last) if not one_by_one[n + 1].is_plain} <= set(asked)
    if not said:
        assert asked == []


def begun(
    rule: str, per_hour: Sequence[float], *, attempts: bool = False, is_new: bool = False
) -> list[tuple[str, int]]:
    """Incidents of a place by the hours in which they begin. per_hour: customers of each hour, of whom half fail."""
    judge, state, rng = Judge(INCIDENTS, INCIDENTS.rules[rule]), State(unusual_to=-1, is_new=is_new), random.Random(5)
    slots, told = SlotSums(judge.lookback), list[tuple[str, int]]()
    for slot in range(len(per_hour) * 120):
        failed = sum(rng.random() < per_hour[slot // 120] / 1200 for _ in range(10))
        tried = 2 * failed if attempts else failed
        if tried:
            counts = (tried,) * judge.lookback, (failed,) * judge.lookback
            slots.put(slot, SlotSum(*counts, tried if attempts else 0, (), all_named=False))
        state = judge.step(state, slots, slot)
        told += [(s.how, slot // 120) for s in (state.failing, state.silent) if s is not None and s.opened == slot]
    return told


OPEN_AT_NINE = [0.0] * 9 + [90.0] * 9 + [0.0] * 6


@pytest.mark.parametrize("rule", ["form", "mentions"])
@pytest.mark.parametrize("is_new", [False, True])
def test_a_place_that_opens_at_nine_is_an_incident_once_and_not_each_day(rule: str, is_new: bool) -> None:
    """The first one stands as long as the day, so that nothing else is known of it."""
    assert begun(rule, OPEN_AT_NINE * 6, is_new=is_new) == [("rate", 9)]


def test_a_place_that_closes_at_six_is_silent_once_and_not_each_day() -> None:
    silences = [n for how, n in begun("form", [5 * n for n in OPEN_AT_NINE] * 6, attempts=True) if how == "silence"]
    assert silences == [18]


def test_an_incident_at_the_hour_of_one_on_the_day_before_is_told_until_it_is_what_happens_there_on_most_days() -> None:
    day = [60.0] * 24
    odd = [60.0] * 12 + [300.0] + [60.0] * 11
    hours = [n // 24 for _, n in begun("mentions", day * 6 + odd * 8)]
    assert hours[:3] == [6, 7, 8]
    assert max(hours) < 10


@pytest.mark.parametrize(("memory", "learn"), [("1d", "1h"), ("30m", "1h"), ("10m", "3h"), ("3650d", "1h")])
def test_a_rate_is_judged_when_its_place_has_been_watched_for_learn_however_soon_is_forgotten(
    memory: str, learn: str
) -> None:
    form: dict[str, Any] = {"attempts": [], "silence": None, "learn": learn}
    incidents = Incidents.model_validate(changed(form=form, memory=memory))
    rule = incidents.rules["form"]
    judge, state = Judge(incidents, rule), State(unusual_to=-1)
    slots = SlotSums(judge.lookback)
    learnt = rule.learn // incidents.slot + judge.delay + judge.lookback - 1  # the first lookback ends with slot 9
    for slot in range(learnt):
        count = 100 if slot >= learnt - 2 else 1
        slots.put(slot, SlotSum((count,) * judge.lookback, (count,) * judge.lookback, 0, (), all_named=True))
        state = judge.step(state, slots, slot)
        if slot == learnt - 2:
            assert state.failing is None
    assert state.failing is not None


def test_alphas_of_a_month_add_to_what_the_policy_allows() -> None:
    slots_of_a_month = 30 * 86_400_000 / INCIDENTS.slot
    assert np.isclose(INCIDENTS.alpha * slots_of_a_month, INCIDENTS.false_alarms)
