"""What an interaction adds: the signal that its kind feeds, and its points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.interactions import UNKNOWN_MS
from pipelines.signals import NO_SIGNAL, Vocabulary, weigh, weigh_compiled
from tests.batches import BEGIN_MS, POLICY, batch_of, event

WAIT, FORM_FAILURE, RETURN = range(3)


def weighed(kind: str, duration_ms: int | None = None) -> tuple[int, float]:
    batch = batch_of([event(kind, BEGIN_MS, duration_ms=duration_ms)])
    vocabulary = Vocabulary(POLICY)
    signal, points = vocabulary.weighed(vocabulary.kinds(batch), batch.duration_ms)
    return int(signal[0]), float(points[0])


@pytest.mark.parametrize(
    ("kind", "signal"),
    [
        ("wait.measured", WAIT),
        ("wait.on_hold", WAIT),
        ("form.failed", FORM_FAILURE),
        ("return.requested", RETURN),
        ("queue.left", NO_SIGNAL),
        ("form.failed ", NO_SIGNAL),
        ("Form.failed", NO_SIGNAL),
        ("form.faile", NO_SIGNAL),
        ("", NO_SIGNAL),
        ("müşteri.soru", NO_SIGNAL),
    ],
)
def test_a_kind_feeds_the_signal_that_names_it(kind: str, signal: int) -> None:
    assert weighed(kind)[0] == signal


def test_magnitude_one_ignores_the_duration() -> None:
    assert weighed("form.failed") == weighed("form.failed", 3_600_000) == (FORM_FAILURE, 7.5)


@pytest.mark.parametrize(
    ("duration_ms", "points"),
    [
        (None, 0),
        (0, 0),
        (29_999, 0),
        (30_000, 0),
        (60_000, 6),
        (120_000, 12),
        (240_000, 18),
        (45_000, 6 * 0.5849625007211562),
    ],
)
def test_each_doubling_of_the_tolerated_wait_counts_once(duration_ms: int | None, points: float) -> None:
    signal, told = weighed("wait.measured", duration_ms)
    assert signal == WAIT
    assert told == pytest.approx(points)


def test_kinds_of_windows_are_known_even_if_they_feed_nothing() -> None:
    batch = batch_of([event(k, BEGIN_MS) for k in ("queue.left", "wait.measured", "wait.on_hold", "newsletter.read")])
    vocabulary = Vocabulary(POLICY)
    kind = vocabulary.kinds(batch)
    assert (kind >= 0).tolist() == [True, True, True, False]
    assert vocabulary.waits(kind).tolist() == [True, True, False, False]


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(UNKNOWN_MS, 2**62)), max_size=20))
def test_the_kernel_gives_the_same_bits_uncompiled(interactions: list[tuple[int, int]]) -> None:
    kind = np.array([k for k, _ in interactions], np.int32)
    duration_ms = np.array([d for _, d in interactions], np.int64)
    signal_of_kind = np.array([0, 1, NO_SIGNAL, 0], np.int16)
    told = []
    for kernel in (weigh, weigh_compiled):
        signal, points = np.full(len(kind), 9, np.int16), np.full(len(kind), 9.0)
        kernel(kind, duration_ms, signal_of_kind, np.array([12.0, 3.0]), np.array([30_000.0, 0.0]), signal, points)
        told.append((signal.tolist(), points.tobytes()))
    assert told[0] == told[1]
