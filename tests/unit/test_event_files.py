"""Files of interactions: each good row becomes one, each other one is told with its place and its reason."""

import gzip
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.files.fields import SCHEMA
from connectors.files.mapping import Mapping, MappingFile
from connectors.files.times import read_times, times_of_texts
from schemas.errors import InputUnreadable
from tests.event_files import AT, AT_MS, GOOD, read, row, written

FULL = row(
    channel="phone",
    touchpoint="call/support",
    session_id="s",
    case_id="c",
    subject="refund",
    duration_ms=61_000,
    amount=12.5,
    currency="EUR",
    rating=4,
    sentiment=-0.5,
    reach=1200,
    segment="loyal",
    source="desk",
)


def test_every_field_comes_through_in_every_format(tmp_path: Path, path_of_reading: str) -> None:
    expected = {**FULL, "occurred_at": AT_MS, "attributes": {"stage": "queue", "tries": "3"}}
    names = [*FULL, "attributes.stage", "attributes.tries"]
    files = [
        written(tmp_path / "a.jsonl", [{**FULL, "attributes": {"stage": "queue", "tries": 3}}]),
        written(tmp_path / "b.csv", [",".join(names), ",".join(str(v) for v in [*FULL.values(), "queue", 3])]),
        written(tmp_path / "c.tsv", ["\t".join([*FULL, "attributes"]),
                                     "\t".join([*map(str, FULL.values()), '"{""stage"":""queue"",""tries"":3}"'])]),
        tmp_path / "d.parquet",
        tmp_path / "e.parquet",
    ]  # fmt: skip
    table = pa.table({name: [value] for name, value in FULL.items()})
    maps = pa.array([[("stage", "queue"), ("tries", "3")]], SCHEMA.field("attributes").type)
    pq.write_table(table.append_column("attributes", maps), files[3])
    structs = pa.array([{"stage": "queue", "tries": 3}])
    pq.write_table(table.append_column("attributes", structs), files[4])
    for file in files:
        found = read(file)
        assert found.rejected == []
        assert found.rows == [expected], file


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("2026-03-01T06:30:00Z", AT_MS),
        ("2026-03-01T09:30:00+03:00", AT_MS),
        ("2026-03-01T01:00:00-05:30", AT_MS),
        ("2026-03-01T09:30:00.123456789+03:00", AT_MS + 123),
        ("2026-03-01 06:30:00.5z", AT_MS + 500),
        ("2026-03-01T06:30Z", AT_MS),
        (AT_MS, AT_MS),
        (str(AT_MS), AT_MS),
        (f" {AT_MS} ", AT_MS),
        (AT_MS + 0.7, AT_MS),
        (float(AT_MS), AT_MS),
        (f"{AT_MS}.0", AT_MS),
        (f"{AT_MS}.999", AT_MS),
        (f"{AT_MS / 1e12!r}e12", AT_MS),
        (0, 0),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
    ],
)
def test_times_are_rfc_3339_or_epoch_milliseconds(
    tmp_path: Path, text: str | float, at_ms: int, path_of_reading: str
) -> None:
    found = read(written(tmp_path / "a.jsonl", [row(occurred_at=text)]))
    assert [r["occurred_at"] for r in found.rows] == [at_ms], found.rejected


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"occurred_at": "2026-03-01T09:30:00"}, "has no zone"),
        ({"occurred_at": "yesterday"}, "must be RFC 3339"),
        ({"occurred_at": "2025-02-29T00:00:00Z"}, "must be RFC 3339"),
        ({"occurred_at": "2026-03-01T24:00:00Z"}, "must be RFC 3339"),
        ({"occurred_at": -1.5}, "must lie between 1970 and 2200"),
        ({"occurred_at": "1e300"}, "must lie between 1970 and 2200"),
        ({"occurred_at": "1.2.3"}, "or epoch milliseconds, got '1.2.3'"),
        ({"occurred_at": "9999-12-31T00:00:00Z"}, "must lie between 1970 and 2200"),
        ({"occurred_at": ""}, "occurred_at is missing or empty"),
        ({"occurred_at": None}, "occurred_at is missing or empty"),
        ({"customer_id": ""}, "customer_id is missing or empty"),
        ({"customer_id": None}, "customer_id is missing or empty"),
        ({"kind": ""}, "kind is missing or empty"),
        ({"rating": "NaN"}, "rating must be finite"),
        ({"rating": "-inf"}, "rating must be finite"),
        ({"rating": "good"}, "rating must be a number, got 'good'"),
        ({"amount": "12,5"}, "decimal = ','"),
        ({"duration_ms": -1}, "duration_ms must be at least 0"),
        ({"duration_ms": "-5"}, "duration_ms must be at least 0"),
        ({"reach": 1.5}, "reach must be a whole number"),
        ({"reach": -1}, "reach must be a whole number"),
        ({"attributes": "[1]"}, "attributes must be a JSON object"),
        ({"attributes": "{"}, "attributes is no JSON"),
    ],
)
def test_a_value_that_cannot_be_is_told_with_its_line(
    tmp_path: Path, fields: dict[str, Any], reason: str, path_of_reading: str
) -> None:
    bad = {**row(), **fields}
    found = read(written(tmp_path / "a.jsonl", [row(), "", bad, row()]))
    assert found.rows == [GOOD, GOOD]
    (rejected,) = found.rejected
    assert reason in rejected.reason
    assert (rejected.line, json.loads(rejected.raw)) == (3, bad)
    names = list(bad)
    texts = [["" if v is None else v for v in one.values()] for one in ({**dict.fromkeys(names), **row()}, bad)]
    lines = [";".join(names), *(";".join('"' + str(v).replace('"', '""') + '"' for v in t) for t in texts)]
    found = read(written(tmp_path / "a.csv", lines))
    assert found.rows == [GOOD]
    assert [(r.line, reason in r.reason) for r in found.rejected] == [(3, True)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"customer_id": "ana"', "the line is no JSON"),
        ("[1, 2]", "must be a JSON object, not list"),
        ("null", "must be a JSON object, not NoneType"),
        ('{"customer_id": "\\ud800"}', "surrogate"),
        ('{"customer_id": "ana"} {"customer_id": "bea"}', "the line is no JSON"),
        ('{"customer_id":', "the line is no JSON"),
    ],
)
def test_a_broken_line_does_not_harm_the_others(tmp_path: Path, line: str, reason: str) -> None:
    found = read(written(tmp_path / "a.jsonl", [row(), line, row(duration_ms="7")]))
    assert found.rows == [GOOD, {**GOOD, "duration_ms": 7}]
    assert [(r.file, r.line, r.raw) for r in found.rejected] == [(str(tmp_path / "a.jsonl"), 2, line)]
    assert reason in found.rejected[0].reason


