"""The rows of customers, and what of them is in the log: it comes back as it was, from every released version."""

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipelines.fold.scoring import EPISODE_AT, HEAT
from pipelines.state.layouts import EPISODE, LAYOUTS, PREFIX, head_dtype, signals_id
from pipelines.state.rows import CustomerRows, Episode
from pipelines.state.unpacked_rows import UNPACKED
from pipelines.state.whole_rows import LAYOUT as WHOLE
from pipelines.state.whole_rows import form_of
from pipelines.windows import WaitCounts, WindowState
from pipelines.worker.customer_records import restored_window, stored_window
from schemas.errors import InvariantBroken
from tests.batches import CUSTOMERS
from tests.stored import restored, stored

NAMES = ["wait", "form_failure", "return"]
PLAIN = [layout for layout in LAYOUTS if layout < UNPACKED]
FORM = form_of("0123456789ab")
SETS = {signals_id(NAMES): NAMES}
LONGS = st.integers(-(2**63), 2**63 - 1)
RELEASED: dict[str, Any] = yaml.safe_load((Path(__file__).parents[1] / "golden" / "state_rows.yaml").read_text("utf-8"))


def rows_of(*customers: str, names: list[str] = NAMES, bands: int = 4, remembered: int = 0) -> CustomerRows:
    rows = CustomerRows(names, bands, remembered)
    raw = [c.encode() for c in customers]
    lengths = np.array([len(r) for r in raw], np.int32)
    rows.customers.add(np.frombuffer(b"".join(raw), np.uint8), (np.cumsum(lengths) - lengths).astype(np.int64), lengths)
    rows.make_room()
    return rows


def filled(*customers: str) -> CustomerRows:
    rows = rows_of(*customers)
    for r in range(len(rows)):
        rows.updated_ms[r], rows.interactions[r], rows.band[r] = 1_790_000_000_000 + r, 10 + r, r % 4
        rows.heat[r] = [r + 0.1, 0.0, 1e-300]
        if r % 2 == 0:
            rows.set_episode(r, Episode(5 + r, 6 + r, 7 + r))
    return rows


def again(before: CustomerRows, into: CustomerRows | None = None, *, layout: int = 2) -> CustomerRows:
    keys = [before.customers.raw(n) for n in range(before.numbers)]
    records = list(zip(keys, stored(before, layout=layout), strict=True))
    return restored(
        rows_of() if into is None else into,
        {**SETS, signals_id(before.signal_names): list(before.signal_names)},
        records,
    )


def test_stored_rows_are_laid_out_as_documented() -> None:
    alerted, quiet = stored(filled("ana", "bea"))
    head = struct.pack("<HI qqB 3d", 2, signals_id(NAMES), 1_790_000_000_000, 10, 0, 0.1, 0.0, 1e-300)
    assert alerted == head + struct.pack("<BH qqi", 1, 20, 5, 6, 7)
    assert len(quiet) == 23 + 8 * len(NAMES)
    (older,) = stored(filled("ana"), layout=1)
    assert older == struct.pack(
        "<HI qqqq i B3x 3d", 1, signals_id(NAMES), 1_790_000_000_000, 10, 5, 6, 7, 0, 0.1, 0.0, 1e-300
    )


@pytest.mark.parametrize("row", RELEASED["rows"], ids=lambda row: f"{row['layout']}-{row['customer']}")
def test_rows_of_released_versions_are_read(row: dict[str, Any]) -> None:
    value = bytes.fromhex(row["stored"])
    rows = restored(rows_of(), RELEASED["signals"], [(row["customer"].encode(), value)])
    assert rows.customers.text(0) == row["customer"]
    assert {
        "updated_ms": rows.updated_ms[0],
        "interactions": rows.interactions[0],
        "band": rows.band[0],
        "episode": [rows.episode(0).opened_ms, rows.episode(0).closed_ms, rows.episode(0).revision],
        "heat": rows.heat[0].tolist(),
    } == row["holds"]
    assert stored(rows, layout=row["layout"]) == [value], "and written so, until all workers are upgraded"


