"""Tables of several systems read together, each by its own mapping."""

from pathlib import Path

import pytest

from connectors.files.reader import EventReader
from connectors.files.sources import sources
from pipelines.cli.main import exit_code
from schemas.errors import MappingError
from tests.event_files import Read, mapped, written

CALLS = """files = "calls*.csv"
delimiter = ";"
zone = "Europe/Istanbul"
[fields]
customer_id = "caller"
kind = {value = "wait.measured"}
occurred_at = {column = "at", format = "%d.%m.%Y %H:%M"}
duration_ms = {column = "waited", unit = "s"}
"""
RETURNS = """files = ["shop/*.csv", "returns.jsonl"]
[fields]
customer_id = "user"
kind = {value = "return.requested"}
occurred_at = "when"
"""


def filled(directory: Path) -> list[str]:
    (directory / "shop").mkdir()
    written(directory / "calls_1.csv", ["caller;at;waited", "ayşe;01.03.2026 12:00;90"])
    written(directory / "shop" / "day.csv", ["user,when", "ayşe,2026-03-01T10:00:00Z", "ayşe,soon"])
    own = {"customer_id": "ayşe", "kind": "form.failed", "occurred_at": "2026-03-01T11:00:00Z"}
    written(directory / "own.jsonl", [own])
    return [str(directory / name) for name in ("calls_1.csv", "shop/day.csv", "own.jsonl")]


def test_each_file_is_read_by_the_first_mapping_that_is_for_it_and_as_it_is_by_none(tmp_path: Path) -> None:
    mappings = [mapped(tmp_path, CALLS, "calls.toml"), mapped(tmp_path, RETURNS, "returns.toml")]
    found = Read()
    files = sources(filled(tmp_path), mappings, None)
    found.parts += EventReader(files, found.rejected.append, found.warnings.append)
    hour_ms, nine_ms = 3_600_000, 1_772_355_600_000
    assert [(r["kind"], r["occurred_at"]) for r in found.rows] == [
        ("wait.measured", nine_ms), ("return.requested", nine_ms + hour_ms), ("form.failed", nine_ms + 2 * hour_ms)
    ]  # fmt: skip
    assert {r["customer_id"] for r in found.rows} == {"ayşe"}
    assert [(Path(r.file).name, r.line) for r in found.rejected] == [("day.csv", 3)]
    assert not found.warnings


def test_a_mapping_without_files_takes_the_rest(tmp_path: Path) -> None:
    rest = mapped(tmp_path, RETURNS.split("\n", maxsplit=1)[1], "rest.toml")
    files = sources(filled(tmp_path)[:2], [mapped(tmp_path, CALLS, "calls.toml"), rest], None)
    assert [source.mapping.name for source in files] == ["calls.toml", "rest.toml"]


def test_a_mapping_that_is_for_no_file_is_told(tmp_path: Path) -> None:
    mappings = [mapped(tmp_path, "zone = 'UTC'", "all.toml"), mapped(tmp_path, CALLS, "calls.toml")]
    with pytest.raises(MappingError, match=r"^calls.toml is for none of the files: mappings before it take them, or"):
        sources(filled(tmp_path), mappings, None)


@pytest.mark.parametrize("command", [["backtest"], ["explain", "ayşe"]])
def test_commands_take_several(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "calls.toml").write_text(CALLS, "utf-8")
    (tmp_path / "returns.toml").write_text(RETURNS, "utf-8")
    maps = [word for name in ("calls", "returns") for word in ("--map", str(tmp_path / f"{name}.toml"))]
    out = ["--out", str(tmp_path / "out")] if command == ["backtest"] else []
    assert exit_code([*command, *filled(tmp_path), *maps, *out]) == 0
    said = capsys.readouterr().out
    told = (
        ["3 interactions of 1 customer, 0 alert revisions, 1 row rejected"]
        if out
        else ["wait.measured", "return.requested", "form.failed"]
    )
    assert all(text in said for text in told)
