"""From what the fold has noted to alerts: identities, deadlines, lists, and the reason in words."""

import numpy as np

from pipelines.alerts import Alert, Contribution, Earlier, OpenClock, Status, alert_id
from pipelines.bands import contributions
from pipelines.items import CLOCK_BREACHED, CLOCK_WARNING, REPEAT_CONTACT, SOCIAL_RISK, STILL_WAITING
from pipelines.policy import Policy
from pipelines.state import CustomerRows
from pipelines.telling import (
    LISTED_AT,
    LISTED_CLOCK,
    LISTED_DUE,
    LISTED_KIND,
    LISTED_NOTE,
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
from schemas.columnar.writer import TextColumn

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
    said, text = used.tolist(), notes.text[: notes.used[TEXT_USED]].tobytes()
    clocks: dict[int, list[OpenClock]] = {}
    earlier: dict[int, list[Earlier]] = {}
    names = tuple(policy.file.clocks)
    for listed in said:
        if listed[WHAT] == NOTE:
            continue
        texts, of = _texts(listed, text), listed[LISTED_NOTE]
        if listed[LISTED_CLOCK] >= 0:
            clock = OpenClock(
                names[listed[LISTED_CLOCK]], listed[LISTED_AT], listed[LISTED_DUE] or None, texts[1] or None
            )
            clocks.setdefault(of, []).append(clock)
        else:
            start = listed[LISTED_TRIED]
            tried = text[start : start + listed[LISTED_TRIED_BYTES]].decode(errors="replace")
            if not tried and listed[LISTED_KIND]:
                tried = policy.compiled.kinds[listed[LISTED_KIND] - 1]
            earlier.setdefault(of, []).append(Earlier(listed[LISTED_AT], texts[3], tried))
    segments, bands = used[which, NOTE_SEGMENT].tolist(), used[which, NOTE_BAND].tolist()
    told = zip(which.tolist(), customers, made_of, segments, bands, strict=True)
    return [
        (said[n][NOTE_AFTER],
         _alert(said[n], _texts(said[n], text), customer.decode(), heat, parts, segment, band, clocks.get(n, []),
                earlier.get(n, []), policy))
        for n, customer, (heat, parts), segment, band in told
    ]  # fmt: skip


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
    clock = tuple(policy.file.clocks)[said[NOTE_CLOCK]] if kind in _OF_CLOCKS else None
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
    clock = tuple(policy.file.clocks)[key] if kind in _OF_CLOCKS else None
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
