"""Wait windows: a wait belongs to the window in which it began, until the watermark closes it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.intake.interactions import NO_TIME
from pipelines.windows import NO_WAITS, WaitCounts, WaitWindows, WindowState, add_waits, add_waits_compiled
from tests.batches import MINUTE_MS, Event, batch_of, event

START_MS = 1_790_000_040_000  # a whole minute
LATENESS_MS = 3 * MINUTE_MS

counts = st.builds(WaitCounts, *[st.integers(0, 10**6)] * 3, st.integers(0, 2**50), st.integers(0, 2**40))


@given(counts, counts, counts)
def test_adding_counts_forgets_order_and_grouping(a: WaitCounts, b: WaitCounts, c: WaitCounts) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + NO_WAITS == a
    assert (a + b).offered == a.offered + b.offered


def wait(at_ms: int, *, append_ms: int | None = None, duration_ms: int | None = 1000, **fields: object) -> Event:
    outcome = fields.pop("outcome", None)
    attributes = {} if outcome is None else {"outcome": outcome}
    return event("wait.measured", at_ms, append_ms=append_ms, duration_ms=duration_ms, attributes=attributes, **fields)


def fresh() -> WaitWindows:
    return WaitWindows(MINUTE_MS, LATENESS_MS)


def add(windows: WaitWindows, *events: Event) -> None:
    windows.add(batch_of(events), np.ones(len(events), np.bool_))


def told(windows: WaitWindows) -> list[tuple[str, str, int, bool]]:
    return [(w.touchpoint, w.channel, w.start_ms, w.closed) for w in windows.take_dirty()]


def test_a_wait_belongs_to_the_window_in_which_it_began() -> None:
    windows = fresh()
    add(
        windows,
        wait(START_MS - 1),
        wait(START_MS),
        wait(START_MS + 59_999, duration_ms=600_000),
        wait(START_MS + 60_000),
    )
    starts = {w.start_ms: w.counts for w in windows.take_dirty()}
    assert {start: c.offered for start, c in starts.items()} == {
        START_MS - 60_000: 1,
        START_MS: 2,
        START_MS + 60_000: 1,
    }
    assert (starts[START_MS].wait_sum_ms, starts[START_MS].wait_max_ms) == (601_000, 600_000)


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        ("answered", (1, 0, 0)),
        ("abandoned", (0, 1, 0)),
        ("callback", (0, 0, 1)),
        ("rerouted", (0, 0, 1)),
        ("system_drop", (0, 0, 1)),
        ("closed", (0, 0, 1)),
        ("vanished", (0, 0, 1)),
        (None, (0, 0, 1)),
    ],
)
def test_every_end_of_a_wait_is_counted_once(outcome: str | None, end: tuple[int, int, int]) -> None:
    windows = fresh()
    add(windows, wait(START_MS, outcome=outcome))
    assert [w.counts for w in windows.take_dirty()] == [WaitCounts(*end, 1000, 1000)]


def test_a_wait_of_unknown_duration_is_not_counted_and_one_of_zero_is() -> None:
    windows = fresh()
    add(windows, wait(START_MS, duration_ms=None), wait(START_MS, duration_ms=0))
    assert [w.counts for w in windows.take_dirty()] == [WaitCounts(0, 0, 1, 0, 0)]


def test_what_is_no_wait_moves_the_watermark_and_nothing_else() -> None:
    windows = fresh()
    windows.add(batch_of([wait(START_MS)]), np.zeros(1, np.bool_))
    assert windows.take_dirty() == []
    assert windows.watermark_ms == START_MS


def test_a_fast_clock_moves_the_watermark_to_its_append_time_at_most() -> None:
    windows = fresh()
    add(windows, wait(START_MS + 9_000_000, append_ms=START_MS + 5))
    assert windows.watermark_ms == START_MS + 5


@pytest.mark.parametrize(("watermark_ms", "late"), [(START_MS + 239_999, 0), (START_MS + 240_000, 1)])
def test_a_window_takes_waits_until_the_watermark_is_past_its_end_by_the_lateness(watermark_ms: int, late: int) -> None:
    windows = fresh()
    add(windows, wait(watermark_ms, touchpoint="elsewhere"), wait(START_MS, append_ms=watermark_ms))
    assert windows.late == late
    assert len([w for w in windows.take_dirty() if w.touchpoint == "shop"]) == 1 - late


def test_lateness_is_judged_record_by_record_and_not_by_the_newest_of_the_batch() -> None:
    windows = fresh()
    add(windows, wait(START_MS), wait(START_MS + 900_000), wait(START_MS, append_ms=START_MS + 900_000))
    assert windows.late == 1
    assert {w.start_ms: (w.counts.offered, w.closed) for w in windows.take_dirty()} == {
        START_MS: (1, True),
        (START_MS + 900_000) // MINUTE_MS * MINUTE_MS: (1, False),
    }


def test_a_window_is_told_when_it_changed_and_once_more_when_it_is_closed() -> None:
    windows = fresh()
    add(windows, wait(START_MS))
    assert told(windows) == [("shop", "web", START_MS, False)]
    assert told(windows) == []
    windows.advance(START_MS + 239_999)
    assert not windows.closing()
    assert told(windows) == []
    windows.advance(START_MS + 240_000)
    assert windows.closing()
    assert told(windows) == [("shop", "web", START_MS, True)]
    assert not windows.closing()
    assert told(windows) == []
    assert list(windows.states()) == []


def test_the_watermark_does_not_go_back() -> None:
    windows = fresh()
    windows.advance(START_MS)
    windows.advance(START_MS - 1)
    add(windows, wait(START_MS - 5))
    assert windows.watermark_ms == START_MS


PLACES = [
    ("shop", "web"),
    ("sho", "pweb"),
    ("shopweb", ""),
    ("", "shopweb"),
    ("", ""),
    ("ödeme\0", "ÿ"),
    ('{"a":[', "]}"),
]


def test_touchpoints_and_channels_of_any_letters_are_apart() -> None:
    windows = fresh()
    add(windows, *[wait(START_MS, touchpoint=t, channel=c) for t, c in PLACES * 2])
    states = windows.take_dirty()
    assert sorted((w.touchpoint, w.channel) for w in states) == sorted(PLACES)
    assert {w.counts.offered for w in states} == {2}


def test_many_windows_in_many_batches_keep_what_they_counted_and_what_is_to_be_told() -> None:
    windows = fresh()
    for n in range(20):
        add(windows, *[wait(START_MS + m * MINUTE_MS, append_ms=START_MS, touchpoint=f"t{n}") for m in range(50)])
        add(windows, *[wait(START_MS, touchpoint=f"t{k}") for k in range(20)])
    states = {(w.touchpoint, w.start_ms): w.counts.offered for w in windows.take_dirty()}
    assert len(states) == 20 * 50
    assert {states[f"t{k}", START_MS] for k in range(20)} == {21}
    assert {states[f"t{k}", START_MS + MINUTE_MS] for k in range(20)} == {1}


@pytest.mark.parametrize("kernel", [add_waits_compiled, add_waits])
def test_more_places_than_a_product_of_32_bits_holds(kernel: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place's number is spread by 1,000,003, in the kernel and where the table is built anew: both must agree."""
    monkeypatch.setattr("pipelines.windows.add_waits_compiled", kernel)
    windows = fresh()
    for n in range(0, 9000, 3000):
        add(windows, *[wait(START_MS, touchpoint=f"order/{n + k}") for k in range(3000)])
    add(windows, *[wait(START_MS, touchpoint=f"order/{k}") for k in range(9000)])
    assert {w.counts.offered for w in windows.take_dirty()} == {2}


