"""Bytewax: a keyed stateful step between Kafka and Kafka, with its recovery store.

Source and sink are its own Kafka connectors, the source with a large batch. Snapshots of every key that changed go to
SQLite recovery partitions at each interval (10 s is the documented default); nothing is committed to Kafka.
"""

# ruff: noqa: ANN001, ANN201 - as in the peer's own examples

import os
import subprocess
import sys
from pathlib import Path

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from job import Job, described

said = described()
job = Job(said)
brokers = [said["bootstrap_servers"]]

SOURCE = {
    "fetch.max.bytes": str(64 * 1024 * 1024),
    "max.partition.fetch.bytes": str(4 * 1024 * 1024),
    "queued.min.messages": "500000",
}
SINK = {"compression.type": "lz4", "linger.ms": "50", "queue.buffering.max.messages": "1000000"}


def keyed(message):
    told = job.read(message.value)
    return told["customer_id"], told


def apply(row, told):
    row, scored, alerts = job.apply(row, told)
    return row, (scored, alerts)


def score(result):
    return KafkaSinkMessage(key=result[0].encode(), value=result[1][0])


def alerts_of(result):
    key = result[0].encode()
    return [KafkaSinkMessage(key=key, value=alert) for alert in result[1][1]]


flow = Dataflow("bench")
source = KafkaSource(brokers, [said["interactions"]], tail=True, batch_size=10_000, add_config=SOURCE)
messages = op.input("interactions", flow, source)
results = op.stateful_map("customers", op.map("keyed", messages, keyed), apply)
op.output("scores", op.map("score", results, score), KafkaSink(brokers, said["scores"], add_config=SINK))
op.output("alerts", op.flat_map("alert", results, alerts_of), KafkaSink(brokers, said["alerts"], add_config=SINK))

if __name__ == "__main__":
    recovery = Path(said["directory"]) / "recovery"
    recovery.mkdir()
    subprocess.run([sys.executable, "-m", "bytewax.recovery", str(recovery), str(said["partitions"])], check=True)
    os.execv(  # noqa: S606 - a shell is what we do not want
        sys.executable,
        [sys.executable, "-m", "bytewax.run", f"{__file__}:flow", "-r", str(recovery), "-s", "10", "-b", "0"],
    )
