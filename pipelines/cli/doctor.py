"""``friction doctor``."""

from typing import Annotated

import typer

from pipelines.cli.exits import ExitCode
from pipelines.cli.options import ClickHouse, Config, Data, Kafka, Prefix, Registry, Set, settings_of


def doctor(
    settings: Annotated[
        bool, typer.Option("--settings", help="Print every setting, its value and its source.")
    ] = False,
    data: Data = None,
    kafka: Kafka = None,
    registry: Registry = None,
    clickhouse: ClickHouse = None,
    prefix: Prefix = None,
    config: Config = None,
    assignments: Set = None,
) -> int:
    """Check what the system needs, a line each: ok, or what to do; exit code 1 if something is to be done.

    Looks at the `friction up` that holds the data directory, or at the addresses of the settings.

    Example: `friction doctor --kafka kafka:9092`
    """
    loaded = settings_of(
        config, assignments, data=data, kafka=kafka, registry=registry, clickhouse=clickhouse, prefix=prefix
    )
    if settings:
        for key, value, source in loaded.rows():
            print(f"{key:<32} {value:<40} {source}")
        return ExitCode.DONE
    from pipelines.cli.checks import run_checks

    bad = 0
    for check in run_checks(loaded):
        bad += not check.good
        print(f"{'ok  ' if check.good else 'BAD '} {check.subject:<12} {check.finding}")
    return ExitCode.FAILED if bad else ExitCode.DONE
