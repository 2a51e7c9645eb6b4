"""What is usual at a place: estimated from past lookbacks, without those of incidents.

Each slot adds what was seen in the lookback that ended some slots ago: a gap lies between what is judged and what it
is judged by, so that an incident does not become its own measure while it grows (as between test and baseline in
EARS C2 and C3: Fricker, Hegler, Dunfee 2008, Statistics in Medicine 27). Lookbacks overlap: each counts as one n-th,
n being the slots of a lookback.

A rate is three words, customers who failed and who tried in so many lookbacks, as decayed sums. What is usual is
float64[WORDS]: the rate of lookbacks in which attempts were reported (SHARE), of all (SLOW), of the last hours (FAST),
and of each hour of the day (from HOURS on, UTC) that of usual lookbacks and, behind it, of those while an incident
stood.
"""

from typing import NamedTuple

import numpy as np

from pipelines.policy.incident_model import IncidentRule, Incidents
from schemas.arrays import Float64s
from schemas.compiled import compiled, step

FAST_MS = 3_600_000
"""Half-life of the estimate that follows the day's ups and downs."""
MOST_CUSTOMERS = 1000.0
"""A usual share is never taken for better known than from so many: it differs from day to day by more than chance."""
MOST_SHAPE = 50.0
"""A usual rate, likewise: its deviation is taken for 14 % at least."""

_HOUR_DAYS = 3.0  # half-life of what is usual at an hour of the day, in days
_DAY_HOURS = 24
_LITTLE = 0.5  # customers more than were seen: no rate is 0 (Jeffreys)
_ACCEPTED = 12.0  # lookbacks for which the last one of an incident that is usual from now on counts

LOOKBACKS, FAILED, TRIED = range(3)
RATE = 3
SHARE, SLOW, FAST, HOURS = range(0, 4 * RATE, RATE)
HOUR = 2 * RATE
WORDS = HOURS + _DAY_HOURS * HOUR

UNKNOWN = -1.0
"""The mean of what is usual, as long as too little is known."""


class Seen(NamedTuple):
    """Distinct customers of a lookback: who tried, who failed, and whether attempts are reported at the place."""

    tried: int
    failed: int
    reported: bool


class Usual(NamedTuple):
    """A mean, and how well it is known: the customers, or the shape, of the predictive distribution."""

    mean: float
    weight: float


class Terms(NamedTuple):
    """A rule, as kernels take it: times in slots, what is left of an estimate after each, and the keys of the policy.

    part: what a lookback counts. learnt: lookbacks after which a rate is judged. new_customers and min_expected are
    below 0 where the policy has no ``usual_rate`` or ``silence``.
    """

    slot_ms: int
    lookback: int
    delay: int
    part: float
    kept_slow: float
    kept_fast: float
    kept_hour: float
    learnt: float
    min_customers: int
    min_ratio: float
    share: float
    share_customers: float
    new_customers: float
    new_lookbacks: float
    min_expected: float
    most_left: float


def terms_of(incidents: Incidents, rule: IncidentRule) -> Terms:
    """Those of a rule of a policy."""
    lookback = rule.lookback // incidents.slot
    kept_slow = 0.5 ** (incidents.slot / incidents.memory)
    # what is left of as many lookbacks; less a part that no rounding makes up
    left = (1.0 - kept_slow ** (rule.learn / incidents.slot)) / (1.0 - kept_slow)
    new, silence = rule.usual_rate, rule.silence
    return Terms(
        slot_ms=incidents.slot,
        lookback=lookback,
        delay=2 * lookback,
        part=1.0 / lookback,
        kept_slow=kept_slow,
        kept_fast=0.5 ** (incidents.slot / FAST_MS),
        kept_hour=0.5 ** (incidents.slot / (3_600_000 * _HOUR_DAYS)),
        learnt=left / lookback * (1.0 - 1e-9),
        min_customers=rule.min_customers,
        min_ratio=float(rule.min_ratio),
        share=rule.usual_share.share,
        share_customers=float(rule.usual_share.customers),
        new_customers=UNKNOWN if new is None else float(new.customers),
        new_lookbacks=0.0 if new is None else float(new.lookbacks),
        min_expected=-1.0 if silence is None else float(silence.min_expected),
        most_left=0.0 if silence is None else float(silence.most_left),
    )


