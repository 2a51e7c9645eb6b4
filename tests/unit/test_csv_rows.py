"""Rows of CSV: where they end, and what a broken one takes along."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.files import delimited
from connectors.files.lines import find_rows, rows_of
from schemas.errors import InputUnreadable
from tests.event_files import AT, GOOD, read, row, written


@pytest.mark.parametrize("broken", [[], ['x;"']])
def test_blanks_around_the_texts_of_a_csv_are_not_part_of_them(tmp_path: Path, broken: list[str]) -> None:
    head = "customer_id ; kind; occurred_at;\u00a0channel ;subject"
    found = read(written(tmp_path / "a.csv", [head, f" a ; form.failed; {AT} ;\tweb;\u00a0", *broken]))
    plain = read(written(tmp_path / "b.csv", [head.replace(" ", "").replace("\u00a0", ""), f"a;form.failed;{AT};web;"]))
    assert (found.rows, len(found.rejected)) == (plain.rows, len(broken))


def test_a_csv_row_with_other_columns_or_an_open_quote_takes_nobody_along(tmp_path: Path) -> None:
    good = f"e,ana,form.failed,{AT}"
    lines = ["event_id,customer_id,kind,occurred_at", good, "e,ana", good, f'e,"ana,form.failed,{AT}', good, good]
    found = read(written(tmp_path / "a.csv", lines))
    assert found.rows == [GOOD] * 4
    assert [(r.line, r.raw) for r in found.rejected] == [(3, "e,ana"), (5, lines[4])]
    assert "has 2 columns, and the first row names 4" in found.rejected[0].reason


def test_an_open_quote_that_another_quote_closes_takes_nobody_along(tmp_path: Path) -> None:
    """Together they could be one row of four columns, with the second one as a part of its last."""
    good = f"e,ana,form.failed,{AT}"
    lines = ["event_id,customer_id,kind,occurred_at,subject", f'{good},"since monday', f"{good},ok", f'{good},"fine"']
    found = read(written(tmp_path / "a.csv", lines))
    assert found.rows == [{**GOOD, "subject": "ok"}, {**GOOD, "subject": "fine"}]
    assert [(r.line, r.raw) for r in found.rejected] == [(2, lines[1])]
    found = read(written(tmp_path / "b.csv", [*lines[:1], f'{good},"ok"', f'{good},"not "ok"', f'{good},5" wide']))
    assert [r["subject"] for r in found.rows] == ["ok", '5" wide']
    assert [r.line for r in found.rejected] == [3]


def test_other_ends_of_lines_in_a_field_do_not_end_a_row(tmp_path: Path, path_of_reading: str) -> None:
    """What str.splitlines takes for an end of a line, cp1252's ellipsis read as latin-1 among them."""
    subjects = ["wait\x85", "a\u2028b", "a\x0bb\x0cc", '"a\rb\r\nc"']
    lines = ["event_id,customer_id,kind,occurred_at,subject", *(f"e,ana,form.failed,{AT},{text}" for text in subjects)]
    found = read(written(tmp_path / "a.csv", lines))
    assert [r["subject"] for r in found.rows] == [text.strip('"') for text in subjects], found.rejected


def test_carriage_returns_alone_end_no_lines_and_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputUnreadable, match="ends its lines with carriage returns alone: save it with line feeds"):
        read(written(tmp_path / "a.csv", ["customer_id,kind,occurred_at", f"a,b,{AT}"], end="\r"))


def test_rows_are_looked_for_in_short_reaches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = f"e,ana,form.failed,{AT}"
    texts = ['"open', "ok", '"a, ""b""\n\nc"', "", '"not "ok"', '"x"', '"open again']
    lines = [f"{good},{texts[n % 7]}" + "\n" * (n % 3) for n in range(50)]
    path = written(tmp_path / "a.csv", ["event_id,customer_id,kind,occurred_at,subject", *lines])
    at_once = read(path)
    monkeypatch.setattr(delimited, "_LOOK", 20)
    found = read(path)
    assert (found.rows, found.rejected) == (at_once.rows, at_once.rejected)
    assert (len(found.rows), len(found.rejected)) == (28, 22)


def test_a_quoted_field_may_hold_anything(tmp_path: Path, path_of_reading: str) -> None:
    subject = 'a "b", c;\n\nd'
    quoted = '"' + subject.replace('"', '""') + '"'
    lines = ["event_id,customer_id,kind,occurred_at,subject", f"e,ana,form.failed,{AT},{quoted}", f"f,ana,,{AT},x"]
    found = read(written(tmp_path / "a.csv", lines, end="\r\n"))
    assert found.rows == [{**GOOD, "subject": subject}]
    assert [r.line for r in found.rejected] == [5]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_and_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path, delimiter: str) -> None:
    names, values = ("customer_id", "kind", "occurred_at", '"event_id"'), ("ana", "form.failed", AT, "e")
    path = written(tmp_path / "a.csv", ["\ufeff" + delimiter.join(names), delimiter.join(values)])
    assert read(path).rows == [GOOD]
    path = written(tmp_path / "a.csv", [f"sep={delimiter}", delimiter.join(names), delimiter.join(values)])
    assert read(path).rows == [GOOD]


def test_rows_are_found_across_the_borders_of_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.files.sources._CHUNK", 37)
    lines = [row(event_id=f"e{n}", subject="ş\n" * (n % 5)) for n in range(50)]
    assert read(written(tmp_path / "a.jsonl", lines)).ids == [f"e{n}" for n in range(50)]
    table = ["event_id,customer_id,kind,occurred_at,subject"]
    table += [f'e{n},ana,{"" if n == 7 else "k"},{AT},"{"ş" + chr(10) * (n % 5)}"' for n in range(50)]
    found = read(written(tmp_path / "a.csv", table))
    assert found.ids == [f"e{n}" for n in range(50) if n != 7]
    assert [r.line for r in found.rejected] == [2 + 7 + sum(n % 5 for n in range(7))]


FIELDS = st.text(alphabet='ab",;\n\r ş', max_size=6)


@given(st.lists(st.lists(FIELDS, min_size=2, max_size=2), max_size=8))
@settings(max_examples=60)
def test_rows_end_where_csv_says_so(rows: list[list[str]]) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    data = out.getvalue().encode()
    places, rest, _, odd = rows_of(data, 1, ",")
    assert (rest, odd) == (len(data), 0)
    cut = [data[a:b].decode() for a, b in zip(places.start, places.end, strict=True)]
    assert [next(csv.reader(io.StringIO(text, newline=""))) for text in cut] == rows
    lines = [1 + data[:a].count(b"\n") for a in places.start]
    assert places.number.tolist() == lines


@given(st.binary(max_size=60))
@settings(max_examples=60)
def test_the_plain_kernel_finds_the_same_rows(data: bytes) -> None:
    raw, room = np.frombuffer(data, np.uint8), data.count(b"\n")
    start, end, line = (np.zeros(room, np.int64) for _ in range(3))
    rows, rest, rest_line, odd = find_rows(raw, 34, 44, start, end, line, 1)
    places, *found = rows_of(data, 1, ",")
    assert (places.start.tolist(), places.end.tolist(), places.number.tolist(), *found) == (
        start[:rows].tolist(), end[:rows].tolist(), line[:rows].tolist(), rest, rest_line, odd,
    )  # fmt: skip
