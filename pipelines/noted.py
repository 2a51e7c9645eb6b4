"""From what the fold has noted to alerts, as columns: identities, deadlines, lists, and the reason in words."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from pipelines.alert_tables import AlertTable
from pipelines.alerts import NAMESPACE, Status, alert_id, id_texts
from pipelines.items import CLOCK_BREACHED, CLOCK_WARNING, REPEAT_CONTACT, SOCIAL_RISK, STILL_WAITING
from pipelines.policy import Policy
from pipelines.scores import contributed
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
    TEXTS_AT,
    WHAT,
    Notes,
)
from pipelines.wording import Sentences
from schemas.arrays import Bytes, Int64s
from schemas.columnar.writer import Column, ListColumn, NullableColumn, TextColumn, ValueColumn

TYPES = {
    CLOCK_WARNING: "clock_warning",
    CLOCK_BREACHED: "clock_breached",
    STILL_WAITING: "still_waiting",
    REPEAT_CONTACT: "repeat_contact",
    SOCIAL_RISK: "social_risk",
}
_TYPE_NAMES = tuple(TYPES[number] for number in range(len(TYPES)))
_OF_CLOCKS = (CLOCK_WARNING, CLOCK_BREACHED, STILL_WAITING)
_STATUSES: tuple[Status, ...] = ("opened", "escalated", "resolved", "retracted")
_OVER = 2  # the first status of alerts that stand no more
_MINUTE_MS = 60_000
_EVENT_ID, _CASE_ID, _SUBJECT, _CHANNEL, _TOUCHPOINT = range(5)  # texts of a row


class Noted(NamedTuple):
    """Alerts of one call of a kernel: how many crossings of bands came before each, and its row there, int64[n]."""

    table: AlertTable
    after: Int64s
    row: Int64s


class NotedAlerts:
    """Makes alerts of what is noted under a policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._sentences = Sentences(policy)

    def of(self, notes: Notes, rows: CustomerRows) -> Noted:
        """The alerts of what has been noted."""
        policy = self._policy
        used = notes.row[: notes.used[ROWS_USED]].copy()
        data = np.concatenate([notes.text[: notes.used[TEXT_USED]], self._kinds.data])
        which = np.flatnonzero(used[:, WHAT] == NOTE)
        said = used[which]
        n, kind, status = which.shape[0], said[:, NOTE_TYPE], said[:, NOTE_STATUS]
        segment, due_ms = said[:, NOTE_SEGMENT], said[:, NOTE_DUE]
        of_clock = np.isin(kind, _OF_CLOCKS)
        about = np.where(of_clock, said[:, NOTE_CLOCK], len(policy.clock_names) + kind)
        customers = TextColumn(*rows.customers.texts(said[:, NOTE_ROW]))
        case_id, subject = _text(said, _CASE_ID, data), _text(said, _SUBJECT, data)
        earlier = self._earlier(used, which, data)
        begin, signal, heat, total = contributed(notes.heat[which], policy)
        never, none = np.zeros(n, np.int64), ListColumn(np.zeros(n + 1, np.int32), {"": TextColumn.of([])})
        names = [*policy.clock_names, *[""] * len(TYPES)]
        columns: dict[str, Column] = {
            "alert_id": self._ids(said, about, customers, data),
            "revision": said[:, NOTE_REVISION],
            "type": TextColumn.chosen(_TYPE_NAMES, kind),
            "status": TextColumn.chosen(_STATUSES, status),
            "customer_id": customers,
            "touchpoint": _or_null(_text(said, _TOUCHPOINT, data)),
            "channel": _or_null(_text(said, _CHANNEL, data)),
            "subject": _or_null(subject),
            "case_id": _or_null(case_id),
            "raised_at": said[:, NOTE_RAISED],
            "deadline": NullableColumn(due_ms, due_ms != 0),
            "band": TextColumn.chosen(policy.band_names, said[:, NOTE_BAND]),
            "score": -100.0 * np.expm1(-total / policy.scale[segment]),
            "reason": self._reasons(said, about, subject, _text(said, _CHANNEL, data), np.diff(earlier.begin)),
            "contributions": ListColumn(
                begin,
                {
                    "signal": TextColumn.chosen(policy.signal_names, signal),
                    "heat": heat,
                    "half_life_s": policy.half_life_ms[signal] / 1000.0,
                    "cap": policy.cap[signal],
                },
            ),
            "clock": NullableColumn(TextColumn.chosen(names, about), of_clock),
            "open_clocks": self._open_clocks(used, which, data),
            "earlier": earlier,
            "customers": None,
            "share": None,
            "priority": np.clip(self._priority[about] + self._shift[segment], 1, 5),
            "suggested_action": NullableColumn(
                TextColumn.chosen([action or "" for action in self._actions], about),
                np.array([action is not None for action in self._actions])[about] & (status < _OVER),
            ),
            "policy": TextColumn.chosen([policy.digest], never),
            "members": ListColumn(none.begin, {"customer_id": none.entries[""]}),
            "team": self._teams(kind, segment, subject),
            "handling": None,
            "handled_at": None,
            "handled_reason": None,
            "assignee": None,
            "do_not_contact": never,
            "not_before": None,
            "held_back": never,
            "began_at": None,
            "mutes": ListColumn(none.begin, {"signal": none.entries[""]}),
        }
        return Noted(AlertTable(n, columns), said[:, NOTE_AFTER], which)

    @cached_property
    def _kinds(self) -> TextColumn:
        """The kinds of interactions, an empty one first."""
        return TextColumn.of(["", *self._policy.compiled.kinds])

    @cached_property
    def _priority(self) -> Int64s:
        """int64[clocks + 5]: of alerts of each clock, and of each type."""
        return np.array([priority for priority, _ in self._advice], np.int64)

    @cached_property
    def _actions(self) -> list[str | None]:
        """What to do, as above."""
        return [action for _, action in self._advice]

    @cached_property
    def _advice(self) -> list[tuple[int, str | None]]:
        file = self._policy.file
        sections = [file.clocks[name] for name in self._policy.clock_names]
        others = [file.contacts if k == REPEAT_CONTACT else file.social if k == SOCIAL_RISK else None for k in TYPES]
        return [(3, None) if one is None else (one.priority, one.action) for one in (*sections, *others)]

    @cached_property
    def _shift(self) -> Int64s:
        """int64[g]: what is added to the priority for each segment."""
        return np.array([0, *(segment.priority for segment in self._policy.file.segments.values())], np.int64)

    def _ids(self, said: Int64s, about: Int64s, customers: TextColumn, data: Bytes) -> TextColumn:
        """See ``id_of``."""
        clocks = len(self._policy.clock_names)
        keys = [name.encode() for name in self._policy.clock_names]
        kinds = [_TYPE_NAMES[kind].encode() for kind in said[:, NOTE_TYPE].tolist()]
        texts = (_text(said, k, data).raw() for k in (_SUBJECT, _CASE_ID, _EVENT_ID))
        told = zip(kinds, customers.raw(), about.tolist(), *texts, strict=True)
        begin = NAMESPACE.bytes
        digests = b"".join(
            hashlib.sha1(
                begin + b"\x1f".join((kind, who, keys[key] if key < clocks else subject, case, event)),
                usedforsecurity=False,
            ).digest()[:16]
            for kind, who, key, subject, case, event in told
        )
        return id_texts(np.frombuffer(digests, np.uint8).reshape(-1, 16))

    def _reasons(
        self, said: Int64s, about: Int64s, subject: TextColumn, channel: TextColumn, earlier: Int64s
    ) -> TextColumn:
        raised_ms, due_ms = said[:, NOTE_RAISED], said[:, NOTE_DUE]
        waited_ms, left_ms = raised_ms - said[:, NOTE_AT], due_ms - raised_ms
        minutes = {"deadline": due_ms, "left": left_ms, "waited": waited_ms, "paused": said[:, NOTE_PAUSED]}
        spoken = {name: np.maximum(times, 0) // _MINUTE_MS for name, times in minutes.items()}
        spoken |= {"level": said[:, NOTE_LEVEL], "earlier": earlier}
        texts = {name: [t.decode(errors="replace") for t in column.raw()]
                 for name, column in (("subject", subject), ("channel", channel))}  # fmt: skip
        reasons = [""] * said.shape[0]
        groups = np.stack([said[:, NOTE_TYPE], said[:, NOTE_STATUS], about], axis=1)
        found, of = np.unique(groups, axis=0, return_inverse=True)
        for number, (kind, status, key) in enumerate(found.tolist()):
            rows = np.flatnonzero(of.reshape(-1) == number)
            which = rows.tolist()
            clock = self._policy.clock_names[key] if kind in _OF_CLOCKS else ""
            own: dict[str, Sequence[object]] = {name: values[rows].tolist() for name, values in spoken.items()}
            own |= {name: [values[i] for i in which] for name, values in texts.items()}
            made = self._sentences.reasons(TYPES[kind], _STATUSES[status], clock, own)
            for i, reason in zip(which, made, strict=True):
                reasons[i] = reason
        return TextColumn.of(reasons)

    def _teams(self, kind: Int64s, segment: Int64s, subject: TextColumn) -> NullableColumn | None:
        policy = self._policy
        if policy.file.budgets is None:
            return None
        subjects = [text.decode(errors="replace") or None for text in subject.raw()]
        told = zip(kind.tolist(), segment.tolist(), subjects, strict=True)
        teams = [policy.team_of(_TYPE_NAMES[k], s, about) for k, s, about in told]
        there = np.array([team is not None for team in teams], np.bool_)
        return NullableColumn(TextColumn.of([team or "" for team in teams]), there)

    def _open_clocks(self, used: Int64s, which: Int64s, data: Bytes) -> ListColumn:
        """The open clocks that each note lists; they follow it. used: int64[*, 21]. which: the rows that are notes."""
        rows = np.flatnonzero((used[:, WHAT] != NOTE) & (used[:, LISTED_CLOCK] >= 0))
        listed = used[rows]
        entries: dict[str, ValueColumn] = {
            "clock": TextColumn.chosen(self._policy.clock_names, listed[:, LISTED_CLOCK]),
            "opened_at": listed[:, LISTED_AT],
            "deadline": NullableColumn(listed[:, LISTED_DUE], listed[:, LISTED_DUE] != 0),
            "case_id": _or_null(_text(listed, _CASE_ID, data)),
        }
        return ListColumn(_begins(rows, which), entries)

    def _earlier(self, used: Int64s, which: Int64s, data: Bytes) -> ListColumn:
        """The earlier contacts that each note lists, as above; what was tried is told, or is a kind."""
        rows = np.flatnonzero((used[:, WHAT] != NOTE) & (used[:, LISTED_CLOCK] < 0))
        listed, kinds = used[rows], self._kinds
        own, kind = listed[:, LISTED_TRIED_BYTES], listed[:, LISTED_KIND]
        first = data.shape[0] - kinds.data.shape[0]
        tried = TextColumn(
            data,
            np.where(own > 0, listed[:, LISTED_TRIED], first + kinds.start[kind]),
            np.where(own > 0, own, kinds.length[kind]).astype(np.int32),
        )
        entries: dict[str, ValueColumn] = {
            "occurred_at": listed[:, LISTED_AT],
            "channel": _text(listed, _CHANNEL, data),
            "tried": tried,
        }
        return ListColumn(_begins(rows, which), entries)


def id_of(kind: int, key: int, customer: str, texts: list[str], policy: Policy) -> str:
    """The id of an alert of a kind of TYPES. key: number of its clock. texts: event_id, case_id, subject ..."""
    clock = policy.clock_names[key] if kind in _OF_CLOCKS else None
    event_id, case_id, subject = texts[:3]
    return alert_id(TYPES[kind], customer, clock or subject, case_id, event_id)


def _begins(rows: Int64s, which: Int64s) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    """Where the list of each note begins among what stands behind it; int32[n + 1]. rows: where that stood."""
    return np.append(np.searchsorted(rows, which), rows.shape[0]).astype(np.int32)


def _text(rows: Int64s, k: int, data: Bytes) -> TextColumn:
    """Text k of some rows."""
    start = rows[:, TEXTS_AT] + rows[:, TEXTS_AT + 1 : TEXTS_AT + 1 + k].sum(axis=1)
    return TextColumn(data, start, rows[:, TEXTS_AT + 1 + k].astype(np.int32))


def _or_null(texts: TextColumn) -> NullableColumn:
    return NullableColumn(texts, texts.length > 0)
