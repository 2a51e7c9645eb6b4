"""Incidents through workers and a broker: one alert, by way of a restart, in the partition of its touchpoint."""

from pathlib import Path
from typing import Any

from connectors.kafka.connection import KafkaConnection
from connectors.registry.connection import RegistryConnection
from pipelines.cli.exits import ExitCode
from schemas.topics import ALERTS, INTERACTIONS, TopicNames
from tests.integration.live import POLICY
from tests.integration.senders import Sender, app_of, customers, now_ms, send, wait
from tests.integration.workers import NewWorker, wait_until_processed
from tests.polling import wait_until
from tests.reading import read_alerts, read_topic

MINUTE_MS = 60_000
SLOT_MS = 30_000
SECTION = """
incidents:
  slot: 30s
  lateness: 15m
  quiet: 15m
  rules:
    form:
      attempts: [form.started]
      failures: [form.failed]
      lookback: 5m
      min_customers: 10
"""


def failing(sender: Sender, names: TopicNames, kafka: KafkaConnection, who: range, begin_ms: int) -> None:
    """Customers of all three partitions who start and fail, one each second."""
    every = [customers(partition) for partition in range(3)]
    for partition, ids in enumerate(every):
        chosen = [next(ids) for _ in range(who.stop)][who.start :]
        records = [
            (
                customer.encode(),
                sender.encoder.encode(
                    wait(customer, kind=kind, event_id=f"{customer} {kind}", touchpoint="form/promo",
                         occurred_ms=begin_ms + n * 1000, duration_ms=None, attributes={})
                ),
            )
            for n, customer in enumerate(chosen)
            for kind in ("form.started", "form.failed")
        ]  # fmt: skip
        send(kafka, names.of(INTERACTIONS), records, partition=partition)


def incidents(kafka: KafkaConnection, names: TopicNames) -> list[dict[str, Any]]:
    return [a for a in read_alerts(kafka, names) if a["type"] == "touchpoint_incident"]


def test_a_broken_form_is_one_alert_by_way_of_a_kill_and_another_worker(
    kafka: KafkaConnection,
    registry: RegistryConnection,
    created_topics: TopicNames,
    new_worker: NewWorker,
    tmp_path: Path,
) -> None:
    # from the begin of a slot on, so that it does not depend on the time of day how many one slot counts
    names, begin_ms, policy = created_topics, (now_ms() - 6 * MINUTE_MS) // SLOT_MS * SLOT_MS, tmp_path / "policy.yaml"
    policy.write_text(POLICY + SECTION, "utf-8")
    sender = Sender(kafka, registry, names)
    first = new_worker(FRICTION_POLICY_FILE=str(policy))
    first.start()
    failing(sender, names, kafka, range(20), begin_ms)
    wait_until_processed(kafka, names, app_of(names), by=first)
    wait_until(lambda: incidents(kafka, names), 60.0)
    opened, *_ = before = incidents(kafka, names)
    assert (opened["status"], opened["revision"], opened["touchpoint"]) == ("opened", 1, "form/promo")
    assert all(a["customers"] == len({m["customer_id"] for m in a["members"]}) for a in before)
    first.kill()

    second = new_worker(FRICTION_POLICY_FILE=str(policy))
    second.start()
    failing(sender, names, kafka, range(20, 70), begin_ms + MINUTE_MS)
    wait_until(lambda: len(incidents(kafka, names)) > len(before), 60.0)
    wait_until_processed(kafka, names, app_of(names), by=second)
    told = incidents(kafka, names)
    assert {a["alert_id"] for a in told} == {opened["alert_id"]}
    assert [a["revision"] for a in told] == list(range(1, len(told) + 1))
    assert {a["status"] for a in told[1:]} == {"escalated"}
    assert before[-1]["customers"] < told[-1]["customers"] <= 210
    assert {m.partition() for m in read_topic(kafka, names.of(ALERTS)) if m.key() == b"form/promo"} <= {0, 1, 2}
    assert second.stop() == ExitCode.DONE
