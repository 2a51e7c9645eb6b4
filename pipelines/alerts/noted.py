"""From what the fold has noted to alerts, as columns: identities, deadlines, lists, and the reason in words."""

from collections.abc import Sequence
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from pipelines.alerts.alert import STATUSES, alert_id, id_texts, sha1_of
from pipelines.alerts.listings import CASE_ID, EVENT_ID, SUBJECT, Listings, or_null, shown_of, text_of
from pipelines.alerts.tables import AlertTable, action_column, team_column, unsaid
from pipelines.alerts.wording import Sentences
from pipelines.fold.items import CLOCK_BREACHED, CLOCK_WARNING, REPEAT_CONTACT, SOCIAL_RISK, STILL_WAITING
from pipelines.fold.notes import (
    NOTE,
    NOTE_AFTER,
    NOTE_BAND,
    NOTE_CASE,
    NOTE_CASE_BYTES,
    NOTE_CLOCK,
    NOTE_DUE,
    NOTE_LEFT,
    NOTE_LEVEL,
    NOTE_PAUSED,
    NOTE_RAISED,
    NOTE_REVISION,
    NOTE_ROW,
    NOTE_SEGMENT,
    NOTE_STATUS,
    NOTE_TYPE,
    NOTE_WAITED,
    WHAT,
    Notes,
)
from pipelines.fold.scores import contributed, contribution_column
from pipelines.policy.policy import Policy
from pipelines.policy.wording_terms import TYPES
from pipelines.state.rows import CustomerRows
from schemas.arrays import Bytes, Float64s, Int64s
from schemas.columnar.writer import Column, NullableColumn, TextColumn

