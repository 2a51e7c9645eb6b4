"""The story of one customer: each interaction, and what time alone did between them, as the core of a backtest has it.

The core is asked at every moment at which something may change: before and at each interaction, when a clock or a case
is due, and when decay ends a band. So the end of the story is what a backtest says of the customer.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pipelines.alerts.alert import Alert
from pipelines.alerts.open_clocks import Opened
from pipelines.cli.backtest.replay import Replay
from pipelines.cli.explain.changes import CaseChange, ClockChange, case_changes, clock_changes
from pipelines.cli.explain.happenings import Happening, happening
from pipelines.fold.scores import contributed, decayed_to, with_held
from pipelines.intake.interactions import InteractionBatch
from pipelines.policy.policy import Policy
from schemas.arrays import Float64s, Int64s

_LEAST_HEAT = 1e-6  # less is rounding
_NOTHING = Opened()
_LEAST_AFTER_MS = 3_600_000
_LOOKS = 1025  # at times at which decay may have ended a band: relief may let it go on soon after


@dataclass(frozen=True, slots=True)
class State:
    """How the customer stands from ``at_ms`` on, until something happens.

    heat, held: float64[s], what decays, as of at_ms, and what open cases hold. segment, band: numbers of the policy.
    """

    policy: Policy
    at_ms: int
    heat: Float64s
    held: Float64s
    segment: int = 0
    band: int = 0
    interactions: int = 0
    opened: Opened = _NOTHING

    @classmethod
    def nobody(cls, policy: Policy) -> "State":
        """Before the first interaction."""
        none = np.zeros(len(policy.signals))
        return cls(policy, 0, none, none)

    def heats(self, at_ms: Int64s) -> Float64s:
        """float64[k, 2, s], see with_held: before the cap, at some times (int64[k]), not before at_ms."""
        age_ms = np.maximum(at_ms - self.at_ms, 0)
        heat = np.repeat(self.heat[None, :], at_ms.shape[0], axis=0)
        held = np.repeat(self.held[None, :], at_ms.shape[0], axis=0)
        return with_held(decayed_to(heat, age_ms, self.policy), held)

    def capped(self, at_ms: Int64s) -> Float64s:
        """float64[k]: the capped heat at some times (int64[k])."""
        return contributed(self.heats(at_ms), self.policy).total

    def scores(self, at_ms: Int64s) -> Float64s:
        """float64[k]: the score at some times (int64[k])."""
        scores: Float64s = -100.0 * np.expm1(-self.capped(at_ms) / self.policy.scale[self.segment])
        return scores

    def capped_at(self, at_ms: int) -> float:
        """The capped heat at a time."""
        return float(self.capped(np.array([at_ms]))[0])

    def score(self, at_ms: int) -> float:
        """The score at a time."""
        return float(self.scores(np.array([at_ms]))[0])

    @property
    def band_name(self) -> str:
        """Name of the band."""
        return self.policy.band_names[self.band]


@dataclass(frozen=True, slots=True)
class Moment:
    """Something happened at ``at_ms``: interactions, or, when there are none, time alone.

    gained: heat by signal that came, below 0 that went, other than by decay.
    repeated, unknown: how many of the interactions had been sent before, or are of a kind that the policy knows not.
    """

    at_ms: int
    happenings: tuple[Happening, ...]
    before: State
    after: State
    gained: dict[str, float]
    clocks: tuple[ClockChange, ...]
    cases: tuple[CaseChange, ...]
    alerts: tuple[Alert, ...]
    repeated: int = 0
    unknown: int = 0

    def __bool__(self) -> bool:
        changed = self.before.band != self.after.band
        return bool(self.happenings or changed or self.gained or self.clocks or self.cases or self.alerts)


@dataclass(frozen=True, slots=True)
class Story:
    """All of it, up to ``until_ms``."""

    customer: str
    policy: Policy
    moments: Sequence[Moment]
    last: State
    until_ms: int

    @property
    def begins_ms(self) -> int:
        """When the first interaction occurred."""
        return self.moments[0].at_ms

    @property
    def shown_ms(self) -> int:
        """Up to when a picture shows it: the end, or some time after the last moment, if nothing happens any more."""
        last_ms = self.moments[-1].at_ms
        return min(self.until_ms, last_ms + max(_LEAST_AFTER_MS, (last_ms - self.begins_ms) // 2))

    @property
    def alerts(self) -> list[Alert]:
        """Every revision, in the order in which they were told."""
        return [alert for moment in self.moments for alert in moment.alerts]

    @property
    def standing(self) -> list[Alert]:
        """The alerts that stand: the last revision of those that are neither resolved nor retracted."""
        newest = {alert.alert_id: alert for alert in self.alerts}
        return [alert for alert in newest.values() if alert.status in {"opened", "escalated"}]


def story_of(
    customer: str, batch: InteractionBatch, policy: Policy, until_ms: int, seen: Callable[[int], None] = lambda _: None
) -> Story:
    """Tell the story of a customer, whose interactions ``batch`` has in the order of their event time, at least one.

    batch: with details, for what is told of them; the policy is given them if it asks. until_ms: how far time passes.
    seen: is told how many interactions have been.
    """
    narrator = _Narrator(customer, policy, seen)
    moments = [moment for moment in narrator.told(batch, until_ms) if moment]
    return Story(customer, policy, moments, narrator.state, until_ms)


@dataclass(slots=True)
class _Narrator:
    """Feeds the core and notes what it says."""

    customer: str
    policy: Policy
    seen: Callable[[int], None]
    state: State = field(init=False)
    _replay: Replay = field(init=False)
    _alerts: list[Alert] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = State.nobody(self.policy)
        self._replay = Replay(self.policy, self._alerts.extend)

    def told(self, batch: InteractionBatch, until_ms: int) -> Iterator[Moment]:
        """Every moment at which the core was asked, those at which nothing happened too."""
        begins = np.flatnonzero(np.diff(batch.occurred_ms, prepend=batch.occurred_ms[0] - 1))
        for first, end in zip(begins.tolist(), [*begins[1:].tolist(), len(batch)], strict=True):
            at_ms = int(batch.occurred_ms[first])
            if first:
                # a clock that is closed at the very millisecond at which it is due is not breached
                yield from self._time_passes(min(at_ms - 1, until_ms))
            yield self._happens(batch.take(np.arange(first, end)), at_ms)
            self.seen(end)
        yield from self._time_passes(until_ms)

    def _happens(self, batch: InteractionBatch, at_ms: int) -> Moment:
        happenings = tuple(happening(batch, i) for i in range(len(batch)))
        before = self._replay.rare
        self._replay.run(batch if self.policy.needs_details else replace(batch, details=None))
        self._replay.run_on(None)
        moment = self._noted(at_ms, happenings)
        rare = self._replay.rare.since(before)
        return replace(moment, repeated=rare.duplicates, unknown=rare.unknown_kinds)

    def _time_passes(self, to_ms: int) -> Iterator[Moment]:
        """Let time pass to ``to_ms``, in steps that end where a clock or a case may have something to say."""
        now_ms = self._replay.last_ms
        while now_ms is not None and now_ms < to_ms:
            due_ms = self._replay.next_due_ms
            next_ms = to_ms if due_ms is None else min(to_ms, max(due_ms, now_ms + 1))
            self._replay.run_on(next_ms)
            now_ms = next_ms
            yield from self._bands_left(next_ms)
            yield self._noted(next_ms, ())

    def _bands_left(self, to_ms: int) -> Iterator[Moment]:
        """The bands that decay has ended since the last look, each at its time; the core has told it by now."""
        while self.state.band > self._state().band:
            left_ms = self._left_ms(to_ms)
            if left_ms is None:
                return  # not decay alone
            below = replace(self.state, band=self.state.band - 1)
            alerts = tuple(a for a in self._alerts if a.type == "band_entered" and a.raised_ms <= left_ms)
            self._alerts[:] = [alert for alert in self._alerts if alert not in alerts]
            yield Moment(left_ms, (), self.state, below, {}, (), (), alerts)
            self.state = below

    def _left_ms(self, to_ms: int) -> int | None:
        """When decay first ends the band, if it does by ``to_ms``; as scoring.left_after."""
        state = self.state
        bound = self.policy.leave_heat[state.segment, state.band]
        looks = np.linspace(state.at_ms, to_ms, _LOOKS).astype(np.int64)
        below = np.flatnonzero(state.capped(looks) < bound)
        if not below.shape[0]:
            return None
        high = int(looks[below[0]])
        low = int(looks[below[0] - 1]) if below[0] else high - 1
        while high - low > 1:
            middle = (low + high) // 2
            if state.capped(np.array([middle]))[0] < bound:
                high = middle
            else:
                low = middle
        return high

    def _noted(self, at_ms: int, happenings: tuple[Happening, ...]) -> Moment:
        before, after = self.state, self._state()
        self.state = after
        at = np.array([at_ms])
        gained = (after.heats(at) - before.heats(at))[0, 0]
        alerts = sorted((a for a in self._alerts if a.customer_id == self.customer), key=lambda a: a.raised_ms)
        self._alerts.clear()
        return Moment(
            at_ms=at_ms,
            happenings=happenings,
            before=before,
            after=after,
            gained={
                name: points
                for name, points in zip(self.policy.signal_names, gained.tolist(), strict=True)
                if abs(points) > _LEAST_HEAT
            },
            clocks=tuple(clock_changes(before.opened, after.opened)),
            cases=tuple(case_changes(before.opened, after.opened)),
            alerts=tuple(alerts),
        )

    def _state(self) -> State:
        rows = self._replay.standing
        if not len(rows):
            return self.state
        return State(
            policy=self.policy,
            at_ms=int(rows.scored_ms[0]),
            heat=rows.heat[0].copy(),
            held=rows.held[0].copy(),
            segment=int(rows.segment[0]),
            band=int(rows.band[0]),
            interactions=int(rows.interactions[0]),
            opened=self._replay.opened(self.customer.encode()),
        )
