"""The slots of a place one after the other, as long as no incident stands and none can begin."""

from pipelines.incidents.base import (
    FAST,
    HOUR,
    LOOKBACKS,
    RATE,
    SLOW,
    TRIED,
    Terms,
    hour_at,
    learn,
    usual_attempts,
    usual_failures,
    usual_share,
)
from pipelines.incidents.sums import seen
from schemas.arrays import Float64s, Int64s
from schemas.compiled import compiled, step

_LEARNT = FAST + RATE  # words before those of the hours: all that a lookback may change, with one hour
BEFORE_WORDS = _LEARNT + HOUR


@step
def may_begin(
    words: Float64s, tried: int, failed: int, reported: bool, slot: int, is_new: bool, terms: Terms
) -> bool:  # fmt: skip
    """Whether an incident may begin: so many fail, or so few come, that its chance has to be asked for."""
    if failed >= terms.min_customers and reported:
        mean, _ = usual_share(words, terms)
        if failed >= min(terms.min_ratio * mean, (1.0 + mean) / 2.0) * tried:
            return True
    elif failed >= terms.min_customers:
        mean, _ = usual_failures(words, slot, is_new, terms)
        if mean >= 0.0 and failed >= terms.min_ratio * mean:
            return True
    if terms.min_expected < 0.0:
        return False
    if tried * words[SLOW + LOOKBACKS] > terms.most_left * words[SLOW + TRIED] + 1.0:
        return False  # as most slots: what is usual is not above the mean of all
    mean, _ = usual_attempts(words, slot, terms)
    return mean >= terms.min_expected and tried <= terms.most_left * mean


def go_on(
    words: Float64s,
    first: int,
    last: int,
    heard: int,
    unusual_to: int,
    is_new: bool,
    forgotten: int,
    slot: Int64s,
    sums: Int64s,
    terms: Terms,
    before: Float64s,
) -> tuple[int, int]:
    """Go through slots ``first`` ... ``last``, up to one in which an incident may begin, or a place anew.

    words: float64[WORDS], what is usual at the end of the slot before, and then of the last one that was gone through.
    heard, unusual_to, is_new: see judge.State. forgotten: slots without anybody after which a place is a new one.
    slot, sums: see SlotSums.columns. before: float64[BEFORE_WORDS], to work with.

    Returns the last slot that was gone through, one less than ``first`` for none, and ``heard`` then.
    """
    end, usual_end = 0, 0
    for at in range(first, last + 1):
        while end < slot.shape[0] and slot[end] <= at:
            end += 1
        here = end > 0 and slot[end - 1] == at
        if here and at - heard > forgotten:
            return at - 1, heard
        usual = at - terms.delay
        learns, hour = usual - terms.lookback >= unusual_to, hour_at(usual, terms)
        if learns:
            for w in range(_LEARNT):
                before[w] = words[w]
            for w in range(HOUR):
                before[_LEARNT + w] = words[hour + w]
            while usual_end < slot.shape[0] and slot[usual_end] <= usual:
                usual_end += 1
            tried, failed, reported = seen(slot, sums, usual_end, usual, terms.lookback)
            learn(words, tried, failed, reported, usual, False, terms)
        tried, failed, reported = seen(slot, sums, end, at, terms.lookback)
        if may_begin(words, tried, failed, reported, at, is_new, terms):
            if learns:
                for w in range(_LEARNT):
                    words[w] = before[w]
                for w in range(HOUR):
                    words[hour + w] = before[_LEARNT + w]
            return at - 1, heard
        if here:
            heard = at
    return last, heard


go_on_compiled = compiled(go_on, allocates=False)
