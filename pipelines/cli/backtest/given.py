"""The input of a backtest as it was given: which files, read how, and what of them is wanted."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import pyarrow as pa

from connectors.files.mapping import load_mapping
from connectors.files.reader import EventReader
from connectors.files.rejects import RejectedRow
from connectors.files.sources import FORMATS, Format, Source, sources
from connectors.files.times import WITH_OFFSET, times_of_texts
from pipelines.cli.backtest.events import Gathered, Order, gathered, judged
from pipelines.cli.backtest.results import time_text
from pipelines.fold.ties import ties_of
from pipelines.policy.policy import Policy
from schemas.acceptance import Bounds
from schemas.errors import SettingsError

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, slots=True)
class Given:
    """Files, each with the mapping of its columns, and the order in which they are told.

    Only what occurred from ``from_ms`` on, before ``to_ms``; None for all.
    """

    files: Sequence[Source]
    order: Order
    from_ms: int | None
    to_ms: int | None

    @classmethod
    def of(
        cls,
        events: list[str],
        mappings: Sequence[Path],
        format_: str | None,
        *,
        order: str = "event",
        from_: str | None,
        to: str | None,
    ) -> "Given":
        """Take the options as they were written.

        Raises:
            SettingsError, MappingError, InputUnreadable: one of them is wrong.
        """
        said = cast("Order", one_of(order, "--order", get_args(Order)))
        from_ms, to_ms = time_of(from_, "--from"), time_of(to, "--to")
        if from_ms is not None and to_ms is not None and from_ms >= to_ms:
            raise SettingsError(f"--to: must be after --from, got {to} and {from_}")
        how = [load_mapping(path) for path in mappings]
        given = None if format_ is None else cast("Format", one_of(format_, "--format", FORMATS))
        return cls(sources(events, how, given), said, from_ms, to_ms)

    def reader(
        self, reject: Callable[[RejectedRow], None], warn: Callable[[str], None], *, strict: bool = False
    ) -> EventReader:
        """Reader of the files; see EventReader."""
        return EventReader(self.files, reject, warn, strict=strict)

    def gathered(
        self, reader: EventReader, policy: Policy, seen: Callable[[int], None], *, details: bool = False
    ) -> Gathered:
        """Take what a policy accepts. details: keep them though the policy does not ask for them."""
        acceptance = policy.file.acceptance
        return gathered(
            reader,
            Bounds(acceptance.max_age, acceptance.max_ahead),
            reader.refuse,
            from_ms=self.from_ms,
            to_ms=self.to_ms,
            order=self.order,
            details=details or policy.needs_details,
            judge=judged(policy) if policy.needs_details else lambda _: {},
            ties=ties_of(policy) if policy.needs_details else None,
            seen=seen,
        )


def one_of(text: str, option: str, known: tuple[str, ...]) -> str:
    """The text of an option that must be one of some.

    Raises:
        SettingsError: it is another.
    """
    if text not in known:
        raise SettingsError(f"{option}: must be {', '.join(known)}, got {text!r}")
    return text


def time_of(text: str | None, option: str) -> int | None:
    """Epoch ms of the time that an option gives, None when it is not given.

    Raises:
        SettingsError: it is no time with an offset.
    """
    if text is None:
        return None
    at_ms, found = times_of_texts(pa.array([text], pa.utf8()))
    if found[0] != WITH_OFFSET:
        raise SettingsError(
            f"{option}: needs a time with an offset, such as 2026-03-01T00:00:00+03:00 or ...Z, got {text!r}"
        )
    return int(at_ms[0])


def goes_beyond(until: str, end_ms: int) -> str:
    """The warning of a ``--until`` that is before the last interaction."""
    return (
        f"--until {until} is before the last interaction: time goes on to that, {time_text(end_ms)}; "
        "--to leaves later interactions out"
    )


@contextmanager
def shown_progress() -> Iterator[Progress]:
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