def test_closed_windows_make_room_and_the_others_stay() -> None:
    windows = fresh()
    add(windows, *[wait(START_MS + m * MINUTE_MS, append_ms=START_MS) for m in range(200)])
    before = {w.start_ms: w.counts for w in windows.take_dirty()}
    windows.advance(START_MS + 150 * MINUTE_MS)
    closed = windows.take_dirty()
    assert all(w.closed for w in closed)
    assert len(closed) == 147
    assert {w.start_ms: w.counts for w in windows.states()} == {
        s: c for s, c in before.items() if s > closed[-1].start_ms
    }


def test_restored_windows_go_on_counting_and_are_not_told_again() -> None:
    states = [
        WindowState(t, c, START_MS + m * MINUTE_MS, WaitCounts(1, 2, 3, 4, 5)) for t, c in PLACES for m in range(30)
    ]
    windows = fresh()
    windows.restore(states)
    assert windows.take_dirty() == []
    assert sorted(windows.states(), key=repr) == sorted(states, key=repr)
    add(windows, wait(START_MS, duration_ms=9, outcome="answered"))
    assert windows.take_dirty() == [WindowState("shop", "web", START_MS, WaitCounts(2, 2, 3, 13, 9))]


def test_of_open_windows_is_told_what_changed_since_they_were_told() -> None:
    windows = fresh()
    add(windows, wait(START_MS), wait(START_MS + MINUTE_MS))
    windows.take_dirty()
    add(windows, wait(START_MS))
    windows.take_dirty()
    assert [(w.start_ms, w.counts.offered) for w in windows.take_untold()] == [(START_MS, 2), (START_MS + MINUTE_MS, 1)]
    assert not windows.untold
    add(windows, wait(START_MS + MINUTE_MS))
    assert [w.start_ms for w in windows.take_untold()] == [START_MS + MINUTE_MS]
    assert [w.start_ms for w in windows.take_dirty()] == [START_MS + MINUTE_MS], "it still has to be stored"
    assert windows.take_untold() == []


