"""Heat: it halves in its half-life, late interactions are decayed, caps count only when it is read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.cli.chaos.model import Model
from pipelines.partition import CustomerPartition
from pipelines.policy import parse_policy
from pipelines.scoring import cool_rows_compiled, decayed, heat_after, left_after
from tests.batches import BEGIN_MS, MINUTE_MS, POLICY, POLICY_TEXT, batch_of, event

HALF_LIFE_MS, CAP = np.array([600_000.0, 180_000.0]), np.array([25.0, 20.0])


def test_heat_halves_in_its_half_life() -> None:
    assert decayed(12.0, 0, 600_000.0) == 12.0
    assert decayed(12.0, 600_000, 600_000.0) == 6.0
    assert decayed(12.0, 1_800_000, 600_000.0) == 1.5
    assert decayed(12.0, 10**15, 1.0) == 0.0


def test_the_cap_counts_when_heat_is_read_and_not_before() -> None:
    heats = np.array([100.0, 4.0])
    assert heat_after(heats, 0, HALF_LIFE_MS, CAP) == 29.0
    assert heat_after(heats, 1_200_000, HALF_LIFE_MS, CAP) == pytest.approx(25 + 4 * 2 ** (-1200 / 180))
    assert heat_after(heats, 1_800_000, HALF_LIFE_MS, CAP) == pytest.approx(12.5 + 4 / 1024)


@settings(max_examples=200)
@given(
    st.lists(st.floats(0, 200), min_size=2, max_size=2),
    st.floats(0.01, 44),
    st.integers(0, 10**9),
)
def test_a_band_is_left_at_the_first_millisecond_at_which_heat_is_below_its_bound(
    heats: list[float], bound: float, age_ms: int
) -> None:
    row = np.array(heats)
    if heat_after(row, age_ms, HALF_LIFE_MS, CAP) >= bound:
        return
    left = left_after(row, age_ms, bound, HALF_LIFE_MS, CAP)
    assert 0 <= left <= age_ms
    assert heat_after(row, left, HALF_LIFE_MS, CAP) < bound
    assert left == 0 or heat_after(row, left - 1, HALF_LIFE_MS, CAP) >= bound


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
    core.policy = parse_policy(text, "higher.yaml")
    left = core.policy
    crossed = (
        np.zeros(4, np.int64), np.zeros(4, np.int32), np.zeros(4, np.int64), np.zeros(4, np.uint8),
        np.zeros(4, np.uint8), np.zeros((4, 3)),
    )  # fmt: skip
    rows = core.rows
    done, count = cool_rows_compiled(
        0, np.zeros(1, np.int32), BEGIN_MS + 5, left.half_life_ms, left.cap, left.leave_heat, rows.heat,
        rows.updated_ms, rows.band, rows.dirty, *crossed,
    )  # fmt: skip
    assert (done, count) == (1, 1)
    assert crossed[2][0] == BEGIN_MS
    assert rows.band[0] == 0
