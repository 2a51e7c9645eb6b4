"""Alerts: one deterministic id, revisions, the reason in words; and how many of them are written, as columns."""

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise, repeat
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from schemas.arrays import Bytes
from schemas.columnar.writer import Column, ListColumn, NullableColumn, TextColumn

Status = Literal["opened", "escalated", "resolved", "retracted"]
STATUSES: tuple[Status, ...] = ("opened", "escalated", "resolved", "retracted")

NAMESPACE = uuid.UUID("5c0b7a52-4a53-5e0f-9a0c-6f1d2c8e7b11")  # ours, made once; ids depend on it for ever


def alert_id(*about: str | int) -> str:
    """UUIDv5 of what an alert is about, its episode included: the same thing always has the same id."""
    name = "\x1f".join(map(str, about)).encode()
    made = bytearray(hashlib.sha1(NAMESPACE.bytes + name, usedforsecurity=False).digest()[:16])
    made[6] = made[6] & 0x0F | 0x50  # RFC 9562: version 5; uuid.uuid5 does the same in three times the time
    made[8] = made[8] & 0x3F | 0x80
    text = made.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def sha1_of(names: Iterable[bytes]) -> Bytes:
    """SHA-1 digests of names in our namespace, uint8[n, 16]: the first bytes of each."""
    begin, sha1 = NAMESPACE.bytes, hashlib.sha1
    digests = b"".join([sha1(begin + name, usedforsecurity=False).digest()[:16] for name in names])
    return np.frombuffer(digests, np.uint8).reshape(-1, 16)


def id_texts(digests: Bytes) -> TextColumn:
    """The ids that ``alert_id`` makes of SHA-1 digests, uint8[n, 16]: the first bytes of each."""
    n, made = digests.shape[0], digests.copy()
    made[:, 6] = made[:, 6] & 0x0F | 0x50
    made[:, 8] = made[:, 8] & 0x3F | 0x80
    digits = np.frombuffer(made.tobytes().hex().encode(), np.uint8).reshape(n, 32)
    out = np.full((n, _ID_LENGTH), ord("-"), np.uint8)
    for k, (first, end) in enumerate(pairwise(_GROUPS)):
        out[:, first + k : end + k] = digits[:, first:end]
    return TextColumn(out.reshape(-1), np.arange(n) * _ID_LENGTH, np.full(n, _ID_LENGTH, np.int32))


_ID_LENGTH = 36
_GROUPS = (0, 8, 12, 16, 20, 32)  # hexadecimal digits between which hyphens stand


class Contribution(NamedTuple):
    """What one signal adds: its heat before the cap, and of it what open cases hold, which does not decay."""

    signal: str
    heat: float
    half_life_s: float
    cap: float
    held: float = 0.0


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


T = TypeVar("T", Contribution, OpenClock, Earlier)


def many(kind: type[T], *columns: Iterable[Any]) -> list[T]:
    """Tuples of a kind by their columns: what the kind itself does, but without a call of Python for each."""
    made: list[T] = list(map(tuple.__new__, repeat(kind), zip(*columns, strict=True)))
    return made


def alert_columns(alerts: Sequence[Alert]) -> dict[str, Column]:
    """Columns of schemas/avro/alert.avsc, all but ``emitted_at``; what we never tell is null or empty."""
    n = len(alerts)
    every = dict(zip(Alert._fields, zip(*alerts, strict=True), strict=True)) if n else dict.fromkeys(Alert._fields, ())
    parts, signal, heat, half_life_s, cap, held = _listed(every["contributions"], 5)
    clocks, clock, opened_ms, clock_due_ms, clock_case = _listed(every["open_clocks"], 4)
    contacts, occurred_ms, contact_channel, tried = _listed(every["earlier"], 3)
    return {
        "alert_id": TextColumn.of(every["alert_id"]),
        "revision": np.array(every["revision"], np.int64),
        "type": TextColumn.of(every["type"]),
        "status": TextColumn.of(every["status"]),
        "customer_id": _texts(every["customer_id"]),
        "touchpoint": _texts(every["touchpoint"]),
        "channel": _texts(every["channel"]),
        "subject": _texts(every["subject"]),
        "case_id": _texts(every["case_id"]),
        "raised_at": np.array(every["raised_ms"], np.int64),
        "deadline": _times(every["deadline_ms"]),
        "band": _texts(every["band"]),
        "score": NullableColumn(
            np.fromiter((a.score or 0.0 for a in alerts), np.float64, n),
            np.fromiter((a.score is not None for a in alerts), np.bool_, n),
        ),
        "reason": TextColumn.of(every["reason"]),
        "contributions": ListColumn(
            parts,
            {
                "signal": TextColumn.of(signal),
                "heat": np.array(heat, np.float64),
                "half_life_s": np.array(half_life_s, np.float64),
                "cap": np.array(cap, np.float64),
                "held": np.array(held, np.float64),
            },
        ),
        "clock": _texts(every["clock"]),
        "open_clocks": ListColumn(
            clocks,
            {
                "clock": TextColumn.of(clock),
                "opened_at": np.array(opened_ms, np.int64),
                "deadline": _times(clock_due_ms),
                "case_id": _texts(clock_case),
            },
        ),
        "earlier": ListColumn(
            contacts,
            {
                "occurred_at": np.array(occurred_ms, np.int64),
                "channel": TextColumn.of(contact_channel),
                "tried": TextColumn.of(tried),
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
        "priority": np.array(every["priority"], np.int64),
        "suggested_action": _texts(every["suggested_action"]),
        "policy": TextColumn.of(every["policy"]),
        "members": ListColumn(
            np.cumsum([0, *(len(a.members) for a in alerts)]).astype(np.int32),
            {"customer_id": TextColumn.of([member for a in alerts for member in a.members])},
        ),
        "team": _texts(every["team"]),
        "handling": _texts(every["handling"]),
        "handled_at": _times(every["handled_ms"]),
        "handled_reason": _texts(every["handled_reason"]),
        "assignee": _texts(every["assignee"]),
        "do_not_contact": np.array(every["do_not_contact"], np.int64),
        "not_before": _times(every["not_before_ms"]),
        "held_back": np.array(every["held_back"], np.int64),
        "began_at": _times(every["began_ms"]),
        "mutes": ListColumn(
            np.cumsum([0, *(len(a.mutes) for a in alerts)]).astype(np.int32),
            {"signal": TextColumn.of([signal for a in alerts for signal in a.mutes])},
        ),
    }


def _listed(lists: Sequence[Sequence[Any]], columns: int) -> tuple[Any, ...]:
    """Where the entries of each list begin, int32[n + 1], and the columns of all entries."""
    entries = list(chain.from_iterable(lists))
    begin = np.cumsum([0, *map(len, lists)]).astype(np.int32)
    return (begin, *(zip(*entries, strict=True) if entries else repeat((), columns)))


def _texts(texts: Sequence[str | None]) -> NullableColumn:
    there = np.array([text is not None for text in texts], np.bool_)
    return NullableColumn(TextColumn.of([text or "" for text in texts]), there)


def _times(times: Sequence[int | None]) -> NullableColumn:
    there = np.array([at is not None for at in times], np.bool_)
    return NullableColumn(np.array([at or 0 for at in times], np.int64), there)
