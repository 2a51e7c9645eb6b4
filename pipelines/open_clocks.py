"""The clocks that are open, read from what is kept of customers."""

from pipelines.alerts import OpenClock
from pipelines.blocks import BASE, LIVE
from pipelines.items import (
    AT,
    CLOCK,
    DUE,
    ENDS,
    HEAD,
    LENGTHS,
    NEVER,
    TAG,
    TEXT,
    WIDE,
)
from pipelines.policy import Policy
from pipelines.scoring import BLOCK
from pipelines.state import CustomerRows
from pipelines.whole_rows import block_words

_LENGTH_BITS = 20  # of each of the six texts, three in a word: event_id, case_id ...


def open_clocks(rows: CustomerRows, policy: Policy) -> dict[bytes, list[OpenClock]]:
    """By customer the clocks that are open, in the order in which they were opened."""
    names, signals = tuple(policy.file.clocks), len(policy.signals)
    words, arena = rows.kernel.words, rows.blocks.arena
    found: dict[bytes, list[OpenClock]] = {}
    for row in range(rows.numbers):
        block = int(words[row, BLOCK])
        if not block:
            continue
        before = sum(int(arena[block + k]) for k in range(BASE, LIVE))
        count, first = int(arena[block + LIVE]), block + HEAD + signals + before * WIDE
        items = arena[first : first + count * WIDE].reshape(count, WIDE)
        text = arena[first + count * WIDE : block + block_words(arena, block, signals)].tobytes()
        clocks = []
        for item in items[((items[:, TAG] & 255) == CLOCK) & (items[:, ENDS] == 0)].tolist():
            lengths = [item[LENGTHS] >> (_LENGTH_BITS * k) & ((1 << _LENGTH_BITS) - 1) for k in range(2)]
            start = item[TEXT] + lengths[0]
            case = text[start : start + lengths[1]].decode(errors="replace")
            clocks.append(
                OpenClock(names[item[TAG] >> 8], item[AT], item[DUE] if item[DUE] < NEVER else None, case or None)
            )
        if clocks:
            found[rows.customers.raw(row)] = sorted(clocks, key=lambda clock: clock.opened_ms)
    return found
