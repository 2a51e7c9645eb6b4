"""From a plain producer to tables: a call centre's day, through worker and landing, equals a plain recomputation."""

import csv
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from confluent_kafka import Producer

from connectors.child import start_child, stop_child
from connectors.clickhouse.client import connect
from connectors.clickhouse.connection import ClickHouseConnection
from connectors.kafka.connection import KafkaConnection
from connectors.registry.client import SchemaRegistry, register_contract
from connectors.registry.connection import RegistryConnection
from schemas.interactions import Interaction, InteractionEncoder
from schemas.topics import INTERACTIONS, TopicNames
from tests.integration.workers import WorkerProcess
from tests.polling import wait_until

ROOT = Path(__file__).parents[2]
CSV = ROOT / "tests/data/call_centre_waits.csv"
WINDOW_MS = 300_000
MINUTE_MS = 60_000


@contextmanager
def running(
    kafka: KafkaConnection,
    registry: RegistryConnection,
    clickhouse: ClickHouseConnection,
    names: TopicNames,
    tmp_path: Path,
) -> Iterator[ClickHouseConnection]:
    """A worker and a landing at work; yields the connection with the database that the rows come to."""
    database = clickhouse.model_copy(update={"database": f"e2e_{names.prefix.strip('-')}"})
    worker = WorkerProcess(kafka, registry, names, tmp_path, app_id=f"{names.prefix}app")
    env = {
        "FRICTION_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "FRICTION_REGISTRY__URL": registry.url,
        "FRICTION_CLICKHOUSE__URL": database.url,
        "FRICTION_CLICKHOUSE__DATABASE": database.database,
        "FRICTION_TOPIC_PREFIX": names.prefix,
        "FRICTION_METRICS__PORT": "off",
    }
    landing = start_child([sys.executable, "-m", "pipelines.cli.main", "land"], log=tmp_path / "landing.log", env=env)
    try:
        worker.start()
        yield database
    finally:
        worker.kill()
        stop_child(landing, timeout_s=20.0)


def rows(clickhouse: ClickHouseConnection, sql: str) -> list[tuple[object, ...]]:
    client = connect(clickhouse, database=clickhouse.database)
    found: list[tuple[object, ...]] = [tuple(row) for row in client.query(sql).result_rows]
    client.close()
    return found


def test_the_waits_of_a_call_centre_become_windows(
    kafka: KafkaConnection,
    registry: RegistryConnection,
    clickhouse: ClickHouseConnection,
    created_topics: TopicNames,
    tmp_path: Path,
) -> None:
    names = created_topics
    register_contract(SchemaRegistry(registry), names)
    with running(kafka, registry, clickhouse, names, tmp_path) as database:
        script = [sys.executable, str(ROOT / "docs/examples/send_call_centre_waits.py"), str(CSV), "--ending-now"]
        addresses = ["--bootstrap", kafka.bootstrap_servers, "--registry", registry.url]
        sent = subprocess.run(
            [*script, *addresses, "--topic", names.of(INTERACTIONS)], capture_output=True, text=True, check=True
        )
        shift_ms = int(re.findall(r"shifted by (\d+) ms", sent.stdout)[0])
        want = recomputed(shift_ms)
        sql = """
            SELECT touchpoint, channel, toUnixTimestamp64Milli(window_start), answered, abandoned, wait_sum_ms,
                   wait_max_ms, round(wait_mean_ms, 6)
            FROM wait_windows FINAL
        """
        wait_until(lambda: sum(int(str(r[3])) + int(str(r[4])) for r in rows(database, sql)) == 500, 60.0)
        found = {(r[0], r[1], r[2]): r[3:] for r in rows(database, sql)}
    assert found == want


def recomputed(shift_ms: int) -> dict[tuple[object, ...], tuple[object, ...]]:
    """The windows of the file, without anything of ours."""
    waits: dict[tuple[object, ...], list[tuple[str, int]]] = {}
    with CSV.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            begun_ms = round(datetime.fromisoformat(row["queued_at"]).timestamp() * 1000) + shift_ms
            place = (f"call/{row['queue']}", row["channel"], begun_ms // WINDOW_MS * WINDOW_MS)
            waits.setdefault(place, []).append((row["answered"], round(float(row["waited_seconds"]) * 1000)))
    return {
        place: (
            sum(answered == "yes" for answered, _ in those),
            sum(answered == "no" for answered, _ in those),
            sum(ms for _, ms in those),
            max(ms for _, ms in those),
            round(sum(ms for _, ms in those) / len(those), 6),
        )
        for place, those in waits.items()
    }


def test_one_interaction_becomes_a_row_a_score_and_an_alert(
    kafka: KafkaConnection,
    registry: RegistryConnection,
    clickhouse: ClickHouseConnection,
    created_topics: TopicNames,
    tmp_path: Path,
) -> None:
    names = created_topics
    schema_id = register_contract(SchemaRegistry(registry), names)[INTERACTIONS]
    with running(kafka, registry, clickhouse, names, tmp_path) as database:
        now_ms = int(datetime.now().astimezone().timestamp() * 1000)
        said_ms = now_ms - 50 * MINUTE_MS
        told = Interaction(
            event_id="e-1",
            customer_id="Şule Öztürk",
            kind="feedback.given",
            channel="web",
            touchpoint="mağaza/kasa",
            occurred_ms=said_ms,
            rating=2.0,
        )
        producer = Producer(kafka.confluent(partitioner="murmur2_random"))
        producer.produce(names.of(INTERACTIONS), InteractionEncoder(schema_id).encode(told), told.customer_id.encode())
        assert producer.flush(30) == 0
        wait_until(lambda: rows(database, "SELECT 1 FROM friction_alerts"), 60.0)
        interactions = rows(database, "SELECT event_id, customer_id, rating FROM interactions FINAL")
        scores = rows(database, "SELECT customer_id, band, round(score) FROM customer_friction FINAL")
        alerts = rows(
            database,
            "SELECT customer_id, type, status, clock, touchpoint, toUnixTimestamp64Milli(raised_at), "
            "toUnixTimestamp64Milli(deadline) FROM friction_alerts FINAL",
        )
    assert interactions == [("e-1", "Şule Öztürk", 2.0)]
    assert scores == [("Şule Öztürk", "warm", 37.0)]
    # nothing came after it: the clock runs by itself, and 10 of the 60 minutes are left
    due = said_ms + 45 * MINUTE_MS, said_ms + 60 * MINUTE_MS
    assert alerts == [("Şule Öztürk", "clock_warning", "opened", "first_response", "mağaza/kasa", *due)]
