"""Which rules an interaction fulfils, how many points it gives, and the interaction as an item that is kept."""

import math
from typing import NamedTuple

from pipelines.fold.blocks import TEXT_USED, Scratch
from pipelines.fold.facts import (
    AMOUNT_OF,
    CASE_ID,
    CHANNEL_ID,
    DEADLINE_MS,
    EVENT_ID,
    MOOD,
    PLACE_ID,
    RATED,
    REACH_COUNT,
    SESSION_ID,
    SHIPPING,
    STAGE,
    SUBJECT_ID,
    VALUES,
    Facts,
)
from pipelines.fold.items import (
    AT,
    CASE,
    CHANNEL,
    CLASS,
    DEADLINE,
    EVENT,
    ID,
    LENGTHS,
    MASK,
    MAX_TEXT_BYTES,
    NUMBER1,
    NUMBER2,
    PLACE,
    POINTS1,
    SEEN,
    SESSION,
    SUBJECT,
    TAG,
    TEXT,
    WIDE,
    tag_of,
)
from pipelines.fold.scoring import BLOCK, Rows
from pipelines.policy.rules import (
    AMOUNT,
    CONDITIONS,
    MAGNITUDE,
    ONE,
    OP,
    RATING,
    REACH,
    REFERENCE,
    SIGNAL,
    TARGET,
    WAIT,
    Rules,
    feedback_bound,
    first_rule,
    has_side,
    is_relief,
    rule_weight,
    rule_word,
    signal_number,
    tolerated_ms,
)
from schemas.arrays import Bytes, Int32s, Int64s
from schemas.bits import as_word
from schemas.compiled import step

LOOKED = 2  # place in ``counting.Work.counted`` for what nobody wants to know
_TOGETHER = 16  # interactions whose memory is asked for at a time
_MOST_TIMES = 1e300  # of the reference: an amount beyond all numbers adds no heat without end
_LINE, _NEAR = 8, 512  # words that come together, and most of a block that are asked for


class Arrivals(NamedTuple):
    """n interactions in offset order.

    data: uint8[b]. row, kind: int32[n], the customer's row, and the kind, below 0 for one that the policy does not
    know. time: int64[n, 4], event time, append time, duration (below 0: not told), in ms; and, written by
    the loop, what has been told before the interaction (``counting.TOLD_BEFORE``).
    """

    data: Bytes
    row: Int32s
    kind: Int32s
    time: Int64s
    facts: Facts


@step
def matched(i: int, kind: int, facts: Facts, rules: Rules) -> int:
    """A bit for each rule of the kind that counts: of one operation and target the first whose conditions hold."""
    first, end = first_rule(rules, kind), first_rule(rules, kind + 1)
    mask, op, target = 0, -1, -1
    for r in range(first, end):
        own, its = rule_word(rules, r, OP), rule_word(rules, r, TARGET)
        if own == op and its == target:
            continue
        holds = True
        for c in range(CONDITIONS, CONDITIONS + 6, 2):
            attribute = rule_word(rules, r, c)
            if attribute >= 0 and (rule_word(rules, r, c + 1) >> facts.code[i, VALUES + attribute]) & 1 == 0:
                holds = False
        if holds:
            mask |= 1 << (r - first)
            op, target = own, its
    return mask


