"""The columnar reader agrees with fastavro, on good bytes and on bad ones."""

import io
import json
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.columnar import ColumnarReader, Columns, kernel
from schemas.errors import SchemaIncompatible
from schemas.topics import avro_schema

INTERACTION = avro_schema("interaction")
SCORE = avro_schema("score")
RAW = INTERACTION.replace('{"type":"long","logicalType":"timestamp-millis"}', '"long"')  # any long is a time

text = st.text(max_size=12)
longs = st.integers(-(2**63), 2**63 - 1)
times = st.integers(0, 4_102_444_800_000)
doubles = st.floats(allow_nan=False)


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


interactions = st.fixed_dictionaries(
    {"event_id": text, "customer_id": text, "kind": text, "channel": text, "touchpoint": text, "occurred_at": times,
     "session_id": optional(text), "case_id": optional(text), "subject": optional(text), "duration_ms": optional(longs),
     "amount": optional(doubles), "currency": optional(text), "rating": optional(doubles),
     "sentiment": optional(doubles), "reach": optional(longs), "segment": optional(text), "source": optional(text),
     "attributes": st.dictionaries(text, text, max_size=4)}
)  # fmt: skip
contributions = st.fixed_dictionaries(
    {"signal": text, "heat": doubles, "half_life_s": doubles, "cap": doubles, "held": doubles}
)
scores = st.fixed_dictionaries(
    {"customer_id": text, "scored_at": times, "score": doubles, "band": text, "heat": doubles, "scale": doubles,
     "contributions": st.lists(contributions, max_size=4), "interactions": longs, "segment": optional(text),
     "policy": text}
)  # fmt: skip


def encoded(schema: str, record: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(schema)), record)
    return out.getvalue()


def read(reader: str, writer: str, bodies: list[bytes]) -> Columns:
    ends = np.cumsum([len(b) for b in bodies]).astype(np.int64)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64) if bodies else ends
    return ColumnarReader(reader).read(writer, np.frombuffer(b"".join(bodies), np.uint8), starts, ends)


def rows_of(columns: Columns) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = columns.batch.to_pylist()
    for row in rows:
        if "attributes" in row:
            row["attributes"] = dict(row["attributes"])
    return rows


def fastavro_rows(reader: str, writer: str, bodies: list[bytes]) -> list[Any]:
    w, r = fastavro.parse_schema(json.loads(writer)), fastavro.parse_schema(json.loads(reader))
    return [fastavro.schemaless_reader(io.BytesIO(b), w, r) for b in bodies]


@settings(max_examples=60, deadline=None)
@given(st.lists(interactions, max_size=8))
def test_interactions_read_as_fastavro_reads_them(records: list[dict[str, Any]]) -> None:
    bodies = [encoded(INTERACTION, r) for r in records]
    columns = read(INTERACTION, INTERACTION, bodies)
    assert columns.problems == []
    assert rows_of(columns) == fastavro_rows(INTERACTION, INTERACTION, bodies)


@settings(max_examples=60, deadline=None)
@given(st.lists(scores, max_size=8))
def test_arrays_of_records_read_as_fastavro_reads_them(records: list[dict[str, Any]]) -> None:
    bodies = [encoded(SCORE, r) for r in records]
    assert rows_of(read(SCORE, SCORE, bodies)) == fastavro_rows(SCORE, SCORE, bodies)


WRITERS: dict[str, Any] = {
    "an older one without the optional fields": {"drop": {"sentiment", "reach", "attributes", "segment"}, "add": []},
    "a newer one with fields that we do not know": {
        "drop": set(),
        "add": [
            {"name": "shard", "type": "int"},
            {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 4}},
            {"name": "mood", "type": ["null", {"type": "enum", "name": "Mood", "symbols": ["GOOD", "BAD"]}]},
            {"name": "weight", "type": ["float", "null"]},
            {"name": "tags", "type": {"type": "map", "values": "string"}},
        ],
    },
    "one that only fastavro understands": {
        "drop": {"reach"},
        "add": [
            {"name": "either", "type": ["string", "long", "null"]},
            {"name": "bits", "type": {"type": "array", "items": "int"}},
        ],
    },
}  # fmt: skip
EXTRA = {
    "shard": 7,
    "hash": b"\0\1\2\3",
    "mood": "BAD",
    "weight": 0.5,
    "tags": {"ü": "ş"},
    "either": 12,
    "bits": [1, 2],
}


