"""``friction export``."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from pipelines.cli.options import Config, Data, Kafka, Prefix, Registry, Set, settings_of
from schemas.errors import SchemaIncompatible, SettingsError, UnknownSchema
from schemas.topics import TopicNames, avro_schema, topics
from schemas.wire import NotFramed, split_frame

if TYPE_CHECKING:
    from confluent_kafka import Message

    from connectors.registry.client import SchemaRegistry

_FAMILY = "friction."
STDOUT = "-"


def export(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="As declared: friction.interactions, friction.alerts.")],
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="Where to; - is standard output.")] = STDOUT,
    data: Data = None,
    kafka: Kafka = None,
    registry: Registry = None,
    prefix: Prefix = None,
    config: Config = None,
    assignments: Set = None,
) -> None:
    """Write the records that a topic holds now as JSONL: partition by partition, in the order of their offsets.

    `friction backtest` takes what is exported of friction.interactions as it is.

    Example: `friction export friction.interactions --out interactions.jsonl`
    """
    name = topic if topic in topics() else f"{_FAMILY}{topic}"
    schema_name = topics()[name].schema_name if name in topics() else None
    if schema_name is None:
        known = ", ".join(t.name for t in topics().values() if t.schema_name is not None)
        raise SettingsError(f"TOPIC: must be one of {known}, got {topic!r}")
    loaded = settings_of(config, assignments, data=data, kafka=kafka, registry=registry, prefix=prefix)
    from connectors.kafka.refusals import cluster_metadata
    from connectors.registry.client import SchemaRegistry
    from pipelines.cli.chaos.reading import read_topic
    from pipelines.cli.running import found_running

    settings = found_running(loaded)[0].settings
    on_cluster = TopicNames(settings.topic_prefix).of(name)
    if on_cluster not in cluster_metadata(settings.kafka).topics:
        raise SettingsError(
            f"Kafka at {settings.kafka.bootstrap_servers} has no topic {on_cluster}: is --prefix right?"
        )
    lines = RecordLines(SchemaRegistry(settings.registry), schema_name)
    written = broken = 0
    with _opened(out) as file, suppress(BrokenPipeError):  # whoever reads it has seen enough
        for message in read_topic(settings.kafka, on_cluster, by_partition=True):
            try:
                file.write(lines.of(message) + "\n")
                written += 1
            except Unreadable as error:
                broken += 1
                print(
                    f"{on_cluster} partition {message.partition()} offset {message.offset()}: {error}", file=sys.stderr
                )
    left = f", {broken:,} could not be read" if broken else ""
    print(f"{written:,} records of {on_cluster} written{left}", file=sys.stderr)


class Unreadable(ValueError):
    """A record's value is none of the topic's; the text says why."""


class RecordLines:
    """Records of one topic as lines of JSON: times in epoch milliseconds, and where the record stood."""

    def __init__(self, registry: "SchemaRegistry", schema_name: str) -> None:
        self._registry = registry
        self._ours = _parsed(avro_schema(schema_name))
        self._writers: dict[int, Any] = {}

    def of(self, message: "Message") -> str:
        """The line of a record.

        Raises:
            Unreadable: its value cannot be read as the topic's.
            StoreUnavailable: the registry is away.
        """
        from schemas.columnar.foreign import NotAvro, read_foreign

        value = message.value()
        if value is None:
            raise Unreadable("the record has no value")
        try:
            schema_id, body = split_frame(value)
            record = read_foreign(body, self._writer(schema_id), self._ours)
        except (NotFramed, NotAvro, UnknownSchema, SchemaIncompatible) as error:
            raise Unreadable(str(error)) from error
        record |= {
            "appended_at": message.timestamp()[1],
            "_partition": message.partition(),
            "_offset": message.offset(),
        }
        return json.dumps(record, ensure_ascii=False, separators=(",", ":"))

    def _writer(self, schema_id: int) -> Any:
        if schema_id not in self._writers:
            text = self._registry.schema(schema_id)
            try:
                self._writers[schema_id] = _parsed(text)
            except Exception as error:
                # a registry keeps other schemas than Avro too, and parsers raise anything
                raise Unreadable(f"schema {schema_id} is no Avro: {type(error).__name__} {error}") from error
        return self._writers[schema_id]


def _parsed(text: str) -> Any:
    """The schema, in which times are the integers that they are on the wire."""
    import fastavro

    return fastavro.parse_schema(_without_logical_types(json.loads(text)))


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_logical_types(one) for one in schema]
    if isinstance(schema, dict):
        return {key: _without_logical_types(said) for key, said in schema.items() if key != "logicalType"}
    return schema


@contextmanager
def _opened(out: str) -> Iterator[TextIO]:
    if out == STDOUT:
        yield sys.stdout
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes when it ends
        return
    try:
        file = Path(out).open("w", encoding="utf-8")  # noqa: SIM115 - closed below; only opening it may be refused
    except OSError as error:
        raise SettingsError(f"--out: {out} cannot be written: {error.strerror}") from error
    with file:
        yield file
