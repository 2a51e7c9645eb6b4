"""From a policy to its rules, which kernels read (rules.py)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pipelines.policy.calendars import calendar_tables
from pipelines.policy.model import PolicyFile
from pipelines.policy.rules import (
    AGAIN,
    AGE,
    ASSUMED_MS,
    BETWEEN,
    CALENDAR,
    CASE_ANSWERED,
    CASE_CUSTOMER,
    CASE_OPEN,
    CASE_REOPEN,
    CASE_RESOLVE,
    CLOCK_BREAK,
    CLOCK_CLOSE,
    CLOCK_OPEN,
    CLOCK_PAUSE,
    CLOCK_RESET,
    CLOCK_RESUME,
    CONSECUTIVE,
    CONTACT,
    COST,
    COUNT,
    DEFLECT,
    DEFLECTED,
    ESTIMATE,
    FAILED_MS,
    HAS_DETAILS,
    HORIZON_MS,
    MATCH,
    MENTION,
    MENTION_ANSWER,
    MOST_FED,
    ONE,
    REACH_LEAST,
    REOPEN_MS,
    REPEAT_MS,
    REPEATED,
    RESOLVED_TOO,
    SEARCH,
    SIGNAL,
    SILENCE_MS,
    STAGES,
    STILL,
    STILLS,
    STREAK_END,
    SWITCHED,
    TAKES_DEADLINE,
    TRIED,
    WITHIN_MS,
    Rules,
    laid_out,
)
from pipelines.policy.terms import UNKNOWN, Fed, Opening, When
from schemas.arrays import Int64s

FEEDBACK = ("bad", "fair", "good")
SENTIMENT = ("negative", "neutral", "positive")
MAX_RULES = 62  # of a kind: a bit each

_MAGNITUDES = ("one", "wait", "amount", "rating", "reach", "cost", "consecutive", "age")
_FOLDED = (COST, CONSECUTIVE, AGE)  # they depend on what was before


MOST_VALUES = 61
"""Of an attribute in all conditions: there is a bit for each, for unknown, and for others (``facts.OTHER``)."""


@dataclass(slots=True)
class Attributes:
    """Attributes that conditions ask for, and the values that they name: numbers from 1 on, 0 is unknown."""

    number: dict[str, int] = field(default_factory=dict)
    values: list[dict[str, int]] = field(default_factory=list)

    def condition(self, attribute: str, values: tuple[str, ...]) -> tuple[int, int]:
        """Return the attribute's number, and a bit for each value that fulfils the condition.

        Raises:
            ValueError: conditions name more values of the attribute than there are bits.
        """
        at = self.number.setdefault(attribute, len(self.number))
        if at == len(self.values):
            known = {"feedback": FEEDBACK, "sentiment": SENTIMENT}.get(attribute, ())
            self.values.append({value: n for n, value in enumerate(known, 1)})
        numbers = self.values[at]
        for value in values:
            if value != UNKNOWN:
                numbers.setdefault(value, len(numbers) + 1)
        if len(numbers) > MOST_VALUES:
            raise ValueError(f"conditions name {len(numbers)} values of {attribute}; at most {MOST_VALUES} fit")
        return at, sum(1 << (0 if v == UNKNOWN else numbers[v]) for v in set(values))


class _Rule(NamedTuple):
    kind: str
    op: int
    target: int
    magnitude: int
    conditions: tuple[int, ...]
    promise: tuple[int, int, int]
    weight: float


@dataclass(frozen=True, slots=True)
class Compiled:
    """A policy's rules, the kinds that it speaks of by their number, and what conditions ask for."""

    rules: Rules
    kinds: tuple[str, ...]
    attributes: Attributes
    deadline: str | None
    has_details: bool


