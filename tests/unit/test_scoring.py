"""Heat: it halves in its half-life, late interactions are decayed, caps count only when it is read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.cli.chaos.model import Model
from pipelines.fold.items import HEAD, held_at
from pipelines.fold.scoring import (
    CROSSED_MS,
    HEAT,
    Crossings,
    Rows,
    Senses,
    cool_rows_compiled,
    decayed,
    heat_after,
    left_after,
    senses_of,
)
from pipelines.partition import CustomerPartition
from pipelines.policy.policy import parse_policy
from schemas.arrays import Int64s
from tests.batches import BEGIN_MS, MINUTE_MS, POLICY, POLICY_TEXT, batch_of, event

SENSES = Senses(np.array([[600_000.0, 25.0, 1.0], [180_000.0, 20.0, 1.0]]), np.zeros((2, 1, 1)), 0, 0, 1)
RELIEF = SENSES._replace(signal=np.array([[600_000.0, 25.0, 1.0], [180_000.0, 20.0, -0.5]]))


def row_of(*heats: float) -> Rows:
    """One row with these heats."""
    words = np.zeros((1, HEAT + len(heats)), np.int64)
    words.view(np.float64)[0, HEAT:] = heats
    return Rows(
        words, np.zeros(1, np.uint8), np.zeros(1, np.uint8), np.zeros(1, np.int64), np.zeros((1, 3), np.int64), 0
    )


def holding(*heats: float) -> Int64s:
    """An arena in which the open cases of nobody's block hold heat."""
    arena = np.zeros(HEAD + len(heats), np.int64)
    arena.view(np.float64)[held_at(0) :] = heats
    return arena


NOTHING = holding(0.0, 0.0)


def heat_of(*heats: float, age_ms: float = 0, held: tuple[float, float] = (0.0, 0.0), senses: Senses = SENSES) -> float:
    return heat_after(0, age_ms, senses, row_of(*heats), holding(*held), held_at(0))


def test_heat_halves_in_its_half_life() -> None:
    assert decayed(12.0, 0, 600_000.0) == 12.0
    assert decayed(12.0, 600_000, 600_000.0) == 6.0
    assert decayed(12.0, 1_800_000, 600_000.0) == 1.5
    assert decayed(12.0, 10**15, 1.0) == 0.0


def test_the_cap_counts_when_heat_is_read_and_not_before() -> None:
    assert heat_of(100.0, 4.0) == 29.0
    assert heat_of(100.0, 4.0, age_ms=1_200_000) == pytest.approx(25 + 4 * 2 ** (-1200 / 180))
    assert heat_of(100.0, 4.0, age_ms=1_800_000) == pytest.approx(12.5 + 4 / 1024)


def test_what_open_cases_hold_does_not_decay_and_the_cap_is_that_of_both() -> None:
    assert heat_of(8.0, 0.0, age_ms=600_000, held=(5.0, 2.0)) == 4.0 + 5.0 + 2.0
    assert heat_of(8.0, 0.0, age_ms=10**12, held=(5.0, 2.0)) == 7.0
    assert heat_of(20.0, 0.0, held=(10.0, 0.0)) == 25.0


def test_relief_takes_away_what_it_counts_and_never_more_than_there_is() -> None:
    assert heat_of(20.0, 8.0, senses=RELIEF) == 16.0
    assert heat_of(20.0, 100.0, senses=RELIEF) == 10.0, "its cap counts too"
    assert heat_of(4.0, 20.0, senses=RELIEF) == 0.0
    assert heat_of(20.0, 8.0, age_ms=180_000, senses=RELIEF) == pytest.approx(20 * 2**-0.3 - 2)


@settings(max_examples=200)
@given(
    st.lists(st.floats(0, 200), min_size=2, max_size=2),
    st.floats(0.01, 44),
    st.integers(0, 10**9),
)
def test_a_band_is_left_at_the_first_millisecond_at_which_heat_is_below_its_bound(
    heats: list[float], bound: float, age_ms: int
) -> None:
    row, at = row_of(*heats), held_at(0)
    if heat_after(0, age_ms, SENSES, row, NOTHING, at) >= bound:
        return
    left = left_after(0, 0, age_ms, bound, SENSES, row, NOTHING, at)
    assert 0 <= left <= age_ms
    assert heat_after(0, left, SENSES, row, NOTHING, at) < bound
    assert left == 0 or heat_after(0, left - 1, SENSES, row, NOTHING, at) >= bound


SLOW_RELIEF = SENSES._replace(signal=np.array([[60_000.0, 25.0, 1.0], [3_600_000.0, 20.0, -0.5]]))


