"""Rows come back from the log as they were: the last of each customer, whatever form the earlier ones had."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.fold.items import USED
from pipelines.partition import CustomerPartition
from pipelines.state import restoring
from pipelines.state.layouts import signals_id
from pipelines.state.rows import CustomerRows, Episode
from tests.batches import BEGIN_MS, POLICY, batch_of, event
from tests.desk import FULL
from tests.plain import uncompiled
from tests.stored import Record, records_of, restored, stored

OTHER = ["return", "noise", "wait"]  # signals of another policy: another order, and one that is gone
SETS = {signals_id(POLICY.signal_names): list(POLICY.signal_names), signals_id(OTHER): OTHER}
BANDS = len(POLICY.band_names)


def a_row(names: list[str] | tuple[str, ...], interactions: int, *, layout: int = 2, **heat: float) -> bytes:
    rows = CustomerRows(names, BANDS)
    rows.customers.add(np.frombuffer(b"x", np.uint8), np.zeros(1, np.int64), np.ones(1, np.int32))
    rows.interactions[0] = interactions
    for name, value in heat.items():
        rows.heat[0, list(names).index(name)] = value
    if interactions % 2:
        rows.set_episode(0, Episode(5, 6, interactions))
    return stored(rows, layout=layout)[0]


OURS = a_row(POLICY.signal_names, 7, wait=1.5)
LATER = a_row(POLICY.signal_names, 8, wait=1.0)
EARLIER_LAYOUT = a_row(POLICY.signal_names, 3, wait=0.5, layout=1)
THEIRS = a_row(OTHER, 9, wait=2.5, noise=8.0)

Read = dict[str, tuple[int, float, int]]  # interactions, heat of wait, revision of the last alert


def read(*chunks: list[Record]) -> Read:
    rows = restored(CustomerRows(POLICY.signal_names, BANDS), SETS, *chunks)
    wait = POLICY.signal_names.index("wait")
    there = [n for n in range(rows.numbers) if rows.interactions[n]]
    assert len(there) == len(rows)
    assert len(rows.episodes) == sum(rows.episode(n).revision > 0 for n in there)
    return {
        rows.customers.text(n): (int(rows.interactions[n]), float(rows.heat[n, wait]), rows.episode(n).revision)
        for n in there
    }


def test_the_last_row_of_a_customer_counts_within_a_chunk_and_across() -> None:
    assert read([(b"ana", OURS), (b"ana", LATER)]) == {"ana": (8, 1.0, 0)}
    chunks: list[list[Record]] = [[(b"ana", OURS)], [("çağla".encode(), OURS), (b"ana", LATER)]]
    assert read(*chunks) == {"ana": (8, 1.0, 0), "çağla": (7, 1.5, 7)}


@pytest.mark.parametrize("cut", [False, True])
def test_rows_of_other_forms_are_matched_by_the_names_of_their_signals(cut: bool) -> None:
    def told(*records: Record) -> Read:
        return read(*[[r] for r in records]) if cut else read(list(records))

    assert told((b"ana", THEIRS)) == {"ana": (9, 2.5, 9)}
    assert told((b"ana", OURS), (b"ana", THEIRS)) == {"ana": (9, 2.5, 9)}
    assert told((b"ana", THEIRS), (b"ana", LATER)) == {"ana": (8, 1.0, 0)}
    assert told((b"ana", THEIRS), (b"bo", OURS), (b"ana", OURS), (b"ana", THEIRS)) == {
        "ana": (9, 2.5, 9),
        "bo": (7, 1.5, 7),
    }
    assert told((b"ana", THEIRS), (b"ana", EARLIER_LAYOUT)) == {"ana": (3, 0.5, 3)}
    assert told((b"ana", EARLIER_LAYOUT), (b"ana", OURS)) == {"ana": (7, 1.5, 7)}


def test_a_customer_that_was_forgotten_is_not_there_and_may_come_back() -> None:
    assert read([(b"ana", OURS), (b"ana", None)]) == {}
    assert read([(b"ana", THEIRS)], [(b"ana", None)], [(b"bo", OURS)]) == {"bo": (7, 1.5, 7)}
    assert read([(b"ana", None)], [(b"ana", OURS)]) == {"ana": (7, 1.5, 7)}
    assert read([(b"ana", OURS), (b"ana", None), (b"ana", LATER)]) == {"ana": (8, 1.0, 0)}


VALUES = {OURS: (7, 1.5, 7), LATER: (8, 1.0, 0), EARLIER_LAYOUT: (3, 0.5, 3), THEIRS: (9, 2.5, 9), None: None}
logs = st.lists(st.lists(st.tuples(st.sampled_from([b"ana", b"bo", b"c" * 17, b"d" * 9]), st.sampled_from([*VALUES]))))


@settings(max_examples=200, deadline=None)
@given(logs, st.sampled_from([1, 2, 5, 1000]))
def test_what_is_there_is_the_last_of_each_however_the_log_is_cut(chunks: list[list[Record]], at_once: int) -> None:
    last = {customer.decode(): VALUES[value] for chunk in chunks for customer, value in chunk}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restoring, "_AT_ONCE", at_once)
        assert read(*chunks) == {customer: told for customer, told in last.items() if told is not None}


def test_rows_as_they_are_written_today_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(restoring, "read_rows")
    assert read([(b"ana", OURS), (b"bo", LATER), (b"ana", LATER), (b"c", OURS)]) == {
        "ana": (8, 1.0, 0),
        "bo": (8, 1.0, 0),
        "c": (7, 1.5, 7),
    }


@pytest.mark.parametrize("most_bytes", [0, 1 << 26])
def test_rows_with_what_is_open_take_the_room_of_their_last_ones(
    most_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "_MOST_BYTES", most_bytes)
    log = list[list[Record]]()
    lived = CustomerPartition(0, 1, FULL)
    for n in range(60):
        told: list[dict[str, Any]] = [
            {"customer_id": f"c{c}", "case_id": f"{n}", "event_id": f"{n}-{c}"} for c in range(n % 7)
        ]
        lived.apply(batch_of([event("contact.opened", BEGIN_MS + n * 600, **one) for one in told or [{}]]))
        log.append(records_of(lived, lived.rows.take_dirty()))
    last = dict(record for chunk in log for record in chunk)

    def used(*chunks: list[Record]) -> int:
        core = CustomerPartition(0, 1, FULL)
        restored(core.rows, {}, *chunks, form=core.form)
        assert dict(records_of(core, np.arange(core.rows.numbers))) == last
        return int(core.rows.blocks.free[USED])

    assert used(*log) == used(list(last.items()))


def test_nothing_is_restored_from_nothing() -> None:
    assert read() == read([]) == {}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"\x63\x00" + OURS[2:], "has layout 99, this version reads 1 to 4: it was written by a newer one"),
        (OURS[:2] + b"\1\2\3\4" + OURS[6:], "has the signals 0x4030201, which its header does not name"),
        (OURS[:-1], "of layout 2 and 3 signals has 69 bytes"),
        (OURS + b"\0", "of layout 2 and 3 signals has 71 bytes"),
        (EARLIER_LAYOUT[:-1], "of layout 1 and 3 signals has 69 bytes"),
        (OURS[:47] + b"\7" + OURS[48:], "has a section that this version does not know"),
        (OURS[:4], "has only 4 bytes"),
        (b"", "has only 0 bytes"),
    ],
)
def test_a_row_that_is_not_as_we_store_it_is_refused(value: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read([(b"bo", OURS), (b"ana", value)])


def test_the_kernels_give_the_same_uncompiled() -> None:
    records: list[Record] = [(b"ana", OURS), (b"bo", THEIRS), (b"ana", LATER), (b"bo", None), (b"c" * 50, OURS)]
    want = read(records)
    with uncompiled():
        assert read(records) == want
