"""``friction land``."""

from pipelines.cli.options import ClickHouse, Config, Kafka, Prefix, Registry, Set, settings_of


def land(
    kafka: Kafka = None,
    registry: Registry = None,
    clickhouse: ClickHouse = None,
    prefix: Prefix = None,
    config: Config = None,
    assignments: Set = None,
) -> None:
    """Bring interactions, scores, waits, alerts and dead letters to ClickHouse until stopped.

    Creates and migrates the tables first; waits for a store that is away.

    Example: `friction land --kafka kafka:9092 --registry http://registry:8081 --clickhouse http://clickhouse:8123`
    """
    settings = settings_of(
        config, assignments, kafka=kafka, registry=registry, clickhouse=clickhouse, prefix=prefix
    ).settings
    from connectors.clickhouse.landing import Landing, LandingMetrics
    from pipelines.cli.stopping import stopped_by_signals
    from pipelines.worker.exporter import start_exporter
    from pipelines.worker.logs import configure_logs
    from schemas.topics import TopicNames

    configure_logs(settings.log)
    start_exporter(settings.metrics)
    with stopped_by_signals() as stop:
        Landing(
            settings.kafka,
            settings.registry,
            settings.clickhouse,
            TopicNames(settings.topic_prefix),
            group_id=settings.landing.group_id,
            instance_id=settings.landing.instance_id,
            metrics=LandingMetrics(),
        ).run(stop)
