"""What a run under the whole meaning has left: what is stored of customers, and how the last word on each alert is.

Rows of layout 4 are read by the code of the workers: what is compared is what they hold, not how they are written.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.restore import LogReader
from pipelines.cli.chaos.outcome import Outcome, avro, public_outcome
from pipelines.cli.chaos.reading import read_topic
from pipelines.fold.blocks import LIVE
from pipelines.fold.items import AT, CONTACT_ITEM, TAG
from pipelines.fold.scores import decayed_to
from pipelines.partition import CustomerPartition
from pipelines.policy.policy import Policy
from pipelines.worker.customer_state import read_state
from schemas.topics import ALERTS, INTERACTIONS, STATE, TopicNames


class Waiting(NamedTuple):
    """An open clock."""

    clock: str
    opened_ms: int
    deadline_ms: int | None
    case_id: str
    breached: bool
    paused: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of a customer, as of the time to which the partition had been advanced."""

    partition: int
    interactions: int
    band: int
    segment: str | None
    heat: dict[str, float]
    clocks: list[Waiting]
    cases: list[tuple[str, int]]
    contacts_ms: list[int]


@dataclass(slots=True)
class Standing:
    """Everything that is compared. alerts: type and last status of each alert of clocks, contacts and mentions.

    advanced_ms: of each partition.
    """

    public: Outcome
    customers: dict[str, Stored] = field(default_factory=dict)
    alerts: dict[str, tuple[str, str]] = field(default_factory=dict)
    advanced_ms: dict[int, int] = field(default_factory=dict)


def standing(kafka: KafkaConnection, names: TopicNames, policy: Policy, partitions: int) -> Standing:
    """Read it all.

    Raises:
        StoreUnavailable: a topic cannot be read to its end.
        StateLost: what is stored cannot be read.
    """
    found = Standing(public_outcome(kafka, names, scores_again=True))
    with LogReader(kafka, "chaos") as log:
        for number in range(partitions):
            core = CustomerPartition(number, partitions, policy)
            header = read_state(log, names.of(STATE), core, cancelled=lambda: False)
            found.advanced_ms[number] = core.advanced_ms
            found.public.offsets[number] = {INTERACTIONS: 0} | header.said.get("offsets", {})
            found.customers |= dict(stored_customers(core))
    last: dict[str, int] = {}
    for message in read_topic(kafka, names.of(ALERTS)):
        alert = avro("alert", message)
        if alert["type"] != "band_entered" and alert["revision"] > last.get(alert["alert_id"], 0):
            last[alert["alert_id"]] = alert["revision"]
            found.alerts[alert["alert_id"]] = alert["type"], alert["status"]
    return found


def stored_customers(core: CustomerPartition) -> Iterator[tuple[str, Stored]]:
    """What a partition holds of each of its customers."""
    rows, policy = core.rows, core.policy
    numbers = np.flatnonzero(rows.interactions[: rows.numbers])
    age_ms = np.maximum(core.advanced_ms - rows.updated_ms[numbers], 0)
    heats = decayed_to(rows.heat[numbers], age_ms, policy) + rows.held(numbers)
    segments = [None, *policy.file.segments]
    for at, number in enumerate(numbers.tolist()):
        opened = core.opened(rows.customers.raw(number))
        clocks = [
            Waiting(c.clock, c.opened_ms, c.deadline_ms, c.case_id or "", c.breached, c.paused_at_ms is not None)
            for c in opened.clocks
        ]
        yield (
            rows.customers.text(number),
            Stored(
                partition=core.number,
                interactions=int(rows.interactions[number]),
                band=int(rows.band[number]),
                segment=segments[int(rows.segments(numbers[at : at + 1])[0])],
                heat={name: heat for name, heat in zip(policy.signal_names, heats[at].tolist(), strict=True) if heat},
                clocks=sorted(clocks, key=repr),
                cases=sorted((case.case_id, case.opened_ms) for case in opened.cases),
                contacts_ms=_contacts_ms(core, number),
            ),
        )


def _contacts_ms(core: CustomerPartition, number: int) -> list[int]:
    """When the contacts were that are remembered."""
    lists, _ = core.rows.contents(number)
    items = lists[LIVE]
    return sorted(items[items[:, TAG] & 255 == CONTACT_ITEM, AT].tolist())
