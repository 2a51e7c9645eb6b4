"""Layout 3, of the first versions: rows whose items are not packed. They are packed, and read as layout 4."""

import numpy as np

from pipelines.fold.blocks import BASE, BEFORE, HEAT_LIST, LIVE, RECENT, TOLD_LIST, Scratch, new_scratch, pack_lists
from pipelines.fold.items import CLASS, HEAD, ITEM_WORDS, TEXT_BYTES, TEXT_KEPT, WIDE, copy_words, size_class
from pipelines.state.whole_rows import HAS_EPISODE, IS_OPEN, LAYOUT, long_at
from schemas.arrays import Bytes, Int32s, Int64s
from schemas.compiled import compiled, step

UNPACKED = 3
_HEAD = 10  # words of its blocks before what open cases hold
_EPISODE_WORDS = 3


@step
def pack_row(words: Int64s, fixed: int, signals: int, scratch: Scratch, out: Int64s) -> int:
    """Write a row as layout 4; return how many words it has then, below 0 when it is broken.

    words: int64[k], the row. fixed: how many are before its episode. out: int64[k + 2].
    """
    flags = words[0] >> 56
    at = fixed + (_EPISODE_WORDS if flags & HAS_EPISODE else 0)
    copy_words(words, 0, min(at, words.shape[0]), out, 0)
    out[0] = (words[0] & ~0xFFFF) | LAYOUT
    if flags & IS_OPEN == 0 or words.shape[0] < at + _HEAD + signals:
        return at if flags & IS_OPEN == 0 and words.shape[0] == at else -1
    block, counts = words[at:], scratch.count
    text_bytes = block[TEXT_BYTES]
    items = block[BASE] + block[RECENT] + block[BEFORE] + block[TOLD_LIST] + block[LIVE]
    if _HEAD + signals + items * WIDE + (text_bytes + 7) // 8 != block.shape[0]:
        return -1
    begin = _HEAD + signals
    for k in range(LIVE + 1):
        counts[k] = block[k]
        copy_words(block, begin, counts[k] * WIDE, scratch.lists[HEAT_LIST if k == BEFORE else k].reshape(-1), 0)
        begin += counts[k] * WIDE
    counts[HEAT_LIST] = counts[BEFORE]
    packed = pack_lists(scratch, 0)
    copy_words(block, 0, _HEAD, out, at)
    out[at + ITEM_WORDS], out[at + TEXT_KEPT] = packed, text_bytes
    copy_words(block, _HEAD, signals, out, at + HEAD)
    end = at + HEAD + signals
    copy_words(scratch.packed, 0, packed, out, end)
    copy_words(block, begin, (text_bytes + 7) // 8, out, end + packed)
    end += packed + (text_bytes + 7) // 8
    out[at + CLASS] = size_class(end - at)
    return end


def pack_rows(
    data: Bytes, start: Int64s, length: Int32s, fixed: int, signals: int, scratch: Scratch, words: Int64s,
    out: Int64s, begin: Int64s,
) -> int:  # fmt: skip
    """Write rows of layout 3 as layout 4; returns which one (i) is broken, below 0 for none.

    data: uint8[b]; row i is data[start[i]:start[i] + length[i]]. begin: int64[k + 1], written: where row i begins, in
    words of ``out``. words: room for the longest.
    """
    at = 0
    for i in range(start.shape[0]):
        count = length[i] // 8
        for w in range(count):
            words[w] = long_at(data, start[i] + 8 * w)
        begin[i] = at
        size = -1
        if length[i] % 8 == 0 and count >= fixed:
            size = pack_row(words[:count], fixed, signals, scratch, out[at:])
        if size < 0:
            return i
        at += size
    begin[start.shape[0]] = at
    return -1


pack_rows_compiled = compiled(pack_rows, allocates=False)


def packed(data: Bytes, start: Int64s, length: Int32s, fixed: int, signals: int) -> tuple[Bytes, Int64s, Int32s]:
    """Rows of layout 3 as layout 4: data, and of each where it begins and its length.

    fixed: words of a row before its episode.

    Raises:
        ValueError: a row is broken.
    """
    most = int(length.max()) // 8
    scratch, begin = new_scratch(most // WIDE + 1, 0), np.empty(length.shape[0] + 1, np.int64)
    out = np.empty(int(length.astype(np.int64).sum()) // 8 + 2 * length.shape[0] + WIDE, np.int64)
    broken = pack_rows_compiled(data, start, length, fixed, signals, scratch, np.empty(most, np.int64), out, begin)
    if broken >= 0:
        raise ValueError(f"a stored row of layout {UNPACKED} is broken: it has {length[broken]} bytes")
    return out.view(np.uint8), 8 * begin[:-1], (8 * np.diff(begin)).astype(np.int32)