def test_there_are_released_rows_of_every_layout() -> None:
    assert {row["layout"] for row in RELEASED["rows"]} == set(PLAIN)


@pytest.mark.parametrize("layout", PLAIN)
def test_rows_come_back_bit_by_bit(layout: int) -> None:
    before = filled(*CUSTOMERS)
    after = again(before, layout=layout)
    assert stored(after) == stored(before)
    assert [after.customers.text(r) for r in range(len(after))] == list(CUSTOMERS)
    assert after.take_dirty().tolist() == []


@given(LONGS, LONGS, LONGS.filter(bool), LONGS, st.integers(0, 3), st.floats(), st.sampled_from(PLAIN))
def test_any_values_come_back(
    updated_ms: int, count: int, opened_ms: int, closed_ms: int, band: int, heat: float, layout: int
) -> None:
    before = rows_of("a")
    before.updated_ms[0], before.interactions[0], before.band[0], before.heat[0, 1] = updated_ms, count, band, heat
    before.set_episode(0, Episode(opened_ms, closed_ms, 3))
    assert stored(again(before, layout=layout)) == stored(before)


def whole_rows(*customers: str) -> CustomerRows:
    """Rows of a policy that asks for more than signals."""
    return rows_of(*customers, remembered=2)


def stored_whole(rows: CustomerRows) -> list[bytes]:
    return rows.copied(np.arange(rows.numbers), FORM).stored().values()


def test_whole_rows_are_laid_out_as_documented() -> None:
    rows = whole_rows("ana", "bea")
    rows.kernel.words[0] = [1_790_000_000_000, 1_790_000_000_001, 10, 0, 0, 2, 5, 33, 0, 0, 0, 77, 78]
    rows.heat[0], rows.band[0] = [0.1, 0.0, 1e-300], 3
    rows.set_episode(0, Episode(5, 6, 7))
    alerted, empty = stored_whole(rows)
    head = struct.pack("<HI BB qqq qq 3d 2q", WHOLE, FORM, 3, 1 | 4, 1_790_000_000_000, 1_790_000_000_001, 10, 2, 5,
                       0.1, 0.0, 1e-300, 77, 78)  # fmt: skip
    assert alerted == head + struct.pack("<qqq q", 5, 6, 7, 33)
    assert empty == struct.pack("<HI BB", WHOLE, FORM, 0, 0) + bytes(8 * (5 + 3 + 2))


@given(st.lists(LONGS, min_size=11, max_size=11), st.integers(0, 3), LONGS.filter(bool), LONGS, st.booleans())
def test_any_values_of_whole_rows_come_back(
    values: list[int], band: int, opened_ms: int, closed_ms: int, told: bool
) -> None:
    before = whole_rows("a")
    words = before.kernel.words
    words[0, :EPISODE_AT], words[0, 5:HEAT], words[0, HEAT:] = values[:3], values[3:6], values[6:]
    before.band[0] = band
    if told:
        before.set_episode(0, Episode(opened_ms, closed_ms, 3))
    after = restored(whole_rows(), {}, [(b"a", value) for value in stored_whole(before)], form=FORM)
    assert stored_whole(after) == stored_whole(before)
    assert after.episode(0) == before.episode(0)
    assert after.take_dirty().tolist() == []


@pytest.mark.parametrize(
    "change", [lambda v: v[:-1], lambda v: v + b"\0", lambda v: v[:40], lambda v: v[:7] + b"\2" + v[8:]]
)
def test_a_whole_row_that_is_not_as_we_store_it_is_refused(change: Callable[[bytes], bytes]) -> None:
    (value,) = stored_whole(whole_rows("ana"))
    with pytest.raises(ValueError, match="a stored row of layout 4 is broken"):
        restored(whole_rows(), {}, [(b"ana", change(value))], form=FORM)