def compile_rules(file: PolicyFile) -> Compiled:
    """Compile a checked policy.

    Raises:
        ValueError: a kind has more rules than fit.
    """
    attributes = Attributes()
    found = sorted(_Compiler(file, attributes).rules(), key=lambda rule: (rule.kind, rule.op, rule.target))
    kinds = tuple(dict.fromkeys([*(r.kind for r in found), *_others(file)]))
    counts = [sum(r.kind == kind for r in found) for kind in kinds]
    if max(counts) > MAX_RULES:
        raise ValueError(f"{kinds[counts.index(max(counts))]} has {max(counts)} rules; at most {MAX_RULES} fit")
    begin = np.cumsum([0, *counts]).astype(np.int32)
    table = np.array([_row(r) for r in found], np.int64).reshape(len(found), 12)
    side = [_phase(found[a:b]) for a, b in pairwise(begin)]
    tables: list[object] = [
        table, begin, side, _clocks(file), _clock_signals(file), [s.relief for s in file.signals.values()],
    ]  # fmt: skip
    breach, repeat = _clock_points(file)
    floats: list[object] = [
        [r.weight for r in found], breach, repeat, [_tolerated(s.tolerated) for s in file.signals.values()],
        [_numbers(s) for s in file.signals.values()],
    ]  # fmt: skip
    derived = [_derived(file, d)[1] for d in ("repeated", "switched", "deflected")]
    bounds = [file.feedback.bad, file.feedback.good] if file.feedback else [0.5, 0.5]
    details = _has_details(file, attributes)
    rules = laid_out(_section(file, details), tables, [*derived, *bounds], floats, calendar_tables(file.calendars))
    deadline = next((clock.deadline for clock in file.clocks.values() if clock.deadline is not None), None)
    return Compiled(rules, kinds, attributes, deadline, details)


def _others(file: PolicyFile) -> Iterator[str]:
    """Kinds that a policy knows and that other parts than the kernels look at; they may have no rule."""
    yield from file.windows.kinds
    for rule in () if file.incidents is None else file.incidents.rules.values():
        yield from (*rule.attempts, *rule.failures)
    yield from () if file.preferences is None else file.preferences.kinds
    yield from file.known


class _Compiler:
    """Turns the sections of a policy into rules."""

    def __init__(self, file: PolicyFile, attributes: Attributes) -> None:
        self._file = file
        self._attributes = attributes

    def rules(self) -> Iterator[_Rule]:
        """Every rule, in the order of the file."""
        file = self._file
        for op, whens in self._sections():
            yield from (self._rule(when, op, 0) for when in whens)
        for number, clock in enumerate(file.clocks.values()):
            parts = {
                CLOCK_RESUME: clock.resumes, CLOCK_PAUSE: clock.pauses, CLOCK_CLOSE: clock.closes,
                CLOCK_BREAK: clock.breaks, CLOCK_RESET: clock.resets, CLOCK_OPEN: clock.opens,
            }  # fmt: skip
            for op, clock_whens in parts.items():
                for when in clock_whens or ():
                    own = when if isinstance(when, Opening) else Opening(kind=when.kind)
                    promised = clock.promise
                    promise = own.promise or (promised.ms if promised else 0)
                    days = 0 if own.promise or promised is None else promised.business_days
                    yield self._rule(when, op, number, promise=(promise, days, own.warn or clock.warn or 0))
        for number, signal in enumerate(file.signals.values()):
            magnitude = _MAGNITUDES.index(signal.magnitude)
            for op, others in ((STREAK_END, signal.until), (ESTIMATE, signal.estimates)):
                yield from (self._rule(when, op, number) for when in others or ())
            for fed in signal.kinds:
                yield self._rule(fed, SIGNAL, number, magnitude, weight=signal.weight * fed.times)

    def _sections(self) -> Iterator[tuple[int, tuple[When, ...]]]:
        file = self._file
        if file.cases is not None:
            cases = file.cases
            yield from ((CASE_OPEN, cases.opens), (CASE_RESOLVE, cases.resolves), (CASE_REOPEN, cases.reopens or ()))
            yield from ((CASE_ANSWERED, cases.answered or ()), (CASE_CUSTOMER, cases.customer or ()))
        if file.contacts is not None:
            yield from ((CONTACT, file.contacts.kinds), (TRIED, file.contacts.tried or ()))
        if file.social is not None:
            yield from ((MENTION, file.social.kinds), (MENTION_ANSWER, file.social.answers))
        if file.deflection is not None:
            yield from ((SEARCH, file.deflection.searches), (DEFLECT, file.deflection.contacts))

    def _rule(
        self,
        when: When | Fed,
        op: int,
        target: int,
        magnitude: int = ONE,
        *,
        promise: tuple[int, int, int] = (0, 0, 0),
        weight: float = 0.0,
    ) -> _Rule:
        conditions = [n for a, v in when.where.items() for n in self._attributes.condition(a, v)]
        conditions += [-1, 0] * (3 - len(when.where))
        return _Rule(when.kind, op, target, magnitude, tuple(conditions), promise, weight)


