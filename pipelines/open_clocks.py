"""The clocks and cases that are open, read from what is kept of customers."""

from collections.abc import Iterator
from typing import NamedTuple

from pipelines.alerts import OpenClock
from pipelines.blocks import LIVE, texts_of
from pipelines.items import (
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
)
from pipelines.policy import Policy
from pipelines.state import CustomerRows


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


def open_clocks(rows: CustomerRows, policy: Policy) -> dict[bytes, list[OpenClock]]:
    """By customer the clocks that are open, in the order in which they were opened; as alerts list them."""
    found: dict[bytes, list[OpenClock]] = {}
    for row in range(rows.numbers):
        clocks = opened(row, rows, policy).clocks
        if clocks:
            found[rows.customers.raw(row)] = [
                OpenClock(c.clock, c.opened_ms, None if c.stands_still else c.deadline_ms, c.case_id) for c in clocks
            ]
    return found


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
