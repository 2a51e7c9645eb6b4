"""The second stage: partials of all source partitions become windows, whatever the order in which they come."""

from hypothesis import given
from hypothesis import strategies as st

from pipelines.touchpoints import Partial, Place, Told, TouchpointPartition
from pipelines.windows import NO_WAITS, WaitCounts

LENGTH_MS, LATENESS_MS, SOURCES = 60_000, 180_000, 3
PLACES: list[Place] = [("shop", "web", 0), ("shop", "web", 60_000), ("ödeme", "", 0), ("", "web", 60_000)]

counts = st.builds(WaitCounts, *[st.integers(0, 1000)] * 3, st.integers(0, 10**9), st.integers(0, 10**6))
# what a source says of a place at an offset is said once
partials = st.dictionaries(
    st.tuples(st.sampled_from(PLACES), st.integers(0, SOURCES - 1), st.integers(0, 5)), counts, max_size=25
)
Said = list[tuple[tuple[Place, int, int], WaitCounts]]


def fresh() -> TouchpointPartition:
    return TouchpointPartition(SOURCES, LATENESS_MS)


def merge(core: TouchpointPartition, place: Place, source: int, offset: int, of: WaitCounts) -> None:
    core.merge(place, place[2] + LENGTH_MS, source, Partial(offset, of))


def newest(said: Said) -> dict[Place, WaitCounts]:
    kept: dict[Place, dict[int, tuple[int, WaitCounts]]] = {}
    for (place, source, offset), of in said:
        known = kept.setdefault(place, {}).get(source)
        if known is None or known[0] < offset:
            kept[place][source] = offset, of
    return {place: sum((of for _, of in by_source.values()), NO_WAITS) for place, by_source in kept.items()}


@given(st.data(), partials)
def test_merging_forgets_order_and_grouping(
    data: st.DataObject, said: dict[tuple[Place, int, int], WaitCounts]
) -> None:
    mixed = data.draw(st.permutations(list(said.items())))
    cuts = data.draw(st.lists(st.booleans(), min_size=len(mixed), max_size=len(mixed)))
    core, told = fresh(), dict[Place, Told]()
    for ((place, source, offset), of), cut in zip(mixed, cuts, strict=True):
        merge(core, place, source, offset, of)
        if cut:
            told |= {t.place: t for t in core.take_changes()}
    told |= {t.place: t for t in core.take_changes()}
    assert {place: t.counts for place, t in told.items()} == newest(mixed)
    assert not any(t.final for t in told.values())


@given(partials)
def test_what_comes_twice_counts_once(said: dict[tuple[Place, int, int], WaitCounts]) -> None:
    core = fresh()
    for (place, source, offset), of in said.items():
        merge(core, place, source, offset, of)
    core.take_changes()
    for (place, source, offset), of in said.items():
        merge(core, place, source, offset, of)
    assert core.take_changes() == []


def test_an_older_partial_changes_nothing_and_is_not_told() -> None:
    core = fresh()
    merge(core, PLACES[0], 0, 7, WaitCounts(5, 0, 0, 50, 10))
    core.take_changes()
    merge(core, PLACES[0], 0, 6, WaitCounts(4, 0, 0, 40, 10))
    merge(core, PLACES[0], 0, 7, WaitCounts(9, 9, 9, 9, 9))
    assert core.take_changes() == []
    assert core.windows[PLACES[0]].counts == WaitCounts(5, 0, 0, 50, 10)


def test_a_revision_is_told_for_each_change_that_a_checkpoint_finds() -> None:
    core = fresh()
    merge(core, PLACES[0], 0, 1, WaitCounts(1, 0, 0, 10, 10))
    merge(core, PLACES[0], 1, 1, WaitCounts(0, 1, 0, 30, 30))
    (first,) = core.take_changes()
    assert (first.revision, first.counts, first.source_partitions) == (1, WaitCounts(1, 1, 0, 40, 30), 2)
    merge(core, PLACES[0], 0, 2, WaitCounts(2, 0, 0, 25, 15))
    (second,) = core.take_changes()
    assert (second.revision, second.counts) == (2, WaitCounts(2, 1, 0, 55, 30))


def test_a_window_is_final_when_the_watermark_of_every_source_has_passed_it() -> None:
    core = fresh()
    place = PLACES[0]
    merge(core, place, 1, 1, WaitCounts(1, 0, 0, 10, 10))
    for source in range(SOURCES):
        core.move_watermark(source, LENGTH_MS + LATENESS_MS)
        if source == 0:
            assert [t.final for t in core.take_changes()] == [False]
        if source == 1:
            core.move_watermark(2, LENGTH_MS + LATENESS_MS - 1)
            assert core.take_changes() == []
    (last,) = core.take_changes()
    assert (last.final, last.revision, last.counts) == (True, 2, WaitCounts(1, 0, 0, 10, 10))
    assert core.windows == {}


def test_a_watermark_does_not_go_back() -> None:
    core = fresh()
    for source in range(SOURCES):
        core.move_watermark(source, LENGTH_MS + LATENESS_MS)
        core.move_watermark(source, 0)
    merge(core, PLACES[1], 0, 1, NO_WAITS)
    assert [t.final for t in core.take_changes()] == [False]
    assert core.watermarks_ms == [LENGTH_MS + LATENESS_MS] * SOURCES


def test_after_a_window_is_final_nothing_more_is_told_of_it() -> None:
    core = fresh()
    merge(core, PLACES[0], 0, 1, WaitCounts(1, 0, 0, 10, 10))
    for source in range(SOURCES):
        core.move_watermark(source, LENGTH_MS + LATENESS_MS)
    assert [t.final for t in core.take_changes()] == [True]
    merge(core, PLACES[0], 0, 2, WaitCounts(2, 0, 0, 20, 10))
    merge(core, PLACES[0], 1, 9, WaitCounts(2, 0, 0, 20, 10))
    assert core.take_changes() == []
    assert core.windows == {}


def test_what_comes_together_with_the_last_watermark_still_counts() -> None:
    core = fresh()
    merge(core, PLACES[0], 0, 1, WaitCounts(1, 0, 0, 10, 10))
    for source in range(SOURCES):
        core.move_watermark(source, LENGTH_MS + LATENESS_MS)
    merge(core, PLACES[0], 0, 2, WaitCounts(2, 0, 0, 20, 10))
    (last,) = core.take_changes()
    assert (last.final, last.counts.answered) == (True, 2)


def test_windows_are_told_in_the_order_of_their_places() -> None:
    core = fresh()
    for place in PLACES:
        merge(core, place, 0, 1, NO_WAITS)
    assert [t.place for t in core.take_changes()] == sorted(PLACES)


def test_without_anything_nothing_is_told() -> None:
    assert fresh().take_changes() == []
    assert TouchpointPartition(0, LATENESS_MS).take_changes() == []
