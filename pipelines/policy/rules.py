"""What the kinds of interactions do, as the rows that kernels read (rule_compiler.py makes them of a policy).

A rule is an operation on a target, and the conditions under which it applies; the rules of a kind stand one behind
the other in the order in which they are carried out. Of several rules of one operation and target the first counts
whose conditions hold.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipelines.policy.calendars import CalendarTables
from schemas.arrays import Float64s, Int64s
from schemas.compiled import step

CASE_OPEN, CASE_REOPEN, CASE_CUSTOMER, CASE_ANSWERED = 0, 1, 2, 3
SEARCH, DEFLECT, CONTACT, TRIED = 4, 5, 6, 7
CLOCK_RESUME, CLOCK_PAUSE, CLOCK_CLOSE, CLOCK_BREAK, CLOCK_RESET, CLOCK_OPEN = 8, 9, 10, 11, 12, 13
STREAK_END, ESTIMATE, MENTION_ANSWER, MENTION = 14, 15, 16, 17
CASE_RESOLVE, SIGNAL = 18, 19

ONE, WAIT, AMOUNT, RATING, REACH, COST, CONSECUTIVE, AGE = range(8)

# columns of a rule
OP, TARGET, MAGNITUDE, CONDITIONS, PROMISE_MS, BUSINESS_DAYS, WARN_MS = 0, 1, 2, 3, 9, 10, 11
# columns of a clock; from STILL on the ages of still_waiting, 0 behind the last
MATCH, AGAIN, CALENDAR, REPEAT_MS, TAKES_DEADLINE, RESOLVED_TOO, STILL, STILLS = 0, 1, 2, 3, 4, 5, 6, 8
BY_CASE, BY_SESSION, BY_CUSTOMER = 0, 1, 2
# columns of a signal's numbers
REFERENCE, LEAST, MOST, HALVED_MS, EXPIRES_MS = 0, 1, 2, 3, 4
# the numbers of the sections
(
    HORIZON_MS, HAS_DETAILS, SILENCE_MS, REOPEN_MS, COUNT, WITHIN_MS, REACH_LEAST, FAILED_MS, ASSUMED_MS, REPEATED,
    SWITCHED, DEFLECTED,
) = range(12)  # fmt: skip

STAGES = ("other", "queue", "counter", "hold", "page", "callback")
MOST_FED = 4
"""Signals that a clock feeds with its breaches."""
BETWEEN = 4  # the phase of what neither opens nor closes


class Rules(NamedTuple):
    """The compiled policy, for kernels: few arrays, for each that is passed on costs time.

    words: int64[*], where each table begins (the constants below), the numbers of the sections, and the tables: the
    rules (int64[r, 12]), the first rule of each kind and the end (int64[v + 1]), the phase of a kind that does more
    than feed signals at once, else 0 (int64[v]), the clocks (int64[k, 13]), the signals that their breaches feed
    (int64[k, 4], -1 behind the last), and whether a signal takes heat away (int64[s]).
    numbers: float64[*], weight of repeated, switched and deflected, the bounds of bad and good feedback, and the
    tables: weight of each rule (float64[r]), heat of a breach and of a repeat (float64[k, 4]), what is tolerated
    (float64[s, stages]), and the numbers of each signal (float64[s, 5]).
    """

    words: Int64s
    numbers: Float64s
    calendars: CalendarTables


_RULE, _KIND, _SIDE, _CLOCK, _CLOCK_SIGNAL, _RELIEF, _WEIGHT, _BREACH, _REPEAT, _TOLERATED, _NUMBER = range(11)
_SECTIONS, _TABLES = 11, 23
_RULE_WORDS, _FEEDBACK, _FLOAT_TABLES = 12, 3, 5


@step
def rule_word(rules: Rules, r: int, column: int) -> int:
    """A column of a rule."""
    return rules.words[rules.words[_RULE] + r * _RULE_WORDS + column]


@step
def first_rule(rules: Rules, kind: int) -> int:
    """The first rule of a kind, where those of the kind before end."""
    return rules.words[rules.words[_KIND] + kind]


@step
def has_side(rules: Rules, kind: int) -> bool:
    """Whether a kind does more than feed signals at once."""
    return rules.words[rules.words[_SIDE] + kind] != 0


@step
def phase_of(rules: Rules, kind: int) -> int:
    """Which interactions of one millisecond come first, those of the lower phase (rule_compiler.py)."""
    phase = rules.words[rules.words[_SIDE] + kind]
    return phase if phase != 0 else BETWEEN


@step
def clock_word(rules: Rules, k: int, column: int) -> int:
    """A column of a clock."""
    return rules.words[rules.words[_CLOCK] + k * (STILL + STILLS) + column]


@step
def clock_at(words: Int64s, k: int) -> int:
    """Where in ``words`` the columns of a clock begin."""
    return words[_CLOCK] + k * (STILL + STILLS)


@step
def clock_signal(rules: Rules, k: int, at: int) -> int:
    """A signal that the breach of a clock feeds, below 0 behind the last of at most MOST_FED."""
    return rules.words[rules.words[_CLOCK_SIGNAL] + MOST_FED * k + at]


@step
def clock_points(rules: Rules, k: int, at: int, repeated: bool) -> float:
    """Heat of a breach, or of saying it again."""
    return rules.numbers[rules.words[_REPEAT if repeated else _BREACH] + MOST_FED * k + at]


@step
def is_relief(rules: Rules, s: int) -> bool:
    """Whether a signal takes heat away."""
    return rules.words[rules.words[_RELIEF] + s] != 0


@step
def rule_weight(rules: Rules, r: int) -> float:
    """Weight of a signal's rule."""
    return rules.numbers[rules.words[_WEIGHT] + r]


