"""From fetched records to interactions: the good ones of any writer in offset order, each other one with its reason."""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.kafka.dead_letters import RejectReason
from connectors.kafka.records import RecordColumns
from pipelines.intake import index, text_table
from pipelines.intake.interactions import OUTCOMES, InteractionBatch
from pipelines.worker import decoding
from pipelines.worker.decoding import Decoded, InteractionDecoder, count_other_keys
from schemas.acceptance import MAX_DURATION_MS, Bounds, refuse
from schemas.columnar import frames
from schemas.columnar.frames import read_ids
from schemas.errors import StoreUnavailable, UnknownSchema
from schemas.topics import avro_schema
from schemas.wire import frame_header

ROOT = Path(__file__).parents[2]
APPENDED_MS = 1_790_000_000_000
DAY_MS = 86_400_000
BOUNDS = Bounds(max_age_ms=7 * DAY_MS, max_ahead_ms=300_000)

OURS = json.loads(avro_schema("interaction"))
REQUIRED = [f for f in OURS["fields"] if "default" not in f]


def with_fields(*fields: dict[str, Any]) -> str:
    return json.dumps({**OURS, "fields": list(fields)})


def one_changed(name: str, type_: object) -> str:
    return with_fields(*[{"name": name, "type": type_} if f["name"] == name else f for f in OURS["fields"]])


CURRENT, OLD, FOREIGN, NEWER, INCOMPATIBLE, NO_EVENT_ID, FOREIGN_INCOMPATIBLE = range(1, 8)
JSON_SCHEMA, PROTOBUF, NONSENSE, UNKNOWN = range(8, 12)
DEVICE = {"type": "record", "name": "Device", "fields": [{"name": "model", "type": ["string", "int"]}]}
WRITERS = {
    CURRENT: avro_schema("interaction"),
    OLD: with_fields(*REQUIRED),
    FOREIGN: with_fields({"name": "device", "type": DEVICE}, *OURS["fields"][::-1]),
    NEWER: with_fields(*OURS["fields"], {"name": "mood", "type": ["null", "string"], "default": None}),
    INCOMPATIBLE: with_fields(*[f for f in REQUIRED if f["name"] != "kind"]),
    FOREIGN_INCOMPATIBLE: with_fields(
        {"name": "kind", "type": ["int", "string", "boolean"]}, *[f for f in REQUIRED if f["name"] != "kind"]
    ),
    NO_EVENT_ID: with_fields(*[f for f in REQUIRED if f["name"] != "event_id"]),
    JSON_SCHEMA: '{"type": "object", "properties": {}}',
    PROTOBUF: 'syntax = "proto3"; message Interaction {}',
    NONSENSE: '{"type": "record", "name": "Interaction", "fields": [7, null, {"type": {}}]}',
}
RELEASED = {100 + int(r.name): r / "interaction.avsc" for r in (ROOT / "schemas" / "released").iterdir() if r.is_dir()}
WRITERS |= {number: path.read_text("utf-8") for number, path in RELEASED.items()}
PARSED = {
    i: fastavro.parse_schema(json.loads(WRITERS[i])) for i in WRITERS if i not in {JSON_SCHEMA, PROTOBUF, NONSENSE}
}


