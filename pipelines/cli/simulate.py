"""``friction simulate``."""

import sys
from typing import Annotated

import typer

from pipelines.cli.options import Config, Data, Kafka, Prefix, Registry, Set, seconds, settings_of


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
    loaded = settings_of(config, assignments, data=data, kafka=kafka, registry=registry, prefix=prefix)
    for_s = None if for_ is None else seconds(for_)
    from connectors.kafka.producing import Sent
    from connectors.registry.client import SchemaRegistry
    from connectors.simulator.producer import simulate as send
    from pipelines.cli.running import found_running
    from pipelines.cli.stopping import stopped_by_signals
    from pipelines.worker.logs import configure_logs
    from schemas.topics import TopicNames

    settings = found_running(loaded)[0].settings
    configure_logs(settings.log)
    live = sys.stderr.isatty()

    def show(sent: Sent) -> None:
        if live:
            print(f"\rsent {sent.produced:,}", end="", file=sys.stderr, flush=True)

    with stopped_by_signals() as stop:
        sent = send(
            settings.kafka,
            SchemaRegistry(settings.registry),
            TopicNames(settings.topic_prefix),
            seed=seed,
            rate=rate,
            count=count,
            seconds=for_s,
            customers=customers,
            span_hours=span_hours,
            late=late,
            repeated=repeated,
            stop=stop,
            on_progress=show,
        )
    print(f"{chr(13) if live else ''}sent {sent.produced:,} interactions")
