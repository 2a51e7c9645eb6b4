"""Heat and bands of customers: what an interaction adds, what time takes away (design, section 6).

The heats of a row stand as of ``updated_ms``, its newest interaction, and halve in the half-life of their signal.
A late interaction is decayed to the row's own time, so arrival order changes heat only by rounding; caps apply only
when heat is read. A band is entered when an interaction lifts the capped heat to its bound, and left at the
millisecond at which decay takes the heat below its lower bound, whether or not an interaction comes.
"""

import math

from schemas.arrays import Bytes, Float64s, Int16s, Int32s, Int64s
from schemas.compiled import compiled, step


@step
def decayed(heat: float, age_ms: float, half_life_ms: float) -> float:
    """Heat left after ``age_ms`` >= 0: heat * 2 ** -(age / half-life)."""
    return heat * math.exp2(-age_ms / half_life_ms)  # not 2.0 ** x: compiled and plain can differ in its last bit


@step
def heat_after(heats: Float64s, age_ms: float, half_life_ms: Float64s, cap: Float64s) -> float:
    """Capped heat of a row, ``age_ms`` after the time of its heats. heats: float64[s]."""
    total = 0.0
    for s in range(heats.shape[0]):
        if heats[s] > 0.0:
            total += min(decayed(heats[s], age_ms, half_life_ms[s]), cap[s])
    return total


@step
def left_after(heats: Float64s, age_ms: int, bound: float, half_life_ms: Float64s, cap: Float64s) -> int:
    """Age in ms at which the capped heat first is below ``bound``; at ``age_ms`` it is. By bisection: it only falls."""
    low, high = -1, age_ms
    while high - low > 1:
        middle = (low + high) // 2
        if heat_after(heats, middle, half_life_ms, cap) < bound:
            high = middle
        else:
            low = middle
    return high


@step
def note_crossing(
    k: int,
    event: int,
    row: int,
    at_ms: int,
    to: int,
    heats: Float64s,
    age_ms: int,
    half_life_ms: Float64s,
    band: Bytes,
    crossed_event: Int64s,
    crossed_row: Int32s,
    crossed_ms: Int64s,
    crossed_from: Bytes,
    crossed_to: Bytes,
    crossed_heat: Float64s,
) -> None:
    """Write crossing k of a row, with its heats at that time, and put the row into its new band."""
    crossed_event[k] = event
    crossed_row[k] = row
    crossed_ms[k] = at_ms
    crossed_from[k] = band[row]
    crossed_to[k] = to
    for s in range(heats.shape[0]):
        crossed_heat[k, s] = decayed(heats[s], age_ms, half_life_ms[s])
    band[row] = to


@step
def cool(
    row: int,
    to_ms: int,
    k: int,
    half_life_ms: Float64s,
    cap: Float64s,
    leave_heat: Float64s,
    heat: Float64s,
    updated_ms: Int64s,
    band: Bytes,
    crossed_event: Int64s,
    crossed_row: Int32s,
    crossed_ms: Int64s,
    crossed_from: Bytes,
    crossed_to: Bytes,
    crossed_heat: Float64s,
) -> int:
    """Leave the bands that decay has taken the row out of by ``to_ms``; return the number of crossings."""
    age_ms = to_ms - updated_ms[row]
    if band[row] > 0 and age_ms >= 0:
        now = heat_after(heat[row], age_ms, half_life_ms, cap)
        while band[row] > 0 and now < leave_heat[band[row]]:
            left_ms = left_after(heat[row], age_ms, leave_heat[band[row]], half_life_ms, cap)
            note_crossing(
                k,
                -1,
                row,
                updated_ms[row] + left_ms,
                band[row] - 1,
                heat[row],
                left_ms,
                half_life_ms,
                band,
                crossed_event,
                crossed_row,
                crossed_ms,
                crossed_from,
                crossed_to,
                crossed_heat,
            )
            k += 1
    return k


@step
def is_forgotten(
    at_ms: int, updated_ms: int, band: int, opened_ms: int, closed_ms: int, quiet_ms: int, cooldown_ms: int
) -> bool:
    """Whether a customer counts as a new one at ``at_ms``: quiet for long, calm, and with no alert that may go on."""
    may_go_on = opened_ms != 0 and (closed_ms == 0 or at_ms - closed_ms <= cooldown_ms)
    return at_ms - updated_ms > quiet_ms and band == 0 and not may_go_on


