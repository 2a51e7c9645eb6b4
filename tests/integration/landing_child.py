"""A landing in a process of its own, for tests that kill it: python landing_child.py CONNECTIONS_AS_JSON."""

import json
import signal
import sys
import threading
from types import FrameType

from connectors.clickhouse.blocks import BlockLimits
from connectors.clickhouse.connection import ClickHouseConnection
from connectors.clickhouse.landing import Landing
from connectors.kafka.connection import KafkaConnection
from connectors.registry.connection import RegistryConnection
from schemas.topics import TopicNames

if __name__ == "__main__":
    said = json.loads(sys.argv[1])
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    Landing(
        KafkaConnection(bootstrap_servers=said["kafka"]),
        RegistryConnection(url=said["registry"]),
        ClickHouseConnection(url=said["clickhouse"], database=said["database"]),
        TopicNames(said["prefix"]),
        instance_id="landing",
        limits=BlockLimits(rows=500, age_s=0.1),
    ).run(stop)
