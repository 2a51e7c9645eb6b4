"""`friction up`, as a user runs it: everything in processes of its own, on one directory."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.exits import ExitCode
from tests.polling import wait_until

COMMAND = (sys.executable, "-m", "pipelines.cli.main")
START_S = 120.0  # the broker's jars may have to be downloaded


@dataclass
class Up:
    """A running `friction up` and what it has printed."""

    process: "subprocess.Popen[bytes]"
    directory: Path
    output: Path

    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.directory / "run.json").read_text("utf-8"))
        return found

    def is_running(self) -> bool:
        assert self.process.poll() is None, self.output.read_text("utf-8")
        return "\nRunning" in self.output.read_text("utf-8")

    def has_said(self, line: str) -> bool:
        assert self.process.poll() is None, self.output.read_text("utf-8")
        return line in self.output.read_text("utf-8").splitlines()

    def said_since(self, line: str) -> str:
        return self.output.read_text("utf-8").partition(f"{line}\n")[2]

    def kill(self, log: str) -> None:
        """Kill the child that writes a log file, named from the directory on."""
        path = str(self.directory / log)
        (pid,) = (pid for pid, files in open_files().items() if path in files)
        os.kill(pid, signal.SIGKILL)


def open_files() -> dict[int, set[str]]:
    """Open files of every process that may be looked at."""
    found: dict[int, set[str]] = {}
    for pid in (int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()):
        with contextlib.suppress(OSError):  # it has ended, or is somebody else's
            found[pid] = {target for link in Path(f"/proc/{pid}/fd").iterdir() if (target := target_of(link))}
    return found


def target_of(link: Path) -> str:
    """What a descriptor leads to, nothing when it was closed while we looked, as a broker's sockets are."""
    try:
        return str(link.readlink())
    except OSError:
        return ""


def holders(directory: Path) -> set[int]:
    """Processes that have a file of the directory open."""
    return {pid for pid, files in open_files().items() if any(one.startswith(f"{directory}/") for one in files)}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up") / "data"


@pytest.fixture
def start(directory: Path, tmp_path: Path) -> Iterator[Any]:
    started: list[Up] = []

    def started_with(*arguments: str) -> Up:
        output = tmp_path / f"output-{len(started)}"
        with output.open("wb") as out:
            process = subprocess.Popen(
                [*COMMAND, "up", "--data", str(directory), *arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=tmp_path,
                env={**os.environ, "COLUMNS": "200"},
            )
        started.append(Up(process, directory, output))
        return started[-1]

    yield started_with
    for up in started:
        up.process.kill()
        up.process.wait()


def friction(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=60)


def serves_metrics(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5.0) as answer:  # noqa: S310 - http, from our own run.json
            return b"\nfriction_" in answer.read()
    except urllib.error.URLError:
        return False  # not yet


def status(directory: Path) -> dict[str, Any]:
    ended = friction("status", "--json", "--data", str(directory))
    assert ended.returncode == ExitCode.DONE, ended.stderr
    said: dict[str, Any] = json.loads(ended.stdout)
    return said


def test_everything_produced_is_processed_and_landed_though_the_worker_is_killed(start: Any, directory: Path) -> None:
    up = start("--demo", "--for", "15s", "--rate", "200", "--no-page")
    wait_until(up.is_running, START_S)

    second = friction("up", "--data", str(directory))
    assert second.returncode == ExitCode.UNAVAILABLE
    assert f"held by the friction up with pid {up.process.pid}" in " ".join(second.stderr.split())

    wait_until(lambda: re.search(r"processed [1-9]", up.output.read_text("utf-8")), 90.0)
    up.kill("logs/worker-1.log")
    code = up.process.wait(150.0)
    output = up.output.read_text("utf-8")
    assert code == ExitCode.DONE, output
    assert "worker-1 was killed by signal 9" in output
    summary = json.loads((directory / "summary.json").read_text("utf-8"))
    assert summary["produced"] == summary["processed"] == summary["landed"]["interactions"] > 0
    assert summary["restarts"] == {"worker-1": 1}
    assert 0 < summary["first_landed_s"] < summary["seconds"]
    assert status(directory) == summary
    assert holders(directory) == set()


def test_a_second_start_goes_on_and_revives_killed_stores_and_ctrl_c_stops_it_in_order(
    start: Any, directory: Path
) -> None:
    before = json.loads((directory / "summary.json").read_text("utf-8"))
    up = start("--no-page")
    wait_until(up.is_running, START_S)
    running = status(directory)
    assert running["running"]
    assert running["produced"] == before["produced"]
    for url in up.record()["metrics"].values():
        wait_until(partial(serves_metrics, url), 60.0)
    up.kill("kafka/broker.log")
    wait_until(lambda: up.has_said("broker is running again"), 60.0)
    wait_until(
        lambda: " lag " in up.said_since("broker is running again"), 60.0
    )  # the line of a second knows the new one
    up.kill("clickhouse/bridge.log")
    wait_until(lambda: up.has_said("clickhouse is running again"), 60.0)
    doctor = friction("doctor", "--data", str(directory))
    assert doctor.returncode == ExitCode.DONE, doctor.stdout
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(60.0) == ExitCode.DONE
    output = up.output.read_text("utf-8")
    stopped = [line.split()[1] for line in output.splitlines() if line.startswith("Stopping")]
    assert stopped == ["worker-1", "landing", "clickhouse", "broker"]
    after = json.loads((directory / "summary.json").read_text("utf-8"))
    assert [after[key] for key in ("produced", "processed", "landed")] == [
        before[key] for key in ("produced", "processed", "landed")
    ]
    assert holders(directory) == set()


def test_a_kill_leaves_nobody_who_holds_the_directory_and_no_summary_of_a_run_before(
    start: Any, directory: Path
) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "summary.json").write_text("{}", "utf-8")
    up = start("--no-page")
    wait_until(up.is_running, START_S)
    wait_until(lambda: len(holders(directory)) >= 5, 15.0)  # itself, broker, engine, landing, worker
    up.process.kill()
    up.process.wait()
    wait_until(lambda: not holders(directory), 15.0)
    assert not (directory / "summary.json").exists()
