"""Mentions: what a customer with an open case says in public, and what answers it."""

from pipelines.fold.items import (
    AT,
    CASE,
    CASE_ITEM,
    CHANNEL,
    ENDS,
    MENTION_ITEM,
    NUMBER1,
    SUBJECT,
    TAG,
    new_item,
    tag_of,
    touch,
)
from pipelines.policy.rules import REACH_LEAST, Rules, section
from schemas.arrays import Int64s
from schemas.bits import as_float
from schemas.compiled import step


@step
def make_mention(items: Int64s, count: int, event: Int64s, rules: Rules) -> int:
    """Open a mention that reaches enough people, if a case is open; return the count.

    It is of the open case that it names; else of the newest one of its subject; else of the newest one.
    """
    if not as_float(event[NUMBER1]) >= section(rules, REACH_LEAST):  # NaN is nobody
        return count
    meant, nearest = -1, -1
    for at in range(count):
        if items[at, TAG] == tag_of(CASE_ITEM, 0) and items[at, ENDS] == 0:
            near = 2 if items[at, CASE] == event[CASE] else 0
            if near == 0 and event[SUBJECT] != 0 and items[at, SUBJECT] == event[SUBJECT]:
                near = 1
            if near >= nearest:
                meant, nearest = at, near
    if meant < 0:
        return count
    count = new_item(items, count, tag_of(MENTION_ITEM, 0), event)
    items[count - 1, CASE], items[count - 1, CHANNEL] = items[meant, CASE], event[CHANNEL]
    touch(items[count - 1])
    return count


@step
def answer_mention(items: Int64s, count: int, event: Int64s) -> None:
    """Close the oldest open mention on the channel of an answer; else the oldest one."""
    answered = -1
    for at in range(count):
        if items[at, TAG] == tag_of(MENTION_ITEM, 0) and items[at, ENDS] == 0 and items[at, AT] <= event[AT]:
            there = event[CHANNEL] != 0 and items[at, CHANNEL] == event[CHANNEL]
            if answered < 0 or (there and items[answered, CHANNEL] != event[CHANNEL]):
                answered = at
    if answered >= 0:
        items[answered, ENDS] = event[AT]
        touch(items[answered])
