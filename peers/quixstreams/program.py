"""Quix Streams: stateful functions over a RocksDB store with a changelog topic.

Processing guarantee and checkpoint interval are its defaults (at least once, every 5 s); exactly once costs more. State
is read and written by `State.get` and `State.set`, values pass as bytes, so that its own serializers cost nothing.
"""

# ruff: noqa: ANN001, ANN201 - as in the peer's own examples

from pathlib import Path

from job import Job, described
from quixstreams import Application

said = described()
job = Job(said)

app = Application(
    broker_address=said["bootstrap_servers"],
    consumer_group=f"{said['prefix']}quixstreams",
    auto_offset_reset="earliest",
    state_dir=Path(said["directory"]) / "state",
    auto_create_topics=True,
    loglevel="WARNING",
    max_partition_buffer_size=50_000,
    consumer_extra_config={
        "fetch.max.bytes": 64 * 1024 * 1024,
        "max.partition.fetch.bytes": 4 * 1024 * 1024,
        "queued.min.messages": 500_000,
    },
    producer_extra_config={
        "compression.type": "lz4",
        "linger.ms": 50,
        "queue.buffering.max.messages": 1_000_000,
        "queue.buffering.max.kbytes": 524_288,
    },
)
interactions = app.topic(said["interactions"], value_deserializer="bytes", key_deserializer="bytes")
scores = app.topic(said["scores"], value_serializer="bytes", key_serializer="bytes")
alerts = app.topic(said["alerts"], value_serializer="bytes", key_serializer="bytes")


def apply(value, state):
    told = job.read(value)
    row, scored, raised = job.apply(state.get("row"), told)
    state.set("row", row)
    return scored, raised


results = app.dataframe(interactions).apply(apply, stateful=True)
results.apply(lambda result: result[0]).to_topic(scores)
results.apply(lambda result: result[1], expand=True).to_topic(alerts)

if __name__ == "__main__":
    app.run()
