"""From crossings of bands to alerts: an episode opens, escalates, is resolved, and may go on within the cooldown."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise, repeat
from typing import cast

import numpy as np

from pipelines.alerts.alert import STATUSES, Contribution, alert_id, id_texts, many, sha1_of
from pipelines.alerts.episodes import BEGAN_MS, CROSSING, REVISION, STATUS, change_episodes_compiled
from pipelines.alerts.listings import Listings
from pipelines.alerts.memory import AlertMemory
from pipelines.alerts.tables import AlertTable, action_column, team_column, unsaid
from pipelines.alerts.wording import band_reasons, language_of
from pipelines.fold.scores import Contributed, contributed, contribution_column
from pipelines.fold.scoring import (
    CROSSED_EVENT,
    CROSSED_MS,
    CROSSED_ROW,
    CROSSED_SEGMENT,
    CROSSED_TO,
    Crossings,
)
from pipelines.intake.interactions import InteractionBatch, Texts
from pipelines.policy.policy import Policy
from pipelines.policy.wording_terms import BAND
from pipelines.state.rows import CustomerRows
from schemas.arrays import Float64s, Int64s
from schemas.columnar.writer import Column, NullableColumn, TextColumn


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
    told = _told(crossings, count, rows, policy, memory)
    which = told[:, CROSSING].copy()
    if not which.shape[0]:
        return AlertTable(0, {}), which
    word = crossings.word[which]
    table = band_table(
        TextColumn(*rows.customers.texts(word[:, CROSSED_ROW])),
        told[:, BEGAN_MS].copy(),
        told[:, REVISION].copy(),
        told[:, STATUS].copy(),
        word,
        crossings.heat[which],
        policy,
        partial(listings.lists_of, which),
    )
    places = listings.places_of(which)
    if batch is not None:
        told_by = {"touchpoint": batch.touchpoint, "channel": batch.channel}
        places = {name: _or_of_events(places[name], word[:, CROSSED_EVENT], told_by[name], batch) for name in told_by}
    return AlertTable(table.n, {**table.known, **places}, table.later), which


def band_table(
    customers: TextColumn,
    began_ms: Int64s,
    revision: Int64s,
    status: Int64s,
    word: Int64s,
    heats: Float64s,
    policy: Policy,
    lists: Callable[[], Mapping[str, Column]],
) -> AlertTable:
    """Alerts of n episodes in which customers are in bands, int64[n] each: when each began, its revision, and status.

    status: numbers of STATUSES. word: as of Crossings. lists: gives the open clocks and earlier contacts of each.
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
            "alert_id": _ids(customers, began_ms),
            "revision": revision,
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


def _told(crossings: Crossings, count: int, rows: CustomerRows, policy: Policy, memory: AlertMemory) -> Int64s:
    """What is told of the crossings, int64[k, 4]: see episodes.CROSSING ..."""
    if not count:
        return np.zeros((0, 4), np.int64)
    lowest = policy.alerting or len(policy.band_names)  # above all: an alert of another policy is resolved
    word, pool = crossings.word[:count], rows.episodes
    dismissed_ms = np.zeros(count, np.int64)
    for k in np.flatnonzero(word[:, CROSSED_TO] >= lowest).tolist() if len(memory) else ():
        row = word.item(k, CROSSED_ROW)
        began_ms = rows.episode(row).opened_ms
        if began_ms and memory.is_dismissed(alert_id(BAND, rows.customers.text(row), began_ms)):
            dismissed_ms[k] = began_ms
    pool.make_room(count)
    told = np.empty((count, 4), np.int64)
    n = change_episodes_compiled(
        word, lowest, policy.file.bands.cooldown, dismissed_ms, rows.kernel, pool.free, pool.used, told
    )
    return told[:n]


def _ids(customers: TextColumn, began_ms: Int64s) -> TextColumn:
    """The ids of the episodes, as ``alert_id`` makes them."""
    told = zip(customers.raw(), began_ms.tolist(), strict=True)
    return id_texts(sha1_of(b"%b\x1f%b\x1f%d" % (BAND.encode(), who, at_ms) for who, at_ms in told))


def contributions(heats: Float64s, policy: Policy) -> list[tuple[float, tuple[Contribution, ...]]]:
    """By row of float64[k, 2, s] the capped heat, and its signals in descending capped heat, ties by name."""
    made = contributed(heats, policy)
    named = [policy.signal_names[s] for s in made.signal.tolist()]
    half_life_s, cap = policy.half_life_ms[made.signal] / 1000.0, policy.cap[made.signal]
    parts = many(Contribution, named, made.heat.tolist(), half_life_s.tolist(), cap.tolist(), made.held.tolist())
    ends = pairwise(made.begin.tolist())
    return [(heat, tuple(parts[a:b])) for heat, (a, b) in zip(made.total.tolist(), ends, strict=True)]


def _or_of_events(noted: NullableColumn, event: Int64s, texts: Texts, batch: InteractionBatch) -> NullableColumn:
    """The text of each event, int64[n], and of what time alone made the one that was noted."""
    there = event >= 0
    own = TextColumn.copied(batch.data, texts.start[event], np.where(there, texts.length[event], 0).astype(np.int32))
    other = cast("TextColumn", noted.values)
    return NullableColumn(
        TextColumn(
            np.concatenate([own.data, other.data]),
            np.where(there, own.start, own.data.shape[0] + other.start),
            np.where(there, own.length, other.length).astype(np.int32),
        ),
        there | noted.there,
    )


def _reasons(status: Int64s, band: Int64s, score: Float64s, made: Contributed, policy: Policy) -> TextColumn:
    """Why band alerts are told, a sentence each."""
    named = [policy.signal_names[s] for s in made.signal.tolist()]
    parts = list(zip(named, _whole(np.minimum(made.heat, policy.cap[made.signal])), strict=True))
    first = [parts[a : min(a + 3, b)] for a, b in pairwise(made.begin.tolist())]
    statuses, bands = [STATUSES[s] for s in status.tolist()], [policy.band_names[b] for b in band.tolist()]
    told = zip(statuses, bands, _whole(score), first, strict=True)
    return TextColumn.of(band_reasons(told, language_of(policy)))


def _whole(numbers: Float64s) -> list[float]:
    """Rounded as sentences say them, 0 without a sign."""
    rounded: list[float] = (np.rint(numbers) + 0.0).tolist()
    return rounded
