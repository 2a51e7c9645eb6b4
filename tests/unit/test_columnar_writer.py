"""What the columnar writer writes, fastavro reads, byte for byte as fastavro would have written it."""

import io
import json
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.columnar import write_kernel, writer
from schemas.columnar.writer import ColumnarWriter, ListColumn, TextColumn
from schemas.topics import avro_schema
from schemas.wire import frame_header

SCORE = avro_schema("score")
BANDS = ("calm", "warm", "hot", "çok kötü")
SIGNALS = ("wait", "return")

entries = st.tuples(st.integers(0, 1), st.floats(allow_nan=False), st.floats(0, 1e9), st.floats(0, 1e9))
rows = st.tuples(
    st.text(max_size=20), st.integers(-(2**60), 2**60), st.floats(allow_nan=False), st.integers(0, 3),
    st.lists(entries, max_size=4), st.integers(0, 2**62), st.none() | st.text(max_size=5),
)  # fmt: skip


def columns(given_rows: list[Any]) -> dict[str, Any]:
    ids = [r[0] for r in given_rows]
    raw = [i.encode() for i in ids]
    length = np.array([len(r) for r in raw], np.int32)
    customer = TextColumn(np.frombuffer(b"".join(raw), np.uint8), (np.cumsum(length) - length).astype(np.int64), length)
    flat = [e for r in given_rows for e in r[4]]
    begin = np.cumsum([0, *(len(r[4]) for r in given_rows)]).astype(np.int32)
    score = np.array([r[2] for r in given_rows])
    return {
        "customer_id": customer,
        "scored_at": np.array([r[1] for r in given_rows], np.int64),
        "score": score,
        "band": TextColumn.chosen(BANDS, np.array([r[3] for r in given_rows], np.int64)),
        "heat": score,
        "scale": score,
        "contributions": ListColumn(
            begin,
            {
                "signal": TextColumn.chosen(SIGNALS, np.array([e[0] for e in flat], np.int64)),
                "heat": np.array([e[1] for e in flat], np.float64),
                "half_life_s": np.array([e[2] for e in flat], np.float64),
                "cap": np.array([e[3] for e in flat], np.float64),
                "held": np.array([e[1] for e in flat], np.float64),
            },
        ),
        "interactions": np.array([r[5] for r in given_rows], np.int64),
        "segment": None,
        "policy": TextColumn.chosen(("abc",), np.zeros(len(given_rows), np.int64)),
    }


def records(given_rows: list[Any]) -> list[dict[str, Any]]:
    return [
        {"customer_id": r[0], "scored_at": r[1], "score": r[2], "band": BANDS[r[3]], "heat": r[2], "scale": r[2],
         "contributions": [
             {"signal": SIGNALS[e[0]], "heat": e[1], "half_life_s": e[2], "cap": e[3], "held": e[1]} for e in r[4]
         ], "interactions": r[5], "segment": None, "policy": "abc"}
        for r in given_rows
    ]  # fmt: skip


def written_by_fastavro(record: dict[str, Any]) -> bytes:
    out = io.BytesIO(frame_header(7))
    out.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(SCORE)), record)
    return out.getvalue()


@settings(max_examples=100, deadline=None)
@given(st.lists(rows, max_size=6))
def test_scores_are_written_as_fastavro_writes_them(given_rows: list[Any]) -> None:
    got = ColumnarWriter(SCORE, 7).write(len(given_rows), columns(given_rows))
    assert got == [written_by_fastavro(r) for r in records(given_rows)]


def test_the_kernel_gives_the_same_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    some = [("ana", -5, 1.5, 3, [(0, 2.0, 3.0, 4.0), (1, 0.5, 1.0, 9.0)], 2**40, None), ("", 0, 0.0, 0, [], 0, None)]
    want = ColumnarWriter(SCORE, 7).write(2, columns(some))
    monkeypatch.setattr(writer, "write_records_compiled", write_kernel.write_records)
    assert ColumnarWriter(SCORE, 7).write(2, columns(some)) == want


def test_a_column_of_the_wrong_kind_is_refused_by_name() -> None:
    wrong = {**columns([]), "score": TextColumn.chosen(("x",), np.zeros(0, np.int64))}
    with pytest.raises(TypeError, match="score"):
        ColumnarWriter(SCORE, 7).write(0, wrong)
    with pytest.raises(TypeError, match="customer_id cannot be null"):
        ColumnarWriter(SCORE, 7).write(0, {**columns([]), "customer_id": None})
