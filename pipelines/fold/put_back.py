"""Letting count what has been folded of a customer: heat, bands, alerts, and the block."""

from pipelines.fold.blocks import (
    BEFORE,
    HEAT_LIST,
    LIVE,
    MOST_RECENT,
    RECENT,
    TOLD_LIST,
    WANTED,
    hold,
    write_block,
)
from pipelines.fold.folding import next_look, settle_base
from pipelines.fold.items import AT, BAND, CASE, FIRED, FIRED_MS, NEVER, POINTS, TAG, number_of, work_at
from pipelines.fold.notes import CROSSED, write_risen
from pipelines.fold.path import judge_again
from pipelines.fold.scoring import (
    BLOCK,
    CROSSED_EVENT,
    CROSSED_FROM,
    CROSSED_MS,
    CROSSED_TO,
    UPDATED,
    Rows,
    Senses,
    add_heat,
    bring_to,
    cool,
    fall,
    note_crossing,
    rise,
    signals_of,
)
from pipelines.fold.telling import tell
from pipelines.fold.timers import wake
from pipelines.fold.work import Work
from pipelines.policy.rules import HORIZON_MS, WITHIN_MS, Rules, section
from schemas.arrays import Int64s
from schemas.bits import as_float
from schemas.compiled import step


@step
def same_entry(first: Int64s, second: Int64s) -> bool:
    """Whether two HEAT items say the same."""
    same = first[TAG] == second[TAG] and first[AT] == second[AT] and first[CASE] == second[CASE]
    return same and first[POINTS] == second[POINTS]


@step
def change_heat(
    row: int, k: int, again: bool, senses: Senses, rows: Rows, arena: Int64s, held: int, work: Work
) -> tuple[bool, int]:  # fmt: skip
    """Bring the heat of a row from what the last fold had added to what this one adds.

    again: bands are judged again behind it, so none is left on the way. held: place in ``arena`` of what open cases
    hold now. Entries that both have in common, at the beginning and the end, are left alone. Returns whether a clock
    ran out or heat was added, and the crossings.
    """
    counts, crossed = work.scratch.count, work.crossed
    old, new = work.scratch.lists[BEFORE], work.scratch.lists[HEAT_LIST]
    before, after = counts[BEFORE], counts[HEAT_LIST]
    first = 0
    while first < min(before, after) and same_entry(old[first], new[first]):
        new[first, BAND] = old[first, BAND]
        first += 1
    while before > first and after > first and same_entry(old[before - 1], new[after - 1]):
        before -= 1
        after -= 1
        new[after, BAND] = old[before, BAND]
    for n in range(first, before):
        if old[n, CASE] == 0:
            from_ms = min(old[n, AT], rows.words[row, UPDATED])
            add_heat(row, number_of(old[n]), -as_float(old[n, POINTS]), from_ms, senses, rows)
    for n in range(first, after):
        if new[n, AT] > rows.words[row, UPDATED]:
            k = cool(row, 0, new[n, AT], k, senses, rows, arena, held, crossed) if not again else k
            bring_to(row, new[n, AT], senses, rows)
        new[n, BAND] = rows.band[row] + 1
        if new[n, CASE] == 0:
            add_heat(row, number_of(new[n]), as_float(new[n, POINTS]), new[n, AT], senses, rows)
    fired = counts[FIRED] != arena[rows.words[row, BLOCK] + FIRED_MS]
    if fired and counts[FIRED] > rows.words[row, UPDATED]:  # what cases hold since then is not of before
        k = cool(row, 0, counts[FIRED], k, senses, rows, arena, held, crossed) if not again else k
        bring_to(row, counts[FIRED], senses, rows)
    return fired or first < after, k


