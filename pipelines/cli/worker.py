"""``friction worker``."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import Config, Kafka, Prefix, Registry, Set, settings_of


def worker(
    instance: Annotated[
        str | None, typer.Option(metavar="NAME", help="Static member of the group: a quick restart moves no partition.")
    ] = None,
    kafka: Kafka = None,
    registry: Registry = None,
    prefix: Prefix = None,
    policy: Annotated[Path | None, typer.Option(metavar="FILE", help="Policy file.")] = None,
    config: Config = None,
    assignments: Set = None,
) -> None:
    """Score interactions until stopped. Start as many as there are partitions, on any machines.

    Example: `friction worker --kafka kafka:9092 --registry http://registry:8081 --instance worker-1`
    """
    settings = settings_of(
        config, assignments, kafka=kafka, registry=registry, prefix=prefix, policy=policy, instance=instance
    ).settings
    from pipelines.worker.exporter import start_exporter
    from pipelines.worker.logs import configure_logs
    from pipelines.worker.run import run_worker
    from schemas.topics import TopicNames

    configure_logs(settings.log)
    start_exporter(settings.metrics)
    run_worker(
        settings.kafka,
        settings.registry,
        TopicNames(settings.topic_prefix),
        app_id=settings.app_id,
        options=settings.worker,
        policy_file=settings.policy_file,
    )
