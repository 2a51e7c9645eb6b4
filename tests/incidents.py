"""Customers at forms, for tests of incidents: drawn by a seed, as columns, in any number of source partitions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from pipelines.alerts.alert import Alert
from pipelines.incidents.alerts import NO_LABELS, Labels
from pipelines.incidents.slots import IncidentSlots
from pipelines.incidents.state import Chunks, restore_chunks
from pipelines.incidents.watch import IncidentWatch
from pipelines.intake.index import TextIndex
from pipelines.intake.interactions import Texts
from pipelines.policy.incident_model import Incidents
from schemas.arrays import Int64s
from schemas.columnar.writer import TextColumn

SLOT_MS = 30_000
NOON_MS = 1_790_000_000_000 // 86_400_000 * 86_400_000 + 12 * 3_600_000

SECTION: dict[str, Any] = {
    "slot": "30s",
    "lateness": "15m",
    "quiet": "15m",
    "rules": {
        "form": {
            "attempts": ["form.started", "form.submitted"],
            "failures": ["form.failed"],
            "lookback": "5m",
            "min_customers": 10,
            "silence": {"min_expected": 15.0},
        },
        "mentions": {
            "by": "subject",
            "failures": ["social.mentioned"],
            "lookback": "10m",
            "min_customers": 8,
            "usual_rate": {"customers": 0.5, "lookbacks": 24.0},
        },
    },
}
INCIDENTS = Incidents.model_validate(SECTION)
KINDS = {"form.started": (0, 1), "form.submitted": (0, 1), "form.failed": (0, 2), "social.mentioned": (1, 2)}


class Act(NamedTuple):
    """What a customer did, when, and when that was appended."""

    at_ms: int
    customer: str
    kind: str
    place: str = "form/promo"
    append_ms: int | None = None


@dataclass
class Source:
    """One source partition."""

    incidents: Incidents = INCIDENTS
    slots: IncidentSlots = None  # type: ignore[assignment]
    customers: TextIndex = field(default_factory=TextIndex)
    chunks: Chunks = field(default_factory=Chunks)
    stored: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.slots = self.slots or IncidentSlots(self.incidents)

    def add(self, acts: Sequence[Act]) -> None:
        data, texts = bytearray(), list[tuple[Int64s, Any]]()
        for column in ([a.customer for a in acts], [a.place for a in acts]):
            raw = [t.encode() for t in column]
            length = np.array([len(r) for r in raw], np.int32)
            texts.append((len(data) + (np.cumsum(length) - length).astype(np.int64), length))
            data += b"".join(raw)
        names = np.frombuffer(bytes(data), np.uint8)
        said = [KINDS.get(a.kind, (-1, 0)) for a in acts]
        self.slots.add(
            names,
            Texts(*texts[1]),
            np.array([rule for rule, _ in said], np.int16),
            np.array([role for _, role in said], np.uint8),
            self.customers.add(names, *texts[0]),
            np.array([a.at_ms for a in acts], np.int64),
            np.array([a.at_ms if a.append_ms is None else a.append_ms for a in acts], np.int64),
        )

    def tell(self, watch: IncidentWatch, number: int, offset: int) -> None:
        for key, value in self.chunks.take(self.slots, self.customers, self.slots.seen_ms):
            if value is None:
                del self.stored[key]
            else:
                self.stored[key] = value
        for state in self.slots.take_slots(self.names):
            watch.merge(number, offset, state)
        watch.move_mark(number, self.slots.seen_ms)

    def names(self, numbers: Int64s) -> list[str]:
        return [raw.decode() for raw in TextColumn(*self.customers.texts(numbers)).raw()]

    def restarted(self) -> "Source":
        """What another worker makes of what was stored; its customers have other numbers."""
        again = Source(self.incidents)
        ids = sorted(self.customers.text(n) for n in range(self.customers.numbers))
        again.customers = TextIndex(reversed(ids))
        again.chunks = restore_chunks(again.slots, again.customers, self.stored, self.slots.seen_ms)
        again.stored = dict(self.stored)
        return again


class Crowd:
    """Customers of a form, by a seed: each starts, and some fail a little later."""

    def __init__(self, seed: int = 1) -> None:
        self._random = np.random.default_rng(seed)
        self._count = 0

    def acts(
        self, begin_ms: int, end_ms: int, *, per_hour: float, share: float, place: str = "form/promo",
        attempts: bool = True,
    ) -> list[Act]:  # fmt: skip
        count = self._random.poisson(per_hour * (end_ms - begin_ms) / 3_600_000)
        at = np.sort(self._random.uniform(begin_ms, end_ms, count)).astype(np.int64).tolist()
        acts = []
        for at_ms in at:
            customer = f"c{self._count}"
            self._count += 1
            if attempts:
                acts.append(Act(at_ms, customer, "form.started", place))
            if self._random.random() < share:
                acts.append(
                    Act(min(at_ms + int(self._random.integers(0, 10_000)), end_ms), customer, "form.failed", place)
                )
        return sorted(acts)

    def exactly(self, begin_ms: int, end_ms: int, customers: int, failing: int, place: str = "form/promo") -> list[Act]:
        """So many customers, evenly spread, of whom so many fail."""
        fails = self._random.permutation(customers) < failing
        acts = []
        for n in range(customers):
            at_ms = begin_ms + (end_ms - begin_ms) * n // customers
            customer = f"c{self._count}"
            self._count += 1
            acts.append(Act(at_ms, customer, "form.started", place))
            if fails[n]:
                acts.append(Act(at_ms + 1_000, customer, "form.failed", place))
        return acts


def replayed(
    acts: Iterable[Act],
    *,
    to_ms: int | None = None,
    sources: int = 1,
    batch: int = 50,
    incidents: Incidents = INCIDENTS,
    restart: bool = False,
    labels: Labels = NO_LABELS,
) -> list[Alert]:
    """Alerts that acts lead to, in the order of their append times."""
    told: list[Alert] = []
    ordered = sorted(acts, key=lambda a: a.at_ms if a.append_ms is None else a.append_ms)
    parts, watch = [Source(incidents) for _ in range(sources)], IncidentWatch(incidents, sources, labels)
    stored: dict[bytes, bytes] = {}
    if ordered:
        watch.begin(min(a.at_ms for a in ordered))
    for offset, at in enumerate(range(0, len(ordered), batch)):
        now = ordered[at : at + batch]
        for number, part in enumerate(parts):
            mine = [a for a in now if sum(a.customer.encode()) % sources == number]
            if mine:
                part.add(mine)
        seen_ms = max(part.slots.seen_ms for part in parts)
        for number, part in enumerate(parts):
            part.slots.advance(seen_ms)
            part.tell(watch, number, offset)
        told += watch.take_alerts()
        if restart:
            parts = [part.restarted() for part in parts]
            watch = restarted(watch, stored, incidents)
    if to_ms is not None:
        for number, part in enumerate(parts):
            part.slots.advance(to_ms)
            part.tell(watch, number, 2**40)
        told += watch.take_alerts()
    return told


def restarted(watch: IncidentWatch, stored: dict[bytes, bytes], incidents: Incidents = INCIDENTS) -> IncidentWatch:
    """What another worker makes of what a watch has stored; ``stored`` is kept up to date."""
    for key, value in watch.take_state():
        if value is None:
            stored.pop(key, None)
        else:
            stored[key] = value
    again = IncidentWatch(incidents, len(watch.seen_ms))
    again.seen_ms, again.begun_ms = list(watch.seen_ms), watch.begun_ms
    again.restore(stored)
    return again
