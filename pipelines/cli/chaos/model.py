"""What the core must give, written slowly and obviously, from the policy's text on: an oracle for chaos and for tests.

It shares no code with the core, and imports nothing of ours but the other half of itself. One Model is one source
partition: the watermark belongs to a partition, and what is late depends on it.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import expm1, log1p, log2
from typing import Any, NamedTuple

import yaml

from pipelines.cli.chaos.intake import DAY_MS, Intake, milliseconds

_ALERTS = uuid.UUID("5c0b7a52-4a53-5e0f-9a0c-6f1d2c8e7b11")


class BandAlert(NamedTuple):
    """One revision of a band_entered alert."""

    alert_id: str
    revision: int
    status: str
    customer_id: str
    band: str
    raised_ms: int


@dataclass
class Customer:
    """What is known of a customer. ``heat`` by signal, before the cap, as of ``updated_ms``, the newest event time."""

    updated_ms: int
    interactions: int = 0
    heat: dict[str, float] = field(default_factory=dict)
    band: str = "calm"
    opened_ms: int | None = None
    closed_ms: int | None = None
    revision: int = 0


class Model(Intake):
    """Feed it the interactions of one partition in the order of their offsets, and let time pass.

    customers: by customer_id. alerts: every revision, in order. unknown_kinds: interactions of kinds that the policy
    does not speak of.
    """

    def __init__(self, policy_text: str) -> None:
        said: dict[str, Any] = yaml.safe_load(policy_text)
        super().__init__(said)
        self.customers: dict[str, Customer] = {}
        self.alerts: list[BandAlert] = []
        self.unknown_kinds = 0
        self._signals: dict[str, dict[str, Any]] = said["signals"]
        self._signal_of = {kind: name for name, signal in self._signals.items() for kind in signal["kinds"]}
        self._half_life_ms = {name: milliseconds(s["half_life"]) for name, s in self._signals.items()}
        self._scale = float(said["score"]["scale"])
        self._levels: list[dict[str, Any]] = said["bands"]["levels"]
        self._enter = [(self._heat_of(level["enter"]), level["name"]) for level in self._levels]
        self._bands = ["calm", *(level["name"] for level in self._levels)]
        self._alerting = [level["name"] for level in self._levels if level.get("action") is not None]
        self._cooldown_ms = milliseconds(said["bands"]["cooldown"])
        retention = said.get("retention")
        least_ms = max(90 * DAY_MS, 30 * max(self._half_life_ms.values()), self.max_age_ms, self._cooldown_ms)
        self._quiet_ms = least_ms if retention is None else milliseconds(retention["quiet"])

    def feed(self, record: Mapping[str, Any], append_ms: int) -> None:
        """Take one interaction: Avro field names, occurred_at in milliseconds."""
        if self.refuses(record, append_ms):
            return
        if record["kind"] not in self._signal_of and record["kind"] not in self.wait_kinds:
            self.unknown_kinds += 1
        self._count(record)
        self.wait(record, append_ms)

    def advance(self, to_ms: int) -> None:
        """Let time pass: nothing that was appended before ``to_ms`` is still to come."""
        if not self.pass_time(to_ms):
            return
        for name, customer in self.customers.items():
            self._cool(name, customer, to_ms)

    def score(self, customer_id: str, at_ms: int | None = None) -> float:
        """Score of a customer, as of the newest event time or later."""
        customer = self.customers[customer_id]
        age_ms = 0 if at_ms is None else at_ms - customer.updated_ms
        return -100 * expm1(-self._capped(customer, age_ms) / self._scale)

    def may_be_gone(self, customer_id: str) -> bool:
        """Whether any interaction that can still come would find the customer forgotten."""
        if self.advanced_ms is None:
            return False
        return self._is_forgotten(self.customers[customer_id], self.advanced_ms - self.max_age_ms)

    def _is_forgotten(self, customer: Customer, at_ms: int) -> bool:
        if customer.band != "calm" or at_ms - customer.updated_ms <= self._quiet_ms:
            return False
        if customer.opened_ms is None:
            return True
        return customer.closed_ms is not None and at_ms - customer.closed_ms > self._cooldown_ms

    def _points(self, name: str, duration_ms: int | None) -> float:
        signal = self._signals[name]
        if signal.get("magnitude", "one") == "one":
            return float(signal["weight"])
        tolerated_ms = milliseconds(signal["tolerated"])
        if duration_ms is None or duration_ms <= tolerated_ms:
            return 0.0
        return float(signal["weight"]) * log2(duration_ms / tolerated_ms)

    def _count(self, record: Mapping[str, Any]) -> None:
        name, at_ms = record["customer_id"], record["occurred_at"]
        customer = self.customers.setdefault(name, Customer(at_ms))
        if at_ms > customer.updated_ms:
            self._cool(name, customer, at_ms)
            if self._is_forgotten(customer, at_ms):
                customer = self.customers[name] = Customer(customer.updated_ms)
            customer.heat = {s: self._left_of(s, h, at_ms - customer.updated_ms) for s, h in customer.heat.items()}
            customer.updated_ms = at_ms
        customer.interactions += 1
        signal = self._signal_of.get(record["kind"])
        points = 0.0 if signal is None else self._points(signal, record.get("duration_ms"))
        if signal is None or points == 0:
            return
        points = self._left_of(signal, points, customer.updated_ms - at_ms)
        customer.heat[signal] = customer.heat.get(signal, 0.0) + points
        heat = self._capped(customer, 0)
        reached = [band for bound, band in self._enter if heat >= bound]
        if reached and self._bands.index(reached[-1]) > self._bands.index(customer.band):
            self._change(name, customer, reached[-1], customer.updated_ms)

    def _left_of(self, signal: str, heat: float, age_ms: int) -> float:
        return heat * float(0.5 ** (age_ms / self._half_life_ms[signal]))

    def _capped(self, customer: Customer, age_ms: int) -> float:
        heats = [(self._left_of(s, h, age_ms), float(self._signals[s]["cap"])) for s, h in customer.heat.items()]
        return sum(min(heat, cap) for heat, cap in heats)

    def _heat_of(self, score: float) -> float:
        return -self._scale * log1p(-score / 100)

    def _cool(self, name: str, customer: Customer, to_ms: int) -> None:
        while customer.band != "calm" and to_ms >= customer.updated_ms:
            number = self._bands.index(customer.band)
            bound = self._heat_of(self._levels[number - 1]["leave"])
            if self._capped(customer, to_ms - customer.updated_ms) >= bound:
                return
            left_ms = self._falls_below(customer, bound)
            self._change(name, customer, self._bands[number - 1], customer.updated_ms + left_ms)

    def _falls_below(self, customer: Customer, bound: float) -> int:
        """Age at which the heat first is below the bound: one after the last at which it is not, by powers of two."""
        if self._capped(customer, 0) < bound:
            return 0
        last = 0
        for power in range(50, -1, -1):
            if self._capped(customer, last + 2**power) >= bound:
                last += 2**power
        return last + 1

    def _change(self, name: str, customer: Customer, band: str, at_ms: int) -> None:
        rose = self._bands.index(band) > self._bands.index(customer.band)
        customer.band = band
        if not self._alerting:
            return
        alerting = self._bands.index(band) >= self._bands.index(self._alerting[0])
        stands = customer.opened_ms is not None and customer.closed_ms is None
        if alerting and rose and stands:
            status = "escalated"
        elif alerting and rose:
            status = "opened"
            if customer.closed_ms is None or at_ms - customer.closed_ms > self._cooldown_ms:
                customer.opened_ms, customer.revision = at_ms, 0
            customer.closed_ms = None
        elif stands and not alerting:
            status = "resolved"
            customer.closed_ms = at_ms
        else:
            return
        customer.revision += 1
        about = uuid.uuid5(_ALERTS, f"band_entered\x1f{name}\x1f{customer.opened_ms}")
        self.alerts.append(BandAlert(str(about), customer.revision, status, name, band, at_ms))
