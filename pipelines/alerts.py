"""Alerts: one deterministic id, revisions, and the reason in words."""

import uuid
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["opened", "escalated", "resolved", "retracted"]

_NAMESPACE = uuid.UUID("5c0b7a52-4a53-5e0f-9a0c-6f1d2c8e7b11")  # ours, made once; ids depend on it for ever


def alert_id(*about: str | int) -> str:
    """UUIDv5 of what an alert is about, its episode included: the same thing always has the same id."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(str(part) for part in about)))


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one signal adds: its heat before the cap."""

    signal: str
    heat: float
    half_life_s: float
    cap: float


@dataclass(frozen=True, slots=True)
class Alert:
    """One revision of an alert; the fields are those of schemas/avro/alert.avsc, times in epoch milliseconds."""

    alert_id: str
    revision: int
    type: str
    status: Status
    customer_id: str | None
    raised_ms: int
    reason: str
    policy: str
    touchpoint: str | None = None
    channel: str | None = None
    band: str | None = None
    score: float | None = None
    contributions: tuple[Contribution, ...] = ()
    priority: int = 3
    suggested_action: str | None = None

    def avro_record(self, emitted_ms: int) -> dict[str, Any]:
        """The record that is written: what is absent takes the schema's default."""
        return {
            "alert_id": self.alert_id,
            "revision": self.revision,
            "type": self.type,
            "status": self.status,
            "customer_id": self.customer_id,
            "touchpoint": self.touchpoint,
            "channel": self.channel,
            "raised_at": self.raised_ms,
            "emitted_at": emitted_ms,
            "band": self.band,
            "score": self.score,
            "reason": self.reason,
            "contributions": [
                {"signal": c.signal, "heat": c.heat, "half_life_s": c.half_life_s, "cap": c.cap}
                for c in self.contributions
            ],
            "priority": self.priority,
            "suggested_action": self.suggested_action,
            "policy": self.policy,
        }
