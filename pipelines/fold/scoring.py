"""Heat and bands of customers: what an interaction adds, what time takes away (design, section 6).

The heats of a row stand as of ``updated_ms`` and halve in the half-life of their signal; what open cases hold does not.
A late interaction is decayed to the row's own time, so arrival order changes heat only by rounding; caps apply only
when heat is read. A band is entered when heat that is added lifts the capped heat to its bound, and left at the
millisecond at which decay takes the heat below its lower bound, whether or not an interaction comes.
"""

import math
from typing import NamedTuple

import numpy as np

from pipelines.fold.items import held_at
from pipelines.policy.policy import Policy
from schemas.arrays import Bytes, Float64s, Int64s
from schemas.bits import as_float, as_word
from schemas.compiled import compiled, step

# words of a row; the heats from HEAT on, behind them the hashes of the last event ids
UPDATED, NEWEST_MS, INTERACTIONS, EPISODE_AT, BLOCK, SEGMENT, SEGMENT_MS, LEFT, HEAT = range(9)
LEFT_BITS = 4
"""LEFT has the millisecond at which decay led out of a band last, and in so many bits below it out of which; or 0.

Of bands that are left one after the other, without an interaction in between, it is the first."""
# columns of Senses.signal
HALF_LIFE, CAP, FACTOR = range(3)
# words of a crossing
CROSSED_EVENT, CROSSED_ROW, CROSSED_MS, CROSSED_FROM, CROSSED_TO, CROSSED_SEGMENT = range(6)


class Senses(NamedTuple):
    """How heat is read: s signals, b bands, g segments (the first is that of customers without one).

    signal: float64[s, 3], half-life in ms, cap, and what a point counts, below 0 for a relief.
    bound: float64[2, g, b], capped heat at which band b is entered, and below which it is left.
    quiet_ms, cooldown_ms: see is_forgotten. alerting: number of the lowest band that alerts, b for none.
    """

    signal: Float64s
    bound: Float64s
    quiet_ms: int
    cooldown_ms: int
    alerting: int


def senses_of(policy: Policy) -> Senses:
    """Those of a policy."""
    signal = np.column_stack([policy.half_life_ms, policy.cap, policy.factor])
    bound = np.stack([policy.enter_heat, policy.leave_heat])
    return Senses(signal, bound, policy.quiet_ms, policy.file.bands.cooldown, policy.alerting or bound.shape[2])


class Rows(NamedTuple):
    """m customers. words: int64[m, w], see UPDATED ... HEAT; floats are their bits. band, dirty: uint8[m].

    alarm: int64[m], see pipelines/fold/timers.py. episodes: int64[p, 3], when a band alert began and ended, and its
    last revision; 0 is nobody's. remembered: how many event ids a row has.
    """

    words: Int64s
    band: Bytes
    dirty: Bytes
    alarm: Int64s
    episodes: Int64s
    remembered: int


class Crossings(NamedTuple):
    """Rows that changed their band, in order, room for c.

    word: int64[c, 6], interaction (-1: time alone), row, time, band before and after, segment.
    heat: float64[c, 2, s], the heats then, and of them what open cases hold.
    """

    word: Int64s
    heat: Float64s

    @classmethod
    def room(cls, size: int, signals: int) -> "Crossings":
        """Room for ``size`` crossings."""
        return cls(np.empty((size, 6), np.int64), np.empty((size, 2, signals), np.float64))


_OVERLOOKED_MS = 1000  # for how long heat may be below a bound unseen, on its way up again


@step
def signals_of(senses: Senses) -> int:
    """How many signals there are."""
    return senses.signal.shape[0]


@step
def bands_of(senses: Senses) -> int:
    """How many bands there are."""
    return senses.bound.shape[2]


@step
def decayed(heat: float, age_ms: float, half_life_ms: float) -> float:
    """Heat left after ``age_ms`` >= 0: heat * 2 ** -(age / half-life)."""
    return heat * math.exp2(-age_ms / half_life_ms)  # not 2.0 ** x: compiled and plain can differ in its last bit


@step
def parts_after(row: int, age_ms: float, senses: Senses, rows: Rows, arena: Int64s, held: int) -> tuple[float, float]:
    """Capped friction and capped relief of a row, ``age_ms`` after the time of its heats; neither ever rises.

    held: place in ``arena`` of what cases hold.
    """
    friction, relief = 0.0, 0.0
    for s in range(signals_of(senses)):
        heat = as_float(arena[held + s])
        own = as_float(rows.words[row, HEAT + s])
        if own > 0.0:
            heat += own if age_ms == 0 else decayed(own, age_ms, senses.signal[s, HALF_LIFE])
        if heat > 0.0:
            factor = senses.signal[s, FACTOR]
            if factor > 0.0:
                friction += factor * min(heat, senses.signal[s, CAP])
            else:
                relief -= factor * min(heat, senses.signal[s, CAP])
    return friction, relief