@settings(max_examples=100, deadline=None)
@given(
    st.tuples(st.floats(0, 30), st.floats(0, 40)),
    st.floats(0, 20),
    st.floats(0.5, 30),
    st.integers(0, 3_000),
    st.integers(0, 3_000),
)
def test_a_band_is_left_where_heat_falls_though_it_rises_again_as_relief_decays(
    heats: tuple[float, float], held: float, bound: float, from_s: int, age_s: int
) -> None:
    row, arena, at = row_of(*heats), holding(held, 0.0), held_at(0)
    from_ms, age_ms = min(from_s, age_s) * 1000, age_s * 1000
    ages = np.arange(from_ms, age_ms + 1, 1000).tolist()
    below = [age for age in ages if heat_after(0, age, SLOW_RELIEF, row, arena, at) < bound]
    left = left_after(0, from_ms, age_ms, bound, SLOW_RELIEF, row, arena, at)
    if left < 0:
        assert len(below) <= 2  # for so short that it is overlooked
    else:
        assert heat_after(0, left, SLOW_RELIEF, row, arena, at) < bound
        assert left <= (below[0] if below else age_ms)
        assert left == 0 or heat_after(0, left - 1, SLOW_RELIEF, row, arena, at) >= bound


def heats_of(*occurred: tuple[str, int]) -> tuple[int, list[float]]:
    core = CustomerPartition(0, 1, POLICY)
    for kind, at_ms in occurred:
        core.apply(batch_of([event(kind, at_ms)]))
    return int(core.rows.updated_ms[0]), core.rows.heat[0].tolist()


def test_an_interaction_in_time_finds_heat_decayed_and_a_late_one_is_decayed() -> None:
    wanted = BEGIN_MS + 3 * MINUTE_MS, [0.0, 7.5 * 1.5, 0.0]
    assert heats_of(("form.failed", BEGIN_MS), ("form.failed", BEGIN_MS + 3 * MINUTE_MS)) == wanted
    assert heats_of(("form.failed", BEGIN_MS + 3 * MINUTE_MS), ("form.failed", BEGIN_MS)) == wanted


def test_interactions_at_the_same_time_add() -> None:
    assert heats_of(*[("form.failed", BEGIN_MS)] * 4) == (BEGIN_MS, [0.0, 30.0, 0.0])


def test_an_interaction_that_adds_nothing_moves_the_time_of_the_row_and_not_the_score() -> None:
    at_ms, heats = heats_of(("form.failed", BEGIN_MS), ("newsletter.read", BEGIN_MS + 6 * MINUTE_MS))
    assert (at_ms, heats) == (BEGIN_MS + 6 * MINUTE_MS, [0.0, 7.5 / 4, 0.0])


def test_a_very_old_row_has_no_heat_left() -> None:
    _, heats = heats_of(("form.failed", BEGIN_MS), ("return.requested", BEGIN_MS + 10 * 365 * 86_400_000))
    assert heats == [0.0, 0.0, 9.0]


def test_the_score_of_a_customer_is_that_of_the_model() -> None:
    model, core = Model(POLICY_TEXT), CustomerPartition(0, 1, POLICY)
    steps = [event("wait.measured", BEGIN_MS + n * MINUTE_MS, duration_ms=n * 100_000) for n in range(9)]
    core.apply(batch_of(steps))
    for step in steps:
        model.feed(step.record, step.append_ms)
    heat = float(np.minimum(core.take_changes().scores.heat[0], POLICY.cap).sum())
    assert POLICY.score_of(heat) == pytest.approx(model.score("ana"), rel=1e-9)
    assert POLICY.score_of(heat) == pytest.approx(100 * (1 - np.exp(-heat / 20)))


def test_a_row_that_is_below_its_bound_from_the_start_is_left_then() -> None:
    """As after a change of the policy."""
    text = POLICY_TEXT.replace("enter: 25, leave: 15", "enter: 45, leave: 40").replace("leave: 35", "leave: 42")
    core = CustomerPartition(0, 1, POLICY)
    core.apply(batch_of([event("return.requested", BEGIN_MS)]))
    rows, crossed = core.rows, Crossings.room(4, 3)
    assert rows.band[0] == 1
    done, count = cool_rows_compiled(
        0, np.zeros(1, np.int64), 0, BEGIN_MS + 5, senses_of(parse_policy(text, "higher.yaml")), rows.kernel,
        rows.blocks.arena, crossed,
    )  # fmt: skip
    assert (done, count) == (1, 1)
    assert crossed.word[0, CROSSED_MS] == BEGIN_MS
    assert rows.band[0] == 0
