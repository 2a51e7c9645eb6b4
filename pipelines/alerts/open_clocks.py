"""The clocks and cases that are open, read from what is kept of customers."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pipelines.fold.blocks import LISTS, LIVE, SPARE, Scratch, new_scratch, texts_at, texts_of, unpack_lists
from pipelines.fold.items import (
    AT,
    BREACHED,
    CASE_ITEM,
    CLOCK,
    DUE,
    ENDS,
    FLAGS,
    ID,
    NEVER,
    PAUSED,
    PAUSED_AT,
    TAG,
    TEXT,
    kind_of,
    number_of,
    text_length,
)
from pipelines.fold.scoring import BLOCK
from pipelines.policy.policy import Policy
from pipelines.state.rows import CustomerRows
from schemas.arrays import Int32s, Int64s
from schemas.columnar.writer import TextColumn
from schemas.compiled import compiled

_ROW, _CLOCK, _OPENED, _DEADLINE, _CASE, _CASE_BYTES = range(6)


class WaitingClock(NamedTuple):
    """An open clock with what has become of it. opened_by: hash of the event id of the interaction that opened it.

    Times in epoch ms. deadline_ms: None without a promise; of a clock that is paused, that of before the pause.
    paused_at_ms: since when it stands still, None while it runs. paused_ms: how long it stood still before.
    """

    clock: str
    opened_ms: int
    opened_by: int
    case_id: str | None
    deadline_ms: int | None
    breached: bool
    paused_at_ms: int | None
    paused_ms: int

    @property
    def stands_still(self) -> bool:
        """Whether nobody knows when it will be due."""
        return self.paused_at_ms is not None and not self.breached


class OpenCase(NamedTuple):
    """An open case; since when, in epoch ms."""

    case_id: str
    opened_ms: int


class Opened(NamedTuple):
    """What is open of a customer, in the order in which it was opened."""

    clocks: tuple[WaitingClock, ...] = ()
    cases: tuple[OpenCase, ...] = ()


class OpenClocks(NamedTuple):
    """The open clocks of many customers, n in all, as alerts list them.

    row: int64[n], of the customers, ascending; those of one in the order in which they were opened. clock: int64[n],
    their numbers. opened_ms, deadline_ms: int64[n], 0 without a deadline. case_id: empty for none.
    """

    row: Int64s
    clock: Int64s
    opened_ms: Int64s
    deadline_ms: Int64s
    case_id: TextColumn


def open_clocks(rows: CustomerRows) -> OpenClocks:
    """Those that are open now."""
    words, arena = rows.kernel.words[: rows.numbers], rows.blocks.arena
    which = np.flatnonzero(words[:, BLOCK])
    block = words[which, BLOCK]
    alive = arena[block + LIVE]
    most = max(int(arena[block + k].max(initial=0)) for k in range(LISTS))
    out = np.empty((int(alive.sum()), 6), np.int64)
    signals = len(rows.signal_names)
    n = list_clocks_compiled(which[alive > 0], words, arena, signals, new_scratch(most + SPARE, 0), out)
    found = out[:n]
    length: Int32s = found[:, _CASE_BYTES].astype(np.int32)
    case_id = TextColumn.copied(arena.view(np.uint8), found[:, _CASE].copy(), length)
    return OpenClocks(found[:, _ROW], found[:, _CLOCK], found[:, _OPENED], found[:, _DEADLINE], case_id)


def list_clocks(which: Int64s, words: Int64s, arena: Int64s, signals: int, scratch: Scratch, out: Int64s) -> int:
    """Write the open clocks of the rows ``which`` (int64[k], each with a block) to ``out`` (int64[m, 6]).

    A case id is given as where it begins in the bytes of the arena, and its length. Returns how many clocks there are.
    """
    n = 0
    for i in range(which.shape[0]):
        first, block = n, words[which[i], BLOCK]
        unpack_lists(block, signals, arena, scratch)
        text = texts_at(block, signals, arena)
        for k in range(scratch.count[LIVE]):
            item = scratch.lists[LIVE, k]
            if kind_of(item) != CLOCK or item[ENDS] != 0:
                continue
            at = n
            while at > first and out[at - 1, _OPENED] > item[AT]:
                for w in range(out.shape[1]):
                    out[at, w] = out[at - 1, w]
                at -= 1
            stands_still = item[PAUSED_AT] != 0 and item[FLAGS] & BREACHED == 0
            out[at, _ROW], out[at, _CLOCK], out[at, _OPENED] = which[i], number_of(item), item[AT]
            out[at, _DEADLINE] = 0 if stands_still or item[DUE] >= NEVER else item[DUE]
            out[at, _CASE], out[at, _CASE_BYTES] = text + item[TEXT] + text_length(item, 0), text_length(item, 1)
            n += 1
    return n


list_clocks_compiled = compiled(list_clocks, allocates=False)


def opened(row: int, rows: CustomerRows, policy: Policy) -> Opened:
    """What is open of a row."""
    names, clocks, cases = tuple(policy.file.clocks), [], []
    for item, case_id in _open_items(row, rows):
        if item[TAG] & 255 == CASE_ITEM:
            cases.append(OpenCase(case_id, item[AT]))
        elif item[TAG] & 255 == CLOCK:
            clocks.append(
                WaitingClock(
                    clock=names[item[TAG] >> 8],
                    opened_ms=item[AT],
                    opened_by=item[ID],
                    case_id=case_id or None,
                    deadline_ms=item[DUE] if item[DUE] < NEVER else None,
                    breached=bool(item[FLAGS] & BREACHED),
                    paused_at_ms=item[PAUSED_AT] or None,
                    paused_ms=item[PAUSED],
                )
            )
    return Opened(
        tuple(sorted(clocks, key=lambda clock: clock.opened_ms)), tuple(sorted(cases, key=lambda case: case.opened_ms))
    )


def _open_items(row: int, rows: CustomerRows) -> Iterator[tuple[list[int], str]]:
    """The clocks and cases of a row that have not ended, with their case_id."""
    lists, text = rows.contents(row)
    items = lists[LIVE]
    kind = items[:, TAG] & 255
    for item in items[((kind == CLOCK) | (kind == CASE_ITEM)) & (items[:, ENDS] == 0)]:
        yield item.tolist(), texts_of(item, text)[1]
