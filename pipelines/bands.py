"""From crossings of bands to alerts: an episode opens, escalates, is resolved, and may go on within the cooldown."""

from typing import cast

import numpy as np

from pipelines.alert_memory import AlertMemory
from pipelines.alerts import Alert, Contribution, Status, alert_id, many
from pipelines.interactions import InteractionBatch
from pipelines.policy import Policy
from pipelines.scores import contributed
from pipelines.scoring import CROSSED_EVENT, CROSSED_ROW, Crossings
from pipelines.state import CustomerRows, Episode
from schemas.arrays import Float64s, Int64s
from schemas.columnar.writer import TextColumn


def band_alerts(
    crossings: Crossings,
    count: int,
    batch: InteractionBatch | None,
    rows: CustomerRows,
    policy: Policy,
    memory: AlertMemory,
) -> list[tuple[int, Alert]]:
    """Alerts of the first ``count`` crossings, each with its number; the episodes in ``rows`` are updated.

    batch: the interactions that the crossings' events index; None when time alone made them. memory: what was dismissed
    is resolved, and not told otherwise.
    """
    told = _changed_episodes(crossings, count, rows, policy, memory)
    if not told:
        return []
    which = np.array([k for k, _, _ in told], np.int64)
    customers = TextColumn(*rows.customers.texts(crossings.word[which, CROSSED_ROW])).raw()
    made_of = contributions(crossings.heat[which], policy)
    places = _places(crossings.word[which, CROSSED_EVENT], batch)
    alerts = []
    for (k, status, episode), customer, made, place in zip(told, customers, made_of, places, strict=True):
        _, _, at_ms, _, band, segment = crossings.word[k].tolist()
        alert = band_alert(
            customer.decode(), episode, status, raised_ms=at_ms, band=band, segment=segment, made_of=made, policy=policy
        )
        alerts.append((k, alert._replace(touchpoint=place[0], channel=place[1])))
    return alerts


def band_alert(
    customer: str,
    episode: Episode,
    status: Status,
    *,
    raised_ms: int,
    band: int,
    segment: int,
    made_of: tuple[float, tuple[Contribution, ...]],
    policy: Policy,
) -> Alert:
    """The alert of an episode in which the customer is in a band. made_of: as of ``contributions``."""
    heat, parts = made_of
    score, name = policy.score_of(heat, segment), policy.band_names[band]
    level = policy.file.bands.levels[band - 1] if band else None
    return Alert(
        alert_id=alert_id("band_entered", customer, episode.opened_ms),
        revision=episode.revision,
        type="band_entered",
        status=status,
        customer_id=customer,
        raised_ms=raised_ms,
        reason=band_reason(status, name, score, parts),
        policy=policy.digest,
        band=name,
        score=score,
        contributions=parts,
        priority=policy.priority_of(3 if level is None else level.priority, segment),
        suggested_action=None if level is None or status == "resolved" else level.action,
        team=policy.team_of("band_entered", segment, None),
    )


def lowest_alerting(policy: Policy) -> int | None:
    """Number of the lowest band with an action, at which an alert is opened."""
    return next((n for n, level in enumerate(policy.file.bands.levels, 1) if level.action is not None), None)


def _changed_episodes(
    crossings: Crossings, count: int, rows: CustomerRows, policy: Policy, memory: AlertMemory
) -> list[tuple[int, Status, Episode]]:
    """Which crossings are told, as what, and the episode then, in their order."""
    lowest = lowest_alerting(policy)
    if lowest is None:
        return []
    told: list[tuple[int, Status, Episode]] = []
    for k, (_, row, at_ms, before, after, _) in enumerate(crossings.word[:count].tolist()):
        rises = after >= lowest and after > before
        if not rises and after >= lowest:
            continue
        episode = rows.episode(row)
        # not whether ``before`` alerts: the policy may have been another one when the row came to it
        if rises and not episode.stands:
            goes_on = episode.opened_ms != 0 and at_ms - episode.closed_ms <= policy.file.bands.cooldown
            if goes_on and _is_dismissed(row, episode, rows, memory):
                continue
            episode, status = episode.reopened() if goes_on else episode.opened(at_ms), "opened"
        elif rises:
            if _is_dismissed(row, episode, rows, memory):
                continue
            episode, status = episode.revised(), "escalated"
        elif episode.stands:
            episode, status = episode.closed(at_ms), "resolved"
        else:
            continue
        rows.set_episode(row, episode)
        told.append((k, cast("Status", status), episode))
    return told


def _is_dismissed(row: int, episode: Episode, rows: CustomerRows, memory: AlertMemory) -> bool:
    if not len(memory):
        return False
    return memory.is_dismissed(alert_id("band_entered", rows.customers.text(row), episode.opened_ms))


def contributions(heats: Float64s, policy: Policy) -> list[tuple[float, tuple[Contribution, ...]]]:
    """By row of float64[k, s] the capped heat, and its signals in descending capped heat, ties by name."""
    begin, signal, value, total = contributed(heats, policy)
    names = policy.signal_names
    named = [names[s] for s in signal.tolist()]
    half_life_s, cap = policy.half_life_ms[signal] / 1000.0, policy.cap[signal]
    made = many(Contribution, named, value.tolist(), half_life_s.tolist(), cap.tolist())
    ends = begin.tolist()
    return [(heat, tuple(made[a:b])) for heat, a, b in zip(total.tolist(), ends, ends[1:], strict=False)]


def _places(event: Int64s, batch: InteractionBatch | None) -> list[tuple[str | None, str | None]]:
    """Touchpoint and channel of each event, None for what time alone made."""
    if batch is None:
        return [(None, None)] * event.shape[0]
    data = batch.data
    return [
        (None, None) if e < 0 else (batch.touchpoint.text(data, e), batch.channel.text(data, e)) for e in event.tolist()
    ]


def band_reason(status: Status, band: str, score: float, made_of: tuple[Contribution, ...]) -> str:
    """Why a band alert is told, in one sentence."""
    if status == "resolved":
        return f"The friction has cooled down to {score:.0f} of 100 ({band})."
    because = ", ".join(f"{c.signal} {min(c.heat, c.cap):.0f}" for c in made_of[:3]) or "nothing any more"
    return f"The friction is {score:.0f} of 100 ({band}), made of {because}."
