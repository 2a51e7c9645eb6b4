"""Budgets of alerts: the first ones by rank pass, shares add up, and what has passed stays passed."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.alerts.alert import Alert
from pipelines.alerts.budgets import HOUR_MS, Budgets, rank_of, share_of
from pipelines.alerts.desk import Desk
from pipelines.policy.lint import policy_warnings
from pipelines.policy.policy import Policy, parse_policy
from schemas.errors import PolicyError
from tests.batches import MINUTE_MS
from tests.desk import FULL, FULL_TEXT, Run, mark, plain

NOON_MS = 1_772_452_800_000
TEAMS = """
budgets:
  teams:
    sosyal medya: {types: [social_risk]}
    seçkin müşteriler: {segments: [loyal, vulnerable], per_hour: 2}
    iade: {subjects: [iade, değişim], types: [clock_warning, repeat_contact], per_hour: 1}
    çözüm ekibi: {per_hour: 3}
"""


def with_teams(text: str = TEAMS) -> Policy:
    return parse_policy(FULL_TEXT + text, "teams.yaml")


POLICY = with_teams()


def alert(n: int = 0, **fields: Any) -> Alert:
    made = Alert(f"id {n}", 1, "clock_warning", "opened", "ana", NOON_MS, "", "", team="çözüm ekibi")
    return made._replace(**fields)


@pytest.mark.parametrize(
    ("kind", "segment", "subject", "team"),
    [
        ("social_risk", "loyal", "iade", "sosyal medya"),
        ("clock_warning", "vulnerable", "iade", "seçkin müşteriler"),
        ("clock_warning", "new", "değişim", "iade"),
        ("clock_breached", "new", "değişim", "çözüm ekibi"),
        ("band_entered", "", None, "çözüm ekibi"),
    ],
)
def test_an_alert_is_of_the_first_team_for_which_all_holds(
    kind: str, segment: str, subject: str | None, team: str
) -> None:
    assert POLICY.team_of(kind, POLICY.segment_names.index(segment), subject) == team


def test_an_alert_is_nobodys_when_no_team_has_it_or_there_are_none() -> None:
    only = with_teams("budgets: {teams: {iade: {subjects: [iade], per_hour: 1}}}\n")
    assert only.team_of("band_entered", 0, None) is None
    assert FULL.team_of("band_entered", 0, None) is None
    desk = Desk(only, 0, 1)
    many = [alert(n, team=None) for n in range(5)]
    assert desk.complete(many) == many


def test_the_rank_is_priority_then_time_left_then_none() -> None:
    ranked = [
        alert(priority=1),
        alert(priority=2, deadline_ms=NOON_MS - 5),
        alert(priority=2, deadline_ms=NOON_MS + 1),
        alert(priority=2, deadline_ms=NOON_MS + 60_000),
        alert(priority=2),
        alert(priority=3, deadline_ms=NOON_MS),
    ]
    assert sorted(ranked, key=rank_of) == ranked


@given(st.integers(1, 1000), st.integers(0, 10_000_000), st.integers(1, 64))
def test_shares_of_all_partitions_add_up_to_the_budget(per_hour: int, hour: int, partitions: int) -> None:
    shares = [share_of(per_hour, hour, n, partitions) for n in range(partitions)]
    assert sum(shares) == per_hour
    assert max(shares) - min(shares) <= 1


def test_what_cannot_be_divided_goes_around() -> None:
    shares = [[share_of(2, hour, n, 4) for hour in range(4)] for n in range(4)]
    assert [sum(each) for each in shares] == [2, 2, 2, 2]


@given(st.lists(st.tuples(st.integers(2, 5), st.integers(0, 3)), max_size=40))
def test_the_first_ones_of_the_hour_have_passed_in_the_end(ranks: list[tuple[int, int]]) -> None:
    budgets = Budgets(POLICY, 0, 1)
    alerts = [alert(n, priority=p, deadline_ms=NOON_MS + left * 60_000) for n, (p, left) in enumerate(ranks)]
    passed = [a for a in alerts if budgets.passes(a)]
    first = sorted(alerts, key=lambda a: (rank_of(a), alerts.index(a)))[:3]
    assert {a.alert_id for a in first} <= {a.alert_id for a in passed}
    assert passed[:3] == alerts[:3]


def test_so_many_pass_in_random_order_as_is_written() -> None:
    """docs/budgets.md: a share of 10 of 100 alerts lets pass about 33 in random order."""
    policy, rng, counts = with_teams("budgets: {never_held: 0, teams: {a: {per_hour: 10}}}\n"), random.Random(7), []
    for hour in range(200):
        alerts = [alert(deadline_ms=NOON_MS + n, raised_ms=NOON_MS, team="a") for n in range(1, 101)]
        rng.shuffle(alerts)
        budgets = Budgets(policy, 0, 1)
        moved = [a._replace(raised_ms=NOON_MS + hour * HOUR_MS, deadline_ms=(a.deadline_ms or 0) + hour * HOUR_MS)
                 for a in alerts]  # fmt: skip
        counts.append(sum(budgets.passes(a) for a in moved))
    assert 32 < sum(counts) / len(counts) < 34


def test_the_most_urgent_pass_and_take_their_places() -> None:
    budgets = Budgets(POLICY, 0, 1)
    assert [budgets.passes(alert(n, priority=1)) for n in range(5)] == [True] * 5
    assert not budgets.passes(alert(6, priority=2))
    held = Budgets(with_teams("budgets: {never_held: 0, teams: {çözüm ekibi: {per_hour: 1}}}\n"), 0, 1)
    assert [held.passes(alert(n, priority=1)) for n in range(2)] == [True, False]


def test_each_hour_has_its_own_and_old_ones_are_forgotten() -> None:
    budgets = Budgets(POLICY, 0, 1)
    hours = (0, 0, 0, 0, 1, 49)
    passed = [budgets.passes(alert(n, raised_ms=NOON_MS + hour * HOUR_MS)) for n, hour in enumerate(hours)]
    assert passed == [True, True, True, False, True, True]
    changes = dict(budgets.take_changes())
    assert [value is None for value in changes.values()] == [True, False, False]
    assert not dict(budgets.take_changes())


def test_it_goes_on_after_a_restart_and_forgets_teams_that_are_no_more() -> None:
    budgets = Budgets(POLICY, 0, 1)
    assert [budgets.passes(alert(n)) for n in range(4)] == [True, True, True, False]
    again, other = Budgets(POLICY, 0, 1), Budgets(with_teams("budgets: {teams: {yeni: {per_hour: 1}}}\n"), 0, 1)
    for key, value in budgets.take_changes():
        again.restore(key, value or b"")
        other.restore(key, value or b"")
    assert not again.passes(alert(5))
    assert again.passes(alert(6, priority=2))
    assert [value for _, value in other.take_changes()] == [None]


def ratings(count: int) -> list[Any]:
    return [plain("feedback.given", n, rating=2.0, customer_id=f"müşteri {n}") for n in range(count)]


def test_what_is_held_back_is_told_and_remembered_over_a_restart() -> None:
    run = Run(POLICY).apply(*ratings(4)).advance(46 * MINUTE_MS)
    assert [(a.team, a.held_back) for a in run.alerts] == [("çözüm ekibi", n == 3) for n in range(4)]
    run.restart().apply(
        *[
            plain("contact.replied", 50 * MINUTE_MS + n, customer_id=f"müşteri {n}", attributes={"reply": "personal"})
            for n in range(4)
        ]
    )
    ends = [(a.status, a.held_back) for a in run.alerts[4:]]
    assert ends == [("resolved", False)] * 3 + [("resolved", True)]


def test_a_mark_and_what_is_held_back_do_not_forget_each_other() -> None:
    run = Run(POLICY).apply(*ratings(4)).advance(46 * MINUTE_MS)
    held = run.alerts[-1]
    about = mark("assigned", 47 * MINUTE_MS, held.alert_id, team="iade", assignee="İlke")
    about.record["customer_id"] = held.customer_id
    run.apply(about)
    told = run.alerts[-1]
    assert (told.held_back, told.team, told.handling, told.revision) == (True, "iade", "assigned", 2)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("per_hour: 3}", "budgets.teams.çözüm ekibi.per_hours: is unknown"),
        (
            "per_hour: 2}",
            "budgets: teams.seçkin müşteriler.segments must name segments (new, loyal, vulnerable), got ve",
        ),
        ("types: [social_risk]", "budgets.teams.sosyal medya.types.0: must be 'band_entered', 'clock_warning'"),
        ("per_hour: 1}", "budgets.teams.iade.per_hour: must be greater than or equal to 1, got 0"),
    ],
)
def test_a_slip_is_told_with_line_and_key(bad: str, told: str) -> None:
    slips = {
        "per_hour: 3}": "per_hours: 3}",
        "per_hour: 2}": "per_hour: 2}",
        "types: [social_risk]": "types: [social_risks]",
        "per_hour: 1}": "per_hour: 0}",
    }
    text = TEAMS.replace(bad, slips[bad])
    if bad == "per_hour: 2}":
        text = text.replace("[loyal, vulnerable]", "[loyal, very_loyal]")
    with pytest.raises(PolicyError) as caught:
        with_teams(text)
    assert f" {told}" in str(caught.value)
    assert str(caught.value).startswith("teams.yaml:")


def test_a_team_behind_one_that_takes_all_is_warned_of() -> None:
    assert policy_warnings(POLICY.file) == []
    text = TEAMS.replace("    sosyal medya: {types: [social_risk]}\n", "    herkes: {}\n")
    assert policy_warnings(with_teams(text).file) == [
        f"budgets.teams.{team}: has no alerts, for herkes before it takes all"
        for team in ("seçkin müşteriler", "iade", "çözüm ekibi")
    ]
