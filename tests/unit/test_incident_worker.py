"""Incidents through the workers' records, without Kafka: what is written is what the next worker goes on with."""

import io
import json
from collections.abc import Iterator
from typing import Any

import fastavro
import numpy as np
import pytest

from connectors.kafka.fetched import FetchedBatch
from connectors.kafka.records import RecordColumns
from connectors.kafka.transactions import Outgoing
from connectors.registry.client import SchemaRegistry
from pipelines.alerts.tables import Alerts
from pipelines.incidents.alerts import Labels
from pipelines.partition import CustomerPartition
from pipelines.policy.incident_model import Incidents
from pipelines.policy.model import PolicyFile
from pipelines.policy.policy import Policy
from pipelines.state.layouts import signals_id
from pipelines.worker.customer_records import CustomerRecords, CustomerSnapshot
from pipelines.worker.customer_state import read_state
from pipelines.worker.encoding import Encoder
from pipelines.worker.incidents import IncidentStage, IncidentWork
from pipelines.worker.stage import Urgency
from schemas.columnar.writer import ColumnarWriter
from schemas.errors import StateLost, TopicMismatch
from schemas.topics import ALERTS, DEAD_LETTERS, INCIDENT_PARTIALS, INCIDENT_STATE, STATE, TopicNames, avro_schema
from schemas.wire import HEADER_BYTES
from tests.batches import POLICY, Event, batch_of, event
from tests.incidents import NOON_MS, SECTION, Act, replayed
from tests.stored import laid_out
from tests.unit.test_incidents import broken_form

NAMES = TopicNames("t.")
PARTIAL_ID, ALERT_ID = 7, 9


class WithIncidents(PolicyFile):
    incidents: Incidents | None = None


FILE = WithIncidents.model_validate(
    {
        "version": 1,
        "score": {"scale": 20.0},
        "signals": {"form_failure": {"kinds": ["form.failed"], "weight": 7.5, "half_life": "3m", "cap": 20.0}},
        "bands": {"cooldown": "5m", "levels": [{"name": "warm", "enter": 25.0, "leave": 15.0}]},
        "windows": {"kinds": ["wait.measured"], "length": "1m", "lateness": "3m"},
        "acceptance": {"max_age": "1d", "max_ahead": "5m"},
        "retention": {"quiet": "60h"},
        "incidents": SECTION,
    }
)
WITH_INCIDENTS = Policy(FILE, "digest")


class Log:
    """Topics as a worker reads them back."""

    def __init__(self) -> None:
        self.state: dict[tuple[str, int], dict[bytes, bytes]] = {}

    def write(self, outgoing: Outgoing) -> None:
        for batch in outgoing.batches:
            if batch.topic in {NAMES.of(STATE), NAMES.of(INCIDENT_STATE)}:
                table = self.state.setdefault((batch.topic, batch.partition), {})
                for message in batch.messages:
                    key = message["key"] or b""
                    if message["value"] is None:
                        table.pop(key, None)
                    else:
                        table[key] = message["value"]

    def read_to_end(self, topic: str, partition: int, **_: object) -> Iterator[RecordColumns]:
        yield columns(list(self.state.get((topic, partition), {}).items()))

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return 0, 2**40

    def committed(self, partitions: list[tuple[str, int]]) -> dict[tuple[str, int], int]:
        return {}


def columns(records: list[tuple[bytes, bytes]]) -> RecordColumns:
    data, key_start, key_length, value_start, value_length = laid_out(records)
    none = np.zeros(len(records), np.int64)
    return RecordColumns(
        data, np.arange(len(records)), none, key_start, key_length, value_start, value_length, none,
        none.astype(np.int32),
    )  # fmt: skip


def stage(sources: int = 2, digest: str = "digest", incidents: Incidents | None = None) -> IncidentStage:
    class Registry(SchemaRegistry):
        def __init__(self) -> None:
            pass

        def schema(self, schema_id: int) -> str:
            return {PARTIAL_ID: avro_schema("incident_partial"), ALERT_ID: avro_schema("alert"), 3: '"string"'}[
                schema_id
            ]

    return IncidentStage(
        app_id="app",
        names=NAMES,
        registry=Registry(),
        alerts=ColumnarWriter(avro_schema("alert"), ALERT_ID),
        incidents=incidents or Incidents.model_validate(SECTION),
        labels=Labels(digest),
        sources=sources,
        topic_ids={NAMES.of(t): t for t in (INCIDENT_PARTIALS, INCIDENT_STATE)},
        accept_loss=False,
        now_ms=lambda: NOON_MS,
        writers={},
    )


