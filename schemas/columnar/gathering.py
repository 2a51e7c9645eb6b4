"""Texts from where they lie to one behind the other."""

import numpy as np

from schemas.arrays import Bytes, Int32s, Int64s
from schemas.compiled import compiled
from schemas.words import copy_bytes


def gather(data: Bytes, start: Int64s, length: Int32s, out: Bytes) -> None:
    """Write n texts one behind the other: start int64[n], length int32[n], >= 0."""
    at = 0
    for i in range(start.shape[0]):
        copy_bytes(data, start[i], length[i], out, at)
        at += length[i]


gather_compiled = compiled(gather, allocates=False)


def gathered(data: Bytes, start: Int64s, length: Int32s) -> Bytes:
    """The bytes of n texts one behind the other."""
    out = np.empty(int(length.sum(dtype=np.int64)), np.uint8)
    gather_compiled(data, start, length, out)
    return out
