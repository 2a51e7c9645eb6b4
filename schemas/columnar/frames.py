"""Schema ids of many framed values at once (schemas/wire.py says what a frame is)."""

import numpy as np

from schemas.arrays import Bytes, Int32s, Int64s
from schemas.compiled import compiled
from schemas.wire import HEADER_BYTES


def read_ids(data: Bytes, start: Int64s, length: Int32s, ids: Int64s) -> int:
    """Read the schema id of each value that is framed.

    start: int64[n]. length: int32[n], -1 for null. ids: int64[n], written, -1 where the value is not framed.
    Returns the id if all have the same one, else -1.
    """
    same = start.shape[0] > 0
    for i in range(start.shape[0]):
        ids[i] = -1
        at = start[i]
        if length[i] >= HEADER_BYTES and data[at] == 0:
            number = 0
            for k in range(1, HEADER_BYTES):
                number = number << 8 | int(data[at + k])
            ids[i] = number
        same = same and ids[i] == ids[0]
    return int(ids[0]) if same else -1


read_ids_compiled = compiled(read_ids)


def schema_ids(data: Bytes, start: Int64s, length: Int32s) -> tuple[Int64s, list[int]]:
    """int64[n], the schema id of each value, -1 where it is not framed; and the ids that there are. As read_ids."""
    ids = np.empty(start.shape[0], np.int64)
    one = read_ids_compiled(data, start, length, ids)
    return ids, np.unique(ids[ids >= 0]).tolist() if one < 0 else [one]
