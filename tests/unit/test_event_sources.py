"""Which files are read: patterns, standard input, compressed and empty ones."""

import gzip
import io
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.files.sources import Format
from schemas.errors import InputUnreadable
from tests.event_files import AT, GOOD, read, row, written


def test_compressed_files_are_read_and_a_cut_off_one_is_told(tmp_path: Path) -> None:
    raw = json.dumps(row()).encode() + b"\n"
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(raw) + gzip.compress(raw))
    (tmp_path / "b.jsonl.zst").write_bytes(pa.compress(raw, "zstd", asbytes=True))
    table = f"event_id;customer_id;kind;occurred_at\ne;ana;form.failed;{AT}\n".encode()
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(table))
    assert read(tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.zst", tmp_path / "c.csv.gz").rows == [GOOD] * 4
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(raw * 1000)[:-20])
    with pytest.raises(InputUnreadable, match="cannot be read to its end"):
        read(tmp_path / "d.jsonl.gz")


class Stdin:
    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


def test_standard_input_is_jsonl_unless_the_format_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = f"event_id;customer_id;kind;occurred_at\ne;ana;form.failed;{AT}\n".encode()
    out = io.BytesIO()
    pq.write_table(pa.table({name: [value] for name, value in row().items()}), out)
    contents: dict[Format | None, bytes] = {
        None: json.dumps(row()).encode(),
        "csv": gzip.compress(table),
        "parquet": out.getvalue(),
    }
    for of, content in contents.items():
        monkeypatch.setattr(sys, "stdin", Stdin(content))
        assert read("-", given=of).rows == [GOOD]


def test_patterns_give_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b", "c", "a"):
        written(tmp_path / f"{name}.jsonl", [row(event_id=name)])
    assert read(tmp_path / "*.jsonl").ids == ["a", "b", "c"]
    assert read(tmp_path / "c.jsonl", tmp_path / "[ab].jsonl").ids == ["c", "a", "b"]
    for wrong, said in (("*.csv", "as a pattern it finds none"), ("", "is a directory"), ("no.jsonl", "is no file")):
        with pytest.raises(InputUnreadable, match=said):
            read(tmp_path / wrong)
    (tmp_path / "newest.jsonl").symlink_to(tmp_path / "c.jsonl")
    for twice, said in (
        (("-", tmp_path / "c.jsonl", "-"), "- is named twice:"),
        ((tmp_path / "[ab].jsonl", tmp_path / "b.jsonl"), "b.jsonl is named twice:"),
        ((tmp_path / "c.jsonl", tmp_path / "newest.jsonl"), r"newest.jsonl is named twice, also as .*/c.jsonl:"),
    ):
        with pytest.raises(InputUnreadable, match=said):
            read(*twice)
    (tmp_path / "a.log").write_text(json.dumps(row()))
    with pytest.raises(InputUnreadable, match=r"give --format jsonl\|csv\|parquet"):
        read(tmp_path / "a.log")
    assert read(tmp_path / "a.log", given="jsonl").rows == [GOOD]


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_an_empty_file_is_fine(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    found = read(tmp_path / name)
    assert (found.rows, found.rejected) == ([], [])
    assert ["is empty" in w for w in found.warnings] == [True]


def test_a_file_without_rows_is_fine(tmp_path: Path) -> None:
    written(tmp_path / "a.csv", ["customer_id,kind,occurred_at"])
    pq.write_table(pa.table({"customer_id": pa.array([], pa.utf8())}), tmp_path / "b.parquet")
    assert len(read(tmp_path / "a.csv", tmp_path / "b.parquet").warnings) == 2
