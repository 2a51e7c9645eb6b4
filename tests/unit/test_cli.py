"""The command: help for everything, exit codes, errors of one paragraph, a quick start."""

import errno
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli.exits import ExitCode, code_of
from pipelines.cli.main import exit_code
from pipelines.cli.options import seconds
from pipelines.worker.exporter import start_exporter
from pipelines.worker.settings import MetricsOptions
from schemas import errors
from schemas.errors import FrictionError

COMMANDS = (
    "up",
    "status",
    "doctor",
    "worker",
    "land",
    "simulate",
    "backtest",
    "explain",
    "export",
    "chaos",
    "version",
    "topics apply",
    "topics diff",
    "policy check",
    "policy kinds",
    "policy diff",
    "topics list",
    "bench engine",
    "bench latency",
    "bench restore",
    "bench recover",
    "bench scale",
    "bench profile",
)
NOBODY = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FRICTION_DEBUG", raising=False)


def ended(capsys: pytest.CaptureFixture[str], command: str) -> tuple[int, str, str]:
    code = exit_code(command.split())
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ended(capsys, f"{command} --help")
    assert code == ExitCode.DONE
    assert f"Example: friction {command}" in out
    assert "Exit codes: 0 done" in out


def test_every_command_is_tried_here(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = ended(capsys, "--help")
    listed = {line.split()[1] for line in out.splitlines() if line.startswith("\u2502 ") and line[2].isalpha()}
    assert listed == {command.split()[0] for command in COMMANDS}


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("up --fro 60s", ExitCode.USAGE, "friction up: No such option: --fro"),
        ("up --for soon", ExitCode.USAGE, "Invalid value for '--for': 'soon' is no duration"),
        ("up --rate fast", ExitCode.USAGE, "friction up: Invalid value for '--rate': "),
        ("backtest calls.csv", ExitCode.USAGE, "friction backtest: Missing option '--out'."),
        ("explain", ExitCode.USAGE, "friction explain: Missing argument 'CUSTOMER'."),
        ("dance", ExitCode.USAGE, "friction: No such command 'dance'"),
        ("status --set kafka=1", ExitCode.USAGE, "--set: unknown key kafka"),
        ("status --set kafka.bootstrap_servers", ExitCode.USAGE, "--set: needs KEY=VALUE"),
        ("status --config absent.toml", ExitCode.USAGE, "absent.toml cannot be read"),
        ("up --policy absent.yaml", ExitCode.USAGE, "the policy absent.yaml cannot be read"),
        ("topics apply --partitions customers", ExitCode.USAGE, "--partitions: needs GROUP=N"),
        ("chaos --data /dev/null", ExitCode.USAGE, "--data: /dev/null cannot be made: File exists"),
        (f"status --kafka {NOBODY} --clickhouse http://{NOBODY}", ExitCode.UNAVAILABLE, f"ClickHouse at http://{NOBODY}"),
    ],
)  # fmt: skip
def test_an_error_is_one_paragraph_on_standard_error_and_a_code(
    command: str, code: ExitCode, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, out, err = ended(capsys, command)
    assert (found, out) == (code, "")
    assert err.startswith("friction")
    assert said in " ".join(err.split())
    assert "Traceback" not in err
    assert "\n\n" not in err


@pytest.mark.parametrize("command", ["", "policy", "topics", "bench"])
def test_without_a_command_those_that_there_are_are_shown(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ended(capsys, command)
    assert code == ExitCode.USAGE
    assert "Commands" in out
    assert err.startswith(f"friction {command}".strip() + ": Missing command. (")


@pytest.mark.parametrize("flag", ["--debug", "FRICTION_DEBUG"])
def test_a_traceback_comes_only_when_asked_for(
    flag: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRICTION_DEBUG", "1" if flag == "FRICTION_DEBUG" else "")
    code, _, err = ended(capsys, f"status --config absent.toml {flag if flag == '--debug' else ''}")
    assert code == ExitCode.USAGE
    assert "Traceback" in err


def test_every_error_of_ours_has_a_code() -> None:
    ours = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, FrictionError)]
    codes = {one.__name__: code_of(one("x")) for one in ours}
    assert {name for name, code in codes.items() if code is ExitCode.USAGE} == {
        "SettingsError", "PolicyError", "MappingError", "InputUnreadable",
    }  # fmt: skip
    assert {name for name, code in codes.items() if code is ExitCode.UNAVAILABLE} == {
        "StoreUnavailable",
        "EmbeddedUnavailable",
        "DataDirHeld",
    }
    assert code_of(KeyboardInterrupt()) == ExitCode.INTERRUPTED
    assert code_of(ZeroDivisionError()) == ExitCode.FAILED


def test_an_unexpected_error_is_told_as_our_bug(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: str) -> str:
        raise LookupError("lost")

    monkeypatch.setattr("pipelines.cli.version.installed", broken)
    code, _, err = ended(capsys, "version")
    assert code == ExitCode.FAILED
    assert "this is a bug of ours: LookupError: lost" in err


def test_a_full_disk_is_no_bug_of_ours(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: str) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipelines.cli.version.installed", full)
    code, _, err = ended(capsys, "version")
    assert (code, err) == (ExitCode.FAILED, "friction: the disk is full: make room, or have it written elsewhere\n")


def test_doctor_prints_every_setting_with_its_source_and_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRICTION_CLICKHOUSE__PASSWORD", "correct-horse")
    code, out, _ = ended(capsys, "doctor --settings --kafka kafka:9092 --set worker.app_id=blue")
    found = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert code == ExitCode.DONE
    assert found["kafka.bootstrap_servers"] == ["kafka:9092", "--kafka"]
    assert found["worker.app_id"] == ["blue", "--set"]
    assert found["clickhouse.password"] == ["***", "FRICTION_CLICKHOUSE__PASSWORD"]
    assert found["registry.url"] == ["http://127.0.0.1:8081", "default"]


def test_doctor_says_what_to_do_about_each_store_that_is_away() -> None:
    away = ["--kafka", NOBODY, "--registry", f"http://{NOBODY}", "--clickhouse", f"http://{NOBODY}"]
    # in a process of its own: what other tests have loaded must not speak for the command
    command = [sys.executable, "-m", "pipelines.cli.main", "doctor", *away]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    found = {line.split()[1]: line.split()[0] for line in run.stdout.splitlines()}
    assert run.returncode == ExitCode.FAILED, run.stderr
    assert found["python"] == "ok"
    assert {store for store, word in found.items() if word == "BAD"} == {"broker", "registry", "clickhouse"}


def test_status_tells_the_last_summary_when_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = {"produced": 7, "landed": {"interactions": 7}, "running": False}
    (tmp_path / "summary.json").write_text(json.dumps(summary), "utf-8")
    code, out, _ = ended(capsys, f"status --data {tmp_path} --json")
    assert (code, json.loads(out)) == (ExitCode.DONE, summary)


def test_status_of_a_directory_in_which_nothing_ran_says_so_and_whom_it_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = ended(capsys, f"status --data {tmp_path} --clickhouse http://{NOBODY}")
    said = " ".join(err.split())
    assert code == ExitCode.UNAVAILABLE
    assert f"No friction up runs in {tmp_path} and none has ended there" in said
    assert f"ClickHouse at http://{NOBODY} does not answer: Connection refused." in said


def test_a_port_that_is_set_for_the_page_and_taken_is_told_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = ended(capsys, f"up --data {tmp_path / 'data'} --page-port {port}")
    assert code == ExitCode.UNAVAILABLE
    assert f"port {port} on 127.0.0.1, which the page is to have, is taken" in " ".join(err.split())
    assert not (tmp_path / "data" / "kafka").exists()


@pytest.mark.parametrize(("text", "value"), [("60", 60.0), ("60s", 60.0), ("5m", 300.0), ("1h", 3600.0), ("0.5s", 0.5)])
def test_durations_are_read_in_seconds_minutes_and_hours(text: str, value: float) -> None:
    assert seconds(text) == value


def test_help_needs_no_heavy_library() -> None:
    heavy = ("aiokafka", "clickhouse_connect", "confluent_kafka", "faust", "numba", "numpy", "pyarrow")
    seen = "import sys; from pipelines.cli.main import exit_code; exit_code(['--help']); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True).stdout.split()
    assert "typer" in modules
    assert not set(heavy) & set(modules)


def test_a_metrics_port_that_is_taken_is_a_wrong_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = MetricsOptions(port=taken.getsockname()[1])
        with pytest.raises(
            errors.SettingsError, match=r"metrics cannot be served at 127\.0\.0\.1:\d+: .*in use; choose"
        ):
            start_exporter(options)