def test_what_is_not_utf_8_is_told(tmp_path: Path) -> None:
    for name, head in (("a.jsonl", None), ("a.csv", b"event_id,customer_id,kind,occurred_at\n")):
        good = json.dumps(row()).encode() if head is None else f"e,ana,form.failed,{AT}".encode()
        (tmp_path / name).write_bytes((head or b"") + good + b"\n" + good.replace(b"ana", b"\xfcna") + b"\n" + good)
        found = read(tmp_path / name)
        assert found.rows == [GOOD, GOOD]
        assert [("UTF-8" in r.reason, r.line) for r in found.rejected] == [(True, 2 if head is None else 3)]


def test_a_byte_order_mark_before_json_is_fine_and_utf_16_is_told(tmp_path: Path) -> None:
    assert read(written(tmp_path / "a.jsonl", ["\ufeff" + json.dumps(row())])).rows == [GOOD]
    (tmp_path / "b.csv").write_bytes("customer_id;kind".encode("utf-16"))
    with pytest.raises(InputUnreadable, match="is UTF-16"):
        read(tmp_path / "b.csv")
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress("customer_id;kind".encode("utf-16")))
    (tmp_path / "d.csv").write_bytes("customer_id;kind".encode("utf-16-le"))
    for name in ("c.csv.gz", "d.csv"):
        with pytest.raises(InputUnreadable, match=f"{name} is UTF-16"):
            read(tmp_path / name)


