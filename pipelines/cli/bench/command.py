"""``friction bench``."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.bench.policies import POLICIES
from pipelines.cli.exits import EPILOG
from pipelines.cli.options import Config, Kafka, Registry, Set, settings_of
from pipelines.cli.sources import Loaded
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from pipelines.cli.bench.stand import Stand

app = typer.Typer(
    help="Measure: throughput, latency, restore, recovery. docs/bench.md says how each figure is taken.",
    no_args_is_help=True,
    epilog=EPILOG,
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
PolicyName = Annotated[
    str, typer.Option("--policy", metavar="three|full", help="three: three signals. full: the default policy.")
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
    peer_events: Annotated[
        int, typer.Option(min=1000, help="Steady part of each peer, in events; fewer only to try it.")
    ] = 200_000,
    as_json: Json = False,
    kafka: Kafka = None,
    registry: Registry = None,
    config: Config = None,
    assignments: Set = None,
) -> None:
    """Throughput of one worker with checkpoints on, and of a bare consumer, on interactions that are already there.

    Example: `friction bench engine --peers`
    """
    means, loaded = _policy(policy), settings_of(config, assignments, kafka=kafka, registry=registry)
    from pipelines.cli.bench.engine import compare
    from pipelines.cli.bench.outputs import told
    from pipelines.cli.bench.peers import installed_peers
    from pipelines.cli.bench.report import comparison, machine, show
    from pipelines.cli.bench.stand import standing

    with standing(loaded, _say) as stand:
        found, missing = installed_peers(stand, steady_events=peer_events) if peers else ({}, {})
        compared, written = compare(
            stand, events=events, customers=customers, policy=means, repeat=repeat, peers=found, missing=missing
        )
    figures = {**compared.as_json(), "written": told(written), "customers": customers, "policy": policy, **machine()}
    show(figures, as_json=as_json, table=comparison)


@app.command("latency", epilog=EPILOG)
def latency(
    rate: Annotated[float, typer.Option(min=100, help="Interactions a second.")] = 10_000,
    seconds: Annotated[float, typer.Option(min=1, help="How long it is measured, after a warm-up of a minute.")] = 60,
    customers: Annotated[int, typer.Option(min=100, help="How many there are; one in a hundred alerts.")] = 50_000,
    policy: PolicyName = "three",
    as_json: Json = False,
    kafka: Kafka = None,
    registry: Registry = None,
    config: Config = None,
    assignments: Set = None,
) -> None:
    """Time from produce() of an interaction to its alert at a read_committed consumer.

    Example: `friction bench latency --rate 10000`
    """
    from pipelines.cli.bench.latency import latency as measure

    means = _policy(policy)
    _measured(
        settings_of(config, assignments, kafka=kafka, registry=registry),
        lambda stand: measure(stand, rate=rate, seconds=seconds, customers=customers, policy=means),
        as_json=as_json,
    )


@app.command("restore", epilog=EPILOG)
def restore(
    customers: Annotated[int, typer.Option(min=100, help="Customers in the state.")] = 1_000_000,
    updates: Annotated[int, typer.Option(min=1, help="Interactions of each before the restore.")] = 20,
    policy: PolicyName = "three",
    as_json: Json = False,
    kafka: Kafka = None,
    registry: Registry = None,
    config: Config = None,
    assignments: Set = None,
) -> None:
    """Time until a worker that starts has a large state again, and the memory of a customer.

    Example: `friction bench restore --customers 1000000`
    """
    from pipelines.cli.bench.restore import restore as measure

    means = _policy(policy)
    _measured(
        settings_of(config, assignments, kafka=kafka, registry=registry),
        lambda stand: measure(stand, customers=customers, updates=updates, policy=means),
        as_json=as_json,
    )


@app.command("recover", epilog=EPILOG)
def recover(
    rate: Annotated[float, typer.Option(min=10, help="Interactions a second meanwhile.")] = 2_000,
    customers: Customers = 50_000,
    policy: PolicyName = "three",
    as_json: Json = False,
    kafka: Kafka = None,
    registry: Registry = None,
    config: Config = None,
    assignments: Set = None,
) -> None:
    """Time from kill -9 of one of two workers until all that was there is committed: by the other one, by a restart.

    Example: `friction bench recover`
    """
    from pipelines.cli.bench.recover import recover as measure

    means = _policy(policy)
    _measured(
        settings_of(config, assignments, kafka=kafka, registry=registry),
        lambda stand: measure(stand, rate=rate, customers=customers, policy=means),
        as_json=as_json,
    )


@app.command("scale", epilog=EPILOG)
def scale(
    workers: Annotated[list[int] | None, typer.Option("--workers", help="Numbers of workers  [default: 1 2]")] = None,
    more: Annotated[list[int] | None, typer.Argument(metavar="", show_default=False, help="More of them.")] = None,
    customers: Customers = 50_000,
    events: Events = 4_000_000,
    policy: PolicyName = "three",
    as_json: Json = False,
    kafka: Kafka = None,
    registry: Registry = None,
    config: Config = None,
    assignments: Set = None,
) -> None:
    """CPU seconds for a million interactions, by the number of workers that share them.

    Example: `friction bench scale --workers 1 2`
    """
    from pipelines.cli.bench.scale import scale as measure

    means = _policy(policy)
    _measured(
        settings_of(config, assignments, kafka=kafka, registry=registry),
        lambda stand: measure(
            stand, workers=[*(workers or ()), *(more or ())] or [1, 2], events=events, customers=customers, policy=means
        ),
        as_json=as_json,
    )


@app.command("profile", epilog=EPILOG)
def profile(
    customers: Customers = 50_000,
    events: Events = 1_000_000,
    policy: PolicyName = "three",
    as_json: Json = False,
    kafka: Kafka = None,
    registry: Registry = None,
    config: Config = None,
    assignments: Set = None,
) -> None:
    """Where the time of a million interactions goes, by step and by thread.

    Example: `friction bench profile`
    """
    from pipelines.cli.bench.profile import profile as measure

    means = _policy(policy)
    _measured(
        settings_of(config, assignments, kafka=kafka, registry=registry),
        lambda stand: measure(stand, events=events, customers=customers, policy=means),
        as_json=as_json,
    )


def _measured(loaded: Loaded, measure: Callable[["Stand"], dict[str, Any]], *, as_json: bool) -> None:
    """Take a measurement on a stand of its own, and print its figures."""
    from pipelines.cli.bench.report import machine, plain, show
    from pipelines.cli.bench.stand import standing

    with standing(loaded, _say) as stand:
        figures = measure(stand)
    show({**figures, **machine()}, as_json=as_json, table=plain)


def _policy(name: str) -> Path:
    if name not in POLICIES:
        raise SettingsError(f"--policy must be {' or '.join(POLICIES)}, got {name!r}")
    return POLICIES[name]


def _say(line: str) -> None:
    """Progress is told on standard error: standard output is for the figures."""
    print(line, file=sys.stderr, flush=True)