@pytest.mark.parametrize("name", WRITERS)
def test_other_writers_are_read_with_our_schema(name: str) -> None:
    change = WRITERS[name]
    schema = json.loads(INTERACTION)
    schema["fields"] = list(change["add"]) + [f for f in schema["fields"] if f["name"] not in change["drop"]]
    writer = json.dumps(schema)
    record = {"event_id": "e", "customer_id": "Çağlar Öztürk", "kind": "wait.measured", "channel": "phone",
              "touchpoint": "call/support", "occurred_at": 1_700_000_000_000, "duration_ms": 61_000,
              "attributes": {"stage": "queue"}, **EXTRA}  # fmt: skip
    bodies = [encoded(writer, record)] * 3
    columns = read(INTERACTION, writer, bodies)
    assert rows_of(columns) == fastavro_rows(INTERACTION, writer, bodies)
    assert columns.batch.column("customer_id")[2].as_py() == "Çağlar Öztürk"


def test_a_writer_without_a_required_field_is_refused_by_name() -> None:
    schema = json.loads(INTERACTION)
    schema["fields"] = [f for f in schema["fields"] if f["name"] != "customer_id"]
    with pytest.raises(SchemaIncompatible, match="customer_id"):
        read(INTERACTION, json.dumps(schema), [b""])


def test_a_writer_with_another_type_is_refused_by_name() -> None:
    schema = json.loads(INTERACTION)
    schema["fields"][5]["type"] = "string"
    with pytest.raises(SchemaIncompatible, match="occurred_at"):
        read(INTERACTION, json.dumps(schema), [b""])


def good() -> bytes:
    record = {"event_id": "e1", "customer_id": "ana", "kind": "k", "channel": "c", "touchpoint": "t",
              "occurred_at": 5, "attributes": {"a": "1", "b": "2"}}  # fmt: skip
    return encoded(INTERACTION, record)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=60), st.integers(0, 60).map(lambda n: good()[:n]),
                          st.binary(min_size=1, max_size=3).map(lambda b: good() + b),
                          st.tuples(st.integers(0, 40), st.integers(0, 255)).map(
                              lambda x: good()[: x[0]] + bytes([x[1]]) + good()[x[0] + 1 :]))))  # fmt: skip
def test_broken_records_are_told_and_the_others_kept(bodies: list[bytes]) -> None:
    """Each broken body stands between good ones; what fastavro reads whole is kept, and nothing else."""
    mixed = [b for body in bodies for b in (good(), body)] + [good()]
    columns = read(RAW, RAW, mixed)
    broken = {p.index for p in columns.problems}
    assert broken.isdisjoint(columns.kept.tolist())
    assert len(broken) + len(columns.kept) == len(mixed)
    rows = dict(zip(columns.kept.tolist(), rows_of(columns), strict=True))
    want = {i: row for i, body in enumerate(mixed) if (row := whole_record(body)) is not None}
    for problem in columns.problems:  # fastavro takes branch -2 of a union of two for its first; the standard does not
        if problem.reason == kernel.REASONS[kernel.BAD_BRANCH]:
            want.pop(problem.index, None)
    assert repr(rows) == repr(want)  # repr, since a NaN is not equal to itself


def whole_record(body: bytes) -> dict[str, Any] | None:
    stream = io.BytesIO(body)
    try:
        record = fastavro.schemaless_reader(stream, fastavro.parse_schema(json.loads(RAW)), None)
    except Exception:  # noqa: BLE001 - fastavro raises whatever its C code meets
        return None
    return record if isinstance(record, dict) and not stream.read(1) else None


def test_each_problem_has_its_reason() -> None:
    bodies = [good()[:-3], good() + b"!", b"\x04\xff\xff" + good()[3:], b"\x01" + good()[1:]]
    reasons = [p.reason for p in read(INTERACTION, INTERACTION, bodies).problems]
    assert reasons == [kernel.REASONS[i] for i in (1, 2, 6, 5)]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=12))
def test_utf8_is_what_python_says(raw: bytes) -> None:
    try:
        raw.decode()
        fine = True
    except UnicodeDecodeError:
        fine = False
    assert kernel.is_utf8(np.frombuffer(raw, np.uint8), 0, len(raw)) is fine


def test_the_kernel_gives_the_same_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [good(), good()[:-2], good()]
    compiled = read(INTERACTION, INTERACTION, bodies)
    monkeypatch.setattr("schemas.columnar.reader.read_records_compiled", kernel.read_records)
    plain = read(INTERACTION, INTERACTION, bodies)
    assert plain.batch.equals(compiled.batch)
    assert plain.problems == compiled.problems


def test_no_records_are_an_empty_batch() -> None:
    assert read(SCORE, SCORE, []).batch.num_rows == 0
