"""Finds the ``friction up`` that a command means: the one that holds the data directory."""

from pipelines.cli.sources import Loaded
from pipelines.cli.supervisor.directory import DataDirectory, RunRecord


def found_running(loaded: Loaded) -> tuple[Loaded, RunRecord | None]:
    """Return the settings with the addresses of the running ``friction up`` where none is given, and its record.

    If it is its Kafka that is asked, its prefix of the topics, too.
    """
    record = DataDirectory(loaded.settings.data).running()
    if record is None:
        return loaded, None
    known = {
        "kafka.bootstrap_servers": record.kafka,
        "registry.url": record.registry,
        "clickhouse.url": record.clickhouse,
        "topic_prefix": None if "kafka.bootstrap_servers" in loaded.given else record.topic_prefix,
    }
    values = {key: address for key, address in known.items() if address is not None and key not in loaded.given}
    return loaded.override(values, where=f"{loaded.settings.data}/run.json"), record
