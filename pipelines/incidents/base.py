"""What is usual at a place: estimated from past lookbacks, without those of incidents.

Each slot adds what was seen in the lookback that ended some slots ago: a gap lies between what is judged and what it
is judged by, so that an incident does not become its own measure while it grows (as between test and baseline in
EARS C2 and C3: Fricker, Hegler, Dunfee 2008, Statistics in Medicine 27). Lookbacks overlap: each counts as one n-th,
n being the slots of a lookback.
"""

from typing import NamedTuple

from pipelines.policy.incident_model import IncidentRule, Incidents

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


class Seen(NamedTuple):
    """Distinct customers of a lookback: who tried, who failed, and whether attempts are reported at the place."""

    tried: int
    failed: int
    reported: bool


class Rate(NamedTuple):
    """Customers who failed and who tried, in so many lookbacks: decayed sums."""

    lookbacks: float = 0.0
    failed: float = 0.0
    tried: float = 0.0

    def after(self, seen: Seen, kept: float, part: float) -> "Rate":
        """With a lookback that counts ``part``, when ``kept`` is left of what was before."""
        return Rate(
            self.lookbacks * kept + part, self.failed * kept + seen.failed * part, self.tried * kept + seen.tried * part
        )


NO_RATE = Rate()


class Hour(NamedTuple):
    """What was seen at an hour of the day. odd: while an incident stood."""

    usual: Rate = NO_RATE
    odd: Rate = NO_RATE

    @property
    def judged(self) -> "Hour":
        """What was odd becomes usual when it is most of what was seen."""
        usual, odd = self
        if odd.lookbacks <= usual.lookbacks:
            return self
        return Hour(Rate(usual.lookbacks + odd.lookbacks, usual.failed + odd.failed, usual.tried + odd.tried))


NO_HOURS = (Hour(),) * _DAY_HOURS


class Base(NamedTuple):
    """What is usual. share: of lookbacks in which attempts were reported. hours: by hour of the day, UTC."""

    share: Rate = NO_RATE
    slow: Rate = NO_RATE
    fast: Rate = NO_RATE
    hours: tuple[Hour, ...] = NO_HOURS


class Usual(NamedTuple):
    """A mean, and how well it is known: the customers, or the shape, of the predictive distribution."""

    mean: float
    weight: float


