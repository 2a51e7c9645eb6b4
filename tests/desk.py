"""A partition that is told what teams do with alerts, and how customers want to be contacted."""

from pathlib import Path
from typing import Any

from pipelines.alerts.alert import Alert
from pipelines.partition import CustomerPartition
from pipelines.policy.policy import Policy, parse_policy
from pipelines.state.restoring import RowRestore
from tests.batches import BEGIN_MS, Event, batch_of, event
from tests.stored import laid_out

FULL_TEXT = (Path(__file__).parents[1] / "schemas" / "policy" / "default.yaml").read_text("utf-8")
FULL = parse_policy(FULL_TEXT, "default.yaml")


class Run:
    """A partition, of the full policy unless told otherwise, with what a restart finds of it."""

    def __init__(self, policy: Policy = FULL) -> None:
        self._policy = policy
        self.core = CustomerPartition(0, 1, policy)
        self.alerts: list[Alert] = []
        self.unknown = 0
        self._rows: dict[bytes, bytes] = {}
        self._desk: dict[bytes, bytes] = {}

    def apply(self, *events: Event) -> "Run":
        applied = self.core.apply(batch_of(events))
        self.alerts += applied.alerts
        self.unknown += applied.rare.unknown_marks
        return self

    def advance(self, after_ms: int) -> "Run":
        self.alerts += self.core.advance(BEGIN_MS + after_ms)
        return self

    def restart(self) -> "Run":
        before = self.core
        numbers = before.rows.take_dirty()
        keys = [before.rows.customers.raw(int(n)) for n in numbers]
        self._rows |= zip(keys, before.rows.copied(numbers, before.form).stored().values(), strict=True)
        for key, value in before.desk.take_changes():
            if value is None:
                del self._desk[key]
            else:
                self._desk[key] = value
        self.core = CustomerPartition(0, 1, self._policy)
        restore = RowRestore(self.core.rows, self.core.form)
        restore.take(*laid_out(list(self._rows.items())))
        restore.finish({})
        self.core.desk.restore(self._desk)
        self.core.restore_times(watermark_ms=before.windows.watermark_ms, advanced_ms=before.advanced_ms)
        return self

    def last(self, kind: str) -> Alert:
        return [a for a in self.alerts if a.type == kind][-1]

    def told(self, kind: str) -> list[tuple[str, int, str | None]]:
        return [(a.status, a.revision, a.handling) for a in self.alerts if a.type == kind]


def plain(kind: str, after_ms: int, **fields: Any) -> Event:
    return event(kind, BEGIN_MS + after_ms, event_id=f"{kind} {after_ms}", **fields)


def mark(did: str, after_ms: int, alert_id: str, **attributes: str) -> Event:
    return plain(f"alert.{did}", after_ms, attributes={"alert_id": alert_id, **attributes})
