"""``friction topics``."""

from typing import Annotated

import typer

from pipelines.cli.exits import EPILOG, ExitCode
from pipelines.cli.options import Config, Data, Kafka, Prefix, Registry, Set, settings_of
from pipelines.worker.settings import Settings
from schemas.errors import SettingsError

app = typer.Typer(
    help="Create and check the topics that schemas/topics.yaml declares.\n\nExample: `friction topics apply`",
    no_args_is_help=True,
    epilog=EPILOG,
)

Partitions = Annotated[
    list[str] | None,
    typer.Option("--partitions", metavar="GROUP=N", help="Partitions of a group when created, e.g. customers=12."),
]


@app.command("apply", epilog=EPILOG)
def apply(
    partitions: Partitions = None,
    replication: Annotated[
        int, typer.Option(min=-1, help="Replication factor of new topics; -1 is the broker's default.")
    ] = -1,
    schemas: Annotated[bool, typer.Option("--schemas/--no-schemas", help="Register the schemas too.")] = True,
    data: Data = None,
    kafka: Kafka = None,
    registry: Registry = None,
    prefix: Prefix = None,
    config: Config = None,
    assignments: Set = None,
) -> None:
    """Create what is missing, set what differs and can be set; nothing if a topic contradicts its declaration.

    Example: `friction topics apply --kafka kafka:9092 --partitions customers=12`
    """
    settings = _settings(config, assignments, data=data, kafka=kafka, registry=registry, prefix=prefix)
    from connectors.kafka.admin import apply_topics
    from connectors.registry.client import SchemaRegistry, register_contract
    from schemas.topics import TopicNames

    names = TopicNames(settings.topic_prefix)
    for change in apply_topics(settings.kafka, names, partitions=_counts(partitions), replication_factor=replication):
        print(f"{change.action:<9} {change.topic:<28} {change.detail}")
    if schemas:
        for topic, schema_id in register_contract(SchemaRegistry(settings.registry), names).items():
            print(f"schema    {names.subject(topic):<28} id {schema_id}")


@app.command("diff", epilog=EPILOG)
def diff(
    partitions: Partitions = None,
    data: Data = None,
    kafka: Kafka = None,
    prefix: Prefix = None,
    config: Config = None,
    assignments: Set = None,
) -> int:
    """Say what `apply` would do, and change nothing; exit code 1 if anything differs.

    Example: `friction topics diff --kafka kafka:9092`
    """
    settings = _settings(config, assignments, data=data, kafka=kafka, prefix=prefix)
    from connectors.kafka.admin import diff_topics
    from schemas.topics import TopicNames

    changes = diff_topics(settings.kafka, TopicNames(settings.topic_prefix), partitions=_counts(partitions))
    for change in changes:
        print(f"{change.action:<9} {change.topic:<28} {change.detail}")
    return ExitCode.DONE if all(change.action == "same" for change in changes) else ExitCode.FAILED


@app.command("list", epilog=EPILOG)
def list_(
    data: Data = None,
    kafka: Kafka = None,
    prefix: Prefix = None,
    config: Config = None,
    assignments: Set = None,
) -> None:
    """List the declared topics that exist, with partitions and messages.

    Messages are offsets from begin to end: compaction and transactions leave fewer records.

    Example: `friction topics list`
    """
    settings = _settings(config, assignments, data=data, kafka=kafka, prefix=prefix)
    from connectors.kafka.admin import existing_topics
    from schemas.topics import TopicNames

    for topic in existing_topics(settings.kafka, TopicNames(settings.topic_prefix)):
        print(f"{topic.topic:<28} {topic.partitions:>4} partitions {topic.messages:>14,} messages")


def _settings(config: Config, assignments: Set, **flags: object) -> Settings:
    loaded = settings_of(config, assignments, **flags)
    from pipelines.cli.running import found_running

    return found_running(loaded)[0].settings


def _counts(partitions: list[str] | None) -> dict[str, int]:
    counts = {}
    for one in partitions or []:
        group, sign, count = one.partition("=")
        if not sign or not count.isdigit():
            raise SettingsError(f"--partitions: needs GROUP=N, such as customers=12, got {one!r}")
        counts[group] = int(count)
    return counts
