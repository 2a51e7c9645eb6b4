"""``friction backtest``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import Format, From, Map, To, Until

EVENTS = typer.Argument(metavar="EVENTS...", help="Files, patterns in quotes, or - for standard input.")


def backtest(
    events: Annotated[list[str], EVENTS],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the results go; made if need be.")],
    policy: Annotated[Path | None, typer.Option("--policy", metavar="FILE", help="A policy instead of ours.")] = None,
    map_: Map = None,
    format_: Format = None,
    order: Annotated[
        str, typer.Option(metavar="event|file|appended", help="event: by occurred_at. file: as they stand.")
    ] = "event",
    from_: From = None,
    to: To = None,
    until: Until = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first row that cannot be taken.")] = False,
) -> None:
    """Run the policy over files of interactions: the same core as the worker's, without Kafka.

    Writes alerts.jsonl, scores.parquet, summary.json and rejected.jsonl to DIR. Times are RFC 3339.

    Example: `friction backtest 'calls/*.csv' --map calls.toml --out result`
    """
    from pipelines.cli.backtest.run import Asked, run
    from pipelines.worker.memory import collect_seldom

    collect_seldom()
    summary = run(
        Asked(
            events=events,
            out=out,
            policy=policy,
            mappings=map_ or (),
            format=format_,
            order=order,
            from_=from_,
            to=to,
            until=until,
            strict=strict,
        )
    )
    for warning in summary["warnings"]:
        print(f"friction: {warning}", file=sys.stderr)
    alerts = sum(sum(of.values()) for of in summary["alerts"].values())
    told = {"duplicates": "sent twice", "outside": "outside --from and --to", "skipped": "rows skipped"}
    left_out = "".join(f"{summary[name]:,} {what}, " for name, what in told.items() if summary[name])
    print(
        f"{_counted(summary['accepted'], 'interaction')} of {_counted(summary['customers'], 'customer')}, "
        f"{_counted(alerts, 'alert revision')}, {_counted(summary['rejected'], 'row')} rejected, {left_out}"
        f"{summary['events_per_second']:,.0f} events/s: {out}"
    )


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"
