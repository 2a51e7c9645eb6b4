"""The supervisor: parts that die are started again, and one `friction up` holds a data directory."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli.running import found_running
from pipelines.cli.sources import load_settings
from pipelines.cli.supervisor.directory import DataDirectory, RunRecord
from pipelines.cli.supervisor.parts import ATTEMPTS, LONGEST_WAIT_S, SETTLED_S, ChildProcess, Part
from schemas.errors import DataDirHeld, EmbeddedUnavailable, StoreUnavailable
from tests.polling import wait_until


class Mortal:
    """A process that dies when told; the clock is the caller's."""

    def __init__(self) -> None:
        self.starts = 0
        self.stops = 0
        self.alive = False
        self.hopeless = False
        self.refuses = False

    def start(self) -> None:
        if self.refuses:
            raise StoreUnavailable("no answer")
        self.starts += 1
        self.alive = True

    def stop(self) -> None:
        self.stops += 1
        self.alive = False

    def death(self) -> str | None:
        return None if self.alive else "was killed"


def started(*, needed: bool = True) -> tuple[Part, Mortal]:
    process = Mortal()
    part = Part("worker", process, needed)
    part.start(0.0)
    return part, process


def test_a_part_that_lives_is_left_alone() -> None:
    part, process = started()
    assert part.watch(1.0) is None
    assert (process.starts, part.restarts) == (1, 0)


def test_a_part_that_died_is_started_again_after_a_wait_and_both_are_said() -> None:
    part, process = started()
    process.alive = False
    assert part.watch(1.0) == "worker was killed; starting it again in 0.5 s"
    assert part.watch(1.4) is None
    assert process.starts == 1
    assert part.watch(1.5) == "worker is running again"
    assert (process.starts, part.restarts) == (2, 1)


def waits(part: Part, process: Mortal, *, lived_s: float, deaths: int) -> list[float]:
    """Seconds between a death and the next start, for a part that always lives ``lived_s``."""
    now_s, found = 0.0, []
    for _ in range(deaths):
        now_s += lived_s
        process.alive = False
        part.watch(now_s)
        died_s = now_s
        while not process.alive:
            now_s += 0.5
            part.watch(now_s)
        found.append(now_s - died_s)
    return found


def test_a_part_that_dies_at_once_waits_longer_each_time() -> None:
    part, process = started()
    assert waits(part, process, lived_s=1.0, deaths=ATTEMPTS - 1) == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert LONGEST_WAIT_S > 8.0


def test_a_part_that_lived_long_begins_anew() -> None:
    part, process = started()
    assert set(waits(part, process, lived_s=SETTLED_S + 1.0, deaths=3 * ATTEMPTS)) == {0.5}


def test_a_needed_part_that_dies_again_and_again_ends_the_run() -> None:
    part, process = started()
    waits(part, process, lived_s=1.0, deaths=ATTEMPTS - 1)
    process.alive = False
    with pytest.raises(EmbeddedUnavailable, match="The worker was killed"):
        part.watch(21.0)


def test_a_part_that_is_not_needed_is_given_up_and_the_others_go_on() -> None:
    part, process = started(needed=False)
    waits(part, process, lived_s=1.0, deaths=ATTEMPTS - 1)
    process.alive = False
    assert part.watch(21.0) == "worker was killed; going on without it"
    assert part.watch(500.0) is None
    assert process.starts == ATTEMPTS


def test_a_start_that_fails_is_a_death_too() -> None:
    part, process = started()
    process.alive, process.refuses = False, True
    part.watch(1.0)
    assert part.watch(1.5) == "worker could not be started: no answer; starting it again in 1 s"
    process.refuses = False
    assert part.watch(2.5) == "worker is running again"


def test_an_end_that_a_new_start_cannot_change_is_not_tried_again() -> None:
    part, process = started()
    process.alive, process.hopeless = False, True
    with pytest.raises(EmbeddedUnavailable):
        part.watch(1.0)
    assert process.starts == 1


