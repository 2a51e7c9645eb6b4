"""When time alone changes something of a customer: a heap of times and rows.

A row has an alarm, the earliest of its timers that counts, 0 for none. It may ring before the row has something to say,
and is set again then: most rows put off what they wait for with each interaction. Other timers of the row are void.
"""

import numpy as np

from schemas.arrays import Int64s
from schemas.compiled import step
from schemas.growing import grown

# A binary heap is int64[c, 2], a time and a row; place 0 has their number, and the first stands at 1.


def no_timers() -> Int64s:
    """An empty heap."""
    return np.zeros((64, 2), np.int64)


def with_room(timers: Int64s, more: int) -> Int64s:
    """The heap with room for so many more."""
    return grown(timers, int(timers[0, 0]) + 1 + more)


@step
def push_timer(timers: Int64s, due_ms: int, row: int) -> None:
    """Add a timer; there is room."""
    timers[0, 0] += 1
    at = timers[0, 0]
    while at > 1 and timers[at // 2, 0] > due_ms:
        timers[at, 0], timers[at, 1] = timers[at // 2, 0], timers[at // 2, 1]
        at //= 2
    timers[at, 0], timers[at, 1] = due_ms, row


@step
def wake(timers: Int64s, alarm: Int64s, row: int, due_ms: int) -> None:
    """See to it that the alarm of a row rings at ``due_ms`` or before; there is room. alarm: int64[m]."""
    if alarm[row] == 0 or due_ms < alarm[row]:
        push_timer(timers, due_ms, row)
        alarm[row] = due_ms


@step
def pop_timer(timers: Int64s) -> None:
    """Take out the first timer; there is one."""
    n = timers[0, 0]
    due_ms, row = timers[n, 0], timers[n, 1]
    n -= 1
    timers[0, 0] = n
    at = 1
    while 2 * at <= n:
        below = 2 * at
        if below < n and timers[below + 1, 0] < timers[below, 0]:
            below += 1
        if timers[below, 0] >= due_ms:
            break
        timers[at, 0], timers[at, 1] = timers[below, 0], timers[below, 1]
        at = below
    timers[at, 0], timers[at, 1] = due_ms, row


@step
def may_push(timers: Int64s) -> bool:
    """Whether there is room for some timers."""
    fits: bool = timers[0, 0] + 4 < timers.shape[0]
    return fits
