"""What other systems export, and what the authors of a format did not think of."""

import datetime as dt
import decimal
import json
import uuid
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.files import lines, sources
from connectors.files.jsonl import deepest, deepest_compiled
from schemas.errors import InputUnreadable, MappingError
from tests.event_files import AT, GOOD, mapped, read, row, written

AT_TIME = dt.datetime.fromisoformat(AT)


def parquet(path: Path, **columns: Any) -> Path:
    n = len(next(iter(columns.values())))
    own = {"customer_id": ["ana"] * n, "kind": ["form.failed"] * n, "occurred_at": [AT_TIME] * n}
    pq.write_table(pa.table({**own, **columns}), path / "a.parquet")
    return path / "a.parquet"


@pytest.mark.parametrize("chunk", [50, 170, 1_000])
def test_an_open_quote_in_a_long_file_takes_its_own_line_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(lines, "_LONGEST_ROW", 300)
    monkeypatch.setattr(sources, "_CHUNK", chunk)
    rows = [f"e{k},ana,form.failed,{AT},{1000 + k}" for k in range(60)]
    rows[7] = f'e7,"ana,form.failed,{AT},1007'
    found = read(written(tmp_path / "a.csv", ["event_id,customer_id,kind,occurred_at,duration_ms", *rows]))
    assert [(r["event_id"], r["duration_ms"]) for r in found.rows] == [(f"e{k}", 1000 + k) for k in range(60) if k != 7]
    assert [(r.line, r.reason) for r in found.rejected] == [(9, "the row is no CSV: a quote is open")]


def test_a_long_line_is_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_LONGEST_ROW", 300)
    monkeypatch.setattr(sources, "_CHUNK", 100)
    path = written(tmp_path / "a.jsonl", [row(subject="x" * 2_000), row()])
    assert [len(r.get("subject", "")) for r in read(path).rows] == [2_000, 0]


def test_a_long_field_is_fine_beside_a_broken_row(tmp_path: Path) -> None:
    head, text = "customer_id,kind,occurred_at,subject", "y" * 200_000
    found = read(written(tmp_path / "a.csv", [head, f'ana,form.failed,{AT},"{text}"', "ana,form.failed"]))
    assert [r["subject"] for r in found.rows] == [text]
    assert [r.line for r in found.rejected] == [3]


def test_a_name_of_a_column_may_go_on_in_the_next_line(tmp_path: Path) -> None:
    text = f'"Müşteri\nNo";kind;occurred_at\nana;form.failed;{AT}\nbob;form.failed\n'
    (tmp_path / "a.csv").write_text(text, "utf-8")
    found = read(tmp_path / "a.csv", mapping=mapped(tmp_path, '[fields]\ncustomer_id = "Müşteri\\nNo"'))
    assert [r["customer_id"] for r in found.rows] == ["ana"]
    assert [r.line for r in found.rejected] == [4]


def test_ids_of_many_digits_stay_apart(tmp_path: Path) -> None:
    ids = [decimal.Decimal(12345678901234567890), decimal.Decimal(12345678901234567891)]
    whole = parquet(tmp_path, customer_id=pa.array(ids, pa.decimal128(38, 0)))
    assert [r["customer_id"] for r in read(whole).rows] == [str(one) for one in ids]
    scaled = parquet(tmp_path, customer_id=pa.array([decimal.Decimal("5.00"), decimal.Decimal("5.50")]))
    assert [r["customer_id"] for r in read(scaled).rows] == ["5", "5.50"]
    amounts = parquet(tmp_path, amount=pa.array([decimal.Decimal("12.30"), None], pa.decimal128(9, 2)))
    assert [r.get("amount") for r in read(amounts).rows] == [12.3, None]


def test_ids_of_128_bits_are_written_as_people_do_and_other_bytes_are_left_out(tmp_path: Path) -> None:
    one = uuid.UUID("12345678-1234-5678-1234-567812345678")
    ids = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([one.bytes, None], pa.binary(16)))
    path = parquet(tmp_path, case_id=ids, hash=pa.array([b"\xff\xfe", b"\x00"]))
    assert [(r.get("case_id"), r.get("attributes")) for r in read(path).rows] == [(str(one), None), (None, None)]


def test_texts_of_several_columns_are_joined_where_there_are_some(tmp_path: Path) -> None:
    toml = '[fields]\nsubject = {column = ["a", "b"], join = "/"}'
    told = [f"ana,form.failed,{AT},{said}" for said in ("refund,late", "refund,", ",late", ",")]
    found = read(
        written(tmp_path / "a.csv", ["customer_id,kind,occurred_at,a,b", *told]), mapping=mapped(tmp_path, toml)
    )
    assert [r.get("subject") for r in found.rows] == ["refund/late", "refund", "late", None]


def test_a_column_of_parquet_that_is_named_twice_is_told(tmp_path: Path) -> None:
    names, columns = ["customer_id", "customer_id", "kind", "occurred_at"], [["a"], ["b"], ["k"], [AT_TIME]]
    pq.write_table(pa.Table.from_arrays([pa.array(c) for c in columns], names=names), tmp_path / "a.parquet")
    with pytest.raises(InputUnreadable, match="names a column twice: customer_id"):
        read(tmp_path / "a.parquet")


def test_times_that_are_attributes_are_told_in_utc(tmp_path: Path) -> None:
    at = dt.datetime(2026, 3, 2, 18, tzinfo=ZoneInfo("Europe/Istanbul"))
    path = parquet(tmp_path, **{"attributes.deadline": pa.array([at], pa.timestamp("us", "Europe/Istanbul"))})
    assert read(path).rows[0]["attributes"] == {"deadline": "2026-03-02T15:00:00.000Z"}


