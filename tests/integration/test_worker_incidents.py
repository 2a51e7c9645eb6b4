"""Incidents through workers and a broker: one alert, by way of a restart, in the partition of its touchpoint."""

from pathlib import Path
from typing import Any

from connectors.kafka.connection import KafkaConnection
from connectors.registry.connection import RegistryConnection
from pipelines.cli.exits import ExitCode
from pipelines.intake.interactions import NO_TIME
from schemas.topics import ALERTS, INTERACTIONS, TopicNames
from tests.integration.live import POLICY
from tests.integration.senders import Sender, app_of, customers, now_ms, send, wait
from tests.integration.workers import NewWorker, wait_until_processed
from tests.polling import wait_until
from tests.reading import incident_headers, read_alerts, read_topic

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
MENTIONS = """
incidents:
  slot: 1s
  lateness: 15s
  quiet: 5s
  rules:
    mentions:
      by: subject
      failures: [social.mentioned]
      lookback: 10s
      min_customers: 8
      usual_rate: {customers: 0.2, lookbacks: 24}
      learn: 2s
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


def mentioned(
    sender: Sender, names: TopicNames, kafka: KafkaConnection, who: list[tuple[int, str]], subject: str
) -> None:
    """Mentions of a subject, one behind the other, each as it happens. who: partitions and their customers."""
    for n, (partition, customer) in enumerate(who):
        said = wait(customer, kind="social.mentioned", event_id=f"{customer} {subject} {n}", subject=subject,
                    touchpoint="social", channel="instagram", occurred_ms=now_ms(), duration_ms=None, sentiment=-0.5,
                    attributes={})  # fmt: skip
        send(kafka, names.of(INTERACTIONS), [(customer.encode(), sender.encoder.encode(said))], partition=partition)


def watched_ms(kafka: KafkaConnection, names: TopicNames) -> int:
    """For how long both partitions of the agent have watched."""
    begun_ms = [header["begun_ms"] for header in incident_headers(kafka, names)]
    return now_ms() - max(begun_ms) if len(begun_ms) == 2 and min(begun_ms) > NO_TIME else 0


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


def test_a_subject_that_many_speak_of_is_told_while_they_do_and_resolved(
    kafka: KafkaConnection,
    registry: RegistryConnection,
    created_topics: TopicNames,
    new_worker: NewWorker,
    tmp_path: Path,
) -> None:
    """Scenario 11 as it happens, sixty times as fast: a new subject is judged when the watch has run for ``learn``."""
    names, policy = created_topics, tmp_path / "policy.yaml"
    policy.write_text(POLICY + MENTIONS, "utf-8")
    sender, worker = Sender(kafka, registry, names), new_worker(FRICTION_POLICY_FILE=str(policy))
    worker.start()

    every = [customers(partition) for partition in range(3)]
    many = [(n % 3, next(every[n % 3])) for n in range(8)]
    one = (0, next(every[0]))
    mentioned(sender, names, kafka, [one] * 8, "kargo")  # the watch begins with the first interaction
    wait_until(lambda: watched_ms(kafka, names) > 4000)
    begin_ms = now_ms()
    mentioned(sender, names, kafka, many, "İade ücreti")
    wait_until(lambda: incidents(kafka, names), 30.0)
    (opened,) = incidents(kafka, names)
    assert (opened["status"], opened["subject"], opened["touchpoint"]) == ("opened", "İade ücreti", None)
    assert (opened["customers"], opened["share"]) == (8, None)
    assert {m["customer_id"] for m in opened["members"]} == {customer for _, customer in many}
    assert begin_ms < opened["raised_at"].timestamp() * 1000 <= now_ms()
    wait_until(lambda: len(incidents(kafka, names)) > 1, 60.0)
    assert [a["status"] for a in incidents(kafka, names)] == ["opened", "resolved"]
    assert {a["alert_id"] for a in incidents(kafka, names)} == {opened["alert_id"]}
    assert worker.stop() == ExitCode.DONE
