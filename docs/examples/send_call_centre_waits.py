"""Send the waits of a call centre, from a CSV file, to friction.interactions.

    python send_call_centre_waits.py --ending-now call_centre_waits.csv

A plain confluent-kafka producer: copy it and put your own columns in `wait` and `interaction`. It needs nothing of
friction-signals; the schema comes from the registry.

Columns: call_id, caller, queue, channel, queued_at (RFC 3339), answered (yes or no), waited_seconds.
Interactions that are older than the policy's maximum age are not accepted. --ending-now moves all of them by
the same time, so that the last wait ends now.
"""

# ruff: noqa: T201 - an example speaks to the person who runs it

import argparse
import csv
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from confluent_kafka import KafkaError, Message, SerializingProducer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import StringSerializer


@dataclass(frozen=True)
class Wait:
    """One row of the file."""

    call_id: str
    caller: str
    queue: str
    channel: str
    queued_at: datetime
    answered: bool
    waited: timedelta

    @property
    def over_at(self) -> datetime:
        return self.queued_at + self.waited


def wait(row: Mapping[str, str]) -> Wait:
    queued_at = datetime.fromisoformat(row["queued_at"])
    if queued_at.tzinfo is None:
        raise ValueError(f"queued_at needs an offset such as +03:00, got {row['queued_at']}")
    if row["answered"] not in ("yes", "no"):
        raise ValueError(f"answered must be yes or no, got {row['answered']}")
    return Wait(
        call_id=row["call_id"],
        caller=row["caller"],
        queue=row["queue"],
        channel=row["channel"],
        queued_at=queued_at,
        answered=row["answered"] == "yes",
        waited=timedelta(seconds=float(row["waited_seconds"])),
    )


def read(path: Path) -> list[Wait]:
    waits = []
    with path.open(encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            try:
                waits.append(wait(row))
            except (KeyError, TypeError, ValueError) as error:
                sys.exit(f"{path}:{line}: {error!r}; nothing was sent")
    return waits


def interaction(wait: Wait, shift: timedelta) -> dict[str, object]:
    """What the row says, in the words of the schema: a wait that is known when it is over."""
    return {
        "event_id": wait.call_id,
        "customer_id": wait.caller,
        "kind": "wait.measured",
        "channel": wait.channel,
        "touchpoint": f"call/{wait.queue}",
        "occurred_at": wait.queued_at + shift,  # the moment at which the wait began
        "duration_ms": wait.waited // timedelta(milliseconds=1),
        "source": "call-centre",
        "attributes": {"stage": "queue", "outcome": "answered" if wait.answered else "abandoned"},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Send the waits of a call centre to friction.interactions.")
    parser.add_argument("csv", type=Path, help="the file of waits")
    parser.add_argument("--bootstrap", default="127.0.0.1:9092", help="Kafka (default: %(default)s)")
    parser.add_argument("--registry", default="http://127.0.0.1:8081", help="schema registry (default: %(default)s)")
    parser.add_argument("--topic", default="friction.interactions", help="default: %(default)s")
    parser.add_argument("--ending-now", action="store_true", help="shift all waits, so that the last ends now")
    arguments = parser.parse_args()

    waits = read(arguments.csv)
    shift_ms = 0
    if arguments.ending_now and waits:
        last_ms = max(one.over_at.timestamp() for one in waits) * 1000
        shift_ms = int(time.time() * 1000 - last_ms)
    shift = timedelta(milliseconds=shift_ms)

    registry = SchemaRegistryClient({"url": arguments.registry})
    schema = registry.get_latest_version(f"{arguments.topic}-value").schema
    producer = SerializingProducer(
        {
            "bootstrap.servers": arguments.bootstrap,
            "enable.idempotence": True,
            "partitioner": "murmur2_random",  # as Java does it: a customer's interactions must share a partition
            "key.serializer": StringSerializer("utf_8"),
            "value.serializer": AvroSerializer(registry, schema.schema_str, conf={"auto.register.schemas": False}),
        }
    )
    failures = []

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failures.append(error)

    for one in waits:
        value = interaction(one, shift)
        while True:
            try:
                producer.produce(arguments.topic, key=one.caller, value=value, on_delivery=on_delivery)
                break
            except BufferError:  # the queue is full: let some records go out first
                producer.poll(0.1)
    waiting = producer.flush(60)
    if failures or waiting:
        reason = f", the first because of {failures[0].str()}" if failures else ""
        print(f"{len(failures) + waiting} of {len(waits)} waits were not sent{reason}", file=sys.stderr)
        return 1
    print(f"{len(waits)} waits sent to {arguments.topic}, shifted by {shift_ms} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
