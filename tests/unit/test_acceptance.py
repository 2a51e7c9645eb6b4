"""What is accepted is judged against the broker's append time, in the order customer, age, ahead, duration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.cli.chaos.model import Model
from schemas.acceptance import MAX_CUSTOMER_BYTES, MAX_DURATION_MS, refuse, refuse_compiled
from tests.batches import POLICY, POLICY_TEXT

APPENDED_MS = 1_790_000_000_000
MAX_AGE_MS, MAX_AHEAD_MS = POLICY.file.acceptance.max_age, POLICY.file.acceptance.max_ahead
WORDS = [None, "BadCustomer", "TooOld", "TooFarAhead", "BadDuration"]

Told = tuple[int, int, int | None]  # bytes of the customer, event time against append time, duration


def refused(told: list[Told], *, compiled: bool = True) -> list[int]:
    customer_length = np.array([c for c, *_ in told], np.int32)
    append_ms = np.full(len(told), APPENDED_MS)
    occurred_ms = append_ms + np.array([at for _, at, _ in told], np.int64)
    duration_ms = np.array([-1 if d is None else d for *_, d in told], np.int64)
    has_duration = np.array([d is not None for *_, d in told], np.bool_)
    why = np.zeros(len(told), np.uint8)
    kernel = refuse_compiled if compiled else refuse
    kernel(customer_length, occurred_ms, append_ms, duration_ms, has_duration, MAX_AGE_MS, MAX_AHEAD_MS, why)
    return [int(w) for w in why]


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ((1, 0, None), 0),
        ((0, 0, None), 1),
        ((MAX_CUSTOMER_BYTES, 0, None), 0),
        ((MAX_CUSTOMER_BYTES + 1, 0, None), 1),
        ((1_000_000, 0, None), 1),
        ((3, -MAX_AGE_MS, None), 0),
        ((3, -MAX_AGE_MS - 1, None), 2),
        ((3, -APPENDED_MS, None), 2),
        ((3, MAX_AHEAD_MS, None), 0),
        ((3, MAX_AHEAD_MS + 1, None), 3),
        ((3, 365 * 86_400_000, None), 3),
        ((3, 0, 0), 0),
        ((3, 0, -1), 4),
        ((3, 0, MAX_DURATION_MS), 0),
        ((3, 0, MAX_DURATION_MS + 1), 4),
        ((3, 0, -(2**63)), 4),
        ((0, -MAX_AGE_MS - 1, -1), 1),
        ((3, -MAX_AGE_MS - 1, -1), 2),
        ((3, MAX_AHEAD_MS + 1, -1), 3),
    ],
)
def test_bounds_belong_to_what_is_accepted(told: Told, why: int) -> None:
    assert refused([told]) == [why]


def test_each_interaction_is_judged_alone() -> None:
    assert refused([(0, 0, 0), (1, 0, 0), (1, 0, -1), (1, -MAX_AGE_MS - 1, 0), (1, 0, None)]) == [1, 0, 4, 2, 0]
    assert refused([]) == []


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 511, 512, 513]),
            st.one_of(st.integers(-MAX_AGE_MS - 2, -MAX_AGE_MS + 2), st.integers(-2 * MAX_AGE_MS, 2 * MAX_AHEAD_MS)),
            st.one_of(st.none(), st.integers(-2, 2), st.integers(MAX_DURATION_MS - 1, MAX_DURATION_MS + 1)),
        ),
        max_size=10,
    )
)
def test_the_kernel_judges_as_the_model_compiled_and_not(told: list[Told]) -> None:
    wanted = []
    for customer_bytes, at_ms, duration_ms in told:
        model = Model(POLICY_TEXT)
        record = {
            "customer_id": "x" * customer_bytes,
            "kind": "form.failed",
            "channel": "web",
            "touchpoint": "shop",
            "occurred_at": APPENDED_MS + at_ms,
            "duration_ms": duration_ms,
        }
        model.feed(record, APPENDED_MS)
        wanted.append(next(iter(model.rejected), None))
    assert [WORDS[why] for why in refused(told)] == wanted
    assert refused(told, compiled=False) == refused(told)