def test_seconds_that_were_taken_for_milliseconds_are_told(tmp_path: Path) -> None:
    found = read(written(tmp_path / "a.jsonl", [row(occurred_at=AT_MS // 1000), row()]))
    assert len(found.rows) == 2
    assert ["1 interactions are of before 1973" in w for w in found.warnings] == [True]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_a_missing_column_is_one_error(tmp_path: Path, name: str) -> None:
    columns = {"Caller": "ana", "kind": "k", "occurred_at": AT}
    if name == "a.jsonl":
        written(tmp_path / name, [columns] * 3)
    elif name == "a.csv":
        written(tmp_path / name, [",".join(columns), ",".join(columns.values())])
    else:
        pq.write_table(pa.table({k: [v] for k, v in columns.items()}), tmp_path / name)
    with pytest.raises(InputUnreadable) as told:
        read(tmp_path / name)
    begin, _, rest = str(told.value).partition("; it has: ")
    assert begin == f"{tmp_path / name} has no column customer_id"
    has, _, remedy = rest.partition(". ")
    assert sorted(has.split(", ")) == sorted(columns)
    assert "--map" in remedy


def test_a_column_that_is_named_twice_and_an_array_of_json_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputUnreadable, match="names a column twice: kind"):
        read(written(tmp_path / "a.csv", ["customer_id,kind,kind,occurred_at", "a,b,c,d"]))
    with pytest.raises(InputUnreadable, match="has objects over several lines: write one a line"):
        read(written(tmp_path / "c.jsonl", json.dumps(row(), indent=2).split("\n")))
    with pytest.raises(InputUnreadable, match="is one JSON array"):
        read(written(tmp_path / "a.json", ["[", json.dumps(row()), "]"]))
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no, it is not PAR1")
    with pytest.raises(InputUnreadable, match="cannot be read as Parquet"):
        read(tmp_path / "a.parquet")


def test_strict_stops_at_the_first_row_that_cannot_be_taken(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", [row(), row(kind=""), "{"])
    with pytest.raises(InputUnreadable, match=r"a\.jsonl:2: kind is missing or empty"):
        read(path, strict=True)


def test_rows_of_parquet_that_cannot_be_taken_are_told_by_their_number(tmp_path: Path) -> None:
    table = pa.table(
        {
            "customer_id": pa.array(["ana", "", None, "bea"]).dictionary_encode(),
            "kind": pa.array([b"k", b"k", b"k", b"\xff"], pa.binary()),
            "occurred_at": pa.array([AT_MS] * 4, pa.timestamp("ms", "Europe/Istanbul")),
            "rating": pa.array([np.inf, 1.0, 1.0, 1.0]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet")
    assert [(r.line, r.reason) for r in found.rejected] == [
        (1, "rating must be finite, got inf"),
        (2, "customer_id is missing or empty"),
        (3, "customer_id is missing or empty"),
        (4, "kind is not UTF-8"),
    ]
    assert found.rows == []
    bad = pa.Array.from_buffers(
        pa.utf8(), 2, [None, pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"a\xff")]
    )
    pq.write_table(
        pa.table({"customer_id": bad, "kind": ["k", "k"], "occurred_at": [AT_MS] * 2}), tmp_path / "b.parquet"
    )
    found = read(tmp_path / "b.parquet")
    assert [r["customer_id"] for r in found.rows] == ["a"]
    assert [(r.line, "UTF-8" in r.reason) for r in found.rejected] == [(2, True)]


def test_a_list_that_is_asked_for_is_left_out_and_told(tmp_path: Path, path_of_reading: str) -> None:
    path = written(tmp_path / "a.jsonl", [json.dumps({**row(), "tags": tags}) for tags in (["a"], [], None)])
    mapping = Mapping(MappingFile.model_validate({"fields": {"customer_id": "customer_id", "subject": "tags"}}), "m")
    found = read(path, mapping=mapping)
    assert len(found.rows) == 3
    assert not found.rejected
    assert [w for w in found.warnings if "lists are left out" in w]


def test_nan_says_nothing(tmp_path: Path) -> None:
    table = pa.table(
        {
            "customer_id": pa.array([7.0, np.nan]),
            "kind": ["k", "k"],
            "occurred_at": pa.array([float(AT_MS)] * 2),
            "rating": pa.array([np.nan, 1.0], pa.float32()),
            "attributes.weight": pa.array([np.nan, 1.0], pa.float16()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    written(tmp_path / "a.jsonl", [json.dumps(one) for one in table.to_pylist()])
    for name in ("a.parquet", "a.jsonl"):
        found = read(tmp_path / name)
        (one,) = found.rows
        assert one["customer_id"] == "7"
        assert "rating" not in one
        assert "attributes" not in one
        assert [(r.line, r.reason) for r in found.rejected] == [(2, "customer_id is missing or empty")]


def test_unknown_columns_are_attributes_and_those_that_begin_with_an_underscore_are_not(
    tmp_path: Path, path_of_reading: str
) -> None:
    more = {"device": {"model": "x", "os": {"version": 7}}, "agent": True, "price": 12.50, "_offset": 5, "list": [1]}
    lines = [row(**more, attributes={"at": "2026-03-01 00:00:00", "none": None})]
    attributes = {"device.model": "x", "device.os.version": "7", "agent": "true", "price": "12.5"}
    found = read(written(tmp_path / "a.jsonl", lines))
    assert found.rows == [{**GOOD, "attributes": attributes | {"at": "2026-03-01 00:00:00"}}]


@pytest.mark.parametrize("values", [[AT_MS + 0.5, None], [float(AT_MS), None], [AT_MS, None]])
def test_a_number_is_a_time_in_every_format(tmp_path: Path, values: list[float | None]) -> None:
    rows = [{**row(), "occurred_at": values[0], "appended_at": at} for at in values]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    written(tmp_path / "a.jsonl", rows)
    texts = [[str(v) if v is not None else "" for v in one.values()] for one in rows]
    written(tmp_path / "a.csv", [";".join(one) for one in ([*rows[0]], *texts)])
    for name in ("a.parquet", "a.jsonl", "a.csv"):
        found = read(tmp_path / name)
        assert not found.rejected, name
        (part,) = found.parts
        assert part.appended_ms is not None
        assert part.appended_ms.tolist() == [AT_MS, AT_MS], name


def test_attributes_that_are_objects_stay_json(tmp_path: Path) -> None:
    found = read(written(tmp_path / "a.jsonl", [row(attributes={"a": {"b": [1, "ş"]}, "c": [2]})]))
    assert found.rows == [{**GOOD, "attributes": {"a": '{"b":[1,"ş"]}', "c": "[2]"}}]


def test_numbers_of_many_digits_stay_what_they_are(tmp_path: Path) -> None:
    found = read(written(tmp_path / "a.jsonl", [row(customer_id=123456789012345678901), row(customer_id=5)]))
    assert [r["customer_id"] for r in found.rows] == ["123456789012345678901", "5"]


def test_a_missing_event_id_is_made_of_what_the_row_says(tmp_path: Path, path_of_reading: str) -> None:
    said = {k: v for k, v in row(a="1", b="x").items() if k != "event_id"}
    other = dict(reversed(said.items()))
    first = read(written(tmp_path / "a.jsonl", [said, other, {**said, "kind": "k"}, said])).ids
    assert len(set(first)) == 4
    assert read(tmp_path / "a.jsonl").ids == first
    assert read(written(tmp_path / "a.csv", [",".join(other), *[",".join(other.values())] * 2])).ids == first[:2]
    pq.write_table(pa.table({k: [v] * 2 for k, v in said.items()}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet").ids == first[:2]
    assert read(tmp_path / "a.csv", tmp_path / "a.parquet").ids[:3] == [first[0], first[1], first[3]]


def test_when_it_was_appended_is_told_beside_the_interaction(tmp_path: Path) -> None:
    lines = [row(appended_at=AT_MS + 5, _partition=0, _offset=7), row(appended_at=None)]
    (part,) = read(written(tmp_path / "a.jsonl", lines)).parts
    assert part.appended_ms is not None
    assert part.appended_ms.tolist() == [AT_MS + 5, AT_MS]
    assert part.batch.column("attributes").to_pylist() == [[], []]
    (part,) = read(written(tmp_path / "a.jsonl", [row()])).parts
    assert part.appended_ms is None


@given(st.integers(86_400_000_000, 7_000_000_000_000_000), st.integers(-14 * 60, 14 * 60))
@settings(max_examples=100)
def test_times_are_those_of_python(microseconds: int, offset_minutes: int) -> None:
    zone = timezone(timedelta(minutes=offset_minutes))
    aware = datetime.fromtimestamp(0, UTC).astimezone(zone) + timedelta(microseconds=microseconds)
    text = aware.isoformat()
    at_ms, found = times_of_texts(pa.array([text]))
    assert found[0] == 1
    assert at_ms[0] == (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    raw = np.frombuffer(text.encode(), np.uint8)
    plain_ms, plain = np.zeros(1, np.int64), np.zeros(1, np.uint8)
    read_times(raw, np.zeros(1, np.int64), np.array([len(raw)], np.int32), plain_ms, plain)
    assert (plain_ms[0], plain[0]) == (at_ms[0], 1)
