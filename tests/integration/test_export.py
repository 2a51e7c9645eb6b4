"""friction export writes what is committed, and friction backtest takes it as it is."""

import json
from pathlib import Path

import pytest
from confluent_kafka import Producer

from connectors.kafka.connection import KafkaConnection
from connectors.registry.connection import RegistryConnection
from pipelines.cli.exits import ExitCode
from pipelines.cli.main import exit_code
from schemas.topics import INTERACTIONS, TopicNames
from tests.integration.senders import Sender, send, wait


@pytest.fixture
def asked(kafka: KafkaConnection, registry: RegistryConnection, names: TopicNames, tmp_path: Path) -> list[str]:
    return ["--kafka", kafka.bootstrap_servers, "--registry", registry.url, "--prefix", names.prefix,
            "--data", str(tmp_path / "nobody")]  # fmt: skip


def test_what_is_committed_is_written_by_partition_and_offset(
    kafka: KafkaConnection,
    registry: RegistryConnection,
    created_topics: TopicNames,
    asked: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names, topic = created_topics, created_topics.of(INTERACTIONS)
    sender = Sender(kafka, registry, names)
    for partition, customer in ((2, "c"), (0, "a"), (1, "b"), (0, "d")):
        send(kafka, topic, [(customer.encode(), sender.encoder.encode(wait(customer)))], partition=partition)
    send(kafka, topic, [(b"x", b"broken")], partition=1)
    producer = Producer(kafka.confluent(transactional_id=f"{names.prefix}aborted"))
    producer.init_transactions(30.0)
    producer.begin_transaction()
    producer.produce(topic, sender.encoder.encode(wait("aborted")), b"aborted", partition=0)
    producer.flush(30.0)
    producer.abort_transaction(30.0)

    out = tmp_path / "interactions.jsonl"
    assert exit_code(["export", "friction.interactions", "--out", str(out), *asked]) == ExitCode.DONE
    told = capsys.readouterr().err
    assert f"{topic} partition 1 offset 1: a value must begin with byte 00" in told
    assert f"4 records of {topic} written, 1 could not be read" in told
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [(r["_partition"], r["_offset"], r["customer_id"]) for r in rows] == [
        (0, 0, "a"), (0, 1, "d"), (1, 0, "b"), (2, 0, "c"),
    ]  # fmt: skip
    assert all(0 <= r["appended_at"] - r["occurred_at"] - 60_000 < 60_000 for r in rows)

    assert exit_code(["backtest", str(out), "--out", str(tmp_path / "result")]) == ExitCode.DONE
    summary = json.loads((tmp_path / "result" / "summary.json").read_text("utf-8"))
    assert (summary["accepted"], summary["rejected"], summary["customers"]) == (4, 0, 4)


def test_a_topic_that_is_not_there_is_told(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["export", "interactions", *asked]) == ExitCode.USAGE
    assert "has no topic" in capsys.readouterr().err
