"""What a person sees of ``friction up``: progress, one line a second, the summary."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipelines.cli.counts import Counts
from pipelines.cli.supervisor.pulse import Beat


class Screen:
    """Lines on standard output; on a terminal the line of the second stays in its place."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._live: Live | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.freeze()

    def say(self, text: str) -> None:
        """Print a line of progress."""
        self._console.print(Text(text))

    def beat(self, elapsed_s: float, beat: Beat | None, trouble: str | None, page: str | None) -> None:
        """Show how everything flows."""
        minutes, seconds = divmod(int(elapsed_s), 60)
        if trouble is not None:
            line = f"{minutes:02}:{seconds:02}  waiting: {trouble}"
        elif beat is None:
            line = f"{minutes:02}:{seconds:02}  starting"
        else:
            pace = beat.pace
            line = (
                f"{minutes:02}:{seconds:02}  in {beat.events_per_s:,.0f}/s  processed {pace.processed:,}  "
                f"landed {pace.landed:,}  lag {pace.produced - pace.processed:,}  alerts {pace.alerts:,}"
            )
        text = Text(f"{line}  {page}" if page else line)
        if not self._console.is_terminal:
            self._console.print(text)
            return
        if self._live is None:
            self._live = Live(text, console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(text, refresh=True)

    def freeze(self) -> None:
        """Leave the line of the second as it is; what follows stands below it."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def summary(self, counts: Counts, *, seconds: float, first_row_s: float | None) -> None:
        """Show how it ended."""
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        rows = {
            "produced": counts.produced,
            "processed": counts.processed,
            **{f"landed in {name}": rows for name, rows in counts.landed.items()},
            "alerts": counts.alerts,
            "dead letters": counts.dead_letters,
        }
        for name, number in rows.items():
            table.add_row(name, Text(f"{number:,}", justify="right"))
        first = "no row landed" if first_row_s is None else f"first row landed {first_row_s:.1f} s after the start"
        self._console.print(table)
        self._console.print(Text(f"{seconds:.0f} s; {first}"))
