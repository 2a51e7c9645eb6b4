"""The desk of a source partition: what teams have done and may do, put on the alerts that the rules lead to."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import NamedTuple

import numpy as np

from pipelines.alerts.alert import Alert
from pipelines.alerts.budgets import BUDGET, Budgets
from pipelines.alerts.marking import marked_alerts
from pipelines.alerts.memory import ALERT, AlertMemory, Remembered
from pipelines.alerts.noted import Noted
from pipelines.alerts.preferences import PREFERENCES, Heard, KnownPreferences
from pipelines.alerts.tables import Alerts, AlertTable
from pipelines.intake.index import TextIndex
from pipelines.intake.interactions import InteractionBatch
from pipelines.policy.marks import MARK_KINDS, mark_of
from pipelines.policy.policy import Policy
from pipelines.policy.rules import HORIZON_MS, section
from pipelines.state.room import Room
from pipelines.state.rows import CustomerRows
from schemas.arrays import Int64s

DESK_KEYS = (ALERT, PREFERENCES, BUDGET)
"""First bytes of its keys in friction.state."""


class Said(NamedTuple):
    """How a customer wants to be contacted, said while a kernel counted.

    bands, notes: how many crossings, and rows of notes, there were when it had been counted; None for all.
    """

    customer: str
    attributes: Mapping[str, str]
    at_ms: int
    bands: int | None = None
    notes: int = 0


class Desk:
    """Takes what teams tell of alerts, and customers of themselves, and completes alerts by it. Not thread-safe.

    unknown_marks: how many marks spoke of an alert that the customer has not, added to.
    """

    def __init__(self, policy: Policy, partition: int, partitions: int) -> None:
        keep_ms = max(section(policy.compiled.rules, HORIZON_MS), policy.file.bands.cooldown)
        self.memory = AlertMemory(keep_ms)
        self.preferences = KnownPreferences(policy)
        self._budgets = Budgets(policy, partition, partitions)
        self.unknown_marks = 0
        self._policy = policy
        said = policy.file.preferences
        self._kinds = TextIndex([*MARK_KINDS, *(() if said is None else said.kinds)])

    def acts(self, batch: InteractionBatch) -> tuple[Int64s, Int64s]:
        """Rows of a batch: marks, int64[k], and what customers say of how they want to be contacted, int64[m].

        None without details. ``take_mark`` is to be called when everything up to a mark has been counted.
        """
        if batch.details is None:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        found = self._kinds.find(batch.data, batch.kind.start, batch.kind.length)
        return np.flatnonzero((found >= 0) & (found < len(MARK_KINDS))), np.flatnonzero(found >= len(MARK_KINDS))

    def take_mark(self, batch: InteractionBatch, i: int, row: int, rows: CustomerRows, room: Room) -> list[Alert]:
        """Take what a team has done with an alert; alerts that it leads to."""
        mark = mark_of(batch, i)
        known = self.memory.of(mark.alert_id)
        if known is not None and mark.at_ms < known.at_ms:
            return []  # something has been done since
        alerts = marked_alerts(mark, row, rows, self._policy, room)
        if not alerts:
            self.unknown_marks += 1
            return []
        self.memory.put(mark.alert_id, (known or Remembered()).marked(mark))
        return self.complete(alerts)

    def told(self, bands: tuple[AlertTable, Int64s], noted: Noted | None, said: Sequence[Said]) -> Alerts:
        """The alerts of a call of a kernel with what is known of them here, in their order.

        bands: those of crossings, with the number of the crossing of each. said: what customers said meanwhile.
        """
        crossed, crossing = bands
        after = np.zeros(0, np.int64) if noted is None else noted.after
        place = np.empty(after.shape[0] + crossed.n, np.int64)
        place[np.argsort(np.concatenate([2 * after - 1, 2 * crossing]), kind="stable")] = np.arange(place.shape[0])
        heard: dict[str, list[Heard]] = {}
        for one in said:  # it counts for what comes behind it
            before = inf if one.bands is None else int((crossing < one.bands).sum() + _noted_before(noted, one.notes))
            self.preferences.hear(one.customer, one.attributes, one.at_ms, before, heard)
        tables, others = [], list[tuple[int, Alert]]()
        for table, at in ((noted and noted.table, place[: after.shape[0]]), (crossed, place[after.shape[0] :])):
            if table is None or not table.n:
                continue
            concerned, rest, places = self._concerned(table), table, at
            if concerned.shape[0]:
                others += zip(at[concerned].tolist(), table.take(concerned).alerts(), strict=True)
                left = np.delete(np.arange(table.n), concerned)
                rest, places = table.take(left), at[left]
            tables.append((self.preferences.obeyed_table(rest, places, heard), places))
        others.sort(key=lambda one: one[0])
        told = Alerts()
        told.add_tables(tables, [(k, self._completed(self.preferences.obeyed(one, k, heard))) for k, one in others])
        return told

    def _concerned(self, table: AlertTable) -> Int64s:
        """Which alerts of a table have to be completed one by one, int64[k]: what one does counts for the next."""
        found = np.zeros(table.n, np.bool_)
        if len(self.memory):
            found |= [self.memory.of(one) is not None for one in table.texts("alert_id")]
        if self._policy.file.budgets is not None:
            found |= [self._budgets.limits(team) for team in table.texts("team")]
        return np.flatnonzero(found)

    def complete(self, alerts: list[Alert]) -> list[Alert]:
        """The alerts with what is known of them here, in their order."""
        return [self._completed(self.preferences.obeyed(alert)) for alert in alerts]

    def _completed(self, alert: Alert) -> Alert:
        known = self.memory.of(alert.alert_id)
        if self._budgets.limits(alert.team):
            known = self._held(alert, known)
        if known is None:
            return alert
        self.memory.follow(alert)
        return alert._replace(
            handling=known.did,
            handled_ms=known.at_ms if known.did else None,
            handled_reason=known.reason,
            assignee=known.assignee,
            team=known.team or alert.team,
            held_back=known.held,
        )

    def _held(self, alert: Alert, known: Remembered | None) -> Remembered | None:
        """What is to be remembered of an alert of a team with a budget.

        The first revision decides. What was held back may pass when it is told again while it stands, what was passed
        is passed for good.
        """
        was_held = known is not None and known.held
        if alert.status not in {"opened", "escalated"} or not (was_held or alert.revision == 1):
            return known
        held = not self._budgets.passes(alert)
        if held != was_held:
            known = (known or Remembered())._replace(held=held)
            self.memory.put(alert.alert_id, known)
        return known

    def advance(self, to_ms: int) -> None:
        """Let time pass."""
        self.memory.forget(to_ms)

    def take_changes(self) -> list[tuple[bytes, bytes | None]]:
        """Keys and values of friction.state that changed since the last call; None for those that are gone."""
        parts = (self.memory, self.preferences, self._budgets)
        return [change for part in parts for change in part.take_changes()]

    def restore(self, stored: Mapping[bytes, bytes]) -> None:
        """Take back what was stored under DESK_KEYS."""
        parts: dict[bytes, AlertMemory | KnownPreferences | Budgets] = {
            ALERT: self.memory,
            PREFERENCES: self.preferences,
            BUDGET: self._budgets,
        }
        for key, value in stored.items():
            parts[key[:1]].restore(key, value)
        self.memory.finish()


def _noted_before(noted: Noted | None, row: int) -> int:
    """How many alerts were noted before a row of the notes."""
    return 0 if noted is None else int((noted.row < row).sum())
