"""``friction simulate``."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.cli.options import Config, Data, Kafka, Prefix, Registry, Set, seconds, settings_of
from pipelines.cli.sources import Loaded
from schemas.errors import SettingsError


def simulate(
    rate: Annotated[float, typer.Option(min=0.1, help="Interactions a second.")] = 100.0,
    for_: Annotated[str | None, typer.Option("--for", metavar="DURATION", help="End after this: 60s, 5m.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many interactions.")] = None,
    customers: Annotated[int, typer.Option(min=1, help="How many customers there are.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Names the customers' decisions.")] = 1,
    span_hours: Annotated[
        float | None, typer.Option(min=0.01, help="Squeeze so many hours, ending now, into the run; needs a limit.")
    ] = None,
    late: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share that is sent 5 s to 10 min after it happened.")
    ] = 0.0,
    repeated: Annotated[float, typer.Option(min=0.0, max=0.9, help="Share that is sent twice, within a minute.")] = 0.0,
    team: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the alerts that a simulated team works on.")
    ] = 0.0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Write to FILE.jsonl or FILE.jsonl.gz, without Kafka; needs a limit."
        ),
    ] = None,
    data: Data = None,
    kafka: Kafka = None,
    registry: Registry = None,
    prefix: Prefix = None,
    config: Config = None,
    assignments: Set = None,
) -> None:
    """Send the interactions of simulated customers, to the `friction up` of the data directory or to any Kafka.

    Example: `friction simulate --rate 500 --for 5m`
    """
    for_s = None if for_ is None else seconds(for_)
    said: dict[str, Any] = {"seed": seed, "rate": rate, "customers": customers, "span_hours": span_hours}
    said |= {"late": late, "repeated": repeated}
    for option, given in (("--out", out), ("--span-hours", span_hours)):
        if given is not None and count is None and for_s is None:
            raise SettingsError(f"{option} needs a limit: give --count or --for")
    if out is not None:
        if team:
            raise SettingsError("--team works on the alerts of a worker, and there is none with --out")
        _write(out, count, for_s, said)
        return
    loaded = settings_of(config, assignments, data=data, kafka=kafka, registry=registry, prefix=prefix)
    _send(loaded, count, for_s, {**said, "team": team})


def _send(loaded: Loaded, count: int | None, for_s: float | None, said: dict[str, Any]) -> None:
    from connectors.registry.client import SchemaRegistry
    from connectors.simulator.producer import simulate as send
    from pipelines.cli.running import found_running
    from pipelines.cli.stopping import stopped_by_signals
    from pipelines.worker.logs import configure_logs
    from schemas.topics import TopicNames

    settings = found_running(loaded)[0].settings
    configure_logs(settings.log)
    show = _progress("sent")
    with stopped_by_signals() as stop:
        sent = send(
            settings.kafka,
            SchemaRegistry(settings.registry),
            TopicNames(settings.topic_prefix),
            **said,
            count=count,
            seconds=for_s,
            stop=stop,
            on_progress=lambda sent: show(sent.produced),
        )
    print(f"{_BACK if sys.stderr.isatty() else ''}sent {sent.produced:,} interactions")


def _write(out: Path, count: int | None, for_s: float | None, said: dict[str, Any]) -> None:
    from connectors.simulator.event_file import write_crowd
    from connectors.simulator.producer import limit
    from pipelines.cli.stopping import stopped_by_signals

    total = limit(said["rate"], count, for_s) or 1
    with stopped_by_signals() as stop:
        end_ms = time.time_ns() // 1_000_000
        written = write_crowd(out, end_ms=end_ms, total=total, **said, stop=stop, on_progress=_progress("written"))
    print(f"{_BACK if sys.stderr.isatty() else ''}written {written:,} interactions to {out}")


_BACK = "\r"


def _progress(did: str) -> Callable[[int], None]:
    """Tell on a terminal how many it is."""
    live = sys.stderr.isatty()

    def show(many: int) -> None:
        if live:
            print(f"{_BACK}{did} {many:,}", end="", file=sys.stderr, flush=True)

    return show
