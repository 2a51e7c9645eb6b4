"""Our lines and those of the libraries are written in one way."""

import json
import logging
from collections.abc import Iterator
from io import StringIO

import pytest
import structlog

from pipelines.worker.logs import configure_logs
from pipelines.worker.settings import LogOptions


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(options: LogOptions) -> list[str]:
    out = StringIO()
    configure_logs(options, stream=out)
    structlog.get_logger("pipelines.worker").info("checkpoint", partition=3)
    logging.getLogger("mode.services").warning("late by %d s", 5)
    logging.getLogger("aiokafka.consumer").info("nobody asked")
    logging.getLogger("pipelines.worker").debug("detail")
    return out.getvalue().splitlines()


def test_json_lines_hold_what_was_logged_by_us_and_by_libraries() -> None:
    ours, theirs = map(json.loads, lines(LogOptions(format="json")))
    assert ours["event"] == "checkpoint"
    assert ours["partition"] == 3
    assert (ours["level"], ours["logger"]) == ("info", "pipelines.worker")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("late by 5 s", "warning", "mode.services")
    assert ours.keys() - {"partition"} == theirs.keys()


def test_the_console_shows_the_same_lines_to_people() -> None:
    ours, theirs = lines(LogOptions(format="console"))
    assert "checkpoint" in ours
    assert "partition=3" in ours
    assert "late by 5 s" in theirs


def test_libraries_speak_up_at_level_debug_and_everybody_is_quiet_at_error() -> None:
    said = lines(LogOptions(format="json", level="debug"))
    assert {json.loads(line)["event"] for line in said} == {"checkpoint", "late by 5 s", "nobody asked", "detail"}
    assert lines(LogOptions(format="json", level="error")) == []


def test_an_exception_is_part_of_its_json_line() -> None:
    out = StringIO()
    configure_logs(LogOptions(format="json"), stream=out)
    try:
        int("broken")
    except ValueError:
        structlog.get_logger("pipelines").exception("failed")
    assert "ValueError: invalid literal" in json.loads(out.getvalue())["exception"]
