"""What is open in a partition, by customer, to compare it with."""

from pipelines.alerts.alert import OpenClock
from pipelines.alerts.open_clocks import open_clocks
from pipelines.partition import CustomerPartition


def clocks_by_customer(core: CustomerPartition) -> dict[bytes, list[OpenClock]]:
    """By customer the clocks that are open, in the order in which they were opened."""
    found: dict[bytes, list[OpenClock]] = {}
    told, rows = open_clocks(core.rows), core.rows
    for row, clock, opened_ms, deadline_ms, case_id in zip(
        *(c.tolist() for c in told[:4]), told.case_id.raw(), strict=True
    ):
        made = OpenClock(core.policy.clock_names[clock], opened_ms, deadline_ms or None, case_id.decode() or None)
        found.setdefault(rows.customers.raw(row), []).append(made)
    return found
