"""When a clock has something to say by itself: its warning, its breach, and that the customer still waits."""

from pipelines.fold.items import (
    AT,
    BREACHED,
    BROKEN_AT,
    DUE,
    FLAGS,
    LEVEL,
    NEVER,
    PAUSED_AT,
    SAID_BROKEN,
    TAG,
    WARN,
    WARNED,
)
from pipelines.policy.rules import REPEAT_MS, STILL, STILLS, clock_at
from schemas.arrays import Int64s
from schemas.compiled import step

MOST_REPEATS = 30
"""So often it is said again after a breach: whoever has not heard it by then does not read it, and the alert stands."""


@step
def breach_ms(item: Int64s) -> int:
    """When the promise of a clock is or was broken: at its deadline, or when that was said before."""
    return item[BROKEN_AT if item[FLAGS] & SAID_BROKEN != 0 else DUE]


@step
def said_at(items: Int64s, at: int, level: int, words: Int64s) -> tuple[int, bool]:
    """When an open clock says for the ``level``-th time that the customer still waits, NEVER for not at all.

    Said are ages since the opening and, of a breached clock, repeats since the breach, in the order of their times;
    returns also whether it is a repeat. words: those of the rules.
    """
    clock, flags = clock_at(words, items[at, TAG] >> 8), items[at, FLAGS]
    repeat_ms = words[clock + REPEAT_MS] if flags & BREACHED != 0 else 0
    broken_ms = items[at, BROKEN_AT if flags & SAID_BROKEN != 0 else DUE]
    if words[clock + STILL] == 0:
        repeats = repeat_ms > 0 and level <= MOST_REPEATS
        return broken_ms + level * repeat_ms if repeats else NEVER, repeats
    ages, repeats_said, said_ms, again = 0, 0, NEVER, False
    for _ in range(level):
        age_ms, next_ms = NEVER, NEVER
        if ages < STILLS and words[clock + STILL + ages] > 0:
            age_ms = items[at, AT] + words[clock + STILL + ages]
        if repeat_ms > 0 and repeats_said < MOST_REPEATS:
            next_ms = broken_ms + (repeats_said + 1) * repeat_ms
        said_ms, again = min(age_ms, next_ms), next_ms < age_ms
        ages += int(not again)
        repeats_said += int(again)
    return said_ms, again


@step
def clock_due(items: Int64s, at: int, words: Int64s) -> int:
    """When an open clock has something to say next; NEVER for one that is paused. words: those of the rules.

    It is asked of every item again and again: neither an item nor the rules are handed on as such, which costs more.
    """
    flags = items[at, FLAGS]
    if flags & (SAID_BROKEN | BREACHED) == SAID_BROKEN:
        return items[at, BROKEN_AT]  # also of one that is paused
    if items[at, PAUSED_AT] != 0:
        return NEVER
    due_ms, _ = said_at(items, at, items[at, LEVEL] + 1, words)
    if items[at, WARN] != 0 and flags & (WARNED | BREACHED) == 0:
        due_ms = min(due_ms, items[at, WARN])
    if flags & BREACHED == 0:
        due_ms = min(due_ms, items[at, DUE])
    return due_ms
