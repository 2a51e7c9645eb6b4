"""From crossings of bands to alerts: an episode opens, escalates, is resolved, and may go on within the cooldown."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.alerts import Alert, Contribution, Status, alert_id
from pipelines.interactions import InteractionBatch
from pipelines.policy import Level, Policy
from pipelines.state import CustomerRows
from schemas.arrays import Bytes, Float64s, Int32s, Int64s


@dataclass(frozen=True, slots=True)
class Crossings:
    """Rows that changed their band, in order; see scoring.score_interactions for the shapes."""

    event: Int64s
    row: Int32s
    at_ms: Int64s
    before: Bytes
    after: Bytes
    heat: Float64s

    @classmethod
    def room(cls, size: int, signals: int) -> "Crossings":
        """Room for ``size`` crossings."""
        return cls(
            np.empty(size, np.int64),
            np.empty(size, np.int32),
            np.empty(size, np.int64),
            np.empty(size, np.uint8),
            np.empty(size, np.uint8),
            np.empty((size, signals), np.float64),
        )


def contributions(heats: Float64s, policy: Policy) -> tuple[Contribution, ...]:
    """Signals with heat (float64[s]), in descending capped heat, ties by name."""
    hot = [
        Contribution(name, float(heat), signal.half_life / 1000.0, signal.cap)
        for name, signal, heat in zip(policy.signal_names, policy.signals, heats, strict=True)
        if heat > 0.0
    ]
    return tuple(sorted(hot, key=lambda c: (-min(c.heat, c.cap), c.signal)))


def band_alerts(
    crossings: Crossings, count: int, batch: InteractionBatch | None, rows: CustomerRows, policy: Policy
) -> Iterator[Alert]:
    """Alerts of the first ``count`` crossings; the episodes in ``rows`` are updated.

    batch: the interactions that the crossings' events index; None when time alone made them.
    """
    levels = policy.file.bands.levels
    lowest = next((n for n, level in enumerate(levels, 1) if level.action is not None), None)
    if lowest is None:
        return
    for k in range(count):
        row, before, after = int(crossings.row[k]), int(crossings.before[k]), int(crossings.after[k])
        episode = rows.episode(row)
        at_ms = int(crossings.at_ms[k])
        rises = after >= lowest and after > before
        # not whether ``before`` alerts: the policy may have been another one when the row came to it
        if rises and not episode.stands:
            goes_on = episode.opened_ms != 0 and at_ms - episode.closed_ms <= policy.file.bands.cooldown
            episode = episode.reopened() if goes_on else episode.opened(at_ms)
            status: Status = "opened"
        elif rises:
            episode, status = episode.revised(), "escalated"
        elif episode.stands and after < lowest:
            episode, status = episode.closed(at_ms), "resolved"
        else:
            continue
        rows.set_episode(row, episode)
        level = levels[after - 1] if after else None
        heats = crossings.heat[k]
        score = policy.score_of(float(np.minimum(heats, policy.cap).sum()))
        made_of = contributions(heats, policy)
        event = int(crossings.event[k])
        customer = rows.customers.text(row)
        yield Alert(
            alert_id=alert_id("band_entered", customer, episode.opened_ms),
            revision=episode.revision,
            type="band_entered",
            status=status,
            customer_id=customer,
            raised_ms=at_ms,
            reason=_reason(status, policy.band_names[after], score, made_of),
            policy=policy.digest,
            touchpoint=None if batch is None or event < 0 else batch.touchpoint.text(batch.data, event),
            channel=None if batch is None or event < 0 else batch.channel.text(batch.data, event),
            band=policy.band_names[after],
            score=score,
            contributions=made_of,
            priority=_priority(level),
            suggested_action=None if level is None or status == "resolved" else level.action,
        )


def _priority(level: Level | None) -> int:
    return 3 if level is None else level.priority


def _reason(status: Status, band: str, score: float, made_of: tuple[Contribution, ...]) -> str:
    because = ", ".join(f"{c.signal} {min(c.heat, c.cap):.0f}" for c in made_of[:3]) or "nothing any more"
    if status == "resolved":
        return f"The friction has cooled down to {score:.0f} of 100 ({band})."
    return f"The friction is {score:.0f} of 100 ({band}), made of {because}."
