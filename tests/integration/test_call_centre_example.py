import csv
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from confluent_kafka import Message
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from connectors.kafka.connection import KafkaConnection
from connectors.registry.client import SchemaRegistry, register_contract
from connectors.registry.connection import RegistryConnection
from schemas.topics import INTERACTIONS, TopicNames
from tests.reading import read_topic

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs/examples/send_call_centre_waits.py"
CSV = ROOT / "tests/data/call_centre_waits.csv"


def send(
    kafka: KafkaConnection, registry: RegistryConnection, topic: str, path: Path, *more: str
) -> subprocess.CompletedProcess[str]:
    addresses = ["--bootstrap", kafka.bootstrap_servers, "--registry", registry.url, "--topic", topic]
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(path), *addresses, *more], capture_output=True, text=True, check=False
    )


def test_a_plain_producer_sends_the_waits_of_a_call_centre(
    kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames
) -> None:
    register_contract(SchemaRegistry(registry), created_topics)
    topic = created_topics.of(INTERACTIONS)
    run = send(kafka, registry, topic, CSV, "--ending-now")
    assert run.returncode == 0, run.stderr
    shift_ms = int(re.findall(r"shifted by (\d+) ms", run.stdout)[0])

    deserialize = AvroDeserializer(SchemaRegistryClient({"url": registry.url}))
    context = SerializationContext(topic, MessageField.VALUE)
    messages = read_topic(kafka, topic)
    sent = {record["event_id"]: (record, m) for m in messages for record in [deserialize(m.value(), context)]}
    with CSV.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    assert len(messages) == len(sent) == len(rows) == 500
    for row in rows:
        record, message = sent[row["call_id"]]
        queued_ms = round(datetime.fromisoformat(row["queued_at"]).timestamp() * 1000)
        occurred_ms = round(record["occurred_at"].timestamp() * 1000)
        assert message.key() == row["caller"].encode() == record["customer_id"].encode()
        assert occurred_ms == queued_ms + shift_ms
        assert record["duration_ms"] == round(float(row["waited_seconds"]) * 1000)
        assert occurred_ms + record["duration_ms"] <= appended_ms(message)
        assert (record["kind"], record["channel"]) == ("wait.measured", row["channel"])
        assert record["touchpoint"] == f"call/{row['queue']}"
        outcome = {"yes": "answered", "no": "abandoned"}[row["answered"]]
        assert record["attributes"] == {"stage": "queue", "outcome": outcome}
    last_ms = max(round(r["occurred_at"].timestamp() * 1000) + r["duration_ms"] for r, _ in sent.values())
    assert min(appended_ms(m) for m in messages) - last_ms < 60_000


def test_a_row_that_cannot_be_read_is_named_and_nothing_is_sent(
    kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames, tmp_path: Path
) -> None:
    lines = CSV.read_text("utf-8").splitlines()
    lines[2] = lines[2].replace("+03:00", "")
    wrong = tmp_path / "waits.csv"
    wrong.write_text("\n".join(lines), "utf-8")
    run = send(kafka, registry, created_topics.of(INTERACTIONS), wrong)
    assert run.returncode == 1
    assert f"{wrong}:3: " in run.stderr
    assert "+03:00" in run.stderr
    assert read_topic(kafka, created_topics.of(INTERACTIONS)) == []


def appended_ms(message: Message) -> int:
    kind, at_ms = message.timestamp()
    assert kind == 2  # LogAppendTime
    return int(at_ms)
