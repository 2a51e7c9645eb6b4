"""``friction status``."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.options import ClickHouse, Config, Data, Kafka, Prefix, Set, settings_of
from pipelines.cli.sources import Loaded

if TYPE_CHECKING:
    from pipelines.cli.supervisor.directory import RunRecord


def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    data: Data = None,
    kafka: Kafka = None,
    clickhouse: ClickHouse = None,
    prefix: Prefix = None,
    config: Config = None,
    assignments: Set = None,
) -> None:
    """Say what is produced, processed and landed, from offsets and rows.

    Asks the `friction up` that holds the data directory, or the addresses of the settings. If neither is there but a
    run has ended in the directory, its summary is told.

    Example: `friction status --data .friction --json`
    """
    loaded = settings_of(config, assignments, data=data, kafka=kafka, clickhouse=clickhouse, prefix=prefix)
    said, record = _said(loaded)
    if as_json:
        print(json.dumps(said, indent=2))
        return
    for name, value in said.items():
        for key, one in value.items() if isinstance(value, dict) else [("", value)]:
            print(f"{f'{name} {key}'.strip():<28} {f'{one:,}' if type(one) is int else one}")
    for name in ("kafka", "registry", "clickhouse", "page"):
        if record is not None and getattr(record, name) is not None:
            print(f"{name:<28} {getattr(record, name)}")


def _said(loaded: Loaded) -> "tuple[dict[str, Any], RunRecord | None]":
    from pipelines.cli.running import found_running
    from pipelines.cli.supervisor.directory import DataDirectory
    from schemas.errors import StoreUnavailable
    from schemas.topics import TopicNames

    found, record = found_running(loaded)
    summary = DataDirectory(loaded.settings.data).summary_file
    if record is None and "kafka.bootstrap_servers" not in loaded.given and summary.exists():
        last: dict[str, Any] = json.loads(summary.read_text("utf-8"))
        return last, None

    from pipelines.cli.counts import Probe

    settings = found.settings
    try:
        with Probe(
            settings.kafka, settings.clickhouse, TopicNames(settings.topic_prefix), app_id=settings.app_id
        ) as probe:
            counts = probe.counts()
    except StoreUnavailable as error:
        if record is not None or "kafka.bootstrap_servers" in loaded.given:
            raise
        raise StoreUnavailable(
            f"No friction up runs in {settings.data} and none has ended there with a summary; name its directory with "
            f"--data. The addresses of the settings were asked instead. {error}"
        ) from error
    return {**counts.as_json(), "running": record is not None, "complete": counts.complete}, record