_OF_CLOCKS = (CLOCK_WARNING, CLOCK_BREACHED, STILL_WAITING)
_OVER = 2  # the first status of alerts that stand no more
_MINUTE_MS = 60_000


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

    def of(self, notes: Notes, rows: CustomerRows, listings: Listings) -> Noted:
        """The alerts of what has been noted. listings: the copy of it."""
        used = listings.row
        which = np.flatnonzero(used[:, WHAT] == NOTE)
        said, heats = used[which], notes.heat[which]
        customers = TextColumn(*rows.customers.texts(said[:, NOTE_ROW]))
        known: dict[str, Column] = {
            "type": TextColumn.chosen(TYPES, said[:, NOTE_TYPE]),
            "status": TextColumn.chosen(STATUSES, said[:, NOTE_STATUS]),
            "customer_id": customers,
        }
        later = partial(self._columns, listings, which, heats, customers)
        return Noted(AlertTable(which.shape[0], known, later), said[:, NOTE_AFTER], which)

    def _columns(self, listings: Listings, which: Int64s, heats: Float64s, customers: TextColumn) -> dict[str, Column]:
        """The other columns. which: the rows that are notes. heats: theirs."""
        policy, data, said = self._policy, listings.data, listings.row[which]
        n, kind, status = which.shape[0], said[:, NOTE_TYPE], said[:, NOTE_STATUS]
        segment, due_ms = said[:, NOTE_SEGMENT], said[:, NOTE_DUE]
        of_clock = np.isin(kind, _OF_CLOCKS)
        about = np.where(of_clock, said[:, NOTE_CLOCK], len(policy.clock_names) + kind)
        case_id = TextColumn(data, said[:, NOTE_CASE], said[:, NOTE_CASE_BYTES].astype(np.int32))
        subject = shown_of(said, "subject", data)
        lists = listings.lists_behind(which)
        made = contributed(heats, policy)
        whole, channel = data.tobytes(), shown_of(said, "channel", data)
        subjects = _decoded(subject, whole)
        own: dict[str, Column] = {
            "alert_id": self._ids(said, about, customers, data, whole),
            "revision": said[:, NOTE_REVISION],
            "touchpoint": or_null(shown_of(said, "touchpoint", data)),
            "channel": or_null(channel),
            "subject": or_null(subject),
            "case_id": or_null(case_id),
            "raised_at": said[:, NOTE_RAISED],
            "deadline": NullableColumn(due_ms, due_ms != 0),
            "band": TextColumn.chosen(policy.band_names, said[:, NOTE_BAND]),
            "score": -100.0 * np.expm1(-made.total / policy.scale[segment]),
            "reason": self._reasons(said, about, subjects, _decoded(channel, whole), np.diff(lists["earlier"].begin)),
            "contributions": contribution_column(made, policy),
            "clock": NullableColumn(TextColumn.chosen((*policy.clock_names, *[""] * len(TYPES)), about), of_clock),
            "priority": np.clip(self._priority[about] + policy.shift[segment], 1, 5),
            "suggested_action": action_column(self._actions, about, status < _OVER),
            "team": team_column(
                (TYPES[k] for k in kind.tolist()), segment, (text or None for text in subjects), policy
            ),
        }
        return {**unsaid(n, policy.digest), **own, **lists}

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
        others = [
            file.contacts if k == REPEAT_CONTACT else file.social if k == SOCIAL_RISK else None
            for k in range(len(TYPES))
        ]
        return [(3, None) if one is None else (one.priority, one.action) for one in (*sections, *others)]

    def _ids(self, said: Int64s, about: Int64s, customers: TextColumn, data: Bytes, whole: bytes) -> TextColumn:
        """See ``id_of``; whole: the bytes of data."""
        clocks = len(self._policy.clock_names)
        keys = [name.encode() for name in self._policy.clock_names]
        kinds = [TYPES[kind].encode() for kind in said[:, NOTE_TYPE].tolist()]
        texts = (_slices(text_of(said, k, data), whole) for k in (SUBJECT, CASE_ID, EVENT_ID))
        told = zip(kinds, customers.raw(), about.tolist(), *texts, strict=True)
        return id_texts(
            sha1_of(
                b"\x1f".join((kind, who, keys[key] if key < clocks else subject, case, event))
                for kind, who, key, subject, case, event in told
            )
        )

    def _reasons(
        self, said: Int64s, about: Int64s, subject: list[str], channel: list[str], earlier: Int64s
    ) -> TextColumn:
        minutes = {
            "deadline": said[:, NOTE_DUE],
            "left": said[:, NOTE_LEFT],
            "waited": said[:, NOTE_WAITED],
            "paused": said[:, NOTE_PAUSED],
        }
        spoken = {name: np.maximum(times, 0) // _MINUTE_MS for name, times in minutes.items()}
        spoken |= {"level": said[:, NOTE_LEVEL], "earlier": earlier}
        texts = {"subject": subject, "channel": channel}
        reasons = [""] * said.shape[0]
        groups = (about * len(TYPES) + said[:, NOTE_TYPE]) * len(STATUSES) + said[:, NOTE_STATUS]
        for group in np.unique(groups).tolist():
            rows = np.flatnonzero(groups == group)
            (of, status), which = divmod(group, len(STATUSES)), rows.tolist()
            key, kind = divmod(of, len(TYPES))
            clock = self._policy.clock_names[key] if kind in _OF_CLOCKS else ""
            own: dict[str, Sequence[object]] = {name: values[rows].tolist() for name, values in spoken.items()}
            own |= {name: [values[i] for i in which] for name, values in texts.items()}
            made = self._sentences.reasons(TYPES[kind], STATUSES[status], clock, own)
            for i, reason in zip(which, made, strict=True):
                reasons[i] = reason
        return TextColumn.of(reasons)


def id_of(kind: int, key: int, customer: str, texts: list[str], policy: Policy) -> str:
    """The id of an alert of a kind of TYPES. key: number of its clock. texts: event_id, case_id, subject ..."""
    clock = policy.clock_names[key] if kind in _OF_CLOCKS else None
    event_id, case_id, subject = texts[:3]
    return alert_id(TYPES[kind], customer, clock or subject, case_id, event_id)


def _slices(texts: TextColumn, whole: bytes) -> list[bytes]:
    """The bytes of each; whole: those in which they lie."""
    return [whole[at : at + n] for at, n in zip(texts.start.tolist(), texts.length.tolist(), strict=True)]


def _decoded(texts: TextColumn, whole: bytes) -> list[str]:
    return [raw.decode(errors="replace") for raw in _slices(texts, whole)]
