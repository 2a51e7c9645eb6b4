"""The path of a customer's heat over the interactions that may still be put right, and the bands along it.

A band is left below where it is entered, so which one a customer is in depends on the heat before. What comes late
changes the heat of times that have been judged: then the bands are judged again along the path, as if all had come in
their order. The path is what is there now, less what the entries of ``HEAT_LIST`` have added since; each says in which
band the customer was before it.
"""

import math

from pipelines.fold.blocks import BEFORE, HEAT_LIST, MOST_RECENT, RECENT
from pipelines.fold.items import AT, BAND, CASE, NEVER, POINTS, number_of, saved_at
from pipelines.fold.scoring import (
    HALF_LIFE,
    HEAT,
    LEFT,
    LEFT_BITS,
    UPDATED,
    Rows,
    Senses,
    add_heat,
    bring_to,
    cool,
    decayed,
    rise,
    signals_of,
)
from pipelines.fold.work import Work
from schemas.arrays import Int64s
from schemas.bits import as_float, as_word
from schemas.compiled import step

_ROUNDING = 1e-9  # of the heat now: what is less was none
_BAND = (1 << LEFT_BITS) - 1
_LONG_GONE = 40.0  # half-lives after which of the heat before nothing counts


@step
def add_entry(row: int, entry: Int64s, senses: Senses, rows: Rows, arena: Int64s, held: int) -> None:
    """Let an entry of ``HEAT_LIST`` count, which is not after the time of the row: what a case holds does not decay."""
    to = held + number_of(entry)
    if entry[CASE] != 0:
        arena[to] = as_word(as_float(arena[to]) + as_float(entry[POINTS]))
    else:
        add_heat(row, number_of(entry), as_float(entry[POINTS]), entry[AT], senses, rows)


@step
def before_entries(from_ms: int, row: int, senses: Senses, rows: Rows, arena: Int64s, held: int, work: Work) -> None:
    """Bring a row back to ``from_ms``, not after its time: to what it was before the entries from then on."""
    entries, updated_ms = work.scratch.lists[HEAT_LIST], rows.words[row, UPDATED]
    for n in range(work.scratch.count[HEAT_LIST]):
        if entries[n, AT] < from_ms:
            continue
        s, points = number_of(entries[n]), as_float(entries[n, POINTS])
        place = held + s
        if entries[n, CASE] != 0:
            arena[place] = as_word(as_float(arena[place]) - points)
        else:
            points = decayed(points, max(updated_ms - entries[n, AT], 0), senses.signal[s, HALF_LIFE])
            rows.words[row, HEAT + s] = as_word(as_float(rows.words[row, HEAT + s]) - points)
    saved = saved_at(signals_of(senses))
    for s in range(signals_of(senses)):
        rest, now = as_float(rows.words[row, HEAT + s]), as_float(arena[saved + s])
        ago = (updated_ms - from_ms) / senses.signal[s, HALF_LIFE]
        gone = rest <= _ROUNDING * now or ago > _LONG_GONE
        rows.words[row, HEAT + s] = as_word(0.0 if gone else rest * math.exp2(ago))
    rows.words[row, UPDATED] = from_ms


@step
def walk(
    from_ms: int, to_ms: int, row: int, k: int, senses: Senses, rows: Rows, arena: Int64s, held: int, work: Work
) -> tuple[int, int, bool]:
    """Judge the bands of a row from ``from_ms`` on, by entry and interaction.

    Returns the band behind the last one, that at ``to_ms``, and whether one was entered on the way: the last such
    crossing is the k-th then. Those behind it are nobody's.
    """
    counts, lists, crossed = work.scratch.count, work.scratch.lists, work.crossed
    entries, recent, n, i, rose = lists[HEAT_LIST], lists[RECENT], 0, 0, False
    while n < counts[HEAT_LIST] and entries[n, AT] < from_ms:
        n += 1
    while i < counts[RECENT] and recent[i, AT] < from_ms:
        i += 1
    while n < counts[HEAT_LIST] or i < counts[RECENT]:
        at_ms = entries[n, AT] if n < counts[HEAT_LIST] else NEVER
        if i < counts[RECENT]:
            at_ms = min(at_ms, recent[i, AT])
        cool(row, 0, at_ms, k + 1, senses, rows, arena, held, crossed)
        bring_to(row, at_ms, senses, rows)
        while n < counts[HEAT_LIST] and entries[n, AT] <= at_ms:
            entries[n, BAND] = rows.band[row] + 1
            add_entry(row, entries[n], senses, rows, arena, held)
            if entries[n, CASE] == 0 or as_float(entries[n, POINTS]) > 0.0:  # else what a case held goes on below
                rose = rise(row, -1, k, senses, rows, arena, held, crossed) > k or rose
                cool(row, 0, at_ms, k + 1, senses, rows, arena, held, crossed)
            n += 1
        while i < counts[RECENT] and recent[i, AT] <= at_ms:
            i += 1
        rose = rise(row, -1, k, senses, rows, arena, held, crossed) > k or rose
        cool(row, 0, at_ms, k + 1, senses, rows, arena, held, crossed)
    last = int(rows.band[row])
    cool(row, 0, to_ms, k + 1, senses, rows, arena, held, crossed)
    return last, int(rows.band[row]), rose


@step
def judge_again(
    row: int, at_ms: int, limit_ms: int, to_ms: int, k: int, senses: Senses, rows: Rows, arena: Int64s, held: int,
    work: Work,
) -> tuple[int, int, bool]:  # fmt: skip
    """The bands of a row behind what may still be put right, and at ``to_ms``, if all had come in their order.

    at_ms: when happened what came late. limit_ms: what came before that is for good. held: what open cases hold now.
    They are -1 when nothing is known of them at that time. Returns also whether a band was entered: see ``walk``. The
    row is left as it is.
    """
    counts, lists, signals = work.scratch.count, work.scratch.lists, signals_of(senses)
    band, updated_ms, begin = int(rows.band[row]), rows.words[row, UPDATED], int(rows.band[row])
    from_ms, known_ms = min(max(at_ms, limit_ms), updated_ms), NEVER
    if counts[BEFORE] > 0:
        first = lists[BEFORE, 0]
        if first[BAND] == 0:
            return -1, -1, False
        begin = first[BAND] - 1
        if counts[RECENT] > MOST_RECENT // 2:  # what came before may be for good, and later than this one
            from_ms = max(from_ms, first[AT])
        known_ms = first[AT]
        from_ms = min(from_ms, known_ms)
    left, left_ms = rows.words[row, LEFT], rows.words[row, LEFT] >> LEFT_BITS
    if limit_ms <= left_ms <= known_ms:  # of bands that were left one after the other it tells the first
        begin, from_ms = left & _BAND, min(from_ms, left_ms - 1)
    if from_ms < left_ms:
        rows.words[row, LEFT] = 0  # unless it is left again on the way
    saved = saved_at(signals)
    for s in range(signals):
        arena[saved + s], arena[saved + signals + s] = rows.words[row, HEAT + s], arena[held + s]
    before_entries(from_ms, row, senses, rows, arena, held, work)
    rows.band[row] = begin
    # what came late before all this is in the heat of its beginning
    begun = at_ms < from_ms and rise(row, -1, k, senses, rows, arena, held, work.crossed) > k
    last, now, rose = walk(from_ms, max(to_ms, updated_ms), row, k, senses, rows, arena, held, work)
    rose = rose or begun
    for s in range(signals):
        rows.words[row, HEAT + s], arena[held + s] = arena[saved + s], arena[saved + signals + s]
    rows.words[row, UPDATED], rows.band[row] = updated_ms, band
    return last, now, rose