@pytest.mark.parametrize("zone", ["Europe/Istanbul", "America/New_York"])
@pytest.mark.parametrize("said", ["0001-01-01 00:00:00", "9999-12-31 23:59:59"])
def test_a_time_that_stands_for_none_is_told(tmp_path: Path, zone: str, said: str) -> None:
    lines_ = ["customer_id,kind,occurred_at", f"ana,form.failed,{said}", f"ana,form.failed,{AT}"]
    mapping = mapped(tmp_path, f'zone = "{zone}"')
    found = read(written(tmp_path / "a.csv", lines_), mapping=mapping)
    assert [r["occurred_at"] for r in found.rows] == [GOOD["occurred_at"]]
    assert [(r.line, said in r.reason) for r in found.rejected] == [(2, True)]
    naive = parquet(tmp_path, occurred_at=pa.array([dt.datetime.fromisoformat(said)], pa.timestamp("us")))
    assert [r.line for r in read(naive, mapping=mapping).rejected] == [1]


def test_a_time_that_python_does_not_have_is_told(tmp_path: Path) -> None:
    path = parquet(tmp_path, occurred_at=pa.array([2**63 - 1], pa.int64()).cast(pa.timestamp("us", "UTC")))
    assert [r.reason for r in read(path).rejected] == [f"occurred_at must lie between 1970 and 2200, got {2**63 - 1}"]


@pytest.mark.parametrize("begin", ['{"a":', "["])
@pytest.mark.parametrize("depth", [150, 30_000])
def test_a_line_with_ever_more_within_is_rejected_at_most(tmp_path: Path, begin: str, depth: int) -> None:
    end = {"[": "]", '{"a":': "}"}[begin] * depth
    line = f'{{"customer_id": "ana", "kind": "form.failed", "occurred_at": "{AT}", "_x": {begin * depth}1{end}}}'
    found = read(written(tmp_path / "a.jsonl", [line, row()]))
    assert found.rows[-1] == GOOD
    assert len(found.rows) + len(found.rejected) == 2
    assert depth < 1_000 or "too many objects and lists within each other" in found.rejected[0].reason


def test_objects_and_lists_are_counted_outside_of_texts() -> None:
    text = b'{"a": "[[[[\\"{{{", "b": [[1], {"c": 2}]}\n[\n{}"\n[[[]]]\n'
    data = np.frombuffer(text, np.uint8)
    assert deepest(data) == deepest_compiled(data) == 3


def test_an_encoding_of_something_else_than_texts_is_none(tmp_path: Path) -> None:
    for name in ("rot13", "base64"):
        with pytest.raises(MappingError, match=f"encoding: must be an encoding such as utf-8 or cp1254, got '{name}'"):
            mapped(tmp_path, f"encoding = '{name}'")


def test_a_time_far_ahead_is_told_for_time_passes_up_to_it(tmp_path: Path) -> None:
    found = read(written(tmp_path / "a.jsonl", [row(), row(occurred_at="2099-12-31T00:00:00Z")]))
    assert len(found.rows) == 2
    assert [w.split(": ", 1)[1][:42] for w in found.warnings] == ["1 interactions are of after tomorrow, and t"[:42]]


def test_a_broken_line_changes_nothing_of_the_others(tmp_path: Path) -> None:
    mapping = mapped(tmp_path, 'decimal = ","\nempty = ["-1"]')
    told: list[str | dict[str, Any]] = [row(amount=12.5), row(amount=3.25, reach=-1), row(amount=7)]
    plain = read(written(tmp_path / "a.jsonl", told), mapping=mapping)
    other = read(written(tmp_path / "b.jsonl", [told[0], "{x", *told[1:]]), mapping=mapping)
    assert [r["amount"] for r in plain.rows] == [12.5, 7.0]
    assert other.rows == plain.rows
    assert [r.line for r in other.rejected] == [2, 3]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_what_is_no_text_of_the_named_encoding_rejects_its_row_alone(tmp_path: Path, name: str) -> None:
    texts = ["ana", "Ş\N{PRIVATE USE ONE}e", "bob"]  # of which cp1254 has no second letter
    if name == "a.csv":
        lines_ = ["customer_id,kind,occurred_at", *(f"{text},form.failed,{AT}" for text in texts)]
    else:
        lines_ = ["", *(json.dumps(row(customer_id=text), ensure_ascii=False) for text in texts)]
    raw = "\n".join([*lines_, ""]).encode("cp1254", errors="replace").replace(b"?", b"\x81")
    (tmp_path / name).write_bytes(raw)
    found = read(tmp_path / name, mapping=mapped(tmp_path, "encoding = 'cp1254'"))
    assert [r["customer_id"] for r in found.rows] == ["ana", "bob"]
    (line,) = found.rejected
    assert (line.line, line.reason.split(" is ")[1]) == (3, "not cp1254, which its mapping says")


def test_utf_16_that_is_cut_off_or_has_no_mark_is_told(tmp_path: Path) -> None:
    text = f"customer_id,kind,occurred_at\nana,form.failed,{AT}\nbob,form.failed,{AT}"
    (tmp_path / "a.csv").write_bytes(text.encode("utf-16")[:-1])
    found = read(tmp_path / "a.csv", mapping=mapped(tmp_path, "encoding = 'utf-16'"))
    assert [r["customer_id"] for r in found.rows] == ["ana"]
    assert [r.line for r in found.rejected] == [3]
    (tmp_path / "a.csv").write_bytes(text.encode("utf-16-le"))
    with pytest.raises(InputUnreadable, match="such as utf-16-le"):
        read(tmp_path / "a.csv", mapping=mapped(tmp_path, "encoding = 'utf-16'"))
    assert len(read(tmp_path / "a.csv", mapping=mapped(tmp_path, "encoding = 'utf-16-le'")).rows) == 2