@step
def tolerated_ms(rules: Rules, s: int, stage: int) -> float:
    """The wait that adds nothing."""
    return rules.numbers[rules.words[_TOLERATED] + s * 6 + stage]


@step
def signal_number(rules: Rules, s: int, column: int) -> float:
    """A number of a signal."""
    return rules.numbers[rules.words[_NUMBER] + s * 5 + column]


@step
def section(rules: Rules, column: int) -> int:
    """A number of the sections."""
    return rules.words[_SECTIONS + column]


@step
def section_at(column: int) -> int:
    """Where in ``words`` a number of the sections stands."""
    return _SECTIONS + column


@step
def derived_weight(rules: Rules, which: int) -> float:
    """Weight of what is derived: 0 repeated, 1 switched, 2 deflected."""
    return rules.numbers[which]


@step
def feedback_bound(rules: Rules, which: int) -> float:
    """Below (0) and from (1) which share of the way from worst to best an answer is bad and good."""
    return rules.numbers[_FEEDBACK + which]


def laid_out(
    sections: Int64s,
    tables: Sequence[object],
    numbers: Sequence[float],
    float_tables: Sequence[object],
    calendars: CalendarTables,
) -> Rules:
    """The compiled policy; the tables in the order in which ``Rules`` names them."""
    flat = [np.asarray(t, np.int64).ravel() for t in tables]
    flat_floats = [np.asarray(t, np.float64).ravel() for t in float_tables]
    starts = [*_starts(flat, _TABLES), *_starts(flat_floats, _FLOAT_TABLES)]
    return Rules(
        words=np.concatenate([np.array(starts, np.int64), sections, *flat]),
        numbers=np.concatenate([np.array(numbers, np.float64), *flat_floats]),
        calendars=calendars,
    )


def _starts(tables: Sequence[Int64s | Float64s], first: int) -> list[int]:
    """Where each of some tables begins when they lie one behind the other."""
    return [first + sum(t.shape[0] for t in tables[:n]) for n in range(len(tables))]
