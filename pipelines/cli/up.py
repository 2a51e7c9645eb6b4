"""``friction up``."""

import time
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import ClickHouse, Config, Data, Kafka, Prefix, Registry, Set, seconds, settings_of


def up(
    demo: Annotated[bool, typer.Option("--demo", help="Simulate customers.")] = False,
    data: Data = None,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="Run so long (60s, 5m), let everything land, end.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, help="Simulated interactions a second.")] = 100.0,
    customers: Annotated[int, typer.Option(min=1, help="Simulated customers.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Names the simulated customers' decisions.")] = 1,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Serve the live page.")] = True,
    page_port: Annotated[int | None, typer.Option(help="Port of the page  [default: 8050, or a free one]")] = None,
    kafka: Kafka = None,
    registry: Registry = None,
    clickhouse: ClickHouse = None,
    prefix: Prefix = None,
    policy: Annotated[Path | None, typer.Option(metavar="FILE", help="Policy file.")] = None,
    jars: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Kafka's jars, for a machine that is offline.")
    ] = None,
    config: Config = None,
    assignments: Set = None,
) -> int:
    """Run the whole pipeline on this machine: broker, registry, worker, landing, ClickHouse, page.

    A store whose address is set (flag, variable or friction.toml) is used and not started. Ctrl-C stops everything
    in order; the next start goes on from there. Interactions in, processed and landed are told once a second.

    Example: `friction up --demo --for 60s`
    """
    for_s = None if for_ is None else seconds(for_)
    loaded = settings_of(
        config,
        assignments,
        data=data,
        kafka=kafka,
        registry=registry,
        clickhouse=clickhouse,
        prefix=prefix,
        policy=policy,
        jars=jars,
        page_port=page_port,
    )
    if loaded.settings.policy_file is not None:
        from pipelines.worker.policy_file import load_policy

        load_policy(loaded.settings.policy_file)  # a mistake in it is told before anything is started
    from pipelines.cli.supervisor.session import Plan, Session
    from pipelines.cli.supervisor.system import Simulation

    simulation = Simulation(rate, customers, seed) if demo else None
    plan = Plan(workers, page, simulation, for_s)
    return Session(loaded, plan, began_s=_began_s()).run()


def _began_s() -> float:
    """Monotonic time at which this process began, interpreter and imports included."""
    try:
        after_name = Path("/proc/self/stat").read_text("ascii").rpartition(")")[2].split()
        started_s = int(after_name[19]) / 100.0  # field 22 of proc(5), in ticks of 10 ms since boot
    except (OSError, ValueError, IndexError):
        return time.monotonic()
    return time.monotonic() - (time.clock_gettime(time.CLOCK_BOOTTIME) - started_s)
