"""Where the texts of an Arrow column lie, as kernels take them."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas.arrays import Bytes, Int32s, Int64s


@dataclass(frozen=True, slots=True)
class TextParts:
    """n texts in ``data``: start int64[n], length int32[n], 0 for null."""

    data: Bytes
    start: Int64s
    length: Int32s


def text_parts(texts: pa.Array) -> TextParts:
    """The texts of an array of utf8, which is not copied."""
    _, offsets, data = texts.buffers()
    n = len(texts)
    if n == 0:
        return TextParts(np.zeros(0, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int32))
    ends = np.frombuffer(offsets, np.int32, n + 1, texts.offset * 4)
    length = np.diff(ends)
    if texts.null_count:
        length = np.where(texts.is_valid().to_numpy(zero_copy_only=False), length, 0).astype(np.int32)
    raw = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    return TextParts(raw, ends[:-1].astype(np.int64), length)
