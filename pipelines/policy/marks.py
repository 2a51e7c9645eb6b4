"""What teams do with alerts, as they tell it: interactions of the kinds ``alert.*`` (docs/policy.md)."""

from typing import NamedTuple

from pipelines.intake.interactions import InteractionBatch

ACKNOWLEDGED, ASSIGNED, DISMISSED = "acknowledged", "assigned", "dismissed"
MARK_KINDS = {"alert.acknowledged": ACKNOWLEDGED, "alert.assigned": ASSIGNED, "alert.dismissed": DISMISSED}

MOST_TEXT = 512
"""Characters of what a mark says that are kept."""


class Mark(NamedTuple):
    """What was done with an alert at a time (epoch ms): acknowledged, assigned or dismissed; None: not told."""

    alert_id: str
    did: str
    at_ms: int
    reason: str | None = None
    assignee: str | None = None
    team: str | None = None


def mark_of(batch: InteractionBatch, i: int) -> Mark:
    """Read the mark that an interaction of MARK_KINDS is; without an alert_id it speaks of the alert ``""``."""
    said = {} if batch.details is None else batch.details.attributes(batch.data, i)

    def text(name: str) -> str | None:
        return said.get(name, "").strip()[:MOST_TEXT] or None

    did = MARK_KINDS[batch.kind.text(batch.data, i)]
    alert_id = (text("alert_id") or "").lower()
    return Mark(alert_id, did, int(batch.occurred_ms[i]), text("reason"), text("assignee"), text("team"))
