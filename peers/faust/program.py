"""Plain Faust: an agent over events, a table per customer with a changelog topic.

Settings as its documentation advises for throughput: polls and fetches of thousands of records, a large stream buffer,
a producer that lingers and compresses. Not `Stream.take`: a table cannot be written from a batch ("Cannot modify table
key from outside of stream iteration"). The table is in memory and a restart restores it from the changelog; RocksDB
would cost more on each event.
"""

# ruff: noqa: ANN001, ANN201 - as in the peer's own examples

import logging
import sys

import faust
from job import Job, described

said = described()
job = Job(said)

for name in ("aiokafka", "faust", "mode"):  # or a tenth of its time goes into debug records that nobody sees
    logging.getLogger(name).setLevel(logging.WARNING)

app = faust.App(
    f"{said['prefix']}faust",
    broker=f"kafka://{said['bootstrap_servers']}",
    store="memory://",
    datadir=said["directory"],
    topic_partitions=said["partitions"],
    topic_replication_factor=1,
    consumer_auto_offset_reset="earliest",
    broker_max_poll_records=10_000,
    consumer_max_fetch_size=4 * 1024 * 1024,
    stream_buffer_maxsize=65_536,
    stream_wait_empty=False,
    producer_linger=0.05,
    producer_compression_type="lz4",
    producer_max_batch_size=1024 * 1024,
    web_enabled=False,
)
raw = faust.Schema(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
interactions = app.topic(said["interactions"], schema=raw)
scores = app.topic(said["scores"], schema=raw)
alerts = app.topic(said["alerts"], schema=raw)
customers = app.Table("customers", default=list, partitions=said["partitions"], key_type=str, value_type=list)


@app.agent(interactions)
async def score(stream):
    async for value in stream:
        told = job.read(value)
        customer = told["customer_id"]
        row, scored, raised = job.apply(customers[customer], told)
        customers[customer] = row
        key = customer.encode()
        await scores.send(key=key, value=scored)
        for alert in raised:
            await alerts.send(key=key, value=alert)


if __name__ == "__main__":
    sys.argv[1:] = ["worker", "--loglevel", "warn", "--without-web"]
    app.main()
