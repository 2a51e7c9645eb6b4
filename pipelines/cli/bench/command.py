"""``friction bench``."""

import sys
from typing import Annotated, Any

import typer

from pipelines.cli.exits import EPILOG
from pipelines.cli.options import Config, Kafka, Registry, Set, settings_of
from schemas.errors import SettingsError

app = typer.Typer(
    help="Measure: throughput, latency, restore, recovery. docs/bench.md says how each figure is taken.",
    no_args_is_help=True,
    epilog=EPILOG,
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
PolicyName = Annotated[
    str, typer.Option("--policy", metavar="three|full", help="three: three signals. full comes with the full policy.")
]
Customers = Annotated[int, typer.Option(min=1, help="How many customers there are.")]
Events = Annotated[int, typer.Option(min=1000, help="Interactions in the topic.")]


@app.command("engine", epilog=EPILOG)
def engine(
    policy: PolicyName = "three",
    customers: Customers = 50_000,
    events: Events = 4_000_000,
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each, taking turns; the median is told.")] = 3,
    peers: Annotated[bool, typer.Option("--peers", help="Faust, Quix Streams and Bytewax too (`make peers`).")] = False,
    as_json: Json = False,
    kafka: Kafka = None,
    registry: Registry = None,
    config: Config = None,
    assignments: Set = None,
) -> None:
    """Throughput of one worker with checkpoints on, and of a bare consumer, on interactions that are already there.

    Example: `friction bench engine --peers`
    """
    loaded = _loaded(policy, config, assignments, kafka=kafka, registry=registry)
    from pipelines.cli.bench.engine import compare
    from pipelines.cli.bench.outputs import told
    from pipelines.cli.bench.peers import installed_peers
    from pipelines.cli.bench.report import comparison, machine, show
    from pipelines.cli.bench.stand import standing

    with standing(loaded, _say) as stand:
        found, missing = installed_peers(stand) if peers else ({}, {})
        compared, written = compare(
            stand, events=events, customers=customers, repeat=repeat, peers=found, missing=missing
        )
    figures = {**compared.as_json(), "written": told(written), "customers": customers, **machine()}
    show(figures, as_json=as_json, table=comparison)


def _loaded(policy: str, config: Config, assignments: Set, **flags: object) -> Any:
    if policy == "full":
        raise SettingsError("--policy full: the full policy is not there yet; measure with --policy three")
    if policy != "three":
        raise SettingsError(f"--policy must be three or full, got {policy!r}")
    return settings_of(config, assignments, **flags)


def _say(line: str) -> None:
    """Progress is told on standard error: standard output is for the figures."""
    print(line, file=sys.stderr, flush=True)
