"""The desk of a source partition: what teams have done and may do, put on the alerts that the rules lead to."""

from collections.abc import Mapping

import numpy as np

from pipelines.alert_memory import ALERT, AlertMemory, Remembered
from pipelines.alert_tables import AlertTable
from pipelines.alerts import Alert
from pipelines.budgets import BUDGET, Budgets
from pipelines.index import TextIndex
from pipelines.interactions import InteractionBatch
from pipelines.marking import marked_alerts
from pipelines.marks import MARK_KINDS, Mark, mark_of
from pipelines.policy import Policy
from pipelines.preferences import PREFERENCES, KnownPreferences
from pipelines.room import Room
from pipelines.rules import HORIZON_MS, section
from pipelines.state import CustomerRows
from schemas.arrays import Int64s

DESK_KEYS = (ALERT, PREFERENCES, BUDGET)
"""First bytes of its keys in friction.state."""


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

    def acts(self, batch: InteractionBatch) -> Int64s:
        """Rows of the batch, int64[k], after which ``take`` is to be called; none without details."""
        if batch.details is None:
            return np.zeros(0, np.int64)
        return np.flatnonzero(self._kinds.find(batch.data, batch.kind.start, batch.kind.length) >= 0)

    def take(self, batch: InteractionBatch, i: int, row: int, rows: CustomerRows, room: Room) -> list[Alert]:
        """Take an act, when everything up to it has been counted; alerts that it leads to."""
        if batch.kind.text(batch.data, i) in MARK_KINDS:
            return self._take_mark(mark_of(batch, i), row, rows, room)
        if batch.details is not None:
            said = batch.details.attributes(batch.data, i)
            self.preferences.take(rows.customers.text(row), said, int(batch.occurred_ms[i]))
        return []

    def _take_mark(self, mark: Mark, row: int, rows: CustomerRows, room: Room) -> list[Alert]:
        known = self.memory.of(mark.alert_id)
        if known is not None and mark.at_ms < known.at_ms:
            return []  # something has been done since
        alerts = marked_alerts(mark, row, rows, self._policy, room)
        if not alerts:
            self.unknown_marks += 1
            return []
        self.memory.put(mark.alert_id, (known or Remembered()).marked(mark))
        return self.complete(alerts)

    def concerned(self, table: AlertTable) -> Int64s:
        """Which alerts of a table ``complete`` may change, or has to hear of, int64[k]."""
        budgets = self._policy.file.budgets is not None
        if not (budgets or len(self.preferences) or len(self.memory)):
            return np.zeros(0, np.int64)
        teams = table.texts("team") if budgets else [""] * table.n
        told = zip(table.texts("customer_id"), table.texts("alert_id"), teams, strict=True)
        knows, memory, limits = self.preferences.knows, self.memory, self._budgets.limits
        return np.flatnonzero([knows(who) or memory.of(one) is not None or limits(team) for who, one, team in told])

    def complete(self, alerts: list[Alert]) -> list[Alert]:
        """The alerts with what is known of them here, in their order."""
        if len(self.preferences):
            alerts = [self.preferences.obeyed(alert) for alert in alerts]
        if len(self.memory) or self._policy.file.budgets is not None:
            alerts = [self._completed(alert) for alert in alerts]
        return alerts

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
