"""Alerts as lines of JSON: Python reads of them what the columns say, to the last bit."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.cli.backtest.json_lines import JsonLines, in_order
from schemas.columnar.writer import Column, ListColumn, NullableColumn, TextColumn

TIME = {"type": "long", "logicalType": "timestamp-millis"}
ENTRY = {"type": "record", "name": "E", "fields": [{"name": "a", "type": "string"}, {"name": "n", "type": "double"}]}
FIELDS: list[Any] = [
    {"name": "text", "type": "string"},
    {"name": "maybe", "type": ["null", "string"]},
    {"name": "never", "type": ["null", "string"]},
    {"name": "at", "type": TIME},
    {"name": "until", "type": ["null", TIME]},
    {"name": "flag", "type": "boolean"},
    {"name": "entries", "type": {"type": "array", "items": ENTRY}},
    {"name": "nothing", "type": {"type": "array", "items": ENTRY}},
]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=6)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
RECORDS = st.lists(
    st.tuples(TEXTS, st.none() | TEXTS, st.none() | st.integers(0, 4_102_444_800_000), st.booleans(),
              st.lists(st.tuples(TEXTS, NUMBERS), max_size=3)),
    min_size=1, max_size=6,
)  # fmt: skip


def lists_of(entries: list[list[tuple[str, float]]]) -> ListColumn:
    every = [one for some in entries for one in some]
    begin = np.cumsum([0, *map(len, entries)]).astype(np.int32)
    return ListColumn(begin, {"a": TextColumn.of([a for a, _ in every]), "n": np.array([n for _, n in every])})


@settings(max_examples=200, deadline=None)
@given(RECORDS)
def test_a_line_says_what_its_columns_say(records: list[Any]) -> None:
    texts, maybes, times, flags, entries = zip(*records, strict=True)
    there = np.array([one is not None for one in maybes])
    until = np.array([one is not None for one in times])
    at_ms = np.array([one or 0 for one in times], np.int64)
    columns: dict[str, Column] = {
        "text": TextColumn.of(texts),
        "maybe": NullableColumn(TextColumn.of([one or "" for one in maybes]), there),
        "never": None,
        "at": at_ms,
        "until": NullableColumn(at_ms, until),
        "flag": np.array(flags, np.int64),
        "entries": lists_of(list(entries)),
        "nothing": lists_of([[]] * len(records)),
    }
    lines = JsonLines(FIELDS).joined(len(records), columns, "\n").raw()
    said = np.datetime_as_string(at_ms.astype("datetime64[ms]"), unit="ms").tolist()
    for n, line in enumerate(lines):
        wanted = {
            "text": texts[n], "maybe": maybes[n], "never": None, "at": f"{said[n]}Z",
            "until": f"{said[n]}Z" if until[n] else None, "flag": flags[n],
            "entries": [{"a": a, "n": value} for a, value in entries[n]], "nothing": [],
        }  # fmt: skip
        assert line.endswith(b"}\n")
        assert b" " not in line or any(" " in t for t in (texts[n], maybes[n] or "", *(a for a, _ in entries[n])))
        assert json.dumps(json.loads(line)) == json.dumps(wanted)  # 1.0 is no 1, -0.0 is no 0.0


def test_no_records_are_no_lines() -> None:
    column = TextColumn.of([])
    assert JsonLines([{"name": "a", "type": "string"}]).joined(0, {"a": column}, "\n").raw() == []


@given(st.lists(st.datetimes(timezones=st.just(UTC)), min_size=1))
def test_times_are_those_of_the_calendar(times: list[datetime]) -> None:
    at_ms = np.array([(t - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1) for t in times], np.int64)
    lines = JsonLines([{"name": "at", "type": TIME}]).joined(len(times), {"at": at_ms}, "").raw()
    said = [time.replace(tzinfo=None).isoformat(timespec="milliseconds") for time in times]
    assert [json.loads(line)["at"] for line in lines] == [f"{time}Z" for time in said]


def test_lines_are_put_into_order() -> None:
    texts = [["a", "", "a longer one, of more than eight bytes"], ["Ş", "e"]]
    every = [JsonLines([{"name": "a", "type": "string"}]).lines(len(t), {"a": TextColumn.of(t)}, "\n") for t in texts]
    said = bytes(in_order(every, np.array([3, 2, 4, 1, 0]))).decode().splitlines()
    assert [json.loads(line)["a"] for line in said] == ["Ş", texts[0][2], "e", "", "a"]
