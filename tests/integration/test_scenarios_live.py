"""Scenarios through the real broker and a worker: what stands in the end is what the core alone says."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import time
from typing import Any

import pytest
import yaml
from confluent_kafka import Producer

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.restore import LogReader
from connectors.registry.client import SchemaRegistry, register_contract
from connectors.registry.connection import RegistryConnection
from pipelines.alerts.alert import Alert
from pipelines.partition import CustomerPartition
from pipelines.policy.policy import parse_policy
from pipelines.worker.customer_state import read_state
from pipelines.worker.encoding import Encoder
from schemas.topics import INTERACTIONS, STATE, TopicNames
from tests.batches import Event
from tests.clocks import clocks_by_customer
from tests.integration.workers import NewWorker, wait_until_processed
from tests.polling import wait_until
from tests.reading import incident_headers, read_alerts
from tests.scenarios.judging import differences
from tests.scenarios.playing import NOBODY, Played, Standing, played, standing_of
from tests.scenarios.scenario_files import FULL, Case, ScenarioFile, merged, scenario_files
from tests.scenarios.test_scenarios import out_of_order

DAY_MS = 86_400_000
FILES = scenario_files()
LIVE = ("01_one_hour", "04_the_third_call", "05_the_broken_form", "11_before_it_spreads")
NOT_LIVE = "many speak of one subject"
"""A new subject is judged an hour after the watch has begun, and here the worker hears two hours at once.

test_worker_incidents.py plays it as it happens.
"""
SEED = 1
Said = tuple[Any, ...]


@dataclass(frozen=True)
class Told:
    """A case with customers and places of its own, and its events in the order of arrival."""

    file: ScenarioFile
    case: Case
    events: list[Event]
    arriving: list[Event]


def policies() -> dict[str, list[tuple[str, str]]]:
    """Cases of the files that are played live, by the policy that they have in common."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name in LIVE:
        for title, case in FILES[name].cases.items():
            if title == NOT_LIVE:
                continue
            said = yaml.safe_load(FULL.read_text("utf-8"))
            for overrides in (FILES[name].policy, case.policy, {"acceptance": {"max_age": "30d"}}):
                said = merged(said, overrides)
            text = yaml.safe_dump(said, allow_unicode=True, sort_keys=False)
            found.setdefault(text, []).append((name, title))
    return found


def told(name: str, title: str, number: int, *, disorder: bool) -> Told:
    """Scenario 15 is every case again: each event up to 15 minutes late, and a fifth of them sent twice."""
    file, case = FILES[name], FILES[name].cases[title]
    mark = f" {number}{' out of order' if disorder else ''}"
    events = [marked(e, mark) for e in file.events_of(case)]
    (shuffle,) = [other.shuffle for other in FILES.values() if other.shuffle]
    return Told(file, case, events, out_of_order(events, shuffle, SEED) if disorder else events)


def marked(one: Event, mark: str) -> Event:
    """Nobody of another case has this customer, touchpoint or subject."""
    own = {key: f"{one.record[key]}{mark}" for key in ("customer_id", "touchpoint", "subject") if one.record.get(key)}
    return replace(one, record={**one.record, **own})


def moved(one: Event, by_ms: int) -> Event:
    at_ms = one.record["occurred_at"] + by_ms
    return Event({**one.record, "occurred_at": at_ms}, one.append_ms + by_ms)


