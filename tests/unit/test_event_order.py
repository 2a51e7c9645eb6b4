"""A backtest takes interactions in the order that was asked for, however they stand in the parts of its input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.cli.backtest.events import Gathered
from pipelines.fold.ties import ties_of
from pipelines.intake.interactions import InteractionBatch
from pipelines.worker.policy_file import load_policy
from tests.batches import BEGIN_MS, batch_of, event


def part(times: list[int], first: int) -> tuple[np.ndarray, InteractionBatch]:
    """Interactions at these times; who they are of says which they are."""
    batch = batch_of(
        [event("form.failed", BEGIN_MS + t, customer_id=f"müşteri-{first + k}") for k, t in enumerate(times)]
    )
    return batch.occurred_ms.copy(), batch


def in_order(parts: list[list[int]], at_once: int) -> list[str]:
    found, first = Gathered(), 0
    for times in parts:
        found.parts.append(part(times, first))
        first += len(times)
    batches = list(found.in_order(at_once))
    assert not found.parts
    assert all(len(batch) for batch in batches)
    return [batch.customer.text(batch.data, i) for batch in batches for i in range(len(batch))]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=9), min_size=1, max_size=8), st.integers(1, 20))
def test_interactions_come_in_the_order_of_their_times(parts: list[list[int]], at_once: int) -> None:
    times = [t for some in parts for t in some]
    wanted = sorted(range(len(times)), key=lambda k: times[k])
    assert in_order(parts, at_once) == [f"müşteri-{k}" for k in wanted]


@pytest.mark.parametrize("at_once", [2, 3, 100])
def test_input_that_is_nearly_in_order_is_taken_piece_by_piece(at_once: int) -> None:
    assert in_order([[1, 2, 4], [3, 5, 6], [7, 9], [8]], at_once) == [
        f"müşteri-{k}" for k in (0, 1, 3, 2, 4, 5, 6, 8, 7)
    ]


def test_without_interactions_there_is_nothing_to_take() -> None:
    assert in_order([], 5) == []


def test_a_part_of_a_batch_is_what_its_rows_are() -> None:
    _, batch = part(list(range(7)), 0)
    for first, stop in [(0, 7), (2, 5), (3, 3)]:
        cut, taken = batch.part(first, stop), batch.take(np.arange(first, stop))
        assert cut.occurred_ms.tolist() == taken.occurred_ms.tolist()
        assert [cut.customer.text(cut.data, i) for i in range(len(cut))] == [
            taken.customer.text(taken.data, i) for i in range(len(taken))
        ]


def test_interactions_of_the_same_time_come_as_the_fold_has_them_and_nothing_is_late() -> None:
    kinds = ["case.resolved", "alert.dismissed", "contact.replied", "contact.opened", "search.no_result"]
    ties = ties_of(load_policy(None))
    found = Gathered(ties=ties)
    for first in (0, 3):
        events = [event(kind, BEGIN_MS, customer_id="ayşe", event_id=kind) for kind in kinds[first : first + 3]]
        batch = batch_of(events)
        found.parts.append((batch.occurred_ms.copy(), batch))
    (batch,) = list(found.in_order(100))
    assert [batch.kind.text(batch.data, i) for i in range(len(batch))] == [*reversed(kinds[2:]), *kinds[:2]]
