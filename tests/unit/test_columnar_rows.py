"""Rows of Python values agree with fastavro; broken records are left out, and the others keep their number."""

import io
import json
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.columnar import ColumnarReader
from schemas.columnar.frames import schema_ids
from schemas.columnar.rows import python_rows
from schemas.wire import frame_header

SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Flat",
        "fields": [
            {"name": "text", "type": "string"},
            {"name": "note", "type": ["null", "string"]},
            {"name": "count", "type": "long"},
            {"name": "share", "type": ["null", "double"]},
            {"name": "closed", "type": "boolean"},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        ],
    }
)
NEWER = json.dumps(
    {**json.loads(SCHEMA), "fields": [*json.loads(SCHEMA)["fields"], {"name": "more", "type": "int", "default": 7}]}
)
longs = st.integers(-(2**63), 2**63 - 1)
records = st.fixed_dictionaries(
    {"text": st.text(max_size=9), "note": st.none() | st.text(max_size=9), "count": longs, "closed": st.booleans(),
     "share": st.none() | st.floats(allow_nan=False), "at": st.integers(0, 4_102_444_800_000)}
)  # fmt: skip


def written(record: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    plain = json.loads(SCHEMA)
    plain["fields"][-1]["type"] = "long"
    fastavro.schemaless_writer(out, fastavro.parse_schema(plain), record)
    return out.getvalue()


def read(bodies: list[bytes], schema: str = SCHEMA) -> tuple[list[int], list[dict[str, Any]]]:
    reader = ColumnarReader(schema)
    plan = reader.plan(SCHEMA)
    assert plan is not None
    ends = np.cumsum([len(b) for b in bodies], dtype=np.int64)
    start = ends - np.array([len(b) for b in bodies], np.int64)
    kept, rows = python_rows(reader.arrays(plan, np.frombuffer(b"".join(bodies), np.uint8), start, ends))
    return kept.tolist(), rows


@given(st.lists(st.tuples(records, st.booleans()), max_size=8))
def test_records_are_read_as_they_were_written_and_broken_ones_left_out(
    told: list[tuple[dict[str, Any], bool]],
) -> None:
    kept, rows = read([written(record)[: -1 if broken else None] for record, broken in told])
    assert kept == [i for i, (_, broken) in enumerate(told) if not broken]
    assert rows == [record for record, broken in told if not broken]


def test_a_field_that_the_writer_does_not_know_has_its_default() -> None:
    record = {"text": "", "note": None, "count": 0, "share": None, "closed": False, "at": 0}
    assert read([written(record)], NEWER)[1] == [{**record, "more": 7}]


def test_a_field_with_entries_of_its_own_is_refused() -> None:
    listed = json.dumps(
        {"type": "record", "name": "L", "fields": [{"name": "m", "type": {"type": "map", "values": "string"}}]}
    )
    reader = ColumnarReader(listed)
    plan = reader.plan(listed)
    assert plan is not None
    none = np.zeros(0, np.int64)
    with pytest.raises(TypeError, match="m has entries"):
        python_rows(reader.arrays(plan, np.zeros(0, np.uint8), none, none))


@pytest.mark.parametrize(
    ("values", "ids", "known"),
    [
        ([], [], []),
        ([frame_header(7)], [7], [7]),
        ([frame_header(9), None, frame_header(7) + b"x", b"\1\0\0\0\7", b"\0\0\0"], [9, -1, 7, -1, -1], [7, 9]),
        ([b"", None], [-1, -1], []),
    ],
)
def test_the_schema_of_each_framed_value_is_found(values: list[bytes | None], ids: list[int], known: list[int]) -> None:
    lengths = np.array([-1 if v is None else len(v) for v in values], np.int32)
    start = np.cumsum(np.maximum(lengths, 0), dtype=np.int64) - np.maximum(lengths, 0)
    found, those = schema_ids(np.frombuffer(b"".join(v or b"" for v in values), np.uint8), start, lengths)
    assert (found.tolist(), those) == (ids, known)
