"""The outcome of a run held against a recomputation from the input topic: nothing lost, nothing counted twice."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import isclose
from typing import Any, Generic, Protocol, TypeVar

from connectors.kafka.connection import KafkaConnection
from pipelines.cli.chaos.intake import added
from pipelines.cli.chaos.model import Model
from pipelines.cli.chaos.outcome import Outcome, avro
from pipelines.cli.chaos.reading import read_topic
from pipelines.cli.chaos.witness import CLOCK_MS, Advances
from schemas.topics import INTERACTIONS, TopicNames

TOLERANCE = 1e-9  # relative; the model raises 0.5 to a power where the core takes exp2
EXAMPLES = 3

K = TypeVar("K")
M = TypeVar("M", bound="Oracle")


class Oracle(Protocol):
    """Takes the interactions of a partition in the order of their offsets, and lets time pass."""

    advanced_ms: int | None

    def feed(self, record: Mapping[str, Any], append_ms: int) -> None:
        """Take one interaction."""

    def advance(self, to_ms: int) -> None:
        """Let time pass."""


@dataclass(slots=True)
class Recomputed(Generic[M]):
    """The models by source partition, fed with all of friction.interactions. problems: in words."""

    models: dict[int, M] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def recomputed(
    kafka: KafkaConnection, names: TopicNames, new: Callable[[], M], advances: Mapping[int, Advances] | None = None
) -> Recomputed[M]:
    """Feed a new model for each partition with what friction.interactions holds; time passes where ``advances`` say.

    Time may only have passed to where everything that was appended before had been processed.
    """
    found: Recomputed[M] = Recomputed()
    left: dict[int, Advances] = {p: list(reversed(steps)) for p, steps in (advances or {}).items()}
    early: Counter[int] = Counter()
    for message in read_topic(kafka, names.of(INTERACTIONS)):
        partition, offset, append_ms = message.partition() or 0, message.offset() or 0, message.timestamp()[1]
        if partition not in found.models:
            found.models[partition] = new()
        model = found.models[partition]
        steps = left.get(partition, [])
        while steps and steps[-1][0] <= offset:
            model.advance(steps.pop()[1])
        if model.advanced_ms is not None and append_ms < model.advanced_ms - CLOCK_MS:
            early[partition] += 1
            if early[partition] == 1:
                found.problems.append(
                    f"time was let pass to {model.advanced_ms} in partition {partition} before interaction {offset}, "
                    f"which was appended at {append_ms}, was counted"
                )
        model.feed(avro("interaction", message), append_ms)
        found.ends[partition] = offset + 1
    for partition, steps in left.items():
        for _, to_ms in reversed(steps):
            if partition not in found.models:
                found.models[partition] = new()
            found.models[partition].advance(to_ms)
    found.problems += [f"partition {p}: {n} interactions came after the time had passed" for p, n in early.items()]
    return found


@dataclass(slots=True)
class Comparison:
    """What was compared: how many of each, how many equal bit for bit where that says something; and the problems."""

    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def hold(self, what: str, found: Mapping[K, object], want: Mapping[K, object]) -> None:
        """Compare by key, with equality."""
        self.counts[what] = len(want)
        different = sorted(repr(key) for key in found.keys() & want.keys() if found[key] != want[key])
        self._tell(f"{what} differ", different)
        self._tell(f"{what} are missing", sorted(map(repr, want.keys() - found.keys())))
        self._tell(f"{what} should not be there", sorted(map(repr, found.keys() - want.keys())))
        for key in sorted(found.keys() & want.keys(), key=repr):
            if found[key] != want[key]:
                self.problems.append(f"{what}: {key!r} is {found[key]!r}, recomputed {want[key]!r}")
                break

    def _tell(self, what: str, which: Iterable[str]) -> None:
        listed = list(which)
        if listed:
            more = "" if len(listed) <= EXAMPLES else ", ..."
            self.problems.append(f"{len(listed)} {what}: {', '.join(listed[:EXAMPLES])}{more}")

    def near(self, what: str, found: Mapping[K, float], want: Mapping[K, float]) -> None:
        """Compare numbers of the same keys, by ``TOLERANCE``, and count those that are equal bit for bit."""
        both = found.keys() & want.keys()
        self.counts[what] = len(want)
        self.counts[f"{what}, bit for bit"] = sum(found[key] == want[key] for key in both)
        far = [key for key in both if not isclose(found[key], want[key], rel_tol=TOLERANCE, abs_tol=TOLERANCE)]
        self._tell(f"{what} differ", (f"{key!r} is {found[key]!r}, recomputed {want[key]!r}" for key in far))
        self._tell(f"{what} are missing or too many", sorted(map(repr, found.keys() ^ want.keys())))

    def once(self, doubled: list[str]) -> None:
        """Nothing may have been told twice."""
        self._tell("records were told twice, or out of order", doubled)


def compared(found: Outcome, want: Mapping[int, Model]) -> Comparison:
    """Hold rows, heats, scores, alerts, windows and dead letters against those of the models."""
    c = Comparison()
    everybody = {name: (p, customer) for p, model in want.items() for name, customer in model.customers.items()}
    gone = {n for n, (p, _) in everybody.items() if n not in found.rows and want[p].may_be_gone(n)}
    customers = {name: one for name, one in everybody.items() if name not in gone}
    c.counts["customers forgotten"] = len(gone)
    c.counts["interactions"] = sum(customer.interactions for _, customer in customers.values())
    if found.interactions != c.counts["interactions"]:
        c.problems.append(f"{found.interactions} interactions counted, {c.counts['interactions']} accepted")
    c.hold(
        "customers",
        {
            name: (r.partition, r.interactions, r.updated_ms, r.band, r.opened_ms, r.closed_ms, r.revision)
            for name, r in found.rows.items()
        },
        {
            name: (p, m.interactions, m.updated_ms, m.band, m.opened_ms, m.closed_ms, m.revision)
            for name, (p, m) in customers.items()
        },
    )
    c.near(
        "heats",
        {(name, signal): heat for name, row in found.rows.items() for signal, heat in row.heat.items()},
        {(name, signal): heat for name, (_, m) in customers.items() for signal, heat in m.heat.items() if heat},
    )
    c.hold(
        "last scores",
        {name: (s.interactions, s.band) for name, s in found.scores.items()},
        {name: (m.interactions, m.band) for name, (_, m) in everybody.items()},
    )
    told = {name: s for name, s in found.scores.items() if name in everybody}
    c.near(
        "values of last scores",
        {name: s.score for name, s in told.items()},
        {
            name: want[everybody[name][0]].score(name, max(s.scored_ms, everybody[name][1].updated_ms))
            for name, s in told.items()
        },
    )
    alerts = Counter(
        (a.alert_id, a.revision, a.status, a.customer_id, a.band, a.raised_ms) for m in want.values() for a in m.alerts
    )
    c.hold("revisions of alerts", found.alerts, alerts)
    c.hold("windows", found.windows, {place: tuple(waits) for place, waits in added(want.values()).items()})
    c.hold("dead letters by reason", found.dead_letters, sum((m.rejected for m in want.values()), Counter()))
    c.once(found.doubled)
    return c
