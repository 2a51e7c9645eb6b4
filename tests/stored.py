"""Records of a state's log as a restore takes them, and rows as they are stored."""

from collections.abc import Sequence

import numpy as np

from pipelines.partition import CustomerPartition
from pipelines.state.layouts import NEWEST, signals_id, write_rows
from pipelines.state.restoring import RowRestore
from pipelines.state.rows import CustomerRows
from schemas.arrays import Bytes, Int32s, Int64s

Record = tuple[bytes, bytes | None]  # customer and stored row; None: the customer is forgotten


def laid_out(records: Sequence[Record]) -> tuple[Bytes, Int64s, Int32s, Int64s, Int32s]:
    """Columns of records: the bytes, and start and length of keys and of values in them."""
    parts = [part for key, value in records for part in (key, value or b"")]
    size = np.array([len(p) for p in parts], np.int64)
    starts = np.cumsum(size) - size
    key_length = size[::2].astype(np.int32)
    value_length = np.array([-1 if value is None else len(value) for _, value in records], np.int32)
    return np.frombuffer(b"".join(parts), np.uint8), starts[::2].copy(), key_length, starts[1::2].copy(), value_length


def stored(rows: CustomerRows, *, layout: int = NEWEST) -> list[bytes]:
    """Every row as it is stored."""
    return write_rows(rows.columns(np.arange(rows.numbers)), layout, signals_id(rows.signal_names)).values()


def records_of(core: CustomerPartition, numbers: Int64s) -> list[Record]:
    """Some rows of a policy that needs details, as a checkpoint writes them."""
    keys = [core.rows.customers.raw(int(number)) for number in numbers]
    return list(zip(keys, core.rows.copied(numbers, core.form).stored().values(), strict=True))


def restored(
    rows: CustomerRows, signal_sets: dict[int, list[str]], *chunks: Sequence[Record], form: int = 0
) -> CustomerRows:
    """Fill empty rows from the chunks of a log. form: of the policy, for rows with everything that is open."""
    restore = RowRestore(rows, form)
    for chunk in chunks:
        restore.take(*laid_out(chunk))
    restore.finish(signal_sets)
    return rows