FORM = CustomerRecords(
    names=NAMES,
    policy=WITH_INCIDENTS,
    scores=ColumnarWriter(avro_schema("score"), 1),
    alerts=ColumnarWriter(avro_schema("alert"), ALERT_ID),
    partials=Encoder("wait_partial", 2),
    incidents=Encoder("incident_partial", PARTIAL_ID),
    touchpoints=1,
)


def as_event(act: Act) -> Event:
    return event(act.kind, act.at_ms, customer_id=act.customer, touchpoint=act.place, channel="web")


def taken(work: IncidentWork, partials: list[tuple[bytes, bytes]]) -> None:
    """A fetched batch, as the engine gives it to a work."""
    at = work.next_offsets[NAMES.of(INCIDENT_PARTIALS)]
    batch = FetchedBatch(NAMES.of(INCIDENT_PARTIALS), 0, at, at + len(partials), columns(partials))
    for schema_id in work._stage.unresolved(batch):
        work._stage.resolve(schema_id)
    work.process(batch)
    work.next_offsets[NAMES.of(INCIDENT_PARTIALS)] = at + len(partials)


def alerts_of(outgoing: Outgoing) -> list[dict[str, Any]]:
    schema = fastavro.parse_schema(json.loads(avro_schema("alert")))
    return [
        fastavro.schemaless_reader(io.BytesIO((m["value"] or b"")[HEADER_BYTES:]), schema, None)
        for b in outgoing.batches
        if b.topic == NAMES.of(ALERTS)
        for m in b.messages
    ]


def through_workers(
    acts: list[Act], *, sources: int, restart: bool, batch: int = 50, whole: int = 1
) -> list[dict[str, Any]]:
    """Alerts of incidents that acts lead to by way of the records of both stages; every ``whole``th tells all."""
    log, told = Log(), list[dict[str, Any]]()
    ordered = sorted(acts, key=lambda a: a.at_ms)
    parts = [CustomerPartition(n, 1, WITH_INCIDENTS) for n in range(sources)]
    work = stage(sources).restore(log, 0, cancelled=lambda: False)  # type: ignore[arg-type]
    for number, at in enumerate(range(0, len(ordered), batch)):
        now = ordered[at : at + batch]
        partials: list[tuple[bytes, bytes]] = []
        for n, part in enumerate(parts):
            mine = [a for a in now if sum(a.customer.encode()) % sources == n]
            part.number = 0  # a test has no murmur2 partitions
            part.apply(batch_of([as_event(a) for a in mine]))
            part.advance(now[-1].at_ms)
            changes = part.take_changes(whole=number % whole == 0 or now[-1] is ordered[-1])
            seen = changes.incidents
            assert seen is not None
            header = {"signal_sets": {}, "partitions": 1, "incidents_seen_ms": seen.seen_ms, "layout": 2}
            header |= {"incidents_untold_ms": seen.untold_ms} if seen.untold_ms is not None else {}
            snapshot = CustomerSnapshot(
                FORM,
                n,
                changes,
                Alerts(),
                [],
                {"a": number},
                json.dumps(header).encode(),
                2,
                [],
                marks=False,
                emitted_ms=0,
            )
            outgoing = snapshot.outgoing()
            log.write(outgoing)
            partials += [
                (m["key"] or b"", m["value"] or b"")
                for b in outgoing.batches
                if b.topic == NAMES.of(INCIDENT_PARTIALS)
                for m in b.messages
            ]
        taken(work, partials)
        outgoing = work.snapshot(whole=True).outgoing()
        log.write(outgoing)
        told += alerts_of(outgoing)
        if restart:
            work = stage(sources).restore(log, 0, cancelled=lambda: False)  # type: ignore[arg-type]
            parts = [restarted(log, n) for n in range(sources)]
    return told


def restarted(log: Log, number: int) -> CustomerPartition:
    """A partition that knows of its log only. Rows are not looked at: heats come back in tests of restoring."""
    part = CustomerPartition(number, 1, WITH_INCIDENTS)
    table = log.state[NAMES.of(STATE), number]
    header = json.loads(table[b"h"])
    header["signal_sets"] = {signals_id(WITH_INCIDENTS.signal_names): list(WITH_INCIDENTS.signal_names)}
    table[b"h"] = json.dumps(header).encode()
    read_state(log, NAMES.of(STATE), part, cancelled=lambda: False)  # type: ignore[arg-type]
    return part