def _phase(rules: Sequence[_Rule]) -> int:
    """When a kind counts among those of the same millisecond; 0 for one that only feeds signals at once.

    What is looked for comes first, then what opens, then what opens and closes, then what closes: an end never stands
    before its beginning.
    """
    ops = {rule.op for rule in rules}
    if not any(rule.op != SIGNAL or rule.magnitude in _FOLDED for rule in rules):
        return 0
    opens, closes = ops & {CASE_OPEN, CASE_REOPEN, CONTACT, CLOCK_OPEN}, ops & {CLOCK_CLOSE, STREAK_END, MENTION_ANSWER}
    if CASE_RESOLVE in ops:
        return BETWEEN + 3
    if closes:
        return BETWEEN + 1 if opens else BETWEEN + 2
    if opens:
        return BETWEEN - 1 if opens == {CLOCK_OPEN} else BETWEEN - 2
    return BETWEEN - 3 if ops & {SEARCH, ESTIMATE} else BETWEEN


def _row(rule: _Rule) -> tuple[int, ...]:
    return (rule.op, rule.target, rule.magnitude, *rule.conditions, *rule.promise)


def _clocks(file: PolicyFile) -> Int64s:
    table = np.zeros((len(file.clocks), STILL + STILLS), np.int64)
    names = ("always", *file.calendars)
    resolving = set() if file.cases is None else {entry.kind for entry in file.cases.resolves}
    for row, clock in zip(table, file.clocks.values(), strict=True):
        row[MATCH] = ("case", "session", "customer").index(clock.match)
        row[AGAIN] = clock.again == "reset"
        row[CALENDAR] = names.index(clock.calendar)
        row[REPEAT_MS] = clock.repeat or 0
        row[TAKES_DEADLINE] = clock.deadline is not None
        row[RESOLVED_TOO] = any(entry.kind in resolving for entry in clock.closes)
        row[STILL : STILL + len(clock.still_waiting)] = clock.still_waiting
    return table


def _fed_by(file: PolicyFile, clock: str) -> list[tuple[int, float, float]]:
    """Signals that the breach of a clock feeds, with the heat of it and of saying it again; at most 4."""
    return [(n, s.weight, s.weight * s.repeats) for n, s in enumerate(file.signals.values()) if clock in s.breaches]


def _clock_signals(file: PolicyFile) -> list[list[int]]:
    signals = [[s for s, _, _ in _fed_by(file, clock)] for clock in file.clocks]
    return [[*s, *[-1] * (MOST_FED - len(s))] for s in signals]


def _clock_points(file: PolicyFile) -> tuple[list[list[float]], list[list[float]]]:
    fed = [[*_fed_by(file, clock), *[(0, 0.0, 0.0)] * MOST_FED][:MOST_FED] for clock in file.clocks]
    return [[p for _, p, _ in row] for row in fed], [[p for _, _, p in row] for row in fed]


def _tolerated(stages: Mapping[str, int] | None) -> list[float]:
    if stages is None:
        return [0.0] * len(STAGES)
    return [float(stages.get(stage, stages["other"])) for stage in STAGES]


def _numbers(signal: object) -> tuple[float, ...]:
    said = {name: getattr(signal, name) for name in ("reference", "least", "most", "halved_after", "half_life")}
    most = said["most"] or np.inf
    expires = max(said["half_life"], 6 * 3_600_000)
    return said["reference"] or 1.0, said["least"] or 0.0, most, said["halved_after"] or 0.0, float(expires)


def _derived(file: PolicyFile, name: str) -> tuple[int, float]:
    return next(((s, x.weight) for s, x in enumerate(file.signals.values()) if x.derived == name), (-1, 0.0))


def _has_details(file: PolicyFile, attributes: Attributes) -> bool:
    sections = (
        file.clocks,
        file.cases,
        file.contacts,
        file.social,
        file.deflection,
        file.segments,
        file.incidents,
        file.preferences,
        file.corrections,
        attributes.number,
    )
    plain = all(s.magnitude in {"one", "wait"} and s.derived is None for s in file.signals.values())
    return any(map(bool, sections)) or not plain


def _section(file: PolicyFile, details: bool) -> Int64s:
    section = np.zeros(12, np.int64)
    section[HAS_DETAILS] = details
    section[HORIZON_MS] = 900_000 if file.corrections is None else file.corrections.horizon
    if file.cases is not None:
        section[[SILENCE_MS, REOPEN_MS]] = file.cases.silence or 0, file.cases.reopen_within or 0
    if file.contacts is not None:
        section[[COUNT, WITHIN_MS]] = file.contacts.count, file.contacts.within
    section[REACH_LEAST] = file.social.reach if file.social is not None else 0
    if file.deflection is not None:
        section[[FAILED_MS, ASSUMED_MS]] = file.deflection.failed_within, file.deflection.assumed_after
    for at, name in ((REPEATED, "repeated"), (SWITCHED, "switched"), (DEFLECTED, "deflected")):
        section[at] = _derived(file, name)[0]
    return section
