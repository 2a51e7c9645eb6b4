"""friction export: a record as a line that friction backtest takes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.exits import ExitCode
from pipelines.cli.export import RecordLines, Unreadable
from pipelines.cli.main import exit_code
from schemas.wire import frame_header
from tests.event_files import read
from tests.unit.test_decoding import (
    APPENDED_MS,
    CURRENT,
    FOREIGN,
    GOOD,
    JSON_SCHEMA,
    UNKNOWN,
    Registry,
    interaction,
    value,
)


@dataclass
class Message:
    """What is used of a record of confluent-kafka."""

    content: bytes | None

    def value(self) -> bytes | None:
        return self.content

    def timestamp(self) -> tuple[int, int]:
        return 2, APPENDED_MS + 9

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return 41


def line(content: bytes | None) -> str:
    lines = RecordLines(Registry(), "interaction")  # type: ignore[arg-type]  # it has the method that is used
    return lines.of(Message(content))


@pytest.mark.parametrize("writer", [CURRENT, FOREIGN])
def test_a_line_is_the_interaction_and_where_it_stood(tmp_path: Path, writer: int) -> None:
    more: dict[str, Any] = {"subject": "ş", "rating": 4.5, "reach": 7, "attributes": {"stage": "queue", "a": ""}}
    text = line(value(interaction(**more), writer))
    told = json.loads(text)
    assert (told["occurred_at"], told["appended_at"]) == (APPENDED_MS, APPENDED_MS + 9)
    assert (told["_partition"], told["_offset"]) == (3, 41)
    (tmp_path / "a.jsonl").write_text(text + "\n", "utf-8")
    found = read(tmp_path / "a.jsonl")
    assert found.rows == [{k: v for k, v in interaction(**more).items() if k != "device"}]
    assert found.parts[0].appended_ms is not None
    assert found.parts[0].appended_ms.tolist() == [APPENDED_MS + 9]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "has no value"),
        (b"", "must begin with byte 00"),
        (frame_header(UNKNOWN) + GOOD[5:], "no schema"),
        (frame_header(JSON_SCHEMA) + b"{}", "is no Avro"),
        (GOOD[:-1], "ends"),
        (GOOD + b"\0", "left"),
    ],
)
def test_a_record_that_cannot_be_read_says_why(content: bytes | None, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        line(content)


@pytest.mark.parametrize("topic", ["friction.dead_letters", "friction.state", "orders"])
def test_only_topics_of_ours_with_a_schema_are_exported(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["export", topic]) == ExitCode.USAGE
    assert "TOPIC: must be one of friction.interactions" in capsys.readouterr().err