@pytest.mark.parametrize("whole", [1, 7])
@pytest.mark.parametrize("restart", [False, True])
def test_incidents_come_through_the_records_as_they_do_without_them(restart: bool, whole: int) -> None:
    acts = broken_form(20, hours=1.5)
    told = through_workers(acts, sources=2, restart=restart, whole=whole)
    alone = replayed(acts, sources=2)
    assert [(a["alert_id"], a["revision"], a["status"], a["customers"], a["share"]) for a in told] == [
        (a.alert_id, a.revision, a.status, a.customers, a.share) for a in alone
    ]
    assert [tuple(m["customer_id"] for m in a["members"]) for a in told] == [a.members for a in alone]
    assert {(a["type"], a["touchpoint"], a["customer_id"], a["policy"]) for a in told} == {
        ("touchpoint_incident", "form/promo", None, "digest")
    }


def test_a_policy_without_incidents_writes_nothing_of_them() -> None:
    part = CustomerPartition(0, 1, POLICY)
    part.apply(batch_of([as_event(a) for a in broken_form(1, hours=0.1)]))
    changes = part.take_changes()
    assert changes.incidents is None


def test_what_is_no_partial_is_put_aside_and_what_comes_after_it_counts() -> None:
    work = stage().restore(Log(), 0, cancelled=lambda: False)  # type: ignore[arg-type]
    good = {
        "rule": "form", "place": "form/promo", "slot_start": NOON_MS, "source_partition": 1, "source_offset": 1,
        "seen": 0, "tried": [1] * 10, "failed": [1] * 10, "attempted": 1, "members": ["ana"], "policy": "",
    }  # fmt: skip
    frame = Encoder("incident_partial", PARTIAL_ID)
    bad = [
        {**good, "source_partition": 2},
        {**good, "source_partition": -1},
        {**good, "tried": [-1] * 10},
        {**good, "slot_start": 2**62},
        {**good, "place": "x" * 600},
    ]
    values = [b"", b"no frame", b"\0\0\0\0\3\2a", frame.encode([good])[0][:-3], *frame.encode(bad)]
    taken(work, [(b"k", v) for v in [*values, *frame.encode([good, {**good, "rule": "of another policy"}])]])
    assert work.urgency() is Urgency.CHANGES
    outgoing = work.snapshot(whole=True).outgoing()
    assert [r.topic for r in outgoing.records] == [NAMES.of(DEAD_LETTERS)] * len(values)
    assert outgoing.batches[0].messages[0]["key"] == b's["form","form/promo",%d]' % NOON_MS
    assert work.urgency() is Urgency.NOTHING


def test_state_without_a_header_is_lost_and_of_other_partitions_is_refused() -> None:
    log = Log()
    log.state[NAMES.of(INCIDENT_STATE), 0] = {b's["form","p",0]': b"{}"}
    with pytest.raises(StateLost):
        stage().restore(log, 0, cancelled=lambda: False)  # type: ignore[arg-type]
    log.state[NAMES.of(INCIDENT_STATE), 0] = {b"h": json.dumps({"seen_ms": [0, 0, 0]}).encode()}
    with pytest.raises(TopicMismatch):
        stage(2).restore(log, 0, cancelled=lambda: False)  # type: ignore[arg-type]


def test_another_lookback_begins_anew_and_removes_what_was_stored() -> None:
    log = Log()
    work = stage().restore(log, 0, cancelled=lambda: False)  # type: ignore[arg-type]
    good = {
        "rule": "form", "place": "form/promo", "slot_start": NOON_MS, "source_partition": 1, "source_offset": 1,
        "seen": 0, "tried": [1] * 10, "failed": [1] * 10, "attempted": 1, "members": ["ana"], "policy": "",
    }  # fmt: skip
    taken(work, [(b"k", v) for v in Encoder("incident_partial", PARTIAL_ID).encode([good])])
    log.write(work.snapshot(whole=True).outgoing())
    form = {**SECTION["rules"]["form"], "lookback": "4m"}
    other = Incidents.model_validate({**SECTION, "rules": {"form": form}})
    again = stage(incidents=other).restore(log, 0, cancelled=lambda: False)  # type: ignore[arg-type]
    log.write(again.snapshot(whole=True).outgoing())
    assert list(log.state[NAMES.of(INCIDENT_STATE), 0]) == [b"h"]
