"""From the kernel's arrays to Python values, for records that are few: Arrow would take longer than reading them."""

from typing import Any, assert_never

import numpy as np

from schemas.arrays import Int64s
from schemas.columnar.arrays import Arrays
from schemas.columnar.kernel import FLOATS, INTS, OK, TEXTS
from schemas.columnar.plan import Absent, Column, RecordList, Simple, StringMap


def python_rows(arrays: Arrays) -> tuple[Int64s, list[dict[str, Any]]]:
    """Return which records could be read (int64[k]), and each of them by field name; times are plain numbers.

    Raises:
        TypeError: a field is a list or a map.
    """
    kept = np.flatnonzero(arrays.problem == OK)
    columns = arrays.plan.columns
    names = [column.name for column in columns]
    values = [_values(column, arrays, kept) for column in columns]
    return kept, [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def _values(column: Column, arrays: Arrays, kept: Int64s) -> list[Any]:
    match column:
        case Absent():
            return [column.default] * len(kept)
        case Simple():
            values = _simple(column, arrays, kept)
            if not column.nullable:
                return values
            valid = arrays.is_valid(column)[kept].tolist()
            return [value if there else None for value, there in zip(values, valid, strict=True)]
        case StringMap() | RecordList():
            raise TypeError(f"{column.name} has entries of its own")
        case _:
            assert_never(column)


def _simple(column: Simple, arrays: Arrays, kept: Int64s) -> list[Any]:
    if column.type in ("string", "bytes"):
        at = arrays.part(column.column, TEXTS)
        start, length = arrays.text_start[at][kept], arrays.text_length[at][kept]
        if column.nullable:
            length = np.where(arrays.is_valid(column)[kept], length, 0)
            start = np.where(length > 0, start, 0)
        raw = [arrays.data[a : a + n].tobytes() for a, n in zip(start.tolist(), length.tolist(), strict=True)]
        return [text.decode() for text in raw] if column.type == "string" else raw
    if column.type in ("float", "double"):
        return list(arrays.floats[arrays.part(column.column, FLOATS)][kept].tolist())
    values = arrays.ints[arrays.part(column.column, INTS)][kept]
    return list((values != 0).tolist() if column.type == "boolean" else values.tolist())
