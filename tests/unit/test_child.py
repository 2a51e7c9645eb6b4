"""Children start as what they were asked to be, stop when asked, and die with a parent that is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.child import start_child, stop_child
from tests.polling import wait_until

PYTHON = sys.executable


def is_alive(pid: int) -> bool:
    """Whether a process runs: one that has ended and waits for its parent does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def test_a_child_of_a_killed_parent_dies(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [
            PYTHON,
            "-c",
            (
                "import sys, time; from pathlib import Path; from connectors.child import start_child\n"
                "print(start_child(['sleep', '600'], log=Path(sys.argv[1])).pid, flush=True); time.sleep(600)"
            ),
            str(tmp_path / "log"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout as said:
        pid = int(said.readline())
    wait_until(lambda: Path(f"/proc/{pid}/comm").read_text("ascii") == "sleep\n")
    parent.kill()
    parent.wait()
    wait_until(lambda: not is_alive(pid), 10)


def test_a_child_whose_parent_died_before_it_asked_to_die_with_it_does_not_start(tmp_path: Path) -> None:
    started = tmp_path / "started"
    nobody = subprocess.Popen(["true"])
    nobody.wait()
    child_py = Path(sys.modules["connectors.child"].__file__ or "")
    shim = subprocess.run([PYTHON, str(child_py), str(nobody.pid), "touch", str(started)], check=False)
    assert shim.returncode == 1
    assert not started.exists()


def test_what_a_child_says_is_appended_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "new" / "child.log"
    for word in ("one", "two"):
        assert start_child(["sh", "-c", f"echo {word}; echo {word} >&2"], log=log).wait(10) == 0
    assert log.read_text("utf-8").split() == ["one", "one", "two", "two"]


def test_variables_are_added_to_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "child.log"
    monkeypatch.setenv("FRICTION_TEST_OURS", "kept")
    argv = ["sh", "-c", "echo $FRICTION_TEST_OURS $FRICTION_TEST_MORE"]
    assert start_child(argv, log=log, env={"FRICTION_TEST_MORE": "added"}).wait(10) == 0
    assert log.read_text("utf-8") == "kept added\n"


def test_a_package_of_the_same_name_in_the_working_directory_does_not_get_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "connectors").mkdir()
    (tmp_path / "connectors" / "__init__.py").write_text("raise SystemExit(3)\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    assert start_child(["true"], log=tmp_path / "child.log").wait(10) == 0


def test_a_child_that_stops_when_asked_is_not_killed(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    child = start_child(["sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"], log=log)
    wait_until(lambda: log.read_text("utf-8") == "ready\n")
    assert stop_child(child, timeout_s=10) == 7
    assert stop_child(child, timeout_s=10) == 7


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    child = start_child(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"], log=log)
    wait_until(lambda: log.read_text("utf-8") == "ready\n")
    assert stop_child(child, timeout_s=0.2) == -signal.SIGKILL
    assert not is_alive(child.pid)


def test_ctrl_c_at_the_terminal_reaches_the_parent_alone(tmp_path: Path) -> None:
    child = start_child(["sleep", "600"], log=tmp_path / "child.log")
    try:
        assert os.getpgid(child.pid) != os.getpgid(0)
    finally:
        stop_child(child, timeout_s=0)


def test_a_program_that_does_not_exist_is_told_in_the_log(tmp_path: Path) -> None:
    log, program = tmp_path / "child.log", tmp_path / "missing"
    assert start_child([str(program)], log=log).wait(10) == 127
    assert log.read_text("utf-8") == f"{program} could not be started: No such file or directory\n"


def test_a_child_is_ended_by_a_broken_pipe_as_usual(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    assert start_child(["grep", "SigIgn", "/proc/self/status"], log=log).wait(10) == 0
    ignored = int(log.read_text("ascii").split()[1], 16)
    assert not ignored & 1 << signal.SIGPIPE - 1
