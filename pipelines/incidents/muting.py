"""Which band alerts say again what an incident says: they are muted while it stands, and listed on it.

Incidents are found over all partitions, after the alerts of their customers have been told, so this is for those who
read friction.alerts: the views of ClickHouse follow the same rule (schemas/clickhouse/008_what_teams_do.sql). Who fails
at the touchpoint is a member, whether or not a revision has named the customer yet.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pipelines.alerts.alert import Alert
from pipelines.alerts.tables import Alerts, AlertTable
from pipelines.policy.policy import Policy
from pipelines.policy.wording_terms import BAND

STANDS = frozenset({"opened", "escalated"})


class Said(NamedTuple):
    """A band alert that was opened or escalated. signal: the largest of its contributions."""

    alert_id: str
    raised_ms: int
    signal: str


def muted_signals(policy: Policy) -> dict[str, tuple[str, ...]]:
    """By incident rule the signals whose alerts it mutes: those that the kinds of its failures feed."""
    section = policy.file.incidents
    rules = {} if section is None else section.rules
    return {
        name: tuple(
            s for s, signal in policy.file.signals.items() if any(f.kind in rule.failures for f in signal.kinds)
        )
        for name, rule in rules.items()
        if rule.by == "touchpoint"
    }


class Muting:
    """Takes the revisions of all alerts, and says which are muted. The order of those of different alerts is free."""

    def __init__(self) -> None:
        self._said: dict[str, list[Said]] = {}  # by touchpoint
        self._latest: dict[str, Said | None] = {}  # by band alert; None for one that is over
        self._incidents: dict[str, Alert] = {}

    def take(self, alert: Alert) -> None:
        """Take a revision, newer than those before it of the same alert."""
        if alert.type == "touchpoint_incident":
            self._incidents[alert.alert_id] = alert
        elif alert.type == BAND:
            signal = alert.contributions[0].signal if alert.contributions else ""
            said = Said(alert.alert_id, alert.raised_ms, signal)
            self._note(said, alert.touchpoint or "", stands=alert.status in STANDS)

    def take_all(self, alerts: Alerts) -> None:
        """Take revisions; of those that are columns no objects are made."""
        for part in alerts.parts:
            for _, alert in part.others:
                self.take(alert)
            for table, _ in part.tables:
                which = np.flatnonzero([kind == BAND for kind in table.texts("type")])
                if which.shape[0]:
                    self._take_bands(table if which.shape[0] == table.n else table.take(which))

    def _take_bands(self, table: AlertTable) -> None:
        raised_ms = table.values("raised_at", np.arange(table.n))
        signals = table.first_texts("contributions", "signal")
        every = map(Said, table.texts("alert_id"), raised_ms, signals)
        for said, where, status in zip(every, table.texts("touchpoint"), table.texts("status"), strict=True):
            self._note(said, where, stands=status in STANDS)

    def _note(self, said: Said, touchpoint: str, *, stands: bool) -> None:
        self._latest[said.alert_id] = said if stands else None
        if stands:
            self._said.setdefault(touchpoint, []).append(said)

    def listed(self) -> dict[str, tuple[str, ...]]:
        """By incident the alerts about the same that were raised from its beginning to its end, in their order."""
        return {
            about: tuple(dict.fromkeys(said.alert_id for said in self._about(incident)))
            for about, incident in self._incidents.items()
        }

    def muted(self) -> dict[str, str]:
        """By alert that stands, and whose last word is about the same as an incident that stands, the incident."""
        return {
            said.alert_id: about
            for about, incident in self._incidents.items()
            if incident.status in STANDS
            for said in self._about(incident)
            if self._latest.get(said.alert_id) == said
        }

    def _about(self, incident: Alert) -> Iterator[Said]:
        if incident.status == "retracted" or incident.touchpoint is None or incident.began_ms is None:
            return
        ends_ms = incident.raised_ms if incident.status == "resolved" else None
        for said in self._said.get(incident.touchpoint, ()):
            in_time = said.raised_ms >= incident.began_ms and (ends_ms is None or said.raised_ms <= ends_ms)
            if in_time and said.signal in incident.mutes:
                yield said
