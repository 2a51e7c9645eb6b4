"""Reading files of interactions, for tests."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from connectors.files.fields import SCHEMA
from connectors.files.mapping import NATURAL, Mapping, load_mapping
from connectors.files.reader import EventReader
from connectors.files.rejects import RejectedRow
from connectors.files.shaping import EventRows
from connectors.files.sources import Format, sources

AT = "2026-03-01T09:30:00+03:00"
AT_MS = 1_772_346_600_000

GOOD = {
    "event_id": "e",
    "customer_id": "ana",
    "kind": "form.failed",
    "channel": "unknown",
    "touchpoint": "unknown",
    "occurred_at": AT_MS,
}


@dataclass
class Read:
    parts: list[EventRows] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    skipped: int = 0

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What is told of each interaction; times in epoch ms."""
        found = []
        for part in self.parts:
            at = part.batch.column("occurred_at").cast(pa.int64()).to_pylist()
            for row, ms in zip(part.batch.to_pylist(), at, strict=True):
                attributes = dict(row.pop("attributes"))
                told = {k: v for k, v in row.items() if v is not None} | {"occurred_at": ms}
                found.append(told | ({"attributes": attributes} if attributes else {}))
        return found

    @property
    def ids(self) -> list[str]:
        return [row["event_id"] for row in self.rows]


def read(*arguments: str | Path, mapping: Mapping = NATURAL, given: Format | None = None, strict: bool = False) -> Read:
    found = Read()
    files = sources([str(a) for a in arguments], [mapping], given)
    reader = EventReader(files, found.rejected.append, found.warnings.append, strict=strict)
    for part in reader:
        assert part.batch.schema == SCHEMA
        part.batch.validate(full=True)
        found.parts.append(part)
    found.skipped = reader.skipped
    return found


def written(path: Path, lines: Sequence[str | dict[str, Any]], end: str = "\n") -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    path.write_bytes("".join(text + end for text in texts).encode())
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def happened(occurred_ms: int, **fields: Any) -> dict[str, Any]:
    return {"customer_id": "ana", "kind": "form.failed", "occurred_at": occurred_ms, **fields}


def row(**fields: Any) -> dict[str, Any]:
    return {"event_id": "e", "customer_id": "ana", "kind": "form.failed", "occurred_at": AT, **fields}


def mapped(directory: Path, text: str, name: str = "map.toml") -> Mapping:
    """A mapping, by way of its file."""
    (directory / name).write_text(text, "utf-8")
    return load_mapping(directory / name)
