"""The rows of customers, and what of them is in the log: it comes back as it was, or is refused."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.state import LAYOUT, CustomerRows, Episode, row_dtype, signals_id
from pipelines.windows import WaitCounts, WindowState
from pipelines.worker.customer_records import restored_window, stored_window
from schemas.errors import InvariantBroken
from tests.batches import CUSTOMERS

NAMES = ["wait", "form_failure", "return"]
SETS = {signals_id(NAMES): NAMES}
LONGS = st.integers(-(2**63), 2**63 - 1)


def rows_of(*customers: str, names: list[str] = NAMES, bands: int = 4) -> CustomerRows:
    rows = CustomerRows(names, bands)
    raw = [c.encode() for c in customers]
    lengths = np.array([len(r) for r in raw], np.int32)
    rows.customers.add(np.frombuffer(b"".join(raw), np.uint8), (np.cumsum(lengths) - lengths).astype(np.int64), lengths)
    rows.make_room()
    return rows


def stored(rows: CustomerRows) -> list[bytes]:
    return [value.tobytes() for value in rows.stored(np.arange(len(rows)))]


def filled(*customers: str) -> CustomerRows:
    rows = rows_of(*customers)
    for r in range(len(rows)):
        rows.updated_ms[r], rows.interactions[r], rows.band[r] = 1_790_000_000_000 + r, 10 + r, r % 4
        rows.heat[r] = [r + 0.1, 0.0, 1e-300]
        rows.set_episode(r, Episode(5 + r, 6 + r, 7 + r))
    return rows


def test_a_stored_row_is_laid_out_as_documented() -> None:
    (value,) = stored(filled("ana"))
    wanted = struct.pack(
        "<HI qqqq i B3x 3d", LAYOUT, signals_id(NAMES), 1_790_000_000_000, 10, 5, 6, 7, 0, 0.1, 0.0, 1e-300
    )
    assert value == wanted
    assert len(value) == 6 + 40 + 8 * len(NAMES)


def test_rows_come_back_bit_by_bit() -> None:
    before = filled(*CUSTOMERS)
    after = rows_of()
    after.restore([c.encode() for c in CUSTOMERS], stored(before), SETS)
    assert stored(after) == stored(before)
    assert [after.customers.text(r) for r in range(len(after))] == list(CUSTOMERS)
    assert [after.episode(r) for r in range(len(after))] == [before.episode(r) for r in range(len(before))]
    assert after.take_dirty().tolist() == []


@given(LONGS, LONGS, LONGS, LONGS, st.integers(0, 3), st.floats())
def test_any_values_come_back(
    updated_ms: int, count: int, opened_ms: int, closed_ms: int, band: int, heat: float
) -> None:
    before, after = rows_of("a"), rows_of()
    before.updated_ms[0], before.interactions[0], before.band[0], before.heat[0, 1] = updated_ms, count, band, heat
    before.set_episode(0, Episode(opened_ms, closed_ms, 3))
    after.restore([b"a"], stored(before), SETS)
    assert stored(after) == stored(before)


def test_nothing_is_restored_and_nothing_is_stored() -> None:
    rows = rows_of()
    rows.restore([], [], {})
    assert len(rows) == 0
    assert rows.stored(np.zeros(0, np.int64)).shape[0] == 0


def test_a_hundred_thousand_rows_find_room() -> None:
    names = [f"c{n}" for n in range(100_000)]
    before = filled(*names)
    after = rows_of()
    after.restore([n.encode() for n in names], stored(before), SETS)
    assert np.array_equal(after.heat[:100_000], before.heat[:100_000])
    assert after.customers.text(99_999) == "c99999"


def test_heat_is_taken_by_the_name_of_its_signal() -> None:
    before = filled("ana", "çağla")
    after = rows_of(names=["return", "late", "wait"])
    after.restore([b"ana", "çağla".encode()], stored(before), SETS)
    assert after.heat[:2].tolist() == [[1e-300, 0.0, 0.1], [1e-300, 0.0, 1.1]]


def test_rows_of_several_policies_are_restored_together() -> None:
    other = ["return"]
    old, new = rows_of("old", names=other), rows_of("new")
    old.heat[0], new.heat[0] = [4.0], [1.0, 2.0, 3.0]
    both = rows_of()
    both.restore([b"old", b"new"], [*stored(old), *stored(new)], {**SETS, signals_id(other): other})
    assert both.heat[:2].tolist() == [[0.0, 0.0, 4.0], [1.0, 2.0, 3.0]]


def test_a_band_that_is_no_more_becomes_the_highest_that_is() -> None:
    before = rows_of("ana")
    before.band[0] = 3
    after = rows_of(bands=2)
    after.restore([b"ana"], stored(before), SETS)
    assert after.band[0] == 1


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (lambda v: struct.pack("<H", LAYOUT + 1) + v[2:], f"has layout {LAYOUT + 1}, this version reads {LAYOUT}"),
        (lambda v: v[:2] + b"\1\2\3\4" + v[6:], "has the signals 0x4030201, which its header does not name"),
        (lambda v: v[:-1], "a stored row of 3 signals has 69 bytes"),
        (lambda v: v + b"\0", "a stored row of 3 signals has 71 bytes"),
        (lambda v: v[:4], "a stored row has only 4 bytes"),
        (lambda v: b"", "a stored row has only 0 bytes"),
    ],
)  # fmt: skip
def test_a_row_that_is_not_as_we_store_it_is_refused(broken: object, told: str) -> None:
    assert callable(broken)
    with pytest.raises(ValueError, match=told):
        rows_of().restore([b"ana"], [broken(*stored(filled("ana")))], SETS)


def test_a_short_and_a_long_row_do_not_make_up_for_each_other() -> None:
    one, two = stored(filled("ana", "bea"))
    with pytest.raises(ValueError, match="62 bytes"):
        rows_of().restore([b"ana", b"bea"], [one[:-8], two + one[-8:]], SETS)


def test_signals_are_known_by_names_and_order() -> None:
    assert signals_id(["a", "b"]) != signals_id(["b", "a"])
    assert signals_id(["a", "b"]) != signals_id(["ab"])
    assert signals_id([*NAMES]) == signals_id(tuple(NAMES))


def test_a_dirty_row_is_taken_once() -> None:
    rows = filled("ana", "bea", "cem")
    rows.dirty[[0, 2]] = 1
    assert rows.take_dirty().tolist() == [0, 2]
    assert rows.take_dirty().tolist() == []


def test_what_is_stored_is_a_copy() -> None:
    rows = filled("ana")
    value = rows.stored(np.zeros(1, np.int64))
    before = value.tobytes()
    rows.heat[0] = 9.0
    assert value.tobytes() == before


def described(signals: int) -> list[tuple[str, str, int]]:
    """Name, type and place of the fields of a row."""
    row = row_dtype(signals)
    fields = row.fields
    assert fields is not None
    return [(name, str(row[name]), fields[name][1]) for name in row.names or ()]


def test_the_documentation_tells_where_each_field_of_a_row_stands() -> None:
    document = (Path(__file__).parents[2] / "docs" / "state.md").read_text("utf-8")
    told = re.findall(r"^\| (\d+) \| (\S+)[^|]* \| (\w*) \|", document, re.MULTILINE)
    kinds = {"int64": "i64", "int32": "i32", "uint8": "u8", "('u1', (3,))": "3", "('<f8', (1,))": "f64"}
    row = [(str(6 + at), kinds[kind], name) for name, kind, at in described(1)]
    assert told == [("0", "u16", "layout"), ("2", "u32", "signals"), *row]


def test_the_layout_does_not_change_unnoticed() -> None:
    """Whoever changes it raises LAYOUT, and reads the older one too (docs/state.md)."""
    assert described(2) == [
        ("updated_ms", "int64", 0),
        ("interactions", "int64", 8),
        ("opened_ms", "int64", 16),
        ("closed_ms", "int64", 24),
        ("revision", "int32", 32),
        ("band", "uint8", 36),
        ("unused", "('u1', (3,))", 37),
        ("heat", "('<f8', (2,))", 40),
    ]


@given(
    st.text(max_size=9),
    st.text(max_size=9),
    st.integers(0, 2**50),
    st.lists(st.integers(0, 2**62), min_size=5, max_size=5),
)
def test_windows_of_any_names_come_back(touchpoint: str, channel: str, start_ms: int, numbers: list[int]) -> None:
    window = WindowState(touchpoint, channel, start_ms, WaitCounts(*numbers))
    record = stored_window(window)
    key, value = record["key"], record["value"]
    assert key is not None
    assert value is not None
    assert restored_window(key, value) == window


def test_a_closed_window_is_deleted_from_the_log_and_a_broken_one_is_a_bug() -> None:
    closed = stored_window(WindowState("shop", "web", 60_000, WaitCounts(1, 0, 0, 5, 5), closed=True))
    assert closed == {"key": b'w["shop", "web", 60000]', "value": None}
    with pytest.raises(InvariantBroken, match="39 bytes instead of 40"):
        restored_window(b'w["shop", "web", 60000]', bytes(39))
