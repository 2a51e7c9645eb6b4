"""What a signal adds when it depends on what was before: failures in a row, costs that were not shown, late relief."""

import math

from pipelines.fold.cases import add_points
from pipelines.fold.contacts import keep_newest
from pipelines.fold.items import (
    AT,
    CASE,
    LAST,
    LEVEL,
    NUMBER1,
    NUMBER2,
    PLACE,
    POINTS1,
    POINTS2,
    SESSION,
    SHOWN,
    STREAK,
    TAG,
    find_item,
    new_item,
    tag_of,
)
from pipelines.policy.rules import (
    AGE,
    CONSECUTIVE,
    COST,
    EXPIRES_MS,
    HALVED_MS,
    LEAST,
    MAGNITUDE,
    MOST,
    ONE,
    TARGET,
    WAIT,
    Rules,
    is_relief,
    rule_weight,
    rule_word,
    signal_number,
)
from schemas.arrays import Int64s
from schemas.bits import as_float
from schemas.compiled import step

MOST_STREAKS = 4
"""Forms that a customer fails at, at a time."""


@step
def find_streak(items: Int64s, count: int, target: int, event: Int64s) -> int:
    """Place of the row of failures that an interaction goes on with: of its place and session."""
    for at in range(count):
        same = items[at, PLACE] == event[PLACE] and items[at, SESSION] == event[SESSION]
        if items[at, TAG] == tag_of(STREAK, target) and same:
            return at
    return -1


@step
def do_signal(
    items: Int64s, count: int, r: int, event: Int64s, stored: int, ran_ms: int, case_age_ms: int, rules: Rules,
    heats: Int64s, tally: Int64s,
) -> tuple[int, int]:  # fmt: skip
    """Add the heat of a signal; return the count, and how many of the stored points have been taken."""
    magnitude, s, weight = rule_word(rules, r, MAGNITUDE), rule_word(rules, r, TARGET), rule_weight(rules, r)
    points = weight
    if magnitude == CONSECUTIVE:
        at = find_streak(items, count, s, event)
        if at < 0:
            count = keep_newest(items, count, tag_of(STREAK, s), MOST_STREAKS - 1)
            count = new_item(items, count, tag_of(STREAK, s), event)
            at = count - 1
            items[at, PLACE] = event[PLACE]
        elif event[AT] - items[at, LAST] > signal_number(rules, s, EXPIRES_MS):
            items[at, LEVEL] = 0
        items[at, LEVEL] += 1
        items[at, LAST] = event[AT]
        points = weight * min(float(items[at, LEVEL]), signal_number(rules, s, MOST))
    elif magnitude == COST:
        at = find_item(items, count, tag_of(SHOWN, s), SESSION, event[SESSION])
        shown = as_float(items[at, NUMBER1]) if at >= 0 else 0.0
        price, revealed = as_float(event[NUMBER1]), as_float(event[NUMBER2])
        surprise = max(0.0, revealed - shown) / price if price > 0.0 and revealed > 0.0 else 0.0
        points = (
            weight * min(surprise, signal_number(rules, s, MOST)) if surprise >= signal_number(rules, s, LEAST) else 0.0
        )
    elif magnitude == AGE:
        if case_age_ms > 0:
            points = weight * math.exp2(-case_age_ms / signal_number(rules, s, HALVED_MS))
    elif magnitude != ONE:
        points = as_float(event[POINTS1]) if stored == 0 else as_float(event[POINTS2])
        stored += 1
        if magnitude == WAIT and points < 0.0:  # how long it was is known only from its start
            tolerated_ms = -points
            points = weight * math.log2(ran_ms / tolerated_ms) if ran_ms > tolerated_ms else 0.0
    return add_points(items, count, heats, tally, s, points, event[AT], event[CASE], is_relief(rules, s)), stored