@step
def change_band(
    row: int, event: int, at_ms: int, limit_ms: int, to_ms: int, k: int, senses: Senses, rows: Rows, arena: Int64s,
    held: int, work: Work,
) -> int:  # fmt: skip
    """Bring a row into the band that it is in if all had come in their order; return the crossings. See judge_again."""
    band, crossed = int(rows.band[row]), work.crossed
    last, now, rose = judge_again(row, at_ms, limit_ms, to_ms, k, senses, rows, arena, held, work)
    after_ms = max(to_ms - rows.words[row, UPDATED], 0)
    if last < 0:
        k = rise(row, event, k, senses, rows, arena, held, crossed)
    elif last < band:
        note_crossing(k, -1, row, last, 0, senses, rows, arena, held, crossed)
        k += 1
    elif now > band:
        if rose:
            word = crossed.word[k]
            word[CROSSED_EVENT], word[CROSSED_FROM], word[CROSSED_TO] = event, band, now
            rows.band[row] = now
        else:  # it should not have been left
            note_crossing(k, event, row, now, 0, senses, rows, arena, held, crossed)
        k += 1
    return cool(row, 0, rows.words[row, UPDATED] + after_ms, k, senses, rows, arena, held, crossed)


@step
def list_risen(first: int, k: int, senses: Senses, rules: Rules, work: Work) -> None:
    """Note what is open in the scratch for the crossing into a band that alerts, if there is one from ``first`` on."""
    word, scratch = work.crossed.word, work.scratch
    for c in range(first, k):
        if word[c, CROSSED_TO] >= senses.alerting and word[c, CROSSED_TO] > word[c, CROSSED_FROM]:
            live, count = scratch.lists[LIVE], scratch.count[LIVE]
            write_risen(c, word[c, CROSSED_MS], section(rules, WITHIN_MS), live, count, scratch.text, work.notes)


@step
def put_back(
    row: int, event: int, late_ms: int, passed_ms: int, now_ms: int, seen_ms: int, every: bool, k: int, senses: Senses,
    rules: Rules, rows: Rows, work: Work,
) -> int:  # fmt: skip
    """Let what has been folded count: heat, bands, alerts, and the block; return the crossings.

    late_ms: time of an interaction before which bands have been judged, NEVER for none; passed_ms: up to when they
    have been. every: see ``telling.tell``.
    """
    signals, blocks, scratch = signals_of(senses), work.blocks, work.scratch
    block, held, counts, lists = rows.words[row, BLOCK], work_at(signals), scratch.count, scratch.lists
    hold(scratch, signals, blocks.arena, held)
    before, again, limit_ms = k, late_ms < NEVER, now_ms - section(rules, HORIZON_MS)
    heated, k = change_heat(row, k, again, senses, rows, blocks.arena, held, work)
    if again:
        k = change_band(row, event, late_ms, limit_ms, passed_ms, k, senses, rows, blocks.arena, held, work)
    else:
        if event >= 0 or heated:
            k = rise(row, event, k, senses, rows, blocks.arena, held, work.crossed)
        k = fall(row, event, k, senses, rows, blocks.arena, held, work.crossed)
    list_risen(before, k, senses, rules, work)
    work.notes.used[CROSSED] = k
    counts[TOLD_LIST] = tell(
        row, now_ms, blocks.arena, held, rows, section(rules, WITHIN_MS), lists[LIVE], counts[LIVE],
        lists[WANTED], counts[WANTED], lists[TOLD_LIST], counts[TOLD_LIST], scratch.text, work.notes, every,
    )  # fmt: skip
    if (
        event < 0
        or counts[RECENT] > MOST_RECENT
        or (counts[RECENT] > 1 and lists[RECENT, counts[RECENT] // 2, AT] < limit_ms)
    ):
        settle_base(now_ms, rules, scratch)
    next_ms = next_look(senses.quiet_ms, rules, scratch)
    block = write_block(block, signals, held, seen_ms, next_ms, blocks, scratch, work.out, work.moved)
    rows.words[row, BLOCK] = block
    rows.dirty[row] = 1
    if block != 0 and next_ms < NEVER:
        wake(work.timers, rows.alarm, row, next_ms)
    return k
