"""When a partition is written down, and what became of it.

1. The rows that changed are copied (Work.snapshot), on the event loop, between two batches. When it is early, for the
   sake of an alert, the second stage is not told of open windows; the header says so.
2. They go into one transaction with the outputs, the header and the offsets, in a thread; the partition goes on.
3. Committed: these offsets are ours for ever. Anything else: the partition is dropped and acquired again from the
   log, which alone knows whether the transaction is there. A snapshot is never sent twice.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from time import monotonic
from typing import assert_never

from connectors.kafka.transactions import Committed, Failed, Fenced, Refused, TransactionalProducer
from pipelines.worker import metrics
from pipelines.worker.ownership import Owned, Written
from pipelines.worker.stage import Snapshot, Urgency
from schemas.errors import SettingsError

log = logging.getLogger(__name__)

LATER_BY = 0.1  # of its age an alert may wait longer


@dataclass(slots=True)
class Checkpoints:
    """The rhythm of checkpoints. alert_gap_s: shortest time between two of a partition when alerts wait.

    While a partition works off a backlog its alerts are late by the age of what it processes, and small checkpoints
    would make it slower still: then the gap is a tenth of that age, ``interval_s`` at most.
    """

    interval_s: float
    alert_gap_s: float
    _pending: dict[Owned, tuple[float, dict[str, int]]] = field(default_factory=dict)

    def due(self, owned: Owned, *, now: bool) -> bool:
        """Whether a checkpoint should begin."""
        urgency = owned.work.urgency()
        if urgency is Urgency.NOTHING and owned.mirrored:
            return False
        age_s = monotonic() - owned.checkpoint_s
        return now or urgency is Urgency.MANY or age_s >= self.gap_s(owned, urgency)

    def ring(self, owned: Owned, look: Callable[[Owned], object]) -> None:
        """Call ``look`` when the alerts that wait are due; there is one call on its way at most."""
        urgency = owned.work.urgency()
        if urgency is Urgency.ALERTS and not owned.rings:
            owned.rings = True
            left_s = owned.checkpoint_s + self.gap_s(owned, urgency) - monotonic()
            asyncio.get_running_loop().call_later(max(0.0, left_s), self._rung, owned, look)

    def _rung(self, owned: Owned, look: Callable[[Owned], object]) -> None:
        owned.rings = False
        look(owned)

    def gap_s(self, owned: Owned, urgency: Urgency) -> float:
        """Time from one checkpoint to the next."""
        if urgency is not Urgency.ALERTS:
            return self.interval_s
        return max(self.alert_gap_s, min(owned.late_s * LATER_BY, self.interval_s))

    def whole(self, owned: Owned) -> bool:
        """Whether the next one has all that there is to tell; one that is early for the sake of alerts has not."""
        return owned.work.urgency() is not Urgency.ALERTS or monotonic() - owned.whole_s >= self.interval_s

    def behind(self, owned: Owned) -> bool:
        """Whether so much has changed while a transaction is in flight that processing should wait for it."""
        return owned.in_flight is not None and owned.work.urgency() is Urgency.MANY

    def overdue(self, owned: Owned, *, after_s: float) -> bool:
        """Whether its transaction has been in flight for longer than ``after_s``."""
        return owned.in_flight is not None and monotonic() - owned.checkpoint_s > after_s

    def begin(self, owned: Owned, threads: Executor) -> "asyncio.Future[Written]":
        """Copy what has changed and hand it to a thread."""
        whole = self.whole(owned)
        snapshot = owned.work.snapshot(whole=whole)
        owned.checkpoint_s = monotonic()
        owned.whole_s = owned.checkpoint_s if whole else owned.whole_s
        self._pending[owned] = (owned.checkpoint_s, dict(owned.work.next_offsets))
        in_flight: asyncio.Future[Written] = asyncio.get_running_loop().run_in_executor(
            threads, _write, owned.producer, snapshot
        )
        owned.in_flight = in_flight
        return in_flight

    def settle(self, owned: Owned, done: "asyncio.Future[Written]") -> str | None:
        """Take the outcome; return why the partition must be dropped, None when it may go on.

        Raises:
            SettingsError: Kafka refuses what we write, and would refuse it again.
        """
        owned.in_flight = None
        begun_s, offsets = self._pending.pop(owned)
        outcome, records = done.result()
        metrics.TRANSACTION_SECONDS.labels(owned.stage.name).observe(monotonic() - begun_s)
        metrics.TRANSACTIONS.labels(owned.stage.name, type(outcome).__name__.lower()).inc()
        match outcome:
            case Committed():
                owned.committed, owned.mirrored = offsets, True
                metrics.RECORDS_WRITTEN.labels(owned.stage.name).inc(records)
                return None
            case Fenced(reason):
                return f"another worker owns it ({reason})"
            case Failed(reason):
                log.warning("%s/%s: a transaction failed: %s", *owned.name, reason)
                return f"its transaction failed ({reason})"
            case Refused(reason):
                raise SettingsError(
                    f"Kafka refuses what partition {owned.partition} of {owned.stage.name} leads to, and would refuse "
                    f"it again ({reason}). Nothing of it was written. `friction topics diff` compares the topics with "
                    "what they should be; otherwise look at what this user may do."
                )
            case _:
                assert_never(outcome)


def _write(producer: TransactionalProducer, snapshot: Snapshot) -> Written:
    outgoing = snapshot.outgoing()
    return producer.commit(outgoing), outgoing.count
