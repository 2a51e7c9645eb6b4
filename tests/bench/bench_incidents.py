"""Incidents: how often a quiet touchpoint is told to have one, and what an interaction costs.

`make bench BENCH=incidents` simulates 100 days of each place; the table of docs/incidents.md has 1,000, which take an
hour: `python tests/bench/bench_incidents.py 1000`, which also says how soon broken forms are told.
"""

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from pipelines.incidents.judge import Judge, State
from pipelines.incidents.kernel import ATTEMPT, FAILURE
from pipelines.incidents.slots import IncidentSlots
from pipelines.incidents.sums import SlotSum, SlotSums
from pipelines.intake.interactions import Texts
from pipelines.policy.incident_model import Incidents
from schemas.arrays import Int64s

DAY_MS, SLOT_MS = 86_400_000, 30_000
FORM, MENTIONS = "form", "mentions"
INCIDENTS = Incidents.model_validate(
    {
        "slot": "30s",
        "lateness": "15m",
        "quiet": "15m",
        "rules": {
            FORM: {
                "attempts": ["form.started"],
                "failures": ["form.failed"],
                "lookback": "5m",
                "min_customers": 10,
                "silence": {"min_expected": 15.0},
            },
            MENTIONS: {
                "by": "subject",
                "failures": ["social.mentioned"],
                "lookback": "10m",
                "min_customers": 8,
                "usual_rate": {"customers": 0.5, "lookbacks": 24.0},
            },
        },
    }
)


@dataclass(frozen=True)
class Quiet:
    """A place at which nothing happens but what is usual.

    per_hour: customers on average; daily: they come and go with the day, by this part up and down; share: who fails.
    """

    name: str
    rule: str
    per_hour: float
    share: float
    attempts: bool
    daily: float = 0.0


_FORMS = ((40, 0.02, 0.0), (400, 0.02, 0.0), (400, 0.2, 0.0), (4000, 0.02, 0.0), (400, 0.02, 0.9), (400, 0.2, 0.9))
_MENTIONS = ((2, 0.0), (20, 0.0), (20, 0.9), (60, 0.9))
_DAILY = {0.0: "", 0.9: ", day and night"}
QUIET = (
    *(
        Quiet(
            f"form, {per_hour} an hour, {share:.0%} fail, {how}{_DAILY[daily]}", FORM, per_hour, share, attempts, daily
        )
        for per_hour, share, daily in _FORMS
        for attempts, how in ((True, "attempts"), (False, "no attempts"))
    ),
    *(
        Quiet(f"mentions, {per_hour} an hour{_DAILY[daily]}", MENTIONS, per_hour, 1.0, False, daily)
        for per_hour, daily in _MENTIONS
    ),
)


def judged(judge: Judge, tried: Int64s, failed: Int64s, *, attempts: bool) -> Iterator[State]:
    """A place at the end of each slot. tried, failed: int64[n], customers who come once each.

    Distinct customers of a lookback are then the sum of those of its slots.
    """
    sums, state = SlotSums(judge.lookback), State(unusual_to=-1)
    for slot, (t, f) in enumerate(zip((tried if attempts else failed).tolist(), failed.tolist(), strict=True)):
        if t:
            counts = (t,) * judge.lookback, (f,) * judge.lookback
            sums.put(slot, SlotSum(*counts, t if attempts else 0, (), all_named=False))
        state = judge.step(state, sums, slot)
        sums.drop_to(slot - judge.delay - judge.lookback)
        yield state


def false_incidents(quiet: Quiet, days: int, seed: int, *, warm_days: int = 1) -> tuple[int, int]:
    """Incidents that the rule sees in so many quiet days, and how many of them are silences.

    Ten days of each place, after ``warm_days`` in which the rule learns what is usual. Customers come by Poisson.
    """
    rng = np.random.default_rng(seed)
    judge = Judge(INCIDENTS, INCIDENTS.rules[quiet.rule])
    slots, warm = (warm_days + 10) * DAY_MS // SLOT_MS, warm_days * DAY_MS // SLOT_MS
    phase = 1.0 + quiet.daily * np.sin(np.arange(slots) * 2 * math.pi * SLOT_MS / DAY_MS)
    told = silences = 0
    for _ in range(math.ceil(days / 10)):
        tried = rng.poisson(quiet.per_hour * SLOT_MS / 3_600_000 * phase)
        failed = rng.binomial(tried, quiet.share)
        for slot, state in enumerate(judged(judge, tried, failed, attempts=quiet.attempts)):
            if slot >= warm:
                told += state.failing is not None and state.failing.opened == slot
                opens = state.silent is not None and state.silent.opened == slot
                told, silences = told + opens, silences + opens
    return told, silences


BROKEN = ((400, 0.2), (400, 0.5), (400, 0.8), (4000, 0.1), (4000, 0.2), (4000, 0.8))
"""Forms by customers an hour, and the share that fails when they are broken."""