@step
def points_of(i: int, r: int, duration_ms: int, facts: Facts, rules: Rules) -> float:
    """Heat of an interaction by a signal's rule: weight * magnitude (docs/policy.md has the formulas).

    A wait whose length is not told gives the tolerated time, negative: its length is that of the clock it closes.
    """
    magnitude, s = rule_word(rules, r, MAGNITUDE), rule_word(rules, r, TARGET)
    size = 1.0
    if magnitude == WAIT:
        tolerated = tolerated_ms(rules, s, facts.code[i, STAGE])
        if duration_ms < 0:
            return -tolerated
        size = math.log2(duration_ms / tolerated) if duration_ms > tolerated else 0.0
    elif magnitude == AMOUNT:
        amount = facts.number[i, AMOUNT_OF]
        times = min(amount / signal_number(rules, s, REFERENCE), _MOST_TIMES)
        size = math.log2(1.0 + times) if amount > 0.0 else 0.0
    elif magnitude == RATING:
        rating = facts.number[i, RATED]
        if is_relief(rules, s):
            size = 1.0 + (rating - feedback_bound(rules, 1)) / max(1e-9, 1.0 - feedback_bound(rules, 1))
        else:
            size = 1.0 + (feedback_bound(rules, 0) - rating) / max(1e-9, feedback_bound(rules, 0))
        size = min(max(size, 0.0), 2.0) if 0.0 <= rating <= 1.0 else 0.0
    elif magnitude == REACH:
        mood = facts.number[i, MOOD] if is_relief(rules, s) else -facts.number[i, MOOD]
        mood = 0.5 if math.isnan(mood) else max(0.0, mood)
        size = math.log10(10.0 + max(0, facts.word[i, REACH_COUNT])) * mood
    return rule_weight(rules, r) * size


@step
def make_event(i: int, mask: int, arrivals: Arrivals, rules: Rules, scratch: Scratch, event: Int64s) -> None:
    """Write the interaction as an EVENT item; its texts, if it may open something, are copied behind the scratch's."""
    facts, kind, time = arrivals.facts, arrivals.kind[i], arrivals.time
    word = facts.word
    for w in range(WIDE):
        event[w] = 0
    event[TAG], event[AT], event[MASK] = tag_of(EVENT, kind), time[i, 0], mask
    event[ID], event[CASE], event[SESSION] = word[i, EVENT_ID], word[i, CASE_ID], word[i, SESSION_ID]
    event[SUBJECT], event[CHANNEL], event[PLACE] = word[i, SUBJECT_ID], word[i, CHANNEL_ID], word[i, PLACE_ID]
    event[DEADLINE], event[SEEN] = word[i, DEADLINE_MS], min(time[i, 0], time[i, 1])
    amount = facts.number[i, AMOUNT_OF]
    event[NUMBER1] = as_word(float(word[i, REACH_COUNT]) if math.isnan(amount) else amount)
    event[NUMBER2] = as_word(facts.number[i, SHIPPING])
    stored, first = 0, first_rule(rules, kind)
    for r in range(first, first_rule(rules, kind + 1)):
        magnitude = rule_word(rules, r, MAGNITUDE)
        if (mask >> (r - first)) & 1 and rule_word(rules, r, OP) == SIGNAL and ONE < magnitude <= REACH and stored < 2:
            event[POINTS1 + stored] = as_word(points_of(i, r, time[i, 2], facts, rules))
            stored += 1
    at = scratch.count[TEXT_USED]
    event[TEXT] = at
    for k in range(6 if has_side(rules, kind) else 0):
        length = min(facts.text[i, 2 * k + 1], MAX_TEXT_BYTES)
        start = facts.text[i, 2 * k]
        while length < facts.text[i, 2 * k + 1] and length > 0 and arrivals.data[start + length] & 0xC0 == 0x80:
            length -= 1  # a character is not cut in two
        event[LENGTHS + k // 3] |= length << (20 * (k % 3))
        for b in range(length):
            scratch.text[at + b] = arrivals.data[start + b]
        at += length
    scratch.count[TEXT_USED] = at


@step
def look_ahead(first: int, arrivals: Arrivals, rows: Rows, arena: Int64s, counted: Int64s) -> int:
    """Touch the rows and blocks of the next interactions: memory brings them for all at a time. Returns up to where."""
    stop, seen = min(first + _TOGETHER, arrivals.row.shape[0]), 0
    for i in range(first, stop):
        for w in range(0, rows.words.shape[1], _LINE):
            seen ^= rows.words[arrivals.row[i], w]
    for i in range(first, stop):
        seen ^= arena[rows.words[arrivals.row[i], BLOCK] + CLASS]
    for i in range(first, stop):
        block = rows.words[arrivals.row[i], BLOCK]
        for w in range(0, min(1 << arena[block + CLASS], _NEAR), _LINE):
            seen ^= arena[block + w]
    counted[LOOKED] = seen  # else the compiler sees that nobody wants it
    return stop
