"""Both stages of incidents in one process, without Kafka: for a backtest, and for tests."""

from pipelines.alerts.alert import Alert
from pipelines.incidents.alerts import NO_LABELS, Labels
from pipelines.incidents.source import IncidentChanges, IncidentSource
from pipelines.incidents.watch import IncidentWatch
from pipelines.intake.index import TextIndex
from pipelines.intake.interactions import InteractionBatch
from pipelines.policy.incident_model import Incidents
from schemas.arrays import Int32s


class OneSource:
    """The second stage for one source partition: takes what a partition says, and gives the alerts that it leads to."""

    def __init__(self, incidents: Incidents, labels: Labels = NO_LABELS) -> None:
        self.watch = IncidentWatch(incidents, sources=1, labels=labels)
        self._taken = 0

    def take(self, changes: IncidentChanges) -> list[Alert]:
        """Take changes, in their order; the alerts of all slots that they bring to an end."""
        self._taken += 1
        if self._taken == 1:
            self.watch.begin(changes.begun_ms)
        for state in changes.told:
            self.watch.merge(0, self._taken, state)
        self.watch.move_mark(0, changes.seen_ms)
        return self.watch.take_alerts()


class IncidentReplay:
    """One source partition, watched. customers: the index that gives the numbers of ``apply``."""

    def __init__(self, incidents: Incidents, customers: TextIndex, labels: Labels = NO_LABELS) -> None:
        self.source = IncidentSource(incidents, customers)
        self._one = OneSource(incidents, labels)

    @property
    def watch(self) -> IncidentWatch:
        """What is watched."""
        return self._one.watch

    def apply(self, batch: InteractionBatch, customer: Int32s) -> list[Alert]:
        """Count a batch, customer: int32[n]; the alerts of all slots that it brings to an end."""
        self.source.add(batch, customer)
        return self._judged()

    def advance(self, to_ms: int) -> list[Alert]:
        """Let time pass: nothing that was appended before ``to_ms`` is still to come."""
        self.source.advance(to_ms)
        return self._judged()

    def _judged(self) -> list[Alert]:
        return self._one.take(self.source.take_changes()) if self.source.changed else []