@step
def hour_at(slot: int, terms: Terms) -> int:
    """Where the hour of the day in which a slot lies begins."""
    return HOURS + HOUR * (slot * terms.slot_ms // 3_600_000 % _DAY_HOURS)


@step
def add_lookback(words: Float64s, at: int, failed: int, tried: int, kept: float, part: float) -> None:
    """Let a lookback count ``part`` in the rate at ``at``, when ``kept`` is left of what was before."""
    words[at + LOOKBACKS] = words[at + LOOKBACKS] * kept + part
    words[at + FAILED] = words[at + FAILED] * kept + failed * part
    words[at + TRIED] = words[at + TRIED] * kept + tried * part


@step
def learn(words: Float64s, tried: int, failed: int, reported: bool, slot: int, odd: bool, terms: Terms) -> None:
    """Add the lookback that ended with ``slot``. odd: while an incident stands, then to the hours of the day alone.

    What is odd at an hour of the day becomes usual when it is most of what was seen of that.
    """
    at = hour_at(slot, terms)
    add_lookback(words, at, failed, tried, terms.kept_hour, 0.0 if odd else terms.part)
    add_lookback(words, at + RATE, failed, tried, terms.kept_hour, terms.part if odd else 0.0)
    if words[at + RATE + LOOKBACKS] > words[at + LOOKBACKS]:
        for k in range(RATE):
            words[at + k] += words[at + RATE + k]
            words[at + RATE + k] = 0.0
    if not odd:
        if reported and tried > 0:
            add_lookback(words, SHARE, failed, tried, terms.kept_slow, terms.part)
        add_lookback(words, SLOW, failed, tried, terms.kept_slow, terms.part)
        add_lookback(words, FAST, failed, tried, terms.kept_fast, terms.part)


learn_compiled = compiled(learn)


@step
def usual_share(words: Float64s, terms: Terms) -> tuple[float, float]:
    """The usual share of customers who fail, see Usual: that of a new place, with all that was seen since."""
    tried = words[SHARE + TRIED]
    known = min(1.0, MOST_CUSTOMERS / tried) if tried > 0.0 else 0.0
    failed = words[SHARE + FAILED] * known + terms.share * terms.share_customers
    weight = tried * known + terms.share_customers
    return min(failed / weight, 1.0 - 1e-9), weight


@step
def usual_rate(customers: float, lookbacks: float, more: float, more_lookbacks: float) -> tuple[float, float]:
    """What so many customers in so many lookbacks say, see Usual."""
    shape = customers + more
    return shape / (lookbacks + more_lookbacks), min(shape, MOST_SHAPE)


@step
def estimate_at(k: int, slot: int, terms: Terms) -> int:
    """Where estimate 0, 1 or 2 besides that of all stands: of the last hours, of this hour of the day, of the next."""
    if k == 0:
        return FAST
    return hour_at(slot, terms) if k == 1 else HOURS + (hour_at(slot, terms) - HOURS + HOUR) % (_DAY_HOURS * HOUR)


@step
def furthest(
    words: Float64s, column: int, slot: int, mean: float, weight: float, sign: float, terms: Terms
) -> tuple[float, float]:  # fmt: skip
    """What the other estimates say of FAILED or TRIED, if one is further up (sign 1) or down (-1) than that of all."""
    for k in range(3):
        at = estimate_at(k, slot, terms)
        if words[at + LOOKBACKS] >= 1.0:
            its, known = usual_rate(words[at + column], words[at + LOOKBACKS], _LITTLE, 0.0)
            if sign * its > sign * mean or (its == mean and sign * known > sign * weight):
                mean, weight = its, known
    return mean, weight


@step
def usual_failures(words: Float64s, slot: int, is_new: bool, terms: Terms) -> tuple[float, float]:
    """Most customers who can be usual to fail in a lookback, see Usual; UNKNOWN as long as too little is known."""
    is_learnt, new = words[SLOW + LOOKBACKS] >= terms.learnt, is_new and terms.new_customers >= 0.0
    if not new and not is_learnt:
        return UNKNOWN, 0.0
    more, more_lookbacks = _LITTLE, 0.0
    if new:
        more, more_lookbacks = terms.new_customers * terms.new_lookbacks, terms.new_lookbacks
    mean, weight = usual_rate(words[SLOW + FAILED], words[SLOW + LOOKBACKS], more, more_lookbacks)
    return furthest(words, FAILED, slot, mean, weight, 1.0, terms) if is_learnt else (mean, weight)


@step
def usual_attempts(words: Float64s, slot: int, terms: Terms) -> tuple[float, float]:
    """Fewest customers who can be usual to try in a lookback, see Usual; UNKNOWN as long as too little is known."""
    if words[SLOW + LOOKBACKS] < terms.learnt:
        return UNKNOWN, 0.0
    mean, weight = usual_rate(words[SLOW + TRIED], words[SLOW + LOOKBACKS], _LITTLE, 0.0)
    return furthest(words, TRIED, slot, mean, weight, -1.0, terms)


class Base:
    """What is usual at a place: ``words``, see above. It is not changed."""

    __slots__ = ("words",)

    def __init__(self, words: Float64s) -> None:
        self.words = words

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Base) and bool((self.words == other.words).all())

    __hash__ = None  # type: ignore[assignment]  # nobody looks one up

    def with_lookback(self, seen: Seen, slot: int, terms: Terms, *, odd: bool = False) -> "Base":
        """With one more lookback; see learn."""
        words = self.words.copy()
        learn_compiled(words, seen.tried, seen.failed, seen.reported, slot, odd, terms)
        return Base(words)

    def with_hours(self, other: "Base") -> "Base":
        """With the hours of the day of another one."""
        return Base(np.concatenate([self.words[:HOURS], other.words[HOURS:]]))

    def share(self, terms: Terms) -> Usual:
        """See usual_share."""
        return _as_usual(usual_share(self.words, terms))

    def failures(self, slot: int, terms: Terms, *, is_new: bool) -> Usual | None:
        """See usual_failures; None for UNKNOWN."""
        usual = _as_usual(usual_failures(self.words, slot, is_new, terms))
        return None if usual.mean == UNKNOWN else usual

    def attempts(self, slot: int, terms: Terms) -> Usual | None:
        """See usual_attempts; None for UNKNOWN."""
        usual = _as_usual(usual_attempts(self.words, slot, terms))
        return None if usual.mean == UNKNOWN else usual


NO_BASE = Base(np.zeros(WORDS))
"""Of a place at which nobody was seen."""


def usual_from_now_on(seen: Seen) -> Base:
    """What is usual when it is what was seen last."""
    words = np.zeros(WORDS)
    for at in (SHARE, SLOW, FAST) if seen.reported else (SLOW, FAST):
        words[at : at + RATE] = _ACCEPTED, seen.failed * _ACCEPTED, seen.tried * _ACCEPTED
    return Base(words)


def _as_usual(said: tuple[float, float]) -> Usual:
    return Usual(float(said[0]), float(said[1]))
