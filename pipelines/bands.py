"""From crossings of bands to alerts: an episode opens, escalates, is resolved, and may go on within the cooldown."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise, repeat
from typing import NamedTuple

import numpy as np

from pipelines.alert_memory import AlertMemory
from pipelines.alert_tables import AlertTable, action_column, team_column, unsaid
from pipelines.alerts import STATUSES, Contribution, alert_id, id_texts, many, sha1_of
from pipelines.interactions import InteractionBatch, Texts
from pipelines.listings import Listings
from pipelines.policy import Policy
from pipelines.scores import Contributed, contributed, contribution_column
from pipelines.scoring import (
    CROSSED_EVENT,
    CROSSED_FROM,
    CROSSED_MS,
    CROSSED_ROW,
    CROSSED_SEGMENT,
    CROSSED_TO,
    EPISODE_AT,
    Crossings,
)
from pipelines.state import CustomerRows, Episode
from pipelines.wording import band_reason, language_of
from pipelines.wording_terms import BAND
from schemas.arrays import Float64s, Int64s
from schemas.columnar.writer import Column, NullableColumn, TextColumn


class Crossed(NamedTuple):
    """Episodes that have changed: number of the crossing, of STATUSES, and what the episode is then; n of each."""

    crossing: list[int]
    status: list[int]
    episode: list[Episode]


def band_alerts(
    crossings: Crossings,
    count: int,
    batch: InteractionBatch | None,
    rows: CustomerRows,
    policy: Policy,
    memory: AlertMemory,
    listings: Listings,
) -> tuple[AlertTable, Int64s]:
    """Alerts of the first ``count`` crossings, and the number of each, int64[n]; the episodes in ``rows`` are updated.

    batch: the interactions that the crossings' events index; None when time alone made them. memory: what was dismissed
    is resolved, and not told otherwise. listings: what was noted with the crossings.
    """
    told = _changed_episodes(crossings, count, rows, policy, memory)
    which = np.array(told.crossing, np.int64)
    if not told.crossing:
        return AlertTable(0, {}), which
    word = crossings.word[which]
    table = band_table(
        TextColumn(*rows.customers.texts(word[:, CROSSED_ROW])),
        told.episode,
        np.array(told.status, np.int64),
        word,
        crossings.heat[which],
        policy,
        partial(listings.lists_of, which),
    )
    if batch is None:
        return table, which
    event = word[:, CROSSED_EVENT]
    places = {"touchpoint": batch.touchpoint, "channel": batch.channel}
    columns = {name: _of_events(texts, event, batch) for name, texts in places.items()}
    return AlertTable(table.n, {**table.known, **columns}, table.later), which


def band_table(
    customers: TextColumn,
    episodes: Sequence[Episode],
    status: Int64s,
    word: Int64s,
    heats: Float64s,
    policy: Policy,
    lists: Callable[[], Mapping[str, Column]],
) -> AlertTable:
    """Alerts of n episodes in which customers are in bands. status: numbers of STATUSES. word: as of Crossings.

    lists: gives the open clocks and earlier contacts of each.
    """
    n = status.shape[0]

    def others() -> dict[str, Column]:
        band, segment = word[:, CROSSED_TO], word[:, CROSSED_SEGMENT]
        made = contributed(heats, policy)
        score = -100.0 * np.expm1(-made.total / policy.scale[segment])
        levels = [None, *policy.file.bands.levels]
        priority = np.array([3 if level is None else level.priority for level in levels])[band]
        actions = [None if level is None else level.action for level in levels]
        own: dict[str, Column] = {
            "alert_id": _ids(customers, episodes),
            "revision": np.array([episode.revision for episode in episodes], np.int64),
            "raised_at": word[:, CROSSED_MS],
            "band": TextColumn.chosen(policy.band_names, band),
            "score": score,
            "reason": _reasons(status, band, score, made, policy),
            "contributions": contribution_column(made, policy),
            "priority": np.clip(priority + policy.shift[segment], 1, 5),
            "suggested_action": action_column(actions, band, status != STATUSES.index("resolved")),
            "team": team_column(repeat(BAND, n), segment, repeat(None, n), policy),
        }
        return {**unsaid(n, policy.digest), **own, **lists()}

    known: dict[str, Column] = {
        "type": TextColumn.chosen((BAND,), np.zeros(n, np.int64)),
        "status": TextColumn.chosen(STATUSES, status),
        "customer_id": customers,
    }
    return AlertTable(n, known, others)


def _changed_episodes(
    crossings: Crossings, count: int, rows: CustomerRows, policy: Policy, memory: AlertMemory
) -> Crossed:
    """Which crossings are told, as what, and the episode then, in their order."""
    lowest, told = policy.alerting, Crossed([], [], [])
    if lowest is None:
        return told
    word = crossings.word[:count]
    rises = (word[:, CROSSED_TO] >= lowest) & (word[:, CROSSED_TO] > word[:, CROSSED_FROM])
    words, row = rows.kernel.words, word[:, CROSSED_ROW]
    for k in np.flatnonzero(rises | (word[:, CROSSED_TO] < lowest)).tolist():
        of = row.item(k)
        if not rises[k] and not words[of, EPISODE_AT]:
            continue
        at_ms, episode = word.item(k, CROSSED_MS), rows.episode(of)
        # not whether the band before alerts: the policy may have been another one when the row came to it
        if rises[k] and not episode.stands:
            goes_on = episode.opened_ms != 0 and at_ms - episode.closed_ms <= policy.file.bands.cooldown
            if goes_on and _is_dismissed(of, episode, rows, memory):
                continue
            episode, status = episode.reopened() if goes_on else episode.opened(at_ms), "opened"
        elif rises[k]:
            if _is_dismissed(of, episode, rows, memory):
                continue
            episode, status = episode.revised(), "escalated"
        elif episode.stands:
            episode, status = episode.closed(at_ms), "resolved"
        else:
            continue
        rows.set_episode(of, episode)
        told.crossing.append(k if status != "resolved" else _landed(word, k))
        told.status.append(STATUSES.index(status))
        told.episode.append(episode)
    return told


def _landed(word: Int64s, k: int) -> int:
    """The last of the crossings from ``k`` on by which a row falls at one moment: it says in which band it is then."""
    where = word[k, [CROSSED_ROW, CROSSED_MS]]
    while (
        k + 1 < word.shape[0]
        and (word[k + 1, [CROSSED_ROW, CROSSED_MS]] == where).all()
        and word[k + 1, CROSSED_TO] < word[k + 1, CROSSED_FROM]
    ):
        k += 1
    return k


def _is_dismissed(row: int, episode: Episode, rows: CustomerRows, memory: AlertMemory) -> bool:
    if not len(memory):
        return False
    return memory.is_dismissed(alert_id(BAND, rows.customers.text(row), episode.opened_ms))


def _ids(customers: TextColumn, episodes: Sequence[Episode]) -> TextColumn:
    """The ids of the episodes, as ``alert_id`` makes them."""
    told = zip(customers.raw(), episodes, strict=True)
    return id_texts(sha1_of(b"%b\x1f%b\x1f%d" % (BAND.encode(), who, episode.opened_ms) for who, episode in told))


def contributions(heats: Float64s, policy: Policy) -> list[tuple[float, tuple[Contribution, ...]]]:
    """By row of float64[k, 2, s] the capped heat, and its signals in descending capped heat, ties by name."""
    made = contributed(heats, policy)
    named = [policy.signal_names[s] for s in made.signal.tolist()]
    half_life_s, cap = policy.half_life_ms[made.signal] / 1000.0, policy.cap[made.signal]
    parts = many(Contribution, named, made.heat.tolist(), half_life_s.tolist(), cap.tolist(), made.held.tolist())
    ends = pairwise(made.begin.tolist())
    return [(heat, tuple(parts[a:b])) for heat, (a, b) in zip(made.total.tolist(), ends, strict=True)]


def _of_events(texts: Texts, event: Int64s, batch: InteractionBatch) -> NullableColumn:
    """A text of each event, int64[n], null for what time alone made."""
    said = [texts.text(batch.data, e) if e >= 0 else "" for e in event.tolist()]
    return NullableColumn(TextColumn.of(said), event >= 0)


def _reasons(status: Int64s, band: Int64s, score: Float64s, made: Contributed, policy: Policy) -> TextColumn:
    """Why band alerts are told, a sentence each."""
    language, names = language_of(policy), policy.band_names
    counted = np.minimum(made.heat, policy.cap[made.signal]).tolist()
    parts = [(policy.signal_names[s], heat) for s, heat in zip(made.signal.tolist(), counted, strict=True)]
    ends = made.begin.tolist()
    told = zip(status.tolist(), score.tolist(), band.tolist(), pairwise(ends), strict=True)
    return TextColumn.of(
        [band_reason(STATUSES[how], of, names[to], parts[a : min(a + 3, b)], language) for how, of, to, (a, b) in told]
    )
