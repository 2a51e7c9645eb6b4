"""What a backtest writes: alerts, rejected rows and the summary."""

import errno
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from connectors.files.rejects import RejectedRow
from pipelines.alerts.tables import Alerts
from pipelines.cli.backtest.json_lines import JsonLines, Lines, in_order
from pipelines.incidents.muting import Muting
from schemas.arrays import Int64s
from schemas.columnar.writer import Column
from schemas.errors import SettingsError
from schemas.topics import avro_schema

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ALERT: list[Any] = [f for f in json.loads(avro_schema("alert"))["fields"] if f["name"] != "emitted_at"]


RESULTS = ("alerts.jsonl", "scores.parquet", "summary.json", "rejected.jsonl")


@contextmanager
def replaced(out: Path, read: Iterable[str]) -> Iterator[dict[str, Path]]:
    """Give where to write each result: when all are written they take the places of those of a former run.

    read: files that must not be among them.

    Raises:
        SettingsError: one of them is, or the directory cannot be made or written.
    """
    own = {(out / name).resolve() for name in RESULTS}
    for file in read:
        if Path(file).resolve() in own:
            raise SettingsError(f"--out: {file} is read, and would be replaced by a result: take another directory")
    new = {name: out / f"{name}.new" for name in RESULTS}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in RESULTS:
            if (out / name).is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(out / name))
        new["summary.json"].write_bytes(b"")  # whether that can be is told before all is read
    except OSError as error:
        raise SettingsError(f"--out: {error.filename or out} cannot be made: {error.strerror}") from error
    try:
        yield new
        for name, path in new.items():
            path.replace(out / name)
    finally:
        for path in new.values():
            path.unlink(missing_ok=True)


def time_text(at_ms: int) -> str:
    """RFC 3339 in UTC, with milliseconds."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def alert_lines() -> JsonLines:
    """Alerts as JSON: the fields of alert.avsc but ``emitted_at``."""
    return JsonLines(_ALERT)


@dataclass(slots=True)
class AlertFile:
    """alerts.jsonl. sort: alerts that are told together are written in the order of their times."""

    file: BinaryIO
    sort: bool
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _held: dict[str, str] = field(default_factory=dict)
    _muting: Muting = field(default_factory=Muting)
    _lines: JsonLines = field(default_factory=alert_lines)

    def write(self, alerts: Alerts) -> None:
        """Write every revision."""
        self.counts.update(alerts.counts())
        self._muting.take_all(alerts)
        self._note_held(alerts)
        lines, places, times = list[Lines](), list[Int64s](), list[Int64s]()
        for at, n, columns in alerts.columns():
            lines.append(self._lines.lines(n, columns, "\n"))
            places.append(at)
            times.append(_numbers(columns["raised_at"]) if self.sort else np.zeros(n, np.int64))
        if lines:
            order = np.lexsort((np.concatenate(places), np.concatenate(times)))
            self.file.write(in_order(lines, order))

    def _note_held(self, alerts: Alerts) -> None:
        for part in alerts.parts:
            for _, alert in part.others:
                if alert.held_back:
                    self._held[alert.alert_id] = alert.team or ""
                else:
                    self._held.pop(alert.alert_id, None)
            for table, _ in part.tables if self._held else ():  # none of a table is held back
                for alert_id in table.texts("alert_id"):
                    self._held.pop(alert_id, None)

    def by_type(self) -> dict[str, dict[str, int]]:
        """How many of each status there are, by type."""
        found: dict[str, dict[str, int]] = {}
        for (kind, status), count in sorted(self.counts.items()):
            found.setdefault(kind, {})[status] = count
        return found

    def muted(self) -> int:
        """How many alerts were muted by an incident."""
        return len({alert_id for listed in self._muting.listed().values() for alert_id in listed})

    def held_back(self) -> dict[str, int]:
        """How many alerts are held back as of their last revision, by team."""
        return dict(sorted(Counter(self._held.values()).items()))


def _numbers(column: Column) -> Int64s:
    if not isinstance(column, np.ndarray):
        raise TypeError("not a column of numbers")
    return column.astype(np.int64, copy=False)


@dataclass(slots=True)
class RejectedFile:
    """rejected.jsonl. first: the first row."""

    file: TextIO
    count: int = 0
    first: RejectedRow | None = None

    def write(self, row: RejectedRow) -> None:
        """Write one row."""
        self.count += 1
        self.first = self.first or row
        self.file.write(json.dumps(row._asdict(), ensure_ascii=False) + "\n")


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write summary.json."""
    path.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", "utf-8")
