"""One source partition under the whole meaning: whose interactions they are, and which came twice."""

import uuid
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.cli.chaos.intake import Intake, milliseconds
from pipelines.cli.chaos.lives.clocks import About
from pipelines.cli.chaos.lives.life import Life
from pipelines.cli.chaos.lives.terms import Terms

_ALERTS = uuid.UUID("5c0b7a52-4a53-5e0f-9a0c-6f1d2c8e7b11")
_REMEMBERED = 8


@dataclass
class Customer:
    """The interactions of a customer, in the order in which they came.

    in_order: they came in the order of their event times, none before it happened, and no time had passed beyond them.
    in_time: no more time than the correction horizon had passed beyond any. segments: what they say, None for nothing.
    """

    records: list[Mapping[str, Any]] = field(default_factory=list)
    newest_ms: int = 0
    in_order: bool = True
    in_time: bool = True
    segments: set[str | None] = field(default_factory=set)

    @property
    def has_band(self) -> bool:
        """Whether the interactions alone tell the band: what comes late is judged by the segment that is known then."""
        return self.in_order or (self.in_time and len(self.segments) == 1)


class LivesModel(Intake):
    """Feed it the interactions of one partition in the order of their offsets, and let time pass; then ask for lives.

    repeated: how many interactions were recognised as sent before.
    """

    def __init__(self, policy_text: str) -> None:
        self.terms = Terms.of(policy_text)
        super().__init__(self.terms.said)
        self.customers: dict[str, Customer] = {}
        self.repeated = 0
        self._ids: dict[str, deque[str]] = {}
        self._remembered = int((self.terms.said.get("corrections") or {}).get("remembered", _REMEMBERED))
        self._horizon_ms = milliseconds(self.terms.said["corrections"]["horizon"])
        self._quiet_ms = milliseconds(self.terms.said["retention"]["quiet"])

    def feed(self, record: Mapping[str, Any], append_ms: int) -> None:
        """Take one interaction: Avro field names, occurred_at in milliseconds."""
        if self.refuses(record, append_ms):
            return
        name, at_ms = record["customer_id"], record["occurred_at"]
        ids = self._ids.setdefault(name, deque(maxlen=self._remembered))
        if record["event_id"] in ids:
            self.repeated += 1
            return
        ids.append(record["event_id"])
        customer = self.customers.setdefault(name, Customer())
        passed_ms = max(customer.newest_ms, self.advanced_ms or 0)
        customer.in_order &= passed_ms < at_ms <= append_ms
        customer.in_time &= passed_ms - self._horizon_ms < at_ms <= append_ms
        customer.segments.add(record.get("segment") or None)
        customer.newest_ms = max(customer.newest_ms, at_ms)
        customer.records.append(record)
        self.wait(record, append_ms)

    def advance(self, to_ms: int) -> None:
        """Let time pass: nothing that was appended before ``to_ms`` is still to come."""
        self.pass_time(to_ms)

    def life(self, customer_id: str, to_ms: int) -> Life:
        """What a customer has lived through by then."""
        customer = self.customers[customer_id]
        records = sorted(customer.records, key=lambda record: (record["occurred_at"], record["event_id"]))
        return Life(self.terms).walk(records, max(to_ms, customer.newest_ms))

    def may_be_gone(self, customer_id: str, life: Life) -> bool:
        """Whether any interaction that can still come would find the customer forgotten."""
        if self.advanced_ms is None or life.band or life.clocks or life.open_cases():
            return False
        quiet_ms = self.advanced_ms - self.max_age_ms - self.customers[customer_id].newest_ms
        return quiet_ms > self._quiet_ms


def alert_id(customer_id: str, about: About) -> str:
    """UUIDv5 of what an alert is about (docs/policy.md, Alerts)."""
    kind, what, case_id, event_id = about
    return str(uuid.uuid5(_ALERTS, f"{kind}\x1f{customer_id}\x1f{what}\x1f{case_id}\x1f{event_id}"))


def statuses(lives: Mapping[str, Life]) -> Counter[str]:
    """How many alerts stand how, by type and status."""
    return Counter(f"{about[0]} {status}" for life in lives.values() for about, status in life.alerts.items())
