"""The data directory of ``friction up``: who holds it, where its parts answer, how the last run ended.

up.lock       held (flock) by the running ``friction up``; the kernel lets go of it with the process
run.json      of the holder: pid, since when, addresses, prefix of the topics; no secrets
summary.json  counts at the end of the last run
logs/         of the child processes
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import DataDirHeld, EmbeddedUnavailable

_PATIENCE_S = 1.0  # `friction status` tries the lock too, for an instant


class RunRecord(BaseModel):
    """A running ``friction up``. Addresses are None until the part answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    started_at: str
    topic_prefix: str = ""
    kafka: str | None = None
    registry: str | None = None
    clickhouse: str | None = None
    page: str | None = None
    metrics: dict[str, str] = {}


class DataDirectory:
    """Paths and lock of one data directory; creates nothing before it is held."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.run_file = self.path / "run.json"
        self.summary_file = self.path / "summary.json"
        self.logs = self.path / "logs"
        self._lock_file = self.path / "up.lock"

    @contextmanager
    def held(self, record: RunRecord) -> Iterator[None]:
        """Hold the directory, and say so in run.json, as long as the block runs.

        Raises:
            DataDirHeld: another process holds it; says which, since when, and where it answers.
            EmbeddedUnavailable: the directory cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o644)  # not inherited by children
        except OSError as error:
            raise self._unwritable(self.path, error) from error
        try:
            deadline_s = time.monotonic() + _PATIENCE_S
            while not _locked(lock, fcntl.LOCK_EX):
                if time.monotonic() > deadline_s:
                    raise DataDirHeld(self._holder())
                time.sleep(0.05)
            self.write(record)
            try:
                yield
            finally:
                self.run_file.unlink(missing_ok=True)
        finally:
            os.close(lock)

    def opened_log(self, name: str) -> TextIO:
        """Open a log to write on.

        Raises:
            EmbeddedUnavailable: it cannot be written.
        """
        try:
            self.logs.mkdir(exist_ok=True)
            return (self.logs / f"{name}.log").open("a", encoding="utf-8")
        except OSError as error:
            raise self._unwritable(self.logs, error) from error

    def _unwritable(self, where: Path, error: OSError) -> EmbeddedUnavailable:
        return EmbeddedUnavailable(
            f"The data directory {where} cannot be written: {error.strerror}. Choose another with --data."
        )

    def write(self, record: RunRecord) -> None:
        """Tell others where the parts answer. Only for the holder."""
        write_whole(self.run_file, record.model_dump_json(indent=2))

    def running(self) -> RunRecord | None:
        """Return the record of the ``friction up`` that holds the directory now, if one does."""
        try:
            lock = os.open(self._lock_file, os.O_RDWR)
        except OSError:
            return None
        try:
            return None if _locked(lock, fcntl.LOCK_SH) else self._record()
        finally:
            os.close(lock)

    def _record(self) -> RunRecord | None:
        try:
            return RunRecord.model_validate_json(self.run_file.read_bytes())
        except (OSError, ValidationError):
            return None  # it has the lock and writes its record next

    def _holder(self) -> str:
        record = self._record()
        if record is None:
            return f"Another friction up holds {self.path}. Stop it first, or choose another directory with --data."
        answers = {
            "Kafka": record.kafka,
            "registry": record.registry,
            "ClickHouse": record.clickhouse,
            "page": record.page,
        }
        said = ", ".join(f"{name} {address}" for name, address in answers.items() if address)
        return (
            f"{self.path} is held by the friction up with pid {record.pid}, running since {record.started_at}"
            f"{f' ({said})' if said else ''}. Stop it first (kill {record.pid}), "
            "or choose another directory with --data."
        )


def write_whole(file: Path, text: str) -> None:
    """Write a file that nobody ever reads half."""
    new = file.with_suffix(f"{file.suffix}.new")
    new.write_text(text + "\n", "utf-8")
    new.replace(file)


def _locked(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
