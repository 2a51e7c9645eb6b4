"""What a policy says that can be read, and probably is not what was meant."""

from collections.abc import Iterator

from pipelines.policy.calendar_model import Calendar
from pipelines.policy.clock_model import Clock, Promise
from pipelines.policy.conditions import condition_warnings
from pipelines.policy.durations import duration_text
from pipelines.policy.keys import did_you_mean
from pipelines.policy.kinds import effects, promise_text
from pipelines.policy.model import PolicyFile
from pipelines.policy.rules import STAGES
from pipelines.policy.signal_model import Signal
from schemas.vocabulary import VOCABULARY

SHORTEST_HALF_LIFE_MS = 10_000
"""Below, heat is gone before anybody can see it."""

_DAY_MS, _HOUR_MS, _MINUTE_MS = 86_400_000, 3_600_000, 60_000


def policy_warnings(file: PolicyFile) -> list[str]:
    """What cannot be right, a line each: the key, and why."""
    return [*_of_clocks(file), *_of_signals(file), *condition_warnings(file), *_of_kinds(file), *_of_teams(file)]


def _of_clocks(file: PolicyFile) -> Iterator[str]:
    for name, clock in file.clocks.items():
        calendar = file.calendars.get(clock.calendar)
        for key, promise, warn in _promises(name, clock):
            if warn is not None and warn >= _longest_ms(promise, calendar):
                told = f"{duration_text(warn)} before a promise of {promise_text(promise)}"
                yield f"{key}: {told} is not after the opening, so nothing is said"
        if clock.repeat is not None and clock.repeat < _MINUTE_MS:
            often = f"{_HOUR_MS // clock.repeat:,} times an hour"
            yield f"clocks.{name}.repeat: {duration_text(clock.repeat)} says it again {often} and customer"
        longest = max((_longest_ms(promise, calendar) for _, promise, _ in _promises(name, clock)), default=None)
        if clock.resets is not None and clock.deadline is None:
            yield f"clocks.{name}.resets: brings no new deadline, for the clock has no deadline that tells one"
        late = [age for age in clock.still_waiting if longest is not None and age > longest]
        if late and calendar is None:
            told = ", ".join(duration_text(age) for age in late)
            yield f"clocks.{name}.still_waiting: {told} is beyond the promise, when the breach has been told already"


def _promises(name: str, clock: Clock) -> Iterator[tuple[str, Promise, int | None]]:
    """What is promised to whom and when it is warned: the clock's own, and those of its openings."""
    if clock.promise is not None:
        yield f"clocks.{name}.warn", clock.promise, clock.warn
    for n, opening in enumerate(clock.opens):
        if opening.promise is not None:
            yield f"clocks.{name}.opens.{n}.warn", Promise(ms=opening.promise), opening.warn or clock.warn
        elif opening.warn is not None and clock.promise is not None:
            yield f"clocks.{name}.opens.{n}.warn", clock.promise, opening.warn


def _longest_ms(promise: Promise, calendar: Calendar | None) -> int:
    """Working time that a promise has at most: business days are as long as the longest of the week."""
    if calendar is None:
        return promise.ms + promise.business_days * _DAY_MS
    longest = max(sum(end - begin for begin, end in day) for day in calendar.week)
    return promise.ms + promise.business_days * longest * _MINUTE_MS


def _of_signals(file: PolicyFile) -> Iterator[str]:
    friction = {name: signal.half_life for name, signal in file.signals.items() if not signal.relief}
    slowest = max(friction, key=friction.__getitem__, default=None)
    for name, signal in file.signals.items():
        if signal.half_life < SHORTEST_HALF_LIFE_MS:
            yield f"signals.{name}.half_life: {duration_text(signal.half_life)} is gone before anybody sees it"
        if signal.relief and slowest is not None and signal.half_life < friction[slowest]:
            own, theirs = duration_text(signal.half_life), duration_text(friction[slowest])
            yield (
                f"signals.{name}.half_life: {own} is shorter than the {theirs} of {slowest}: "
                "the friction comes back when the relief is gone"
            )
        for stage in signal.tolerated or ():
            if stage not in STAGES:
                told = f"{stage} is none of the stages {', '.join(STAGES)}{did_you_mean(stage, STAGES, 0.8)}"
                yield f"signals.{name}.tolerated: {told}"
        if signal.repeats > 0 and all(file.clocks[clock].repeat is None for clock in signal.breaches):
            yield f"signals.{name}.repeats: adds nothing, for no clock of its breaches has a repeat"
        if not _is_fed(signal, file):
            yield f"signals.{name}: nothing feeds it{_why_not_fed(signal)}"


def _is_fed(signal: Signal, file: PolicyFile) -> bool:
    by_clock = any(file.clocks[c].promise is not None or file.clocks[c].breaks for c in signal.breaches)
    source = {
        "repeated": file.contacts is not None,
        "switched": file.cases is not None or file.contacts is not None,
        "deflected": file.deflection is not None,
        None: False,
    }
    return bool(signal.kinds) or by_clock or source[signal.derived]


def _why_not_fed(signal: Signal) -> str:
    because = [f"clock {clock} has no promise" for clock in signal.breaches]
    if signal.derived is not None:
        section = {"repeated": "contacts", "switched": "cases or contacts", "deflected": "deflection"}[signal.derived]
        because.append(f"{signal.derived} needs {section}")
    return f": {', '.join(because)}"


def _of_kinds(file: PolicyFile) -> Iterator[str]:
    """Kinds that the vocabulary does not know."""
    unknown = {(e.key, e.kind): None for e in effects(file) if e.kind not in VOCABULARY}
    for key, kind in unknown:
        yield f"{key}: the vocabulary has no {kind}{did_you_mean(kind, VOCABULARY, 0.8)}"


def _of_teams(file: PolicyFile) -> Iterator[str]:
    """Teams behind one that takes all."""
    before = None
    for name, team in ({} if file.budgets is None else file.budgets.teams).items():
        if before is not None:
            yield f"budgets.teams.{name}: has no alerts, for {before} before it takes all"
        elif team.takes_all:
            before = name
