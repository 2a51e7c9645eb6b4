"""What a measurement stands on: a Kafka with topics of its own, a registry, and a place for logs."""

import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from connectors.kafka.admin import apply_topics
from connectors.kafka.broker import EmbeddedBroker
from connectors.kafka.connection import KafkaConnection
from connectors.registry.client import SchemaRegistry, register_contract
from connectors.registry.server import EmbeddedRegistry
from pipelines.cli.sources import CONFIG_VARIABLE, Loaded
from schemas.errors import FrictionError, StoreUnavailable
from schemas.topics import INTERACTIONS, TopicNames, topics

PARTITIONS = 4
_GONE_S = 30.0

Say = Callable[[str], None]


class BenchFailed(FrictionError):
    """A measurement could not be taken, or what was measured is wrong; there is no figure then."""


@dataclass(frozen=True, slots=True)
class Stand:
    """Where it is measured.

    names: topics of this measurement alone. directory: for logs and what peers write, removed at the end.
    schema_ids: of the declared topics' values, by topic.
    """

    loaded: Loaded
    names: TopicNames
    directory: Path
    say: Say
    schema_ids: Mapping[str, int]

    @property
    def kafka(self) -> KafkaConnection:
        """How to reach Kafka."""
        return self.loaded.settings.kafka

    def environment(self, **settings: object) -> dict[str, str]:
        """Variables that give a child process these settings; those of ``settings`` by key, __ for dots."""
        values = {key.replace("__", "."): value for key, value in settings.items()}
        return {**self.loaded.override(values, where="friction bench").environment(), CONFIG_VARIABLE: "/dev/null"}

    def clear_outputs(self) -> None:
        """Make every topic but the interactions anew, so that the same input can be processed again from nothing.

        Nobody may use them meanwhile. The group of the next run must be a new one too.
        """
        delete_topics(self.kafka, [self.names.of(topic) for topic in topics() if topic != INTERACTIONS])
        apply_topics(self.kafka, self.names)


@contextmanager
def standing(loaded: Loaded, say: Say) -> Iterator[Stand]:
    """Start an embedded broker and registry, unless the settings name others; take away what was made, at the end.

    SIGTERM interrupts meanwhile as Ctrl-C does: call it from the main thread.

    Raises:
        FrictionError: a part could not be started or reached.
    """
    names = TopicNames(f"{loaded.settings.topic_prefix}bench-{uuid.uuid4().hex[:8]}-")
    with ExitStack() as stops:
        stops.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, signal.default_int_handler))
        directory = Path(tempfile.mkdtemp(prefix="friction-bench-"))
        stops.callback(shutil.rmtree, directory, ignore_errors=True)
        lent = "kafka.bootstrap_servers" in loaded.given
        if not lent:
            broker = EmbeddedBroker(directory / "kafka", jars=loaded.settings.embedded.jars, progress=say)
            kafka = broker.start()
            stops.callback(broker.stop)
            loaded = loaded.override({"kafka.bootstrap_servers": kafka.bootstrap_servers}, where="friction bench")
        else:
            stops.callback(_leave_clean, loaded.settings.kafka, names)
        if "registry.url" not in loaded.given:
            registry = EmbeddedRegistry(loaded.settings.kafka, topic=f"{names.prefix}schemas")
            url = registry.start().url
            stops.callback(registry.stop)
            loaded = loaded.override({"registry.url": url}, where="friction bench")
        loaded = loaded.override({"topic_prefix": names.prefix}, where="friction bench")
        apply_topics(loaded.settings.kafka, names, partitions={"customers": PARTITIONS})
        ids = register_contract(SchemaRegistry(loaded.settings.registry), names)
        yield Stand(loaded, names, directory, say, ids)


def delete_topics(kafka: KafkaConnection, gone: list[str]) -> None:
    """Delete topics and wait until the cluster does not know them any more.

    Raises:
        StoreUnavailable: it still does after a while.
    """
    admin = AdminClient({**kafka.confluent(), "log_level": 0})
    try:
        there = [topic for topic in gone if topic in admin.list_topics(timeout=10).topics]
        for deletion in admin.delete_topics(there).values() if there else ():
            deletion.result(_GONE_S)
        end_s = time.monotonic() + _GONE_S
        while set(there) & admin.list_topics(timeout=10).topics.keys():
            if time.monotonic() > end_s:
                raise StoreUnavailable(f"Kafka still has topics that were deleted {_GONE_S:g} s ago: {there}")
            time.sleep(0.1)
    except KafkaException as error:
        raise StoreUnavailable(f"Kafka did not delete the topics of an earlier run: {error.args[0].str()}") from error


def _leave_clean(kafka: KafkaConnection, names: TopicNames) -> None:
    """Delete everything that bears our prefix, the changelogs of peers included."""
    admin = AdminClient({**kafka.confluent(), "log_level": 0})
    delete_topics(kafka, [topic for topic in admin.list_topics(timeout=10).topics if names.prefix in topic])
