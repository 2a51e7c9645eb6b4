"""friction bench with tiny numbers on a real Kafka: the figures mean nothing, that they come does."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from connectors.kafka.connection import KafkaConnection
from connectors.registry.connection import RegistryConnection
from pipelines.cli.bench.consuming import consume
from pipelines.cli.bench.engine import process_all
from pipelines.cli.bench.filling import fill
from pipelines.cli.bench.latency import latency
from pipelines.cli.bench.outputs import checked
from pipelines.cli.bench.policies import POLICIES, THREE
from pipelines.cli.bench.profile import STEPS
from pipelines.cli.bench.stand import BenchFailed, Stand, standing
from pipelines.cli.sources import load_settings
from schemas.topics import INTERACTIONS

# small fetches and frequent checkpoints, so that a small run has a steady part
SLOWLY = {"worker__fetch_max_bytes": 65_536, "worker__checkpoint_interval_s": 0.05}


@pytest.fixture
def stand(kafka: KafkaConnection, registry: RegistryConnection) -> Iterator[Stand]:
    flags = {
        "kafka.bootstrap_servers": (kafka.bootstrap_servers, "test"),
        "registry.url": (registry.url, "test"),
        "topic_prefix": ("small-", "test"),
    }
    loaded = load_settings(file=Path("/dev/null"), environment={}, flags=flags)
    with standing(loaded, say=lambda _line: None) as stand:
        yield stand


def test_a_run_is_measured_and_its_outputs_are_what_went_in(stand: Stand) -> None:
    filled = fill(stand, events=30_000, customers=2_000)
    assert filled.events == filled.by_customer.total() == 30_000
    file = stand.directory / "profile.json"
    main = ("pipelines.cli.bench.profiled", str(file))
    for turn in range(2):  # the second begins from nothing again
        app_id = f"{stand.names.prefix}{turn}"
        steady, written = process_all(stand, filled, app_id=app_id, policy=THREE, main=main, settings=SLOWLY)
        assert 0 < steady.events < 30_000
        assert steady.cpu_s > 0
        assert written.customers == len(filled.by_customer)
        assert written.alerts > 0
        assert json.loads(file.read_text("utf-8"))["steps"].keys() == {step.name for step in STEPS}
    read = consume(stand.kafka, stand.names.of(INTERACTIONS), events=30_000)
    assert 0 < read.events < 30_000
    one_less = Counter(filled.by_customer)
    one_less.subtract({min(one_less): 1})
    with pytest.raises(BenchFailed, match="1 customers differ"):
        checked(stand.kafka, stand.names, replace(filled, by_customer=one_less))
    with pytest.raises(BenchFailed, match="The windows hold"):
        checked(stand.kafka, stand.names, replace(filled, waits=filled.waits + 1))


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_every_alert_that_is_waited_for_comes(stand: Stand, policy: Path) -> None:
    figures = latency(stand, rate=500, seconds=2, customers=200, policy=policy, warm_s=2)
    assert 5 <= figures["alerts"] <= 20
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"] < 30_000


def test_nothing_is_left_on_a_kafka_that_was_lent(kafka: KafkaConnection, stand: Stand) -> None:
    prefix = stand.names.prefix
    topics = AdminClient(kafka.confluent()).list_topics(timeout=10).topics
    assert any(topic.startswith(prefix) for topic in topics)
    assert prefix.startswith("small-bench-")
