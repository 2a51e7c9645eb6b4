"""Alerts: one deterministic id, revisions, the reason in words; and how many of them are written, as columns."""

import hashlib
import uuid
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from schemas.columnar.writer import Column, ListColumn, NullableColumn, TextColumn

Status = Literal["opened", "escalated", "resolved", "retracted"]

_NAMESPACE = uuid.UUID("5c0b7a52-4a53-5e0f-9a0c-6f1d2c8e7b11")  # ours, made once; ids depend on it for ever


def alert_id(*about: str | int) -> str:
    """UUIDv5 of what an alert is about, its episode included: the same thing always has the same id."""
    name = "\x1f".join(map(str, about)).encode()
    made = bytearray(hashlib.sha1(_NAMESPACE.bytes + name, usedforsecurity=False).digest()[:16])
    made[6] = made[6] & 0x0F | 0x50  # RFC 9562: version 5; uuid.uuid5 does the same in three times the time
    made[8] = made[8] & 0x3F | 0x80
    text = made.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Contribution(NamedTuple):
    """What one signal adds: its heat before the cap."""

    signal: str
    heat: float
    half_life_s: float
    cap: float


class OpenClock(NamedTuple):
    """What a customer waits for; times in epoch ms, None for a clock without a promise."""

    clock: str
    opened_ms: int
    deadline_ms: int | None
    case_id: str | None


class Earlier(NamedTuple):
    """A contact that came before, and what was tried."""

    occurred_ms: int
    channel: str
    tried: str


class Alert(NamedTuple):  # tuples: many are made when many customers cross a band at once
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
    subject: str | None = None
    case_id: str | None = None
    deadline_ms: int | None = None
    clock: str | None = None
    open_clocks: tuple[OpenClock, ...] = ()
    earlier: tuple[Earlier, ...] = ()
    customers: int | None = None
    share: float | None = None
    members: tuple[str, ...] = ()
    team: str | None = None
    handling: str | None = None
    handled_ms: int | None = None
    handled_reason: str | None = None
    assignee: str | None = None
    do_not_contact: bool = False
    not_before_ms: int | None = None
    held_back: bool = False
    began_ms: int | None = None
    mutes: tuple[str, ...] = ()


def alert_columns(alerts: Sequence[Alert], emitted_ms: int) -> dict[str, Column]:
    """Columns of schemas/avro/alert.avsc; what we never tell is null or empty."""
    n = len(alerts)
    made_of = [contribution for alert in alerts for contribution in alert.contributions]
    clocks = [clock for alert in alerts for clock in alert.open_clocks]
    earlier = [contact for alert in alerts for contact in alert.earlier]
    return {
        "alert_id": TextColumn.of([a.alert_id for a in alerts]),
        "revision": np.fromiter((a.revision for a in alerts), np.int64, n),
        "type": TextColumn.of([a.type for a in alerts]),
        "status": TextColumn.of([a.status for a in alerts]),
        "customer_id": _texts([a.customer_id for a in alerts]),
        "touchpoint": _texts([a.touchpoint for a in alerts]),
        "channel": _texts([a.channel for a in alerts]),
        "subject": _texts([a.subject for a in alerts]),
        "case_id": _texts([a.case_id for a in alerts]),
        "raised_at": np.fromiter((a.raised_ms for a in alerts), np.int64, n),
        "emitted_at": np.full(n, emitted_ms, np.int64),
        "deadline": _times([a.deadline_ms for a in alerts]),
        "band": _texts([a.band for a in alerts]),
        "score": NullableColumn(
            np.fromiter((a.score or 0.0 for a in alerts), np.float64, n),
            np.fromiter((a.score is not None for a in alerts), np.bool_, n),
        ),
        "reason": TextColumn.of([a.reason for a in alerts]),
        "contributions": ListColumn(
            np.cumsum([0, *(len(a.contributions) for a in alerts)]).astype(np.int32),
            {
                "signal": TextColumn.of([c.signal for c in made_of]),
                "heat": np.array([c.heat for c in made_of], np.float64),
                "half_life_s": np.array([c.half_life_s for c in made_of], np.float64),
                "cap": np.array([c.cap for c in made_of], np.float64),
            },
        ),
        "clock": _texts([a.clock for a in alerts]),
        "open_clocks": ListColumn(
            np.cumsum([0, *(len(a.open_clocks) for a in alerts)]).astype(np.int32),
            {
                "clock": TextColumn.of([c.clock for c in clocks]),
                "opened_at": np.array([c.opened_ms for c in clocks], np.int64),
                "deadline": _times([c.deadline_ms for c in clocks]),
                "case_id": _texts([c.case_id for c in clocks]),
            },
        ),
        "earlier": ListColumn(
            np.cumsum([0, *(len(a.earlier) for a in alerts)]).astype(np.int32),
            {
                "occurred_at": np.array([c.occurred_ms for c in earlier], np.int64),
                "channel": TextColumn.of([c.channel for c in earlier]),
                "tried": TextColumn.of([c.tried for c in earlier]),
            },
        ),
        "customers": NullableColumn(
            np.fromiter((a.customers or 0 for a in alerts), np.int64, n),
            np.fromiter((a.customers is not None for a in alerts), np.bool_, n),
        ),
        "share": NullableColumn(
            np.fromiter((a.share or 0.0 for a in alerts), np.float64, n),
            np.fromiter((a.share is not None for a in alerts), np.bool_, n),
        ),
        "priority": np.fromiter((a.priority for a in alerts), np.int64, n),
        "suggested_action": _texts([a.suggested_action for a in alerts]),
        "policy": TextColumn.of([a.policy for a in alerts]),
        "members": ListColumn(
            np.cumsum([0, *(len(a.members) for a in alerts)]).astype(np.int32),
            {"customer_id": TextColumn.of([member for a in alerts for member in a.members])},
        ),
        "team": _texts([a.team for a in alerts]),
        "handling": _texts([a.handling for a in alerts]),
        "handled_at": _times([a.handled_ms for a in alerts]),
        "handled_reason": _texts([a.handled_reason for a in alerts]),
        "assignee": _texts([a.assignee for a in alerts]),
        "do_not_contact": np.fromiter((a.do_not_contact for a in alerts), np.int64, n),
        "not_before": _times([a.not_before_ms for a in alerts]),
        "held_back": np.fromiter((a.held_back for a in alerts), np.int64, n),
        "began_at": _times([a.began_ms for a in alerts]),
        "mutes": ListColumn(
            np.cumsum([0, *(len(a.mutes) for a in alerts)]).astype(np.int32),
            {"signal": TextColumn.of([signal for a in alerts for signal in a.mutes])},
        ),
    }


def _texts(texts: Sequence[str | None]) -> NullableColumn:
    there = np.fromiter((text is not None for text in texts), np.bool_, len(texts))
    return NullableColumn(TextColumn.of([text or "" for text in texts]), there)


def _times(times: Sequence[int | None]) -> NullableColumn:
    n = len(times)
    there = np.fromiter((at is not None for at in times), np.bool_, n)
    return NullableColumn(np.fromiter((at or 0 for at in times), np.int64, n), there)
