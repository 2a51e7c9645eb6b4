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


def alert_columns(alerts: Sequence[Alert], emitted_ms: int) -> dict[str, Column]:
    """Columns of schemas/avro/alert.avsc; what we never tell is null or empty."""
    n = len(alerts)
    made_of = [contribution for alert in alerts for contribution in alert.contributions]
    return {
        "alert_id": TextColumn.of([a.alert_id for a in alerts]),
        "revision": np.fromiter((a.revision for a in alerts), np.int64, n),
        "type": TextColumn.of([a.type for a in alerts]),
        "status": TextColumn.of([a.status for a in alerts]),
        "customer_id": _texts([a.customer_id for a in alerts]),
        "touchpoint": _texts([a.touchpoint for a in alerts]),
        "channel": _texts([a.channel for a in alerts]),
        "subject": None,
        "case_id": None,
        "raised_at": np.fromiter((a.raised_ms for a in alerts), np.int64, n),
        "emitted_at": np.full(n, emitted_ms, np.int64),
        "deadline": None,
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
        "clock": None,
        "open_clocks": _none(n, times=("opened_at", "deadline"), texts=("clock", "case_id")),
        "earlier": _none(n, times=("occurred_at",), texts=("channel", "tried")),
        "customers": None,
        "share": None,
        "priority": np.fromiter((a.priority for a in alerts), np.int64, n),
        "suggested_action": _texts([a.suggested_action for a in alerts]),
        "policy": TextColumn.of([a.policy for a in alerts]),
    }


def _texts(texts: Sequence[str | None]) -> NullableColumn:
    there = np.fromiter((text is not None for text in texts), np.bool_, len(texts))
    return NullableColumn(TextColumn.of([text or "" for text in texts]), there)


_NO_TIMES, _NO_TEXTS = np.zeros(0, np.int64), TextColumn.of([])


def _none(n: int, *, times: Sequence[str], texts: Sequence[str]) -> ListColumn:
    """N empty lists."""
    entries: dict[str, TextColumn | np.ndarray] = dict.fromkeys(times, _NO_TIMES)
    return ListColumn(np.zeros(n + 1, np.int32), {**entries, **dict.fromkeys(texts, _NO_TEXTS)})
