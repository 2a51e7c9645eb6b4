"""From what the fold has noted to alerts: identities, deadlines, lists, and the reason in words."""

from itertools import pairwise
from typing import TypeVar

import numpy as np

from pipelines.alerts import Alert, Contribution, Earlier, OpenClock, Status, alert_id, many
from pipelines.bands import contributions
from pipelines.items import CLOCK_BREACHED, CLOCK_WARNING, REPEAT_CONTACT, SOCIAL_RISK, STILL_WAITING
from pipelines.policy import Policy
from pipelines.state import CustomerRows
from pipelines.telling import (
    LISTED_AT,
    LISTED_CLOCK,
    LISTED_DUE,
    LISTED_KIND,
    LISTED_TRIED,
    LISTED_TRIED_BYTES,
    NOTE,
    NOTE_AFTER,
    NOTE_AT,
    NOTE_BAND,
    NOTE_CLOCK,
    NOTE_DUE,
    NOTE_LEVEL,
    NOTE_PAUSED,
    NOTE_RAISED,
    NOTE_REVISION,
    NOTE_ROW,
    NOTE_SEGMENT,
    NOTE_STATUS,
    NOTE_TYPE,
    ROWS_USED,
    TEXT_USED,
    TEXTS,
    TEXTS_AT,
    WHAT,
    Notes,
)
from pipelines.wording import Told, reason_of
from schemas.arrays import Int64s
from schemas.columnar.writer import TextColumn

T = TypeVar("T")

TYPES = {
    CLOCK_WARNING: "clock_warning",
    CLOCK_BREACHED: "clock_breached",
    STILL_WAITING: "still_waiting",
    REPEAT_CONTACT: "repeat_contact",
    SOCIAL_RISK: "social_risk",
}
_OF_CLOCKS = (CLOCK_WARNING, CLOCK_BREACHED, STILL_WAITING)
_STATUSES: tuple[Status, ...] = ("opened", "escalated", "resolved", "retracted")


def noted_alerts(notes: Notes, rows: CustomerRows, policy: Policy) -> list[tuple[int, Alert]]:
    """The alerts of what has been noted, each with how many crossings of bands came before."""
    used = notes.row[: notes.used[ROWS_USED]]
    if used.shape[0] == 0:
        return []
    which = np.flatnonzero(used[:, WHAT] == NOTE)
    row = used[which, NOTE_ROW]
    customers = TextColumn(*rows.customers.texts(row)).raw()
    made_of = contributions(notes.heat[which], policy)
    said, text = used[which].tolist(), notes.text[: notes.used[TEXT_USED]].tobytes()
    clocks, earlier = _open_clocks(used, which, text, policy), _earlier(used, which, text, policy)
    segments, bands = used[which, NOTE_SEGMENT].tolist(), used[which, NOTE_BAND].tolist()
    told = zip(said, customers, made_of, segments, bands, clocks, earlier, strict=True)
    return [
        (row[NOTE_AFTER], _alert(row, _texts(row, text), customer.decode(), heat, parts, segment, band, opened, before,
                                 policy))
        for row, customer, (heat, parts), segment, band, opened, before in told
    ]  # fmt: skip


def _open_clocks(used: Int64s, which: Int64s, text: bytes, policy: Policy) -> list[list[OpenClock]]:
    """The open clocks that each note lists; they follow it. used: int64[*, 21]. which: the rows that are notes."""
    rows = np.flatnonzero((used[:, WHAT] != NOTE) & (used[:, LISTED_CLOCK] >= 0))
    listed, names = used[rows], policy.clock_names
    name = [names[k] for k in listed[:, LISTED_CLOCK].tolist()]
    due_ms = [due or None for due in listed[:, LISTED_DUE].tolist()]
    cases = [case or None for case in _column(listed, 1, text)]
    return _split(many(OpenClock, name, listed[:, LISTED_AT].tolist(), due_ms, cases), rows, which)


