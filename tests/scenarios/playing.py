"""Lets the events of a scenario arrive at the pure core, and time pass: what was told, and how customers stood."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np

from pipelines.alerts.alert import Alert, OpenClock
from pipelines.alerts.bands import contributions
from pipelines.fold.scores import decayed_to, with_held
from pipelines.incidents.alerts import Labels
from pipelines.incidents.replay import IncidentReplay
from pipelines.intake.index import TextIndex
from pipelines.partition import CustomerPartition
from pipelines.policy.policy import Policy
from pipelines.windows import WindowState
from tests.batches import Event, batch_of
from tests.clocks import clocks_by_customer
from tests.scenarios.scenario_files import OF_ALERT, Case, ScenarioFile


@dataclass(frozen=True)
class Standing:
    """How a customer stands at a time."""

    heat: float
    score: float
    band: str
    heats: dict[str, float]
    clocks: list[OpenClock]
    interactions: int


NOBODY = Standing(0.0, 0.0, "calm", {}, [], 0)


@dataclass
class Played:
    """What came of it: the alerts with the times at which they were told, and how customers stood."""

    file: ScenarioFile
    alerts: list[tuple[int, Alert]] = field(default_factory=list)
    standing: dict[int, dict[str, Standing]] = field(default_factory=dict)
    deflections: dict[int, dict[str, int]] = field(default_factory=dict)
    windows: list[WindowState] = field(default_factory=list)

    def told_by(self, at_ms: int) -> list[tuple[int, Alert]]:
        return [(told_ms, a) for told_ms, a in self.alerts if told_ms <= at_ms]

    def newest(self, at_ms: int) -> dict[str, Alert]:
        """The last revision of each alert."""
        return {a.alert_id: a for _, a in self.told_by(at_ms)}

    def shown(self, alerts: Sequence[tuple[int, Alert]]) -> str:
        lines = (
            f"    {a.type} {a.status}, revision {a.revision}, of {a.customer_id or a.touchpoint or a.subject}, raised "
            f"{self.file.text(a.raised_ms)}, told {self.file.text(told_ms)}: {a.reason}"
            for told_ms, a in alerts
        )
        return "\n".join(lines) or "    nothing"


def standing_of(core: CustomerPartition, policy: Policy, at_ms: int, clocks: dict[bytes, list[OpenClock]]) -> Iterator[
    tuple[str, Standing]
]:  # fmt: skip
    """How each customer stands at a time to which the core has been advanced."""
    rows = core.rows
    numbers = np.flatnonzero(rows.interactions[: rows.numbers] > 0)
    age_ms = np.maximum(at_ms - rows.updated_ms[numbers], 0)
    heats = with_held(decayed_to(rows.heat[numbers], age_ms, policy), rows.held(numbers))
    segments = rows.segments(numbers).tolist()
    for number, segment, (heat, parts) in zip(numbers.tolist(), segments, contributions(heats, policy), strict=True):
        name = rows.customers.raw(number)
        yield (
            name.decode(),
            Standing(
                heat,
                policy.score_of(heat, segment),
                policy.band_names[rows.band[number]],
                {part.signal: part.heat for part in parts},
                sorted(clocks.get(name, []), key=lambda c: (c.clock, c.opened_ms)),
                int(rows.interactions[number]),
            ),
        )


def with_alert(e: Event, result: Played) -> Event:
    """The interaction with the id of the alert that it speaks of: of its customer, the last one told of a type."""
    attributes = dict(e.record["attributes"])
    kind = attributes.pop(OF_ALERT, None)
    if kind is None:
        return e
    ids = [a.alert_id for _, a in result.alerts if a.type == kind and a.customer_id == e.record["customer_id"]]
    attributes["alert_id"] = ids[-1] if ids else "none yet"
    return replace(e, record={**e.record, "attributes": attributes})


def played(file: ScenarioFile, case: Case, events: Sequence[Event], moments: Sequence[int]) -> Played:
    """Let the events arrive in their order, and time pass up to each of them and to each moment."""
    policy = file.policy_of(case)
    core, customers, result = CustomerPartition(0, 1, policy), TextIndex(), Played(file)
    section = policy.file.incidents
    replay = IncidentReplay(section, customers, Labels.of(policy)) if section is not None else None
    arriving = {at_ms: list(together) for at_ms, together in groupby(events, key=lambda e: e.append_ms)}
    offset = 0
    for at_ms in sorted({*arriving, *moments}):
        told = list(core.advance(at_ms - 1))
        if at_ms in arriving:
            batch = batch_of([with_alert(e, result) for e in arriving[at_ms]], offset)
            offset += len(arriving[at_ms])
            applied = core.apply(batch)
            assert not applied.unrated.shape[0], "a rating is not on the scale of its question"
            told += applied.alerts
            if replay is not None:
                told += replay.apply(batch, customers.add(batch.data, batch.customer.start, batch.customer.length))
        told += core.advance(at_ms)
        if replay is not None:
            told += replay.advance(at_ms)
        result.alerts += [(at_ms, alert) for alert in told]
        if at_ms in moments:
            result.standing[at_ms] = dict(standing_of(core, policy, at_ms, clocks_by_customer(core)))
            result.deflections[at_ms] = core._room.tally
    result.windows = core.take_changes().windows
    return result