@pytest.mark.parametrize("policy", policies(), ids=[f"{c[0][0]}-and-{len(c) - 1}-more" for c in policies().values()])
def test_what_stands_after_a_scenario_stands_in_the_topics(
    policy: str,
    kafka: KafkaConnection,
    registry: RegistryConnection,
    created_topics: TopicNames,
    new_worker: NewWorker,
    tmp_path: Path,
) -> None:
    names, file = created_topics, tmp_path / "policy.yaml"
    file.write_text(policy, "utf-8")
    cases = [
        told(name, title, n, disorder=disorder)
        for n, (name, title) in enumerate(policies()[policy])
        for disorder in (False, True)
    ]
    last_ms = max(e.append_ms for one in cases for e in one.arriving)
    by_ms = (int(time() * 1000) - 60_000 - last_ms) // DAY_MS * DAY_MS  # to an end a minute ago or earlier
    produce(kafka, registry, names, [moved(e, by_ms) for one in cases for e in one.arriving])
    worker = new_worker(FRICTION_POLICY_FILE=str(file))
    worker.start()
    wait_until_processed(kafka, names, f"{names.prefix}app", 60.0)
    now_ms = int(time() * 1000)
    # that a form is not used any more is known when the agent of incidents has heard up to when all have seen
    wait_until(lambda: watched_to_ms(kafka, names) > now_ms - 60_000, 60.0)
    assert worker.stop() == 0

    cores = restored(kafka, names, policy)
    until_ms = min(core.advanced_ms for core in cores)
    live = read_alerts(kafka, names)
    standing: dict[str, Standing] = {}
    for core in cores:
        core.advance(until_ms)
        standing |= standing_of(core, core.policy, until_ms, clocks_by_customer(core))
    wrong, found = [], Counter(last_words(live, until_ms))
    for one in cases:
        want = played(one.file, one.case, [moved(e, by_ms) for e in one.events], [until_ms])
        for customer, alone in want.standing[until_ms].items():
            wrong += [f"{customer}: {what}" for what in differences(alone, standing.pop(customer, NOBODY))]
        found.subtract(last_words_of(want, until_ms))
    wrong += [f"told {'live' if n > 0 else 'by the core'} only: {about}" for about, n in found.items() if n]
    assert not wrong, "\n".join(wrong)
    assert not standing
    assert found or all(e.alert is None for one in cases for e in one.case.expect), "no alert has been compared"


def watched_to_ms(kafka: KafkaConnection, names: TopicNames) -> int:
    """Up to when the agent of incidents knows what all partitions have seen."""
    return max((min(header["seen_ms"]) for header in incident_headers(kafka, names)), default=0)


def produce(kafka: KafkaConnection, registry: RegistryConnection, names: TopicNames, events: Sequence[Event]) -> None:
    """Send the events of all cases in the order in which they arrive."""
    encoder = Encoder("interaction", register_contract(SchemaRegistry(registry), names)[INTERACTIONS])
    producer = Producer(kafka.confluent(partitioner="murmur2_random"))
    for one in sorted(events, key=lambda e: e.append_ms):
        value = encoder.encode([{key: said for key, said in one.record.items() if said not in ("", None)}])[0]
        producer.produce(names.of(INTERACTIONS), value, one.record["customer_id"].encode())
        producer.poll(0)
    assert producer.flush(30.0) == 0


def restored(kafka: KafkaConnection, names: TopicNames, policy: str) -> list[CustomerPartition]:
    """The state of every partition."""
    cores = [CustomerPartition(n, 3, parse_policy(policy, "policy.yaml")) for n in range(3)]
    with LogReader(kafka, "reading") as log:
        for core in cores:
            read_state(log, names.of(STATE), core, cancelled=lambda: False)
    return cores


def last_words(revisions: Sequence[dict[str, Any]], until_ms: int) -> list[Said]:
    """What each alert came to that is raised by then, but for bands; one that was retracted has never been told."""
    last: dict[str, dict[str, Any]] = {}
    for alert in revisions:
        if alert["revision"] > last.get(alert["alert_id"], {"revision": 0})["revision"]:
            last[alert["alert_id"]] = alert
    return [
        (a["type"], a["status"], *about(a["alert_id"], a["type"], a["touchpoint"], a["subject"]), a["customer_id"])
        for a in last.values()
        if counts(a["type"], a["status"]) and a["raised_at"].timestamp() * 1000 <= until_ms
    ]


def last_words_of(result: Played, until_ms: int) -> list[Said]:
    """The same of what the core alone has told."""
    last: dict[str, Alert] = result.newest(until_ms)
    return [
        (a.type, a.status, *about(a.alert_id, a.type, a.touchpoint, a.subject), a.customer_id)
        for a in last.values()
        if counts(a.type, a.status)
    ]


def counts(kind: str, status: str) -> bool:
    return kind != "band_entered" and status != "retracted"


def about(alert_id: str, kind: str, touchpoint: str | None, subject: str | None) -> Said:
    """The id of an incident says in which slot it began, which depends on the order (docs/incidents.md)."""
    return (touchpoint, subject) if kind == "touchpoint_incident" else (alert_id,)