def score_interactions(
    first: int,
    row: Int32s,
    occurred_ms: Int64s,
    signal: Int16s,
    points: Float64s,
    half_life_ms: Float64s,
    cap: Float64s,
    enter_heat: Float64s,
    leave_heat: Float64s,
    quiet_ms: int,
    cooldown_ms: int,
    heat: Float64s,
    updated_ms: Int64s,
    interactions: Int64s,
    band: Bytes,
    dirty: Bytes,
    episode: Int32s,
    opened_ms: Int64s,
    closed_ms: Int64s,
    crossed_event: Int64s,
    crossed_row: Int32s,
    crossed_ms: Int64s,
    crossed_from: Bytes,
    crossed_to: Bytes,
    crossed_heat: Float64s,
) -> tuple[int, int]:
    """Add interactions ``first`` ... n - 1 to their customers' rows, in offset order.

    row: int32[n], the customer's row. occurred_ms: int64[n], event time, not in order. signal: int16[n], below 0 for
    none. points: float64[n], >= 0. half_life_ms, cap: float64[s]. enter_heat, leave_heat: float64[b], capped heat at
    which band b is entered and below which it is left.
    quiet_ms, cooldown_ms: see is_forgotten.
    heat: float64[m, s], updated_ms, interactions: int64[m], band, dirty: uint8[m]: the rows, updated in place.
    episode: int32[m], place of the last band alert in opened_ms and closed_ms, int64[p]; place 0 is nobody's.
    crossed_*: [c], written: interaction (-1: time alone), row, time, band before and after, heats then (float64[c, s]).

    Returns how many interactions are done, less than n when the crossings have to be taken first, and how many
    crossings there are.
    """
    bands = enter_heat.shape[0]
    k = 0
    for i in range(first, row.shape[0]):
        if k + bands + 1 > crossed_row.shape[0]:
            return i, k
        r = row[i]
        s = signal[i]
        if interactions[r] == 0:
            updated_ms[r] = occurred_ms[i]
        age_ms = occurred_ms[i] - updated_ms[r]
        if age_ms > 0:
            k = cool(
                r,
                occurred_ms[i],
                k,
                half_life_ms,
                cap,
                leave_heat,
                heat,
                updated_ms,
                band,
                crossed_event,
                crossed_row,
                crossed_ms,
                crossed_from,
                crossed_to,
                crossed_heat,
            )
            if age_ms > quiet_ms and k > 0:
                return i, k  # what has been crossed may be this row's alert: it has to be known first
            e = episode[r]
            if age_ms > quiet_ms and is_forgotten(
                occurred_ms[i], updated_ms[r], band[r], opened_ms[e], closed_ms[e], quiet_ms, cooldown_ms
            ):
                interactions[r] = 0
                heat[r, :] = 0.0
                if e > 0:
                    opened_ms[e] = 0
            for j in range(heat.shape[1]):
                if heat[r, j] > 0.0:
                    heat[r, j] = decayed(heat[r, j], age_ms, half_life_ms[j])
            updated_ms[r] = occurred_ms[i]
            age_ms = 0
        interactions[r] += 1
        dirty[r] = 1
        if s < 0 or points[i] == 0.0:
            continue
        heat[r, s] += decayed(points[i], -age_ms, half_life_ms[s])
        now = heat_after(heat[r], 0.0, half_life_ms, cap)
        to = band[r]
        while to + 1 < bands and now >= enter_heat[to + 1]:
            to += 1
        if to != band[r]:
            note_crossing(
                k,
                i,
                r,
                updated_ms[r],
                to,
                heat[r],
                0,
                half_life_ms,
                band,
                crossed_event,
                crossed_row,
                crossed_ms,
                crossed_from,
                crossed_to,
                crossed_heat,
            )
            k += 1
    return row.shape[0], k


score_interactions_compiled = compiled(score_interactions)


def cool_rows(
    first: int,
    rows: Int32s,
    to_ms: int,
    half_life_ms: Float64s,
    cap: Float64s,
    leave_heat: Float64s,
    heat: Float64s,
    updated_ms: Int64s,
    band: Bytes,
    dirty: Bytes,
    crossed_event: Int64s,
    crossed_row: Int32s,
    crossed_ms: Int64s,
    crossed_from: Bytes,
    crossed_to: Bytes,
    crossed_heat: Float64s,
) -> tuple[int, int]:
    """Leave the bands that decay alone has ended by ``to_ms``, for rows[first:] (int32[n]); else as above."""
    k = 0
    for i in range(first, rows.shape[0]):
        if k + leave_heat.shape[0] > crossed_row.shape[0]:
            return i, k
        before = k
        k = cool(
            rows[i],
            to_ms,
            k,
            half_life_ms,
            cap,
            leave_heat,
            heat,
            updated_ms,
            band,
            crossed_event,
            crossed_row,
            crossed_ms,
            crossed_from,
            crossed_to,
            crossed_heat,
        )
        if k > before:
            dirty[rows[i]] = 1
    return rows.shape[0], k


cool_rows_compiled = compiled(cool_rows)


def find_quiet(
    first: int,
    last: int,
    at_ms: int,
    quiet_ms: int,
    cooldown_ms: int,
    updated_ms: Int64s,
    interactions: Int64s,
    band: Bytes,
    dirty: Bytes,
    episode: Int32s,
    opened_ms: Int64s,
    closed_ms: Int64s,
    found: Int64s,
) -> int:
    """Find rows first ... last - 1 of customers that are forgotten at ``at_ms`` and have nothing to be written.

    Shapes as above. found: int64[f], written; return how many are found, f at most.
    """
    count = 0
    for r in range(first, last):
        if count == found.shape[0]:
            break
        e = episode[r]
        if (
            interactions[r] > 0  # a row without is nobody's
            and dirty[r] == 0
            and at_ms - updated_ms[r] > quiet_ms
            and is_forgotten(at_ms, updated_ms[r], band[r], opened_ms[e], closed_ms[e], quiet_ms, cooldown_ms)
        ):
            found[count] = r
            count += 1
    return count


find_quiet_compiled = compiled(find_quiet)
