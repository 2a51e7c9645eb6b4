"""The simulated crowd in a file, which a backtest reads as it is."""

import gzip
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from connectors.simulator.event_file import write_crowd
from connectors.simulator.simulation import crowd_interactions
from pipelines.cli.main import exit_code
from schemas.errors import SettingsError
from schemas.interactions import avro_record

END_MS = 1_760_000_400_123
TOTAL, RATE = 2_000, 100.0


def written(path: Path, **more: Any) -> int:
    return write_crowd(path, seed=4, end_ms=END_MS, rate=RATE, total=TOTAL, stop=threading.Event(), **more)


def test_the_file_says_what_a_run_sends(tmp_path: Path) -> None:
    assert written(tmp_path / "a.jsonl", span_hours=24, late=0.1, repeated=0.1) == TOTAL
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text("utf-8").splitlines()]
    start_ms = END_MS - round(1000 * TOTAL / RATE)
    crowd = crowd_interactions(seed=4, start_ms=start_ms, rate=RATE, total=TOTAL, span_hours=24, late=0.1, repeated=0.1)
    for line, one in zip(lines, crowd, strict=True):
        said = {name: value for name, value in avro_record(one).items() if value is not None}
        assert line == {**said, "occurred_at": line["occurred_at"], "appended_at": line["appended_at"]}
        assert line["occurred_at"] <= line["appended_at"] <= "2025-10-09T09:00:00.123Z"
    appended = [line["appended_at"] for line in lines]
    assert appended == sorted(appended)
    assert appended[0].startswith("2025-10-08T")


def test_it_is_compressed_when_its_name_says_so(tmp_path: Path) -> None:
    written(tmp_path / "a.jsonl")
    written(tmp_path / "a.jsonl.gz")
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()) == (tmp_path / "a.jsonl").read_bytes()


def test_it_ends_early_when_it_is_to_stop(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    path = tmp_path / "a.jsonl"
    assert write_crowd(path, seed=4, end_ms=END_MS, rate=RATE, total=TOTAL, stop=stop) == 1


@pytest.mark.parametrize(
    ("name", "told"), [("a.csv", "must end with .jsonl"), ("no such directory/a.jsonl", "cannot be written: No such")]
)
def test_a_name_that_cannot_be_is_told(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        written(tmp_path / name)


def test_a_backtest_reads_what_the_command_has_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events, out = str(tmp_path / "events.jsonl.gz"), tmp_path / "out"
    assert exit_code(["simulate", "--out", events, "--count", "3000", "--span-hours", "24", "--customers", "300"]) == 0
    assert "written 3,000 interactions to " in capsys.readouterr().out
    assert exit_code(["backtest", events, "--out", str(out), "--strict"]) == 0
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    assert (summary["accepted"], summary["skipped"]) == (3000, 0)
    assert summary["alerts"]["clock_breached"]["opened"] > 0


def test_a_span_without_a_limit_is_told_before_anything_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["simulate", "--span-hours", "24"]) == 2
    assert "--span-hours needs a limit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "told"),
    [([], "--out needs a limit"), (["--count", "5", "--team", "0.5"], "--team works on the alerts of a worker")],
)
def test_what_a_file_cannot_have_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], told: str
) -> None:
    assert exit_code(["simulate", "--out", str(tmp_path / "a.jsonl"), *more]) == 2
    assert told in capsys.readouterr().err