def test_a_stopped_part_stays_stopped() -> None:
    part, process = started()
    part.stop()
    assert part.watch(100.0) is None
    assert (process.starts, process.stops) == (1, 1)


def child(tmp_path: Path, program: str) -> ChildProcess:
    return ChildProcess([sys.executable, "-c", program], log=tmp_path / "logs" / "child.log", env={"WORD": "hello"})


def test_a_child_writes_its_log_and_says_how_it_ended(tmp_path: Path) -> None:
    one = child(tmp_path, "import os; print(os.environ['WORD'], flush=True); raise SystemExit(3)")
    one.start()
    assert "ended with exit code 3" in str(wait_until(one.death))
    assert one.last_words() == "hello"
    assert not one.hopeless


def test_a_killed_child_says_so_and_can_be_started_again(tmp_path: Path) -> None:
    one = child(tmp_path, "import time; time.sleep(60)")
    one.start()
    assert one.death() is None
    assert one.pid is not None
    os.kill(one.pid, signal.SIGKILL)
    assert "killed by signal 9" in str(wait_until(one.death))
    one.start()
    assert one.death() is None
    one.stop()
    assert one.pid is None


def test_a_child_with_wrong_settings_is_hopeless(tmp_path: Path) -> None:
    one = child(tmp_path, "raise SystemExit(2)")
    one.start()
    wait_until(one.death)
    assert one.hopeless


RECORD = RunRecord(pid=4711, started_at="2026-01-01T00:00:00+00:00", kafka="127.0.0.1:9999")


def test_the_second_holder_is_told_who_the_first_one_is(tmp_path: Path) -> None:
    with DataDirectory(tmp_path).held(RECORD):
        with (
            pytest.raises(DataDirHeld, match=r"pid 4711, running since 2026-01-01T.* \(Kafka 127\.0\.0\.1:9999\)"),
            DataDirectory(tmp_path).held(RECORD),
        ):
            raise AssertionError("two hold one directory")
        assert DataDirectory(tmp_path).running() == RECORD
    assert DataDirectory(tmp_path).running() is None
    assert not (tmp_path / "run.json").exists()


def test_who_asks_a_running_one_asks_for_its_topics(tmp_path: Path) -> None:
    blue = RECORD.model_copy(update={"topic_prefix": "blue-"})
    with DataDirectory(tmp_path).held(blue):
        for given, prefix in (
            ({}, "blue-"),
            ({"FRICTION_TOPIC_PREFIX": "green-"}, "green-"),
            ({"FRICTION_KAFKA__BOOTSTRAP_SERVERS": "elsewhere:9092"}, ""),
        ):
            said = load_settings(file=None, environment={"FRICTION_DATA": str(tmp_path), **given}, directory=tmp_path)
            assert found_running(said)[0].settings.topic_prefix == prefix


def test_a_holder_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from pipelines.cli.supervisor.directory import *\n"
        "with DataDirectory(Path(sys.argv[1])).held(RunRecord(pid=1, started_at='then')):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        found = DataDirectory(tmp_path).running()
        assert found is not None
        assert found.started_at == "then"
        holder.kill()
        holder.wait()
    assert DataDirectory(tmp_path).running() is None
    with DataDirectory(tmp_path).held(RECORD):
        assert DataDirectory(tmp_path).running() == RECORD


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", "utf-8")
    with (
        pytest.raises(EmbeddedUnavailable, match=r"file/data cannot be written: .*--data"),
        DataDirectory(tmp_path / "file" / "data").held(RECORD),
    ):
        raise AssertionError("held a file")
    (tmp_path / "logs").write_text("x", "utf-8")
    with pytest.raises(EmbeddedUnavailable, match=r"/logs cannot be written: .*--data"):
        DataDirectory(tmp_path).opened_log("up")