@step
def most_relief(row: int, senses: Senses, rows: Rows, arena: Int64s, held: int) -> float:
    """Capped relief of a row at the time of its heats: later it is less."""
    relief = 0.0
    for s in range(signals_of(senses)):
        if senses.signal[s, FACTOR] < 0.0:
            heat = max(as_float(rows.words[row, HEAT + s]), 0.0) + as_float(arena[held + s])
            relief -= senses.signal[s, FACTOR] * min(heat, senses.signal[s, CAP])
    return relief


@step
def heat_after(row: int, age_ms: float, senses: Senses, rows: Rows, arena: Int64s, held: int) -> float:
    """Capped heat of a row, ``age_ms`` after the time of its heats; see parts_after."""
    friction, relief = parts_after(row, age_ms, senses, rows, arena, held)
    return max(friction - relief, 0.0)


@step
def left_after(
    row: int, from_ms: int, age_ms: int, bound: float, senses: Senses, rows: Rows, arena: Int64s, held: int
) -> int:
    """First age in ms, from ``from_ms`` to ``age_ms``, at which the capped heat is below ``bound``; below 0 for none.

    Relief may decay later than what it relieves, so heat may fall and rise again. Between two ages it is never below
    the friction at the later less the relief at the earlier: where that does not decide, the time between is halved.
    """
    friction, _ = parts_after(row, age_ms, senses, rows, arena, held)
    if friction - most_relief(row, senses, rows, arena, held) >= bound:
        return -1
    friction, relief = parts_after(row, from_ms, senses, rows, arena, held)
    low, high, step_ms, found = from_ms, age_ms, age_ms - from_ms, False
    if max(friction - relief, 0.0) < bound:
        if from_ms == 0:
            return 0
        friction, relief = parts_after(row, 0, senses, rows, arena, held)  # late ones may have changed what was
        low, high, found = -1 if max(friction - relief, 0.0) < bound else 0, from_ms, True
        step_ms = max(1, (high - low) // 2)
    while low < high:
        to = min(low + step_ms, high)
        friction, less = parts_after(row, to, senses, rows, arena, held)
        if max(friction - less, 0.0) < bound:
            if to - low <= 1:
                return to
            high, found = to, True
            step_ms = max(1, (to - low) // 2)
        elif friction - relief >= bound or to - low <= _OVERLOOKED_MS:
            low, relief = to, less
            step_ms = max(1, (high - low) // 2) if found else 2 * step_ms
        else:
            step_ms = (to - low) // 2
    return high if found else -1


@step
def note_crossing(
    k: int, event: int, row: int, to: int, age_ms: int, senses: Senses, rows: Rows, arena: Int64s, held: int,
    crossed: Crossings,
) -> None:  # fmt: skip
    """Write crossing k of a row, ``age_ms`` after the time of its heats, and put the row into its new band."""
    crossed.word[k, CROSSED_EVENT], crossed.word[k, CROSSED_ROW] = event, row
    crossed.word[k, CROSSED_MS] = rows.words[row, UPDATED] + age_ms
    crossed.word[k, CROSSED_FROM], crossed.word[k, CROSSED_TO] = rows.band[row], to
    crossed.word[k, CROSSED_SEGMENT] = rows.words[row, SEGMENT]
    for s in range(signals_of(senses)):
        own = decayed(as_float(rows.words[row, HEAT + s]), age_ms, senses.signal[s, HALF_LIFE])
        kept = as_float(arena[held + s])
        crossed.heat[k, 0, s], crossed.heat[k, 1, s] = own + kept, kept
    rows.band[row] = to


@step
def cool(
    row: int, from_ms: int, to_ms: int, k: int, senses: Senses, rows: Rows, arena: Int64s, held: int, crossed: Crossings
) -> int:
    """Leave the bands that decay has taken the row out of by ``to_ms``; return the number of crossings.

    from_ms: up to when that has been looked at; what is before the time of the heats does not count.
    """
    age_ms = to_ms - rows.words[row, UPDATED]
    if rows.band[row] > 0 and age_ms >= 0:
        segment, known_ms = rows.words[row, SEGMENT], min(max(from_ms - rows.words[row, UPDATED], 0), age_ms)
        while rows.band[row] > 0:
            bound = senses.bound[1, segment, rows.band[row]]
            left_ms = left_after(row, known_ms, age_ms, bound, senses, rows, arena, held)
            if left_ms < 0:
                break
            if rows.words[row, LEFT] >> LEFT_BITS < rows.words[row, UPDATED]:
                rows.words[row, LEFT] = (rows.words[row, UPDATED] + left_ms) << LEFT_BITS | np.int64(rows.band[row])
            note_crossing(k, -1, row, int(rows.band[row]) - 1, left_ms, senses, rows, arena, held, crossed)
            k += 1
    return k


@step
def rise(row: int, event: int, k: int, senses: Senses, rows: Rows, arena: Int64s, held: int, crossed: Crossings) -> int:
    """Enter the band that the heat of a row now reaches; return the number of crossings."""
    segment = rows.words[row, SEGMENT]
    now = heat_after(row, 0.0, senses, rows, arena, held)
    to = int(rows.band[row])
    while to + 1 < bands_of(senses) and now >= senses.bound[0, segment, to + 1]:
        to += 1
    if to != rows.band[row]:
        note_crossing(k, event, row, to, 0, senses, rows, arena, held, crossed)
        k += 1
    return k


@step
def fall(row: int, event: int, k: int, senses: Senses, rows: Rows, arena: Int64s, held: int, crossed: Crossings) -> int:
    """Leave the bands above what the heat of a row now is; return the number of crossings."""
    first = k
    k = cool(row, 0, rows.words[row, UPDATED], k, senses, rows, arena, held, crossed)
    for c in range(first, k):
        crossed.word[c, CROSSED_EVENT] = event
    return k


@step
def bring_to(row: int, to_ms: int, senses: Senses, rows: Rows) -> None:
    """Let the heats of a row decay to a time that is not before theirs."""
    age_ms = to_ms - rows.words[row, UPDATED]
    for s in range(signals_of(senses)):
        heat = as_float(rows.words[row, HEAT + s])
        if heat > 0.0:
            rows.words[row, HEAT + s] = as_word(decayed(heat, age_ms, senses.signal[s, HALF_LIFE]))
    rows.words[row, UPDATED] = to_ms


@step
def add_heat(row: int, signal: int, points: float, from_ms: int, senses: Senses, rows: Rows) -> None:
    """Add points that have decayed since ``from_ms``, not after the time of the row."""
    age_ms = rows.words[row, UPDATED] - from_ms
    heat = as_float(rows.words[row, HEAT + signal]) + decayed(points, age_ms, senses.signal[signal, HALF_LIFE])
    rows.words[row, HEAT + signal] = as_word(max(0.0, heat))  # what is taken back may leave a rest of rounding


@step
def is_forgotten(row: int, at_ms: int, senses: Senses, rows: Rows) -> bool:
    """Whether a customer counts as a new one at ``at_ms``: quiet for long, calm, with nothing open or going on."""
    words, e = rows.words[row], rows.words[row, EPISODE_AT]
    opened_ms, closed_ms = rows.episodes[e, 0], rows.episodes[e, 1]
    may_go_on = opened_ms != 0 and (closed_ms == 0 or at_ms - closed_ms <= senses.cooldown_ms)
    quiet = at_ms - words[NEWEST_MS] > senses.quiet_ms
    return quiet and rows.band[row] == 0 and words[BLOCK] == 0 and not may_go_on


def cool_rows(
    first: int, which: Int64s, from_ms: int, to_ms: int, senses: Senses, rows: Rows, arena: Int64s, crossed: Crossings
) -> tuple[int, int]:
    """Leave the bands that decay alone has ended from ``from_ms`` to ``to_ms``, of the rows which[first:] (int64[n]).

    Returns how many are done, fewer than all when the crossings have to be taken first, and how many crossings.
    """
    k = 0
    for i in range(first, which.shape[0]):
        if k + bands_of(senses) > crossed.word.shape[0]:
            return i, k
        before = k
        k = cool(which[i], from_ms, to_ms, k, senses, rows, arena, held_at(rows.words[which[i], BLOCK]), crossed)
        if k > before:
            rows.dirty[which[i]] = 1
    return which.shape[0], k


cool_rows_compiled = compiled(cool_rows, allocates=False)


def copy_heats(
    which: Int64s, at_ms: Int64s, senses: Senses, rows: Rows, arena: Int64s, heat: Float64s, held: Float64s
) -> None:
    """Write the heats of the rows ``which``, int64[k], as of ``at_ms``, int64[k], not before their times.

    heat, held: float64[k, s], what decays and what open cases hold, written.
    """
    for i in range(which.shape[0]):
        r = which[i]
        age_ms, place = at_ms[i] - rows.words[r, UPDATED], held_at(rows.words[r, BLOCK])
        for s in range(signals_of(senses)):
            own = as_float(rows.words[r, HEAT + s])
            heat[i, s] = decayed(own, age_ms, senses.signal[s, HALF_LIFE]) if own > 0.0 and age_ms > 0 else own
            held[i, s] = as_float(arena[place + s])


copy_heats_compiled = compiled(copy_heats, allocates=False)


def find_quiet(first: int, last: int, at_ms: int, senses: Senses, rows: Rows, found: Int64s) -> int:
    """Find rows first ... last - 1 of customers that are forgotten at ``at_ms`` and have nothing to be written.

    found: int64[f], written; return how many are found, f at most.
    """
    count = 0
    for r in range(first, last):
        if count == found.shape[0]:
            break
        # a row without interactions is nobody's
        if rows.words[r, INTERACTIONS] > 0 and rows.dirty[r] == 0 and is_forgotten(r, at_ms, senses, rows):
            found[count] = r
            count += 1
    return count


find_quiet_compiled = compiled(find_quiet, allocates=False)
