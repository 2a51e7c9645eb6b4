"""One backtest, from what was asked for to the files."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import pyarrow as pa

from connectors.files.mapping import NATURAL, load_mapping
from connectors.files.reader import EventReader
from connectors.files.sources import FORMATS, Format, sources
from connectors.files.times import WITH_OFFSET, times_of_texts
from pipelines.cli.backtest.events import Order, gathered, judged
from pipelines.cli.backtest.replay import Replay
from pipelines.cli.backtest.results import AlertFile, RejectedFile, time_text, write_scores, write_summary
from pipelines.worker.policy_file import load_policy
from schemas.acceptance import Bounds
from schemas.errors import SettingsError

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """The options as they were given."""

    events: list[str]
    out: Path
    policy: Path | None = None
    mapping: Path | None = None
    format: str | None = None
    order: str = "event"
    from_: str | None = None
    to: str | None = None
    until: str | None = None
    strict: bool = False


def run(asked: Asked) -> dict[str, Any]:
    """Run it and return the summary.

    Raises:
        SettingsError, PolicyError, MappingError, InputUnreadable: an option, a file or a row is wrong.
    """
    begun = time.monotonic()
    order = cast("Order", _one_of(asked.order, "--order", get_args(Order)))
    from_ms, to_ms, until_ms = (
        _time(text, option) for text, option in ((asked.from_, "--from"), (asked.to, "--to"), (asked.until, "--until"))
    )
    policy = load_policy(asked.policy)
    mapping = NATURAL if asked.mapping is None else load_mapping(asked.mapping)
    given = asked.format or mapping.file.format
    given_format = None if given is None else cast("Format", _one_of(given, "--format", FORMATS))
    files = sources(asked.events, given_format)
    _made(asked.out)
    warnings: list[str] = []
    acceptance = policy.file.acceptance
    with (
        (asked.out / "rejected.jsonl").open("w", encoding="utf-8") as rejected_file,
        (asked.out / "alerts.jsonl").open("w", encoding="utf-8") as alerts_file,
        _progress() as progress,
    ):
        rejected, alerts = RejectedFile(rejected_file), AlertFile(alerts_file, sort=order == "event")
        reader = EventReader(files, rejected.write, warnings.append, mapping, strict=asked.strict)
        found = gathered(
            reader,
            Bounds(acceptance.max_age, acceptance.max_ahead),
            reader.refuse,
            from_ms=from_ms,
            to_ms=to_ms,
            order=order,
            details=policy.needs_details,
            judge=judged(policy),
            seen=lambda n: progress("reading", n, None),
        )
        count = len(found)
        replay = Replay(policy, alerts.write, lambda n: progress("scoring", n, count))
        replay.run(found.in_order())
        end_ms = replay.run_on(until_ms)
    write_scores(asked.out / "scores.parquet", replay.standing, end_ms, policy, replay.open_clocks())
    seconds = time.monotonic() - begun
    counts = replay.counts
    summary = {
        "events": found.read + rejected.count - found.refused,
        "accepted": counts.accepted - counts.duplicates,
        "rejected": rejected.count,
        "duplicates": counts.duplicates,
        "late": counts.late,
        "unknown_kinds": counts.unknown_kinds,
        "outside": found.outside,
        "skipped": reader.skipped,
        "customers": len(replay.standing),
        "alerts": alerts.by_type(),
        "deflections": {name: replay.tally[name] for name in ("failed", "undecided", "assumed")},
        "closings_without_opening": replay.tally["orphans"],
        "until": None if end_ms is None else time_text(end_ms),
        "policy": policy.digest,
        "order": order,
        "seconds": round(seconds, 3),
        "events_per_second": round(found.read / seconds, 1),
        "warnings": warnings,
    }
    write_summary(asked.out / "summary.json", summary)
    return summary


def _one_of(text: str, option: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise SettingsError(f"{option}: must be {', '.join(known)}, got {text!r}")
    return text


def _time(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    at_ms, found = times_of_texts(pa.array([text], pa.utf8()))
    if found[0] != WITH_OFFSET:
        raise SettingsError(
            f"{option}: needs a time with an offset, such as 2026-03-01T00:00:00+03:00 or ...Z, got {text!r}"
        )
    return int(at_ms[0])


def _made(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in ("summary.json", "scores.parquet"):  # of a former run: this one may end before it writes them
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(f"--out: {out} cannot be made: {error.strerror}") from error


@contextmanager
def _progress() -> Iterator[Progress]:
    """Shows what is done and how fast, if somebody looks."""
    if not sys.stderr.isatty():
        yield lambda _what, _done, _of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}"),
        TextColumn("{task.fields[rate]}"), TimeElapsedColumn(),
    )  # fmt: skip
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, tuple[Any, float]] = {}

        def show(what: str, done: int, of: int | None) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=of, rate=""), time.monotonic()
            task, since = tasks[what]
            rate = done / max(time.monotonic() - since, 0.001)
            bar.update(task, completed=done, rate=f"{rate:,.0f}/s")

        yield show
