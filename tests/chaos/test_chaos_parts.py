"""What a chaos run is made of: the schedule, the interactions, the model, and a comparison that misses nothing."""

from dataclasses import replace

import pytest

from connectors.simulator.simulation import crowd_interactions
from pipelines.cli.chaos.comparison import compared
from pipelines.cli.chaos.judging import policy_text
from pipelines.cli.chaos.model import Model
from pipelines.cli.chaos.outcome import Outcome, Row, Score
from pipelines.cli.chaos.plan import Meaning
from pipelines.cli.chaos.production import disturbed
from pipelines.cli.chaos.schedule import Action, drawn
from pipelines.policy.policy import parse_policy
from pipelines.worker.engine import Engine
from pipelines.worker.faults import FAULTS_VARIABLE, engine_class
from schemas.errors import SettingsError

BEGIN_MS = 1_790_000_000_000
POLICY_TEXT = policy_text("three")
SEEDS = range(1, 30)


def schedule(seed: int, *, broker: bool = False) -> list[Action]:
    return drawn(seed, 120.0, workers=2, session_s=6.0, broker=broker)


@pytest.mark.parametrize("name", ["three", "full"])
def test_the_policy_of_a_run_is_a_policy(name: Meaning) -> None:
    policy = parse_policy(policy_text(name), "policy.yaml")
    assert policy.file.windows.lateness < 60_000, "windows close while they are written to"


# -- what is done ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_schedule_is_that_of_its_seed(seed: int) -> None:
    assert schedule(seed) == schedule(seed) != schedule(seed + 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_whoever_is_taken_away_comes_back_and_guests_leave(seed: int) -> None:
    by_worker: dict[int, list[str]] = {}
    for action in schedule(seed):
        by_worker.setdefault(action.worker, []).append(action.deed)
    for worker, deeds in by_worker.items():
        pairs = list(zip(deeds[::2], deeds[1::2], strict=True))
        if worker <= 2:
            assert set(pairs) <= {("kill", "start"), ("stop", "start"), ("freeze", "thaw")}
        else:
            assert pairs in ([("start", "stop")], [("start", "kill")])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_worker_is_frozen_for_longer_than_its_session(seed: int) -> None:
    actions = schedule(seed)
    for frozen in (a for a in actions if a.deed == "freeze"):
        thawed = next(a for a in actions if a.deed == "thaw" and a.worker == frozen.worker and a > frozen)
        assert thawed.at_s - frozen.at_s > 7.0


def test_the_broker_is_away_for_2_and_for_12_seconds() -> None:
    times = [a.at_s for a in schedule(3, broker=True) if a.worker == 0]
    away = [back - gone for gone, back in zip(times[::2], times[1::2], strict=True)]
    assert away == pytest.approx([2.0, 12.0, 2.0])
    assert not any(a.worker == 0 for a in schedule(3))


def test_five_in_a_hundred_are_late_and_five_come_twice() -> None:
    crowd = list(crowd_interactions(seed=5, start_ms=BEGIN_MS, rate=1_000.0, total=20_000))
    told = list(disturbed(iter(crowd), 5))
    assert told == list(disturbed(iter(crowd), 5))
    assert 20_800 < len(told) < 21_200
    first: dict[str, int] = {}
    for one in told:
        assert first.setdefault(one.event_id, one.occurred_ms) == one.occurred_ms, "the second time it is the same"
    assert first.keys() == {one.event_id for one in crowd}
    back_ms = [one.occurred_ms - first[one.event_id] for one in crowd if first[one.event_id] != one.occurred_ms]
    assert 850 < len(back_ms) < 1_150
    assert min(back_ms) >= 0
    assert max(back_ms) > 120_000


# -- what is compared -----------------------------------------------------------------------------------------------


def run_of(model: Model) -> Outcome:
    """What a faultless worker would leave."""
    rows = {
        name: Row(0, c.interactions, c.updated_ms, c.band, dict(c.heat), c.opened_ms, c.closed_ms, c.revision)
        for name, c in model.customers.items()
    }
    found = Outcome(rows)
    found.scores = {n: Score(r.interactions, r.updated_ms, model.score(n), r.band) for n, r in rows.items()}
    found.alerts.update((a.alert_id, a.revision, a.status, a.customer_id, a.band, a.raised_ms) for a in model.alerts)
    found.windows = {place: tuple(waits) for place, waits in model.windows.items()}
    found.dead_letters.update(model.rejected)
    return found


@pytest.fixture
def model() -> Model:
    model = Model(POLICY_TEXT)
    for one in crowd_interactions(seed=5, start_ms=BEGIN_MS, rate=100.0, total=5_000, customers=100):
        record = {
            "customer_id": one.customer_id,
            "kind": one.kind,
            "channel": one.channel,
            "touchpoint": one.touchpoint,
            "occurred_at": one.occurred_ms,
            "duration_ms": one.duration_ms,
            "attributes": dict(one.attributes),
        }
        model.feed(record, BEGIN_MS + 60_000)
    return model


def test_a_faultless_outcome_has_no_problems(model: Model) -> None:
    comparison = compared(run_of(model), {0: model})
    assert comparison.problems == []
    assert comparison.counts["revisions of alerts"] > 50
    assert comparison.counts["heats, bit for bit"] == comparison.counts["heats"] > 100
    assert comparison.counts["windows"] > 10


def test_what_differs_is_told_by_name(model: Model) -> None:
    found = run_of(model)
    name, signal, heat = next((n, s, h) for n, row in found.rows.items() for s, h in row.heat.items() if h > 1)
    found.rows[name] = replace(found.rows[name], heat={**found.rows[name].heat, signal: heat * (1 + 1e-8)})
    (problem,) = compared(found, {0: model}).problems
    assert problem.startswith(f"1 heats differ: ({name!r}, {signal!r})")


def test_any_single_thing_that_is_lost_or_told_twice_is_a_problem(model: Model) -> None:
    def without(part: str) -> list[str]:
        found = run_of(model)
        getattr(found, part).popitem()
        return compared(found, {0: model}).problems

    for part in ("rows", "scores", "alerts", "windows"):
        assert without(part), part
    twice = run_of(model)
    twice.alerts[next(iter(twice.alerts))] += 1
    again = run_of(model)
    again.doubled.append("score of ana after 3 interactions")
    assert compared(twice, {0: model}).problems
    assert compared(again, {0: model}).problems


# -- the injector ---------------------------------------------------------------------------------------------------


def test_a_worker_that_nobody_disturbs_has_the_plain_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FAULTS_VARIABLE, raising=False)
    assert engine_class() is Engine


def test_faults_that_cannot_be_read_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FAULTS_VARIABLE, '{"plant": "make-coffee"}')
    with pytest.raises(SettingsError, match=f"^{FAULTS_VARIABLE}: .*make-coffee"):
        engine_class()
