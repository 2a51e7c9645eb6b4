"""Rows come back from the log as they were: the last of each customer, whatever form the earlier ones had."""

import numpy as np
import pytest

from pipelines import restoring
from pipelines.restoring import RowRestore
from pipelines.state import LAYOUT, CustomerRows, signals_id
from schemas.arrays import Bytes, Int32s, Int64s
from tests.batches import POLICY

OTHER = ["return", "noise", "wait"]  # signals of another policy: another order, and one that is gone
SETS = {signals_id(POLICY.signal_names): list(POLICY.signal_names), signals_id(OTHER): OTHER}
BANDS = len(POLICY.band_names)


def stored(names: list[str] | tuple[str, ...], *, interactions: int, **heat: float) -> bytes:
    rows = CustomerRows(names, BANDS)
    rows.customers.add(np.frombuffer(b"x", np.uint8), np.zeros(1, np.int64), np.ones(1, np.int32))
    rows.interactions[0] = interactions
    for name, value in heat.items():
        rows.heat[0, list(names).index(name)] = value
    return rows.stored(np.zeros(1, np.int64)).tobytes()


OURS = stored(POLICY.signal_names, interactions=7, wait=1.5)
THEIRS = stored(OTHER, interactions=9, wait=2.5, noise=8.0)


def laid_out(records: list[tuple[str, bytes | None]]) -> tuple[Bytes, Int64s, Int32s, Int64s, Int32s]:
    parts = [part for key, value in records for part in (key.encode(), value or b"")]
    ends = np.cumsum([len(p) for p in parts]).astype(np.int64)
    starts = ends - np.array([len(p) for p in parts], np.int64)
    key_length = np.array([len(p) for p in parts[::2]], np.int32)
    value_length = np.array([-1 if value is None else len(value) for _, value in records], np.int32)
    return np.frombuffer(b"".join(parts), np.uint8), starts[::2].copy(), key_length, starts[1::2].copy(), value_length


def restored(*chunks: list[tuple[str, bytes | None]]) -> dict[str, tuple[int, float]]:
    rows = CustomerRows(POLICY.signal_names, BANDS)
    restore = RowRestore(rows)
    for chunk in chunks:
        restore.take(*laid_out(chunk))
    restore.finish(SETS)
    wait = POLICY.signal_names.index("wait")
    return {rows.customers.text(n): (int(rows.interactions[n]), float(rows.heat[n, wait])) for n in range(len(rows))}


def test_the_last_row_of_a_customer_counts_within_a_chunk_and_across() -> None:
    later = stored(POLICY.signal_names, interactions=8, wait=1.0)
    assert restored([("ana", OURS), ("ana", later)]) == {"ana": (8, 1.0)}
    assert restored([("ana", OURS)], [("çağla", OURS), ("ana", later)]) == {"ana": (8, 1.0), "çağla": (7, 1.5)}


@pytest.mark.parametrize("cut", [False, True])
def test_rows_of_another_policy_are_matched_by_the_names_of_their_signals(cut: bool) -> None:
    def read(*records: tuple[str, bytes | None]) -> dict[str, tuple[int, float]]:
        return restored(*[[r] for r in records]) if cut else restored(list(records))

    assert read(("ana", THEIRS)) == {"ana": (9, 2.5)}
    assert read(("ana", OURS), ("ana", THEIRS)) == {"ana": (9, 2.5)}
    assert read(("ana", THEIRS), ("ana", OURS)) == {"ana": (7, 1.5)}
    assert read(("ana", THEIRS), ("bo", OURS), ("ana", OURS), ("ana", THEIRS)) == {"ana": (9, 2.5), "bo": (7, 1.5)}


def test_a_customer_that_was_deleted_begins_anew() -> None:
    assert restored([("ana", OURS), ("ana", None)]) == {"ana": (0, 0.0)}
    assert restored([("ana", THEIRS)], [("ana", None)]) == {"ana": (0, 0.0)}
    assert restored([("ana", None)], [("ana", OURS)]) == {"ana": (7, 1.5)}


def test_a_layout_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match=f"layout 99, this version reads {LAYOUT}"):
        restored([("ana", b"\x63\x00" + OURS[2:])])


def test_the_kernel_gives_the_same_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[tuple[str, bytes | None]] = [("ana", OURS), ("bo", THEIRS), ("ana", OURS), ("bo", None)]
    want = restored(records)
    monkeypatch.setattr(restoring, "take_rows_compiled", restoring.take_rows)
    assert restored(records) == want
