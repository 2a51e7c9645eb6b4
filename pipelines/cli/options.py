"""Options that several commands share, and the settings that come out of them."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.sources import Loaded, load_settings
from schemas.errors import SettingsError

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file (else FRICTION_CONFIG, else ./friction.toml)."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any setting by its key, e.g. worker.app_id=blue. Repeatable."),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Data directory of `friction up`  [default: .friction]"),
]
Kafka = Annotated[
    str | None, typer.Option("--kafka", metavar="HOST:PORT", help="Bootstrap servers of an existing Kafka.")
]
Registry = Annotated[str | None, typer.Option("--registry", metavar="URL", help="An existing schema registry.")]
ClickHouse = Annotated[
    str | None, typer.Option("--clickhouse", metavar="URL", help="An existing ClickHouse, http(s)://host:port.")
]
Prefix = Annotated[str | None, typer.Option("--prefix", metavar="TEXT", help="Stands before every topic's name.")]

# of commands that read files of interactions
Map = Annotated[list[Path] | None, typer.Option("--map", metavar="FILE", help="Mapping of columns, TOML. Repeatable.")]
Format = Annotated[
    str | None, typer.Option("--format", metavar="jsonl|csv|parquet", help="Of - and of names that do not say it.")
]
From = Annotated[str | None, typer.Option("--from", metavar="TIME", help="Only what occurred from then on.")]
To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Only what occurred before.")]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="Let the clock run so far  [default: the last interaction]"),
]

_KEYS = {
    "data": "data",
    "kafka": "kafka.bootstrap_servers",
    "registry": "registry.url",
    "clickhouse": "clickhouse.url",
    "prefix": "topic_prefix",
    "policy": "policy_file",
    "instance": "worker.instance_id",
    "jars": "embedded.jars",
    "page_port": "embedded.page_port",
}


def settings_of(config: Path | None, assignments: list[str] | None, **flags: object) -> Loaded:
    """Build the settings of a command. flags: by the names above; None was not given.

    Raises:
        SettingsError: as ``load_settings``.
    """
    given: dict[str, tuple[object, str]] = {}
    for one in assignments or []:
        key, sign, value = one.partition("=")
        if not sign:
            raise SettingsError(f"--set: needs KEY=VALUE, got {one!r}")
        given[key.strip()] = (value, "--set")
    for name, flag in flags.items():
        if flag is not None:
            given[_KEYS[name]] = (flag, f"--{name.replace('_', '-')}")
    return load_settings(file=config, environment=os.environ, flags=given)


def seconds(text: str) -> float:
    """Read the duration of ``--for``, such as 60, 60s, 5m or 1h."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        value = float(number) * units[unit]
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise typer.BadParameter(f"{text!r} is no duration: write 60s, 5m or 1h", param_hint="'--for'")
    return value