class Baseline:
    """How one rule estimates what is usual."""

    def __init__(self, incidents: Incidents, rule: IncidentRule) -> None:
        slots = rule.lookback // incidents.slot
        self._part = 1.0 / slots
        self._slot_ms = incidents.slot
        self._kept_slow = 0.5 ** (incidents.slot / incidents.memory)
        self._kept_fast = 0.5 ** (incidents.slot / FAST_MS)
        self._kept_hour = 0.5 ** (incidents.slot / (3_600_000 * _HOUR_DAYS))
        self._rule = rule
        # what is left of as many lookbacks; less a part that no rounding makes up
        left = (1.0 - self._kept_slow ** (rule.learn / incidents.slot)) / (1.0 - self._kept_slow)
        self._learnt = self._part * left * (1.0 - 1e-9)

    def after(self, base: Base, seen: Seen, hours: tuple[Hour, ...]) -> Base:
        """With one more lookback. hours: see ``hours_after``, with it."""
        return Base(
            base.share.after(seen, self._kept_slow, self._part) if seen.reported and seen.tried else base.share,
            base.slow.after(seen, self._kept_slow, self._part),
            base.fast.after(seen, self._kept_fast, self._part),
            hours,
        )

    def hours_after(self, hours: tuple[Hour, ...], seen: Seen, slot: int, *, odd: bool) -> tuple[Hour, ...]:
        """The hours of the day with one more lookback, which ended with ``slot``. odd: while an incident stands."""
        n = slot * self._slot_ms // 3_600_000 % _DAY_HOURS
        of_usual, of_odd = (0.0, self._part) if odd else (self._part, 0.0)
        usual, odds = hours[n]
        hour = Hour(usual.after(seen, self._kept_hour, of_usual), odds.after(seen, self._kept_hour, of_odd))
        return (*hours[:n], hour.judged, *hours[n + 1 :])

    def after_nobody(self, base: Base, first: int, to: int, least: float | None) -> tuple[Base, int]:
        """With the lookbacks that ended with slots ``first`` ... ``to``, in all of which nobody was seen.

        The same, to the bit, as ``after`` and ``hours_after`` with each. It stops before the first one with which
        ``least`` may be usual; returns also the last slot that is in it.
        """
        slow, fast, hours, slot = base.slow, base.fast, list(base.hours), first
        while slot <= to:
            hour = slot * self._slot_ms // 3_600_000
            end = min(to, ((hour + 1) * 3_600_000 - 1) // self._slot_ms)
            slots = end + 1 - slot
            later = _with_nobody(slow, self._kept_slow, slots, self._part)
            if least is not None and may_be_usual(later, least):
                break
            slow, fast = later, _with_nobody(fast, self._kept_fast, slots, self._part)
            usual, odd = hours[hour % _DAY_HOURS]
            hours[hour % _DAY_HOURS] = Hour(
                _with_nobody(usual, self._kept_hour, slots, self._part), _with_nobody(odd, self._kept_hour, slots, 0.0)
            )
            slot = end + 1
        return Base(base.share, slow, fast, tuple(hours)), slot - 1

    def share(self, base: Base) -> Usual:
        """The usual share of customers who fail: that of a new place, with all that was seen since."""
        new = self._rule.usual_share
        known = min(1.0, MOST_CUSTOMERS / base.share.tried) if base.share.tried else 0.0
        failed = base.share.failed * known + new.share * new.customers
        weight = base.share.tried * known + new.customers
        return Usual(min(failed / weight, 1.0 - 1e-9), weight)

    def failures(self, base: Base, slot: int, *, is_new: bool) -> Usual | None:
        """Most customers who can be usual to fail in a lookback; None as long as too little is known."""
        new = self._rule.usual_rate if is_new else None
        is_learnt = base.slow.lookbacks >= self._learnt
        if new is None and not is_learnt:
            return None
        more = (new.customers * new.lookbacks, new.lookbacks) if new else (_LITTLE, 0.0)
        slow, *several = self._rates(base, slot)
        known = [_usual(rate.failed, rate.lookbacks, _LITTLE, 0.0) for rate in several] if is_learnt else []
        return max([_usual(slow.failed, slow.lookbacks, *more), *known])

    def attempts(self, base: Base, slot: int) -> Usual | None:
        """Fewest customers who can be usual to try in a lookback; None as long as too little is known."""
        if base.slow.lookbacks < self._learnt:
            return None
        return min(_usual(rate.tried, rate.lookbacks, _LITTLE, 0.0) for rate in self._rates(base, slot))

    def _rates(self, base: Base, slot: int) -> list[Rate]:
        """The estimates: over all, of the last hours, and of this hour of the day and the next on the days before."""
        hour = slot * self._slot_ms // 3_600_000 % _DAY_HOURS
        several = (base.fast, base.hours[hour].usual, base.hours[(hour + 1) % _DAY_HOURS].usual)
        return [base.slow, *(rate for rate in several if rate.lookbacks >= 1.0)]


def _with_nobody(rate: Rate, kept: float, slots: int, part: float) -> Rate:
    """``rate`` after so many slots in whose lookbacks nobody was seen; each counts ``part``."""
    if rate == NO_RATE and not part:
        return rate
    lookbacks, failed, tried = rate
    for _ in range(slots):
        lookbacks, failed, tried = lookbacks * kept + part, failed * kept, tried * kept
    return Rate(lookbacks, failed, tried)


def may_be_usual(rate: Rate, least: float) -> bool:
    """Whether so many who try may be usual; what is estimated of some hours is not asked: the smallest counts."""
    return rate.tried + 1.0 >= least * rate.lookbacks


def _usual(customers: float, lookbacks: float, more: float, more_lookbacks: float) -> Usual:
    shape = customers + more
    return Usual(shape / (lookbacks + more_lookbacks), min(shape, MOST_SHAPE))


def usual_from_now_on(seen: Seen) -> Base:
    """What is usual when it is what was seen last."""
    rate = Rate(_ACCEPTED, seen.failed * _ACCEPTED, seen.tried * _ACCEPTED)
    return Base(rate if seen.reported else NO_RATE, rate, rate)
