"""What crossings of bands do to episodes: one opens, escalates, is resolved, and may go on within the cooldown."""

from pipelines.fold.items import ESCALATED, OPENED, RESOLVED
from pipelines.fold.scoring import CROSSED_FROM, CROSSED_MS, CROSSED_ROW, CROSSED_TO, EPISODE_AT, Rows
from pipelines.state.pool import NONE, take_place
from schemas.arrays import Int64s
from schemas.compiled import compiled, step

CROSSING, STATUS, BEGAN_MS, REVISION = range(4)
"""Columns of what is told: number of the crossing, of STATUSES, and what the episode is then."""

_REVISION = 0xFFFFFFFF  # the lower half of the last word of a record


@step
def landed(word: Int64s, k: int) -> int:
    """The last of the crossings from ``k`` on by which a row falls at one moment: it says in which band it is then."""
    while (
        k + 1 < word.shape[0]
        and word[k + 1, CROSSED_ROW] == word[k, CROSSED_ROW]
        and word[k + 1, CROSSED_MS] == word[k, CROSSED_MS]
        and word[k + 1, CROSSED_TO] < word[k + 1, CROSSED_FROM]
    ):
        k += 1
    return k


def change_episodes(
    word: Int64s, lowest: int, cooldown_ms: int, dismissed_ms: Int64s, rows: Rows, free: Int64s, used: Int64s,
    told: Int64s,
) -> int:  # fmt: skip
    """Change the episodes of rows that have crossed bands, in their order; return how many are told.

    word: int64[n, 6], see scoring.Crossings. lowest: the first band that alerts. dismissed_ms: int64[n], when the
    episode began that a team has dismissed, 0 for none: it is not told otherwise than as resolved. free, used: see
    pool.Pool, with room for n more. told: int64[n, 4], written.
    """
    n = 0
    for k in range(word.shape[0]):
        row, to = word[k, CROSSED_ROW], word[k, CROSSED_TO]
        rises = to >= lowest and to > word[k, CROSSED_FROM]
        place = rows.words[row, EPISODE_AT]
        if not rises and (to >= lowest or place == NONE):
            continue
        at_ms, began_ms, ended_ms = word[k, CROSSED_MS], rows.episodes[place, 0], rows.episodes[place, 1]
        revision, stands = rows.episodes[place, 2] & _REVISION, began_ms != 0 and ended_ms == 0
        # not whether the band before alerts: the policy may have been another one when the row came to it
        goes_on = began_ms != 0 and (stands or at_ms - ended_ms <= cooldown_ms)
        if rises:
            if goes_on and dismissed_ms[k] == began_ms:
                continue
            status, ended_ms = ESCALATED if stands else OPENED, 0
            if not goes_on:
                began_ms, revision = at_ms, 0
        elif stands:
            status, ended_ms = RESOLVED, at_ms
        else:
            continue
        revision += 1
        if place == NONE:
            place = take_place(free, used)
            rows.words[row, EPISODE_AT] = place
        rows.episodes[place, 0], rows.episodes[place, 1], rows.episodes[place, 2] = began_ms, ended_ms, revision
        told[n, CROSSING] = landed(word, k) if status == RESOLVED else k
        told[n, STATUS], told[n, BEGAN_MS], told[n, REVISION] = status, began_ms, revision
        n += 1
    return n


change_episodes_compiled = compiled(change_episodes, allocates=False)