def test_a_window_that_closes_untold_is_told_as_closed_and_never_again() -> None:
    windows = fresh()
    add(windows, wait(START_MS))
    windows.take_dirty()
    windows.advance(START_MS + MINUTE_MS + LATENESS_MS)
    assert told(windows) == [("shop", "web", START_MS, True)]
    assert not windows.untold
    assert windows.take_untold() == []


def test_windows_that_were_stored_untold_are_told_after_a_restart() -> None:
    states = [WindowState(t, c, START_MS, WaitCounts(1, 2, 3, 4, 5)) for t, c in PLACES]
    windows = fresh()
    windows.restore(states, told=False)
    assert windows.take_dirty() == []
    assert sorted(windows.take_untold(), key=repr) == sorted(states, key=repr)


def test_the_longest_waits_that_are_accepted_do_not_overflow() -> None:
    longest_ms = 10 * 365 * 86_400_000
    windows = fresh()
    add(windows, *[wait(START_MS, duration_ms=longest_ms) for _ in range(1000)])
    (window,) = windows.take_dirty()
    assert window.counts.wait_sum_ms == 1000 * longest_ms


def test_nothing_seen_yet_is_no_time() -> None:
    windows = fresh()
    windows.add(batch_of([]), np.zeros(0, np.bool_))
    assert windows.watermark_ms == NO_TIME
    assert not windows.closing()
    assert windows.take_dirty() == []


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10**6)), max_size=30), st.integers(0, 30))
def test_windows_of_two_partitions_add_to_those_of_one(waits: list[tuple[int, int]], cut: int) -> None:
    events = [wait(START_MS + m * MINUTE_MS, append_ms=START_MS, duration_ms=d, outcome="answered") for m, d in waits]
    parts: dict[int, WaitCounts] = {}
    for part in (events[:cut], events[cut:]):
        windows = fresh()
        add(windows, *part)
        for w in windows.take_dirty():
            parts[w.start_ms] = parts.get(w.start_ms, NO_WAITS) + w.counts
    whole = fresh()
    add(whole, *events)
    assert {w.start_ms: w.counts for w in whole.take_dirty()} == parts
