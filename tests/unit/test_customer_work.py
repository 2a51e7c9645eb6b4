"""How soon a partition of customers wants to be written down."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from pipelines.alerts.tables import Alerts
from pipelines.applied import RareCounts
from pipelines.partition import CustomerPartition
from pipelines.worker import metrics
from pipelines.worker.customer_state import Header
from pipelines.worker.customers import CustomerWork
from pipelines.worker.decoding import Decoded
from pipelines.worker.stage import Urgency
from tests.batches import BEGIN_MS, MINUTE_MS, POLICY, Event, batch_of, event

HEADER = Header(said={}, signal_sets={}, dead_letters=0, layout=None)
DAYS_MS = 48 * 60 * MINUTE_MS
LONG: dict[str, Any] = {"duration_ms": 64 * MINUTE_MS, "attributes": {"outcome": "answered"}}


def work_of(core: CustomerPartition) -> CustomerWork:
    stage = SimpleNamespace(
        state_layout=None,
        decoder=SimpleNamespace(decode=lambda events: Decoded(batch_of(events), np.arange(len(events)), [], 0)),
    )
    return CustomerWork(stage, core, {}, HEADER)  # type: ignore[arg-type]


def process(work: CustomerWork, events: list[Event]) -> None:
    work.process(SimpleNamespace(prepared=None, records=events))  # type: ignore[arg-type]


def test_everything_rare_is_told_as_a_metric() -> None:
    assert set(metrics.RARE) == set(RareCounts._fields)


def test_an_alert_is_urgent_and_that_time_has_ended_it_is_not() -> None:
    work = work_of(CustomerPartition(0, 1, POLICY))
    process(work, [event("wait.measured", BEGIN_MS, **LONG)])
    assert work.urgency() is Urgency.ALERTS
    work._alerts, work._urgent, work._changed = Alerts(), False, False  # as a snapshot does
    work.advance(BEGIN_MS + DAYS_MS)
    assert [alert.status for alert in work._alerts] == ["resolved"]
    assert work.urgency() is Urgency.CHANGES
    process(work, [event("wait.measured", BEGIN_MS + DAYS_MS, customer_id="bob", **LONG)])
    assert work.urgency() is Urgency.ALERTS
