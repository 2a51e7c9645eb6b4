"""The simulated crowd in a file: what a run would send, as lines that `friction backtest` reads as they are."""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TextIO

from connectors.simulator.simulation import DEFAULT_CUSTOMERS, crowd_moments_and_interactions
from schemas.errors import SettingsError
from schemas.interactions import Interaction, avro_record

_PROGRESS = 10_000  # interactions


def write_crowd(
    path: Path,
    *,
    seed: int,
    end_ms: int,
    rate: float,
    total: int,
    customers: int = DEFAULT_CUSTOMERS,
    span_hours: float | None = None,
    late: float = 0.0,
    repeated: float = 0.0,
    stop: Event,
    on_progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Write what a run that ends at ``end_ms`` (epoch ms) sends, and return how many interactions that are.

    path: ends with .jsonl, or with .jsonl.gz to be compressed; what is there is replaced. The other arguments are those
    of ``crowd_interactions``. Nothing is waited for; after ``stop`` the file ends early.

    Raises:
        SettingsError: the name ends otherwise, the file cannot be written, or an argument is out of range.
    """
    start_ms = end_ms - round(1000 * total / rate)
    pairs = crowd_moments_and_interactions(
        seed=seed,
        start_ms=start_ms,
        rate=rate,
        total=total,
        customers=customers,
        span_hours=span_hours,
        late=late,
        repeated=repeated,
    )
    written = 0
    with _opened(path) as file:
        for moment_ms, told in pairs:
            file.write(event_line(told, moment_ms))
            written += 1
            if written % _PROGRESS == 0:
                on_progress(written)
            if stop.is_set():
                break
    return written


def event_line(told: Interaction, appended_ms: int) -> str:
    """An interaction as a line of JSON: what is not told is left out, times are RFC 3339 in UTC."""
    said = {name: value for name, value in avro_record(told).items() if value is not None}
    times = {"occurred_at": _time(told.occurred_ms), "appended_at": _time(appended_ms)}
    return json.dumps({**said, **times}, ensure_ascii=False, separators=(",", ":")) + "\n"


def _time(ms: int) -> str:
    at = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """The file, to be written."""
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        raise SettingsError(f"--out: must end with .jsonl or .jsonl.gz, got {path}")
    try:
        if path.name.endswith(".gz"):
            with gzip.open(path, "wt", encoding="utf-8", compresslevel=6) as file:
                yield file
        else:
            with path.open("w", encoding="utf-8") as file:
                yield file
    except OSError as error:
        raise SettingsError(f"--out: {path} cannot be written: {error.strerror or error}") from error
