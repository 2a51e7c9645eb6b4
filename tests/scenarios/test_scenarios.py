"""Plays the scenario files through the pure core: what is expected in them happens, and is told in time."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from tests.batches import Event
from tests.scenarios.judging import differences, judged, moments_of
from tests.scenarios.playing import NOBODY, Played, played
from tests.scenarios.scenario_files import Case, ScenarioFile, Shuffle, read_scenario, scenario_files

FILES = scenario_files()


def cases() -> Iterator[object]:
    for name, file in FILES.items():
        for title, case in file.cases.items():
            yield pytest.param(file, case, id=f"{name}: {title}")


@pytest.mark.parametrize(("file", "case"), cases())
def test_a_scenario_happens_as_it_is_told(file: ScenarioFile, case: Case) -> None:
    wrong = judged(file, case)
    assert not wrong, f"\nscenario {file.scenario}, {file.name}\n" + "\n".join(wrong)


def out_of_order(events: Sequence[Event], shuffle: Shuffle, seed: int) -> list[Event]:
    """The events, each late by up to a bound, and some of them sent twice, soon after the first time."""
    rng = random.Random(seed)
    late = [replace(e, append_ms=e.record["occurred_at"] + rng.randrange(shuffle.within)) for e in events]
    late.sort(key=lambda e: e.append_ms)
    arriving: list[Event] = []
    again: list[tuple[int, Event]] = []  # behind how many others
    for n, e in enumerate(late):
        arriving.append(e)
        if rng.random() < shuffle.twice:
            again.append((n + rng.randrange(7), e))
        arriving += [replace(twice, append_ms=e.append_ms) for place, twice in again if place == n]
    last_ms = arriving[-1].append_ms
    return arriving + [replace(twice, append_ms=last_ms) for place, twice in again if place >= len(late)]


def shuffles() -> Iterator[object]:
    for told in FILES.values():
        for seed in told.shuffle.seeds if told.shuffle else ():
            for name, file in FILES.items():
                for title, case in file.cases.items():
                    yield pytest.param(file, case, told.shuffle, seed, id=f"{name}: {title}, seed {seed}")


@pytest.mark.parametrize(("file", "case", "shuffle", "seed"), shuffles())
def test_disorder_within_the_lateness_changes_nothing_that_stands(
    file: ScenarioFile, case: Case, shuffle: Shuffle, seed: int
) -> None:
    events = file.events_of(case)
    moments = moments_of(file, case.expect)
    end_ms = max([*(e.record["occurred_at"] for e in events), *moments]) + 4 * shuffle.within
    in_order = played(file, case, events, [*moments, end_ms])
    disorder = played(file, case, out_of_order(events, shuffle, seed), [*moments, end_ms])
    wrong = []
    for customer, standing in in_order.standing[end_ms].items():
        other = disorder.standing[end_ms].get(customer, NOBODY)
        wrong += [f"{customer}: {told}" for told in differences(standing, other)]
        if other.interactions != standing.interactions or other.band != standing.band:
            wrong.append(f"{customer}: {other}, not {standing}")
    final, also = final_alerts(in_order, end_ms), final_alerts(disorder, end_ms)
    wrong += [f"in order only: {about}" for about in (final - also).elements()]
    wrong += [f"out of order only: {about}" for about in (also - final).elements()]
    assert not wrong, "\n" + "\n".join(wrong)
    late_only = played(file, case, out_of_order(events, replaced(shuffle, twice=0.0), seed), [end_ms])
    assert late_only.windows == in_order.windows


def replaced(shuffle: Shuffle, *, twice: float) -> Shuffle:
    return shuffle.model_copy(update={"twice": twice})


def test_what_is_sent_twice_counts_once_in_windows() -> None:
    file = FILES["03_the_fuse"]
    (case,) = file.cases.values()
    events = file.events_of(case)
    once, twice = (played(file, case, told, []) for told in (events, [e for e in events for _ in range(2)]))
    assert twice.windows == once.windows


def final_alerts(result: Played, at_ms: int) -> "Counter[tuple[str | None, ...]]":
    """What each alert but band_entered came to; one that was retracted counts as never told.

    The id of an incident may say that it began in another slot (docs/incidents.md).
    """
    told = [a for a in result.newest(at_ms).values() if a.type != "band_entered" and a.status != "retracted"]
    return Counter(
        (a.type, a.status, a.touchpoint, a.subject)
        if a.type == "touchpoint_incident"
        else (a.type, a.status, a.customer_id, a.alert_id)
        for a in told
    )


SMALL = """
scenario: 0
name: small
says: what a guard is tried on
cases:
  one:
    events: [{at: day 1 10:00, customer: Ece, kind: feedback.given, rating: 2}]
    expect: [{at: day 1 10:45, alert: clock_warning, customer: Ece, status: opened}]
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rating: 2", "ratings: 2"),
        ("status: opened", "state: opened"),
        ("says:", "say:"),
        ("day 1 10:45", "10:45"),
        ("alert: clock_warning, ", ""),
    ],
)
def test_a_scenario_file_with_a_slip_is_refused(old: str, new: str) -> None:
    with pytest.raises(ValueError, match="ScenarioFile"):
        read_scenario(SMALL.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("10:45", "10:46", "raised day 1 10:45:00"),
        ("status: opened", "status: resolved", "status opened"),
        ("alert: clock_warning, customer: Ece, status: opened", "no alert: clock_warning", "but there is"),
        ("alert: clock_warning, customer: Ece, status: opened", "customer: Ece, band: hot", "band is warm"),
        ("alert: clock_warning, customer: Ece, status: opened", "customer: Ece, open clocks: []", "open clocks are"),
    ],
)
def test_an_expectation_that_does_not_hold_is_told(old: str, new: str, told: str) -> None:
    file = read_scenario(SMALL.replace(old, new))
    (wrong,) = judged(file, file.cases["one"])
    assert told in wrong