def test_a_whole_row_of_a_policy_that_is_not_known_is_refused() -> None:
    (value,) = stored_whole(whole_rows("ana"))
    with pytest.raises(ValueError, match="was written under a policy that is not known any more"):
        restored(whole_rows(), {}, [(b"ana", value)], form=FORM + 1)


def test_nothing_is_stored_of_nobody() -> None:
    assert stored(rows_of()) == []


def test_a_hundred_thousand_rows_find_room() -> None:
    before = filled(*[f"c{n}" for n in range(100_000)])
    after = again(before)
    assert np.array_equal(after.heat[:100_000], before.heat[:100_000])
    assert after.customers.text(99_999) == "c99999"
    assert len(after.episodes) == 50_000


def test_heat_is_taken_by_the_name_of_its_signal() -> None:
    after = again(filled("ana", "çağla"), rows_of(names=["return", "late", "wait"]))
    assert after.heat[:2].tolist() == [[1e-300, 0.0, 0.1], [1e-300, 0.0, 1.1]]


def test_a_band_that_is_no_more_becomes_the_highest_that_is() -> None:
    before = rows_of("ana")
    before.band[0] = 3
    assert again(before, rows_of(bands=2)).band[0] == 1


def test_a_forgotten_row_is_taken_by_the_next_customer() -> None:
    rows = filled("ana", "bea", "cem")
    rows.forget(np.array([0, 1]))
    assert (len(rows), len(rows.episodes)) == (1, 1)
    raw = np.frombuffer(b"ana.dora", np.uint8)
    assert rows.customers.add(raw, np.array([4]), np.array([4], np.int32)).tolist() == [1]
    assert rows.customers.add(raw, np.array([0]), np.array([3], np.int32)).tolist() == [0]
    assert rows.heat[:2].any() == rows.updated_ms[:2].any() == rows.interactions[:2].any() == False  # noqa: E712
    assert [rows.episode(r).revision for r in range(3)] == [0, 0, 9]


def test_signals_are_known_by_names_and_order() -> None:
    assert signals_id(["a", "b"]) != signals_id(["b", "a"])
    assert signals_id(["a", "b"]) != signals_id(["ab"])
    assert signals_id([*NAMES]) == signals_id(tuple(NAMES))


def test_a_dirty_row_is_taken_once() -> None:
    rows = filled("ana", "bea", "cem")
    rows.dirty[[0, 2]] = 1
    assert rows.changed == 2
    assert rows.take_dirty().tolist() == [0, 2]
    assert rows.take_dirty().tolist() == []


def test_what_is_copied_does_not_change() -> None:
    rows = filled("ana")
    copy = rows.columns(np.zeros(1, np.int64))
    rows.heat[0], before = 9.0, copy.head["heat"].tolist()
    rows.set_episode(0, Episode(1, 2, 3))
    assert before == copy.head["heat"].tolist() == [[0.1, 0.0, 1e-300]]
    assert copy.episode["revision"].tolist() == [7]


def test_the_documentation_tells_where_each_field_of_a_row_stands() -> None:
    document = (Path(__file__).parents[2] / "docs" / "state.md").read_text("utf-8")
    kinds = {"int64": "i64", "int32": "i32", "uint16": "u16", "uint32": "u32", "uint8": "u8", "('u1', (3,))": "3"}
    for layout in PLAIN:
        table = document.partition(f"Layout {layout}")[2].partition("\n\n|")[2].partition("\n\n")[0]
        told = re.findall(r"^\| (\d+) \| (\S+)[^|]* \| (\w*) \|", f"|{table}", re.MULTILINE)
        wanted = []
        for at, dtype in ((0, PREFIX), (PREFIX.itemsize, head_dtype(layout, 1))):
            fields = dtype.fields
            assert fields is not None
            for name in dtype.names or ():
                kind = "f64" if name == "heat" else kinds[str(dtype[name])]
                wanted.append((str(at + fields[name][1]), kind, name))
        assert told == wanted
    assert [EPISODE[name].str for name in EPISODE.names or ()] == ["<i8", "<i8", "<i4"]


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