def _earlier(used: Int64s, which: Int64s, text: bytes, policy: Policy) -> list[list[Earlier]]:
    """The earlier contacts that each note lists, as above."""
    rows = np.flatnonzero((used[:, WHAT] != NOTE) & (used[:, LISTED_CLOCK] < 0))
    listed, kinds = used[rows], ("", *policy.compiled.kinds)
    start = listed[:, LISTED_TRIED]
    said = _slices(text, start, start + listed[:, LISTED_TRIED_BYTES])
    tried = [own or kinds[kind] for own, kind in zip(said, listed[:, LISTED_KIND].tolist(), strict=True)]
    return _split(many(Earlier, listed[:, LISTED_AT].tolist(), _column(listed, 3, text), tried), rows, which)


def _split(made: list[T], rows: Int64s, which: Int64s) -> list[list[T]]:
    """What stands behind each note and before the next one. rows: int64[k], where what was made of them stood."""
    begin = [*np.searchsorted(rows, which).tolist(), len(made)]
    return [made[a:b] for a, b in pairwise(begin)]


def _column(rows: Int64s, k: int, text: bytes) -> list[str]:
    """Text k of some rows."""
    start = rows[:, TEXTS_AT] + rows[:, TEXTS_AT + 1 : TEXTS_AT + 1 + k].sum(axis=1)
    return _slices(text, start, start + rows[:, TEXTS_AT + 1 + k])


def _slices(text: bytes, start: Int64s, stop: Int64s) -> list[str]:
    return [text[a:b].decode(errors="replace") for a, b in zip(start.tolist(), stop.tolist(), strict=True)]


def _alert(
    said: list[int],
    texts: list[str],
    customer: str,
    heat: float,
    parts: tuple[Contribution, ...],
    segment: int,
    band: int,
    clocks: list[OpenClock],
    earlier: list[Earlier],
    policy: Policy,
) -> Alert:
    _, case_id, subject, channel, touchpoint, _ = texts
    kind, status = said[NOTE_TYPE], _STATUSES[said[NOTE_STATUS]]
    clock = policy.clock_names[said[NOTE_CLOCK]] if kind in _OF_CLOCKS else None
    priority, action = _advice(kind, clock, policy)
    told = Told(
        type=TYPES[kind], status=status, clock=clock or "", raised_ms=said[NOTE_RAISED], opened_ms=said[NOTE_AT],
        deadline_ms=said[NOTE_DUE], level=said[NOTE_LEVEL], paused_ms=said[NOTE_PAUSED], subject=subject,
        channel=channel, earlier=len(earlier),
    )  # fmt: skip
    return Alert(
        alert_id=id_of(kind, said[NOTE_CLOCK], customer, texts, policy),
        revision=said[NOTE_REVISION],
        type=TYPES[kind],
        status=status,
        customer_id=customer,
        raised_ms=said[NOTE_RAISED],
        reason=reason_of(told, policy),
        policy=policy.digest,
        touchpoint=touchpoint or None,
        channel=channel or None,
        band=policy.band_names[band],
        score=policy.score_of(heat, segment),
        contributions=parts,
        priority=policy.priority_of(priority, segment),
        suggested_action=None if status in {"resolved", "retracted"} else action,
        subject=subject or None,
        case_id=case_id or None,
        deadline_ms=said[NOTE_DUE] or None,
        clock=clock,
        open_clocks=tuple(clocks),
        earlier=tuple(earlier),
        team=policy.team_of(TYPES[kind], segment, subject or None),
    )


def id_of(kind: int, key: int, customer: str, texts: list[str], policy: Policy) -> str:
    """The id of an alert of a kind of TYPES. key: number of its clock. texts: event_id, case_id, subject ..."""
    clock = policy.clock_names[key] if kind in _OF_CLOCKS else None
    event_id, case_id, subject = texts[:3]
    return alert_id(TYPES[kind], customer, clock or subject, case_id, event_id)


def _texts(row: list[int], text: bytes) -> list[str]:
    """The six texts of a row: event_id, case_id, subject, channel, touchpoint, tried."""
    at, texts = row[TEXTS_AT], []
    for length in row[TEXTS_AT + 1 : TEXTS_AT + 1 + TEXTS]:
        texts.append(text[at : at + length].decode(errors="replace"))
        at += length
    return texts


def _advice(kind: int, clock: str | None, policy: Policy) -> tuple[int, str | None]:
    """Priority and action that the policy gives to an alert."""
    file = policy.file
    section = file.clocks[clock] if clock else file.contacts if kind == REPEAT_CONTACT else file.social
    return (3, None) if section is None else (section.priority, section.action)