def minutes_until_told(per_hour: float, share: float, *, attempts: bool, runs: int) -> list[float]:
    """From the beginning of a failure to the end of the slot that shows it, of so many runs; inf beyond an hour.

    2 % fail in half a day before.
    """
    judge, told = Judge(INCIDENTS, INCIDENTS.rules[FORM]), list[float]()
    warm, end = DAY_MS // SLOT_MS // 2, DAY_MS // SLOT_MS // 2 + 120
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        tried = rng.poisson(per_hour * SLOT_MS / 3_600_000, end)
        failed = rng.binomial(tried, np.where(np.arange(end) < warm, 0.02, share))
        states = islice(judged(judge, tried, failed, attempts=attempts), warm, None)
        slots = next((n for n, state in enumerate(states, 1) if state.failing is not None), math.inf)
        told.append(slots * SLOT_MS / 60_000)
    return told


def print_broken_forms(runs: int) -> None:
    """Print the second table of docs/incidents.md: the median, and the 95th percentile."""
    for per_hour, share in BROKEN:
        said = [f"{per_hour} | {share:.0%}"]
        for attempts in (True, False):
            minutes = np.sort(minutes_until_told(per_hour, share, attempts=attempts, runs=runs))
            said.append(f"{minutes[runs // 2]:g} ({minutes[runs * 95 // 100]:g})")
        sys.stdout.write(f"| {' | '.join(said)} |\n")
        sys.stdout.flush()


def nanoseconds(*, of_rule: bool, customers: int, interactions: int = 400_000) -> float:
    """What an interaction costs in the first stage, of a rule or of none."""
    rng = np.random.default_rng(1)
    slots = IncidentSlots(INCIDENTS)
    names = [f"touchpoint/{n}".encode() for n in range(50)]
    length = np.array([len(n) for n in names], np.int32)
    start = (np.cumsum(length) - length).astype(np.int64)
    data = np.frombuffer(b"".join(names), np.uint8)
    best = math.inf
    for turn in range(4):
        place = rng.integers(0, 50, interactions)
        rule = np.full(interactions, 0 if of_rule else -1, np.int16)
        role = np.where(rng.random(interactions) < 0.05, FAILURE, ATTEMPT).astype(np.uint8)
        customer = rng.integers(0, customers, interactions).astype(np.int32)
        at_ms = 1_790_000_000_000 + turn * 40_000 + np.arange(interactions) // 10
        begin = time.process_time()
        for k in range(0, interactions, 5000):
            p = slice(k, k + 5000)
            where = Texts(start[place[p]], length[place[p]])
            slots.add(data, where, rule[p], role[p], customer[p], at_ms[p], at_ms[p])
        slots.take_observations()
        slots.take_slots(lambda numbers: ["c"] * len(numbers))
        best = min(best, time.process_time() - begin) if turn else best
    return best / interactions * 1e9


def slot_nanoseconds(per_hour: float, *, slots: int = 4096) -> float:
    """What a slot of a place costs that is judged with so many others: nothing happens there but what is usual."""
    judge, rng = Judge(INCIDENTS, INCIDENTS.rules[FORM]), np.random.default_rng(1)
    sums = SlotSums(judge.lookback)
    for slot, tried in enumerate(rng.poisson(per_hour * SLOT_MS / 3_600_000, slots).tolist()):
        if tried:
            sums.put(slot, SlotSum((tried,) * judge.lookback, (0,) * judge.lookback, tried, (), all_named=False))
    best = math.inf
    for _ in range(4):
        state, done, begin = State(unusual_to=-1), -1, time.process_time()
        while done < slots - 1:
            state, done = judge.calm(state, sums, done + 1, slots - 1, forgotten=slots)
            if done < slots - 1:
                state, done = judge.step(state, sums, done + 1), done + 1
        best = min(best, time.process_time() - begin)
    return best / slots * 1e9


def print_quiet_days(days: int) -> list[float]:
    """Print the table of docs/incidents.md; false incidents per 1,000 days of each place."""
    rates = []
    sys.stdout.write("| quiet place | false incidents per 1,000 touchpoint-days | of them silences |\n|---|---|---|\n")
    for n, quiet in enumerate(QUIET):
        told, silences = false_incidents(quiet, days, seed=n)
        rates.append(told * 1000 / days)
        sys.stdout.write(f"| {quiet.name} | {rates[-1]:.0f} | {silences * 1000 / days:.0f} |\n")
        sys.stdout.flush()
    return rates


def test_quiet_touchpoints_have_no_more_incidents_than_the_policy_allows() -> None:
    allowed = INCIDENTS.false_alarms / 30 * 1000
    assert max(print_quiet_days(100)) <= 10 * allowed


def test_an_interaction_costs_little() -> None:
    none, some, many = (
        nanoseconds(of_rule=of_rule, customers=n) for of_rule, n in ((False, 20_000), (True, 2_000), (True, 20_000))
    )
    sys.stdout.write(
        f"no rule: {none:.0f} ns; of a rule: {some:.0f} ns, and {many:.0f} ns when nearly each is a new customer there"
    )
    assert none < 40
    assert some < 400


def test_a_slot_in_which_nothing_begins_costs_less_than_an_interaction() -> None:
    nanoseconds_each = {per_hour: slot_nanoseconds(per_hour) for per_hour in (0, 40, 4000)}
    sys.stdout.write(", ".join(f"{n} an hour: {ns:.0f} ns" for n, ns in nanoseconds_each.items()))
    assert max(nanoseconds_each.values()) < 1000


if __name__ == "__main__":
    print_broken_forms(int(sys.argv[1]) // 5)
    print_quiet_days(int(sys.argv[1]))
