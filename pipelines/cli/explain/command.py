"""``friction explain``."""

import sys
from pathlib import Path
from shutil import get_terminal_size
from typing import Annotated

import typer

from pipelines.cli.options import Format, From, Map, To, Until

CUSTOMER = typer.Argument(metavar="CUSTOMER", help="The customer_id.")
MORE = typer.Argument(metavar="[FILES]...", help="More files, as --events.", show_default=False)
EVENTS = typer.Option("--events", metavar="FILE", help="A file, a pattern in quotes, or - for standard input.")

_REJECTED_SHOWN = 20
_LEAST_WIDTH, _MOST_WIDTH = 80, 140


def explain(
    customer: Annotated[str, CUSTOMER],
    more: Annotated[list[str] | None, MORE] = None,
    events: Annotated[list[str] | None, EVENTS] = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="A policy file, or default or three  [default: default]"),
    ] = None,
    map_: Map = None,
    format_: Format = None,
    from_: From = None,
    to: To = None,
    until: Until = None,
    zone: Annotated[
        str, typer.Option(metavar="ZONE", help="Of the times that are shown: UTC, local, or such as Europe/Istanbul.")
    ] = "UTC",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="A picture too: FILE.png or FILE.svg.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="One object instead of text.")] = False,
) -> None:
    """Tell the story of one customer: each interaction, heat, score, band, clocks and alerts over time.

    The same core as the backtest's and the worker's, so what it ends with is what these say. Between interactions it
    tells what time alone did. Times that are given are RFC 3339.

    Example: `friction explain ana --events 'calls/*.jsonl' --out ana.png`
    """
    from connectors.files.rejects import RejectedRow
    from pipelines.cli.explain.run import Asked, check_picture, explained
    from pipelines.cli.explain.times import zone_of
    from schemas.errors import SettingsError

    files = [*(events or []), *(more or [])]
    if not files:
        raise SettingsError("--events: names no file; `friction explain ana --events calls.jsonl` reads one")
    shown = zone_of(zone)
    if out is not None:
        check_picture(out)
    rejected: list[RejectedRow] = []
    warnings: list[str] = []
    try:
        story = explained(
            Asked(customer, files, policy, map_ or (), format_, from_=from_, to=to, until=until),
            rejected.append,
            warnings.append,
        )
    finally:
        _tell(warnings, [f"{row.file}:{row.line} is rejected: {row.reason}" for row in rejected])
    if out is not None:
        from pipelines.cli.explain.picture import draw

        draw(story, shown, out)
        print(f"friction: the picture is {out}", file=sys.stderr)
    if json_:
        from pipelines.cli.explain.records import record_text

        print(record_text(story))
    else:
        from pipelines.cli.explain.timeline import timeline

        width = min(max(get_terminal_size((120, 24)).columns, _LEAST_WIDTH), _MOST_WIDTH)
        print("\n".join(timeline(story, shown, width)))


def _tell(warnings: list[str], rejected: list[str]) -> None:
    """Say on standard error what was strange, and which rows could not be taken."""
    for line in [*warnings, *rejected[:_REJECTED_SHOWN]]:
        print(f"friction: {line}", file=sys.stderr)
    if len(rejected) > _REJECTED_SHOWN:
        print(
            f"friction: {len(rejected) - _REJECTED_SHOWN:,} more rows are rejected; "
            "`friction backtest` writes all of them to rejected.jsonl",
            file=sys.stderr,
        )