class Registry:
    """Knows the writers; or is away."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.away = False

    def schema(self, schema_id: int) -> str:
        self.asked.append(schema_id)
        if self.away:
            raise StoreUnavailable("the registry is away")
        if schema_id not in WRITERS:
            raise UnknownSchema(f"no schema {schema_id}")
        return WRITERS[schema_id]


def decoder(registry: Registry | None = None) -> InteractionDecoder:
    return InteractionDecoder(registry or Registry(), BOUNDS)  # type: ignore[arg-type]  # it has the method that is used


def interaction(**fields: Any) -> dict[str, Any]:
    return {
        "event_id": "e",
        "customer_id": "ana",
        "kind": "form.failed",
        "channel": "web",
        "touchpoint": "ödeme",
        "occurred_at": APPENDED_MS,
        "device": {"model": 7},
        "attributes": {},
        **fields,
    }


def value(record: dict[str, Any], writer: int = CURRENT) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, PARSED[writer], record)
    return frame_header(writer) + out.getvalue()


@dataclass(frozen=True)
class Record:
    value: bytes | None
    key: bytes | None = b"ana"
    append_ms: int = APPENDED_MS


def columns(records: Sequence[Record], first_offset: int = 1000) -> RecordColumns:
    """Records as a fetch lays them out; every third offset is a hole."""
    data, places = bytearray(), []
    for record in records:
        for part in (record.key, record.value):
            places.append((len(data), -1 if part is None else len(part)))
            data.extend(part or b"")
    n = len(records)
    start = np.array([s for s, _ in places], np.int64).reshape(n, 2)
    length = np.array([s for _, s in places], np.int32).reshape(n, 2)
    return RecordColumns(
        data=np.frombuffer(bytes(data), np.uint8),
        offset=first_offset + np.arange(n, dtype=np.int64) * 3 // 2,
        timestamp_ms=np.array([r.append_ms for r in records], np.int64),
        key_start=start[:, 0].copy(),
        key_length=length[:, 0].copy(),
        value_start=start[:, 1].copy(),
        value_length=length[:, 1].copy(),
        headers_start=np.zeros(n, np.int64),
        headers_count=np.zeros(n, np.int32),
    )


def decode(records: Sequence[Record], of: InteractionDecoder | None = None) -> Decoded:
    reader = of or decoder()
    fetched = columns(records)
    for schema_id in reader.unresolved(fetched):
        reader.resolve(schema_id)
    return reader.decode(fetched)


def texts(batch: InteractionBatch, name: str) -> list[str]:
    return [getattr(batch, name).text(batch.data, i) for i in range(len(batch))]


def reasons(decoded: Decoded) -> list[tuple[int, RejectReason]]:
    return [(r.index, r.reason) for r in decoded.rejected]


def test_records_of_several_writers_come_in_offset_order() -> None:
    writers = [OLD, CURRENT, FOREIGN, NEWER, CURRENT, FOREIGN, OLD, CURRENT]
    abandoned = {"outcome": "abandoned"}
    records = [
        Record(value(interaction(customer_id=f"müşteri-{n}", kind=f"k{n}", duration_ms=n, attributes=abandoned), w))
        for n, w in enumerate(writers)
    ]
    decoded = decode(records)
    batch = decoded.interactions
    assert decoded.rejected == []
    assert decoded.index.tolist() == list(range(8))
    assert batch.offset.tolist() == columns(records).offset.tolist()
    assert texts(batch, "customer") == [f"müşteri-{n}" for n in range(8)]
    assert texts(batch, "kind") == [f"k{n}" for n in range(8)]
    assert set(texts(batch, "touchpoint")) == {"ödeme"}
    assert batch.duration_ms.tolist() == [-1, 1, 2, 3, 4, 5, -1, 7]
    assert batch.outcome.tolist() == [-1, 1, 1, 1, 1, 1, -1, 1]
    assert batch.occurred_ms.tolist() == [APPENDED_MS] * 8


GOOD = value(interaction())
HUGE = interaction(customer_id="x" * 1_000_000)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (None, RejectReason.NULL_VALUE),
        (b"", RejectReason.NOT_FRAMED),
        (b"\0\0\0\0", RejectReason.NOT_FRAMED),
        (b'{"customer_id": "ana"}', RejectReason.NOT_FRAMED),
        (b"\1" + GOOD[1:], RejectReason.NOT_FRAMED),
        (frame_header(UNKNOWN) + GOOD[5:], RejectReason.UNKNOWN_SCHEMA),
        (frame_header(0) + GOOD[5:], RejectReason.UNKNOWN_SCHEMA),
        (b"\0\xff\xff\xff\xff" + GOOD[5:], RejectReason.UNKNOWN_SCHEMA),
        (value(interaction(), INCOMPATIBLE), RejectReason.SCHEMA_INCOMPATIBLE),
        (value(interaction(), NO_EVENT_ID), RejectReason.SCHEMA_INCOMPATIBLE),
        (value(interaction(kind=5), FOREIGN_INCOMPATIBLE), RejectReason.SCHEMA_INCOMPATIBLE),
        (frame_header(JSON_SCHEMA) + b"{}", RejectReason.SCHEMA_INCOMPATIBLE),
        (frame_header(PROTOBUF) + b"\0", RejectReason.SCHEMA_INCOMPATIBLE),
        (frame_header(NONSENSE) + b"\0", RejectReason.SCHEMA_INCOMPATIBLE),
        (GOOD[:5], RejectReason.NOT_AVRO),
        (GOOD[:-1], RejectReason.NOT_AVRO),
        (GOOD + b"\0", RejectReason.NOT_AVRO),
        (GOOD.replace(b"ana", b"\xff\xfea"), RejectReason.NOT_AVRO),
        (frame_header(CURRENT) + b"\xff" * 40, RejectReason.NOT_AVRO),
        (value(interaction(), FOREIGN)[:-1], RejectReason.NOT_AVRO),
        (value(interaction(), FOREIGN) + b"\0", RejectReason.NOT_AVRO),
        (value(interaction(customer_id="")), RejectReason.BAD_CUSTOMER),
        (value(interaction(customer_id="ş" * 256 + "x")), RejectReason.BAD_CUSTOMER),
        (value(HUGE), RejectReason.BAD_CUSTOMER),
        (value(interaction(occurred_at=0)), RejectReason.TOO_OLD),
        (value(interaction(occurred_at=-(2**63))), RejectReason.TOO_OLD),
        (value(interaction(occurred_at=APPENDED_MS - 7 * DAY_MS - 1)), RejectReason.TOO_OLD),
        (value(interaction(occurred_at=APPENDED_MS + 365 * DAY_MS)), RejectReason.TOO_FAR_AHEAD),
        (value(interaction(occurred_at=2**63 - 1)), RejectReason.TOO_FAR_AHEAD),
        (value(interaction(occurred_at=APPENDED_MS + 300_001)), RejectReason.TOO_FAR_AHEAD),
        (value(interaction(occurred_at=0), FOREIGN), RejectReason.TOO_OLD),
        (value(interaction(duration_ms=-1)), RejectReason.BAD_DURATION),
        (value(interaction(duration_ms=-(2**63))), RejectReason.BAD_DURATION),
        (value(interaction(duration_ms=MAX_DURATION_MS + 1)), RejectReason.BAD_DURATION),
        (value(interaction(touchpoint="t" * 513)), RejectReason.BAD_PLACE),
        (value(interaction(channel="ş" * 257)), RejectReason.BAD_PLACE),
        (value(interaction(customer_id="", occurred_at=0, duration_ms=-1)), RejectReason.BAD_CUSTOMER),
    ],
)  # fmt: skip
def test_a_record_that_is_not_accepted_has_a_reason_and_the_others_are_kept(
    broken: bytes | None, reason: RejectReason
) -> None:
    good = [value(interaction(customer_id=f"c{n}"), w) for n, w in enumerate([CURRENT, FOREIGN, OLD])]
    decoded = decode([Record(good[0]), Record(broken), Record(good[1]), Record(broken), Record(good[2])])
    assert reasons(decoded) == [(1, reason), (3, reason)]
    assert all(r.message for r in decoded.rejected)
    assert decoded.index.tolist() == [0, 2, 4]
    assert texts(decoded.interactions, "customer") == ["c0", "c1", "c2"]


@pytest.mark.parametrize(
    "fields",
    [
        {"customer_id": "x"},
        {"customer_id": "ş" * 256},
        {"occurred_at": APPENDED_MS - 7 * DAY_MS},
        {"occurred_at": APPENDED_MS + 300_000},
        {"duration_ms": 0},
        {"duration_ms": MAX_DURATION_MS},
        {"duration_ms": None},
        {"touchpoint": "", "channel": "", "kind": ""},
        {"touchpoint": "t" * 512, "channel": "ş" * 256},
        {"attributes": {f"key-{n}": "v" * n for n in range(100)}},
    ],
)
@pytest.mark.parametrize("writer", [CURRENT, FOREIGN])
def test_what_is_at_the_bounds_is_accepted(fields: dict[str, Any], writer: int) -> None:
    assert decode([Record(value(interaction(**fields), writer))]).rejected == []


@pytest.mark.parametrize("writer", [CURRENT, FOREIGN])
def test_a_sentiment_that_is_not_on_its_scale_is_refused_where_it_counts(writer: int) -> None:
    said = [-5.0, -1.0, 1.0, None, float("inf")]
    records = [Record(value(interaction(sentiment=one), writer)) for one in said]
    with_details = InteractionDecoder(Registry(), BOUNDS, details=True)  # type: ignore[arg-type]  # as above
    found = decode(records, with_details)
    assert [(r.index, r.reason) for r in found.rejected] == [(n, RejectReason.BAD_SENTIMENT) for n in (0, 4)]
    assert found.index.tolist() == [1, 2, 3]
    assert not decode(records).rejected


@pytest.mark.parametrize(
    ("attributes", "outcome"),
    [
        *[({"outcome": name}, number) for number, name in enumerate(OUTCOMES)],
        ({}, -1),
        ({"outcome": "Answered"}, -1),
        ({"outcome": ""}, -1),
        ({"out": "answered", "reply": "answered"}, -1),
        ({"stage": "x", "outcome": "closed", "z": ""}, 5),
    ],
)
def test_the_outcome_is_an_attribute(attributes: dict[str, str], outcome: int) -> None:
    batch = decode([Record(value(interaction())), Record(value(interaction(attributes=attributes)))]).interactions
    assert batch.outcome.tolist() == [-1, outcome]


def test_a_batch_may_be_empty_or_hold_nothing_good() -> None:
    for records in ([], [Record(None, None)], [Record(b"\0\0", None)], [Record(None), Record(b"x")]):
        decoded = decode(records)
        assert len(decoded.interactions) == 0
        assert decoded.index.tolist() == []
        assert len(decoded.rejected) == len(records)


def test_keys_that_are_not_the_customer_are_counted() -> None:
    keys = [b"ana", None, b"", b"an", b"anna", b"bea", b"ana"]
    records = [Record(value(interaction(), w), key) for key, w in zip(keys, [1, 1, 2, 2, 3, 3, 3], strict=True)]
    assert decode(records).keys_differ == 5
    assert decode([Record(b"broken", b"bea")]).keys_differ == 0


def test_a_known_schema_is_asked_for_once_and_an_unknown_one_for_every_batch() -> None:
    registry = Registry()
    reader = decoder(registry)
    for _ in range(3):
        decode([Record(GOOD), Record(frame_header(UNKNOWN)), Record(frame_header(JSON_SCHEMA)), Record(b"?")], reader)
    assert registry.asked == [CURRENT, JSON_SCHEMA, UNKNOWN, UNKNOWN, UNKNOWN]


def test_a_registry_that_is_away_is_told_and_nothing_is_remembered() -> None:
    registry = Registry()
    registry.away = True
    reader = decoder(registry)
    with pytest.raises(StoreUnavailable):
        reader.resolve(CURRENT)
    registry.away = False
    assert decode([Record(GOOD)], reader).rejected == []


def test_our_own_schema_can_be_known_without_asking() -> None:
    registry = Registry()
    reader = decoder(registry)
    reader.know(CURRENT, "interaction")
    assert decode([Record(GOOD)], reader).rejected == []
    assert registry.asked == []


interactions = st.fixed_dictionaries(
    {
        "event_id": st.text(max_size=5),
        "customer_id": st.text(max_size=6),
        "kind": st.sampled_from(["wait.measured", "form.failed", "", "ölçüm"]),
        "channel": st.text(max_size=3),
        "touchpoint": st.text(max_size=6),
        "occurred_at": st.integers(APPENDED_MS - 8 * DAY_MS, APPENDED_MS + 400_000),
        "device": st.fixed_dictionaries({"model": st.one_of(st.text(max_size=3), st.integers(0, 9))}),
        "duration_ms": st.one_of(st.none(), st.integers(-5, 10**6), st.integers(-(2**63), 2**63 - 1)),
        "amount": st.one_of(st.none(), st.floats(allow_nan=False)),
        "reach": st.one_of(st.none(), st.integers(0, 9)),
        "attributes": st.dictionaries(
            st.sampled_from(["outcome", "stage", "ğ"]),
            st.one_of(st.sampled_from(OUTCOMES), st.text(max_size=4)),
            max_size=3,
        ),
    }
)
written = st.tuples(st.sampled_from([CURRENT, OLD, FOREIGN, NEWER, *RELEASED]), interactions)
# 1 and 3 are the numbers -1 and -2: fastavro takes them for the last branches of a union, we refuse them
_bytes = st.integers(0, 255).filter(lambda byte: byte not in (1, 3))
damage = st.one_of(st.none(), st.none(), st.none(), st.tuples(st.integers(5, 200), _bytes))


def by_fastavro(raw: bytes, writer: int) -> dict[str, Any] | None:
    """The record as our schema has it, without logical types: times stay numbers. None when it cannot be read."""
    body = io.BytesIO(raw[5:])
    try:
        record = fastavro.schemaless_reader(body, plain(PARSED[writer]), plain(PARSED[CURRENT]))
    except Exception:  # noqa: BLE001 - whatever it is, it cannot be read
        return None
    return None if body.read(1) or not isinstance(record, dict) else record


def plain(schema: Any) -> Any:
    """A schema without logical types."""
    if isinstance(schema, dict):
        return {k: plain(v) for k, v in schema.items() if k != "logicalType" and not k.startswith("__")}
    return [plain(s) for s in schema] if isinstance(schema, list) else schema


def accepted(record: dict[str, Any]) -> bool:
    duration_ms = record["duration_ms"]
    return (
        1 <= len(record["customer_id"].encode()) <= 512
        and APPENDED_MS - BOUNDS.max_age_ms <= record["occurred_at"] <= APPENDED_MS + BOUNDS.max_ahead_ms
        and (duration_ms is None or 0 <= duration_ms <= MAX_DURATION_MS)
        and len(record["touchpoint"].encode()) <= 512
        and len(record["channel"].encode()) <= 512
    )


def expected(raw: Iterable[tuple[bytes, int]]) -> list[tuple[object, ...]]:
    """What is to be read: the slow and obvious way."""
    found: list[tuple[object, ...]] = []
    for i, (bytes_, writer) in enumerate(raw):
        record = by_fastavro(bytes_, writer)
        if record is None or not accepted(record):
            continue
        outcome = record["attributes"].get("outcome")
        found.append(
            (
                i,
                *(record[name] for name in ("customer_id", "kind", "channel", "touchpoint", "occurred_at")),
                -1 if record["duration_ms"] is None else record["duration_ms"],
                OUTCOMES.index(outcome) if outcome in OUTCOMES else -1,
            )
        )
    return found


def found(decoded: Decoded) -> list[tuple[object, ...]]:
    batch = decoded.interactions
    columns_ = [texts(batch, name) for name in ("customer", "kind", "channel", "touchpoint")]
    numbers = [batch.occurred_ms.tolist(), batch.duration_ms.tolist(), batch.outcome.tolist()]
    return list(zip(decoded.index.tolist(), *columns_, *numbers, strict=True))


READER = decoder()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(written, damage), max_size=12))
def test_what_is_read_is_what_fastavro_reads(
    batch: list[tuple[tuple[int, dict[str, Any]], tuple[int, int] | None]],
) -> None:
    raw = []
    for (writer, record), harm in batch:
        data = bytearray(value(record, writer))
        if harm is not None and harm[0] < len(data):
            data[harm[0]] = harm[1]
        raw.append((bytes(data), writer))
    decoded = decode([Record(r) for r, _ in raw], READER)
    assert found(decoded) == expected(raw)
    assert sorted([*decoded.index.tolist(), *(r.index for r in decoded.rejected)]) == list(range(len(raw)))


@contextmanager
def uncompiled() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, np.errstate(over="ignore"):
        patch.setattr(decoding, "refuse_compiled", refuse)
        patch.setattr(frames, "read_ids_compiled", read_ids)
        patch.setattr(decoding, "count_other_keys_compiled", count_other_keys)
        patch.setattr(index, "number_texts_compiled", text_table.number_texts)
        yield


@settings(max_examples=30, deadline=None)
@given(st.lists(written, max_size=6))
def test_kernels_give_the_same_uncompiled(batch: list[tuple[int, dict[str, Any]]]) -> None:
    records = [Record(value(record, writer)) for writer, record in batch]
    fast = decode(records, READER)
    with uncompiled():
        plainly = decode(records, READER)
    assert found(plainly) == found(fast)
    assert reasons(plainly) == reasons(fast)
    assert plainly.keys_differ == fast.keys_differ


def kinds_of_arrays(batch: InteractionBatch) -> list[str]:
    """What numba tells apart: dtype, order, and whether it can be written."""
    in_texts = [getattr(t, end) for t in (batch.customer, batch.kind, batch.channel) for end in ("start", "length")]
    columns_ = [batch.data, batch.append_ms, batch.occurred_ms, batch.duration_ms, batch.outcome, *in_texts]
    return [str(numba.typeof(column)) for column in columns_]


@pytest.mark.parametrize(
    "records",
    [
        [],
        [Record(None)],
        [Record(b"?")],
        [Record(value(interaction(), FOREIGN))],
        [Record(value(interaction(), w)) for w in (CURRENT, OLD, FOREIGN, NEWER)],
        [Record(value(interaction(occurred_at=0))), Record(GOOD)],
    ],
)
def test_no_batch_makes_a_kernel_compile_anew(records: list[Record]) -> None:
    """A kernel that meets another kind of array is compiled for it, seconds in which the worker does nothing."""
    usual = kinds_of_arrays(decode([Record(GOOD)], READER).interactions)
    assert kinds_of_arrays(decode(records, READER).interactions) == usual
