"""After an outage with a backlog, nobody is told to wait whose answer stands in the backlog."""

from pathlib import Path
from time import time

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.producing import Sender
from connectors.registry.client import SchemaRegistry, register_contract
from connectors.registry.connection import RegistryConnection
from schemas.interactions import Interaction, InteractionEncoder
from schemas.topics import INTERACTIONS, TopicNames
from tests.integration.workers import NewWorker, wait_until_processed
from tests.polling import wait_until
from tests.reading import read_alerts
from tests.scenarios.scenario_files import FULL

PROMISE_S = 6  # an hour of the default policy in six seconds, an outage of ten minutes in one and more
ASKED, OTHERS = 300, 20_000
UNANSWERED = range(0, ASKED, 10)


def told(kind: str, n: int, at_ms: int) -> Interaction:
    return Interaction(
        event_id=f"{kind} {n}",
        customer_id=f"müşteri {n}",
        kind=kind,
        channel="email",
        touchpoint="destek",
        case_id=f"case {n}",
        subject="iade",
        occurred_ms=at_ms,
        attributes={"reply": "personal"} if kind == "contact.replied" else {},
    )


def test_an_outage_with_the_answers_in_the_backlog_breaches_no_promise_that_was_kept(
    kafka: KafkaConnection,
    registry: RegistryConnection,
    created_topics: TopicNames,
    new_worker: NewWorker,
    tmp_path: Path,
) -> None:
    names, policy = created_topics, tmp_path / "policy.yaml"
    text = FULL.read_text("utf-8")
    assert "    promise: 1h\n    warn: 15m\n" in text
    policy.write_text(
        text.replace("    promise: 1h\n    warn: 15m\n", f"    promise: {PROMISE_S}s\n    warn: 1s\n", 1), "utf-8"
    )
    encoder = InteractionEncoder(register_contract(SchemaRegistry(registry), names)[INTERACTIONS])
    sender = Sender(kafka)

    def send(*interactions: Interaction) -> None:
        for one in interactions:
            sender.send(names.of(INTERACTIONS), one.customer_id.encode(), encoder.encode(one))
        sender.flush()

    worker = new_worker(FRICTION_POLICY_FILE=str(policy), FRICTION_WORKER__FETCH_MAX_BYTES="65536")
    worker.start()
    asked_ms = int(time() * 1000)
    send(*(told("contact.opened", n, asked_ms) for n in range(ASKED)))
    wait_until_processed(kafka, names, f"{names.prefix}app", float(PROMISE_S))
    worker.kill()
    now_ms = int(time() * 1000)
    assert now_ms < asked_ms + PROMISE_S * 1000, "the worker was not killed before the deadline"
    send(*(told("article.viewed", n, now_ms) for n in range(ASKED, ASKED + OTHERS)))
    send(*(told("contact.replied", n, now_ms) for n in range(ASKED) if n not in UNANSWERED))
    wait_until(lambda: time() > asked_ms / 1000 + PROMISE_S + 1, PROMISE_S + 2.0)  # the outage outlasts the deadline

    worker.start()
    late = {f"müşteri {n}" for n in UNANSWERED}

    def breached() -> list[str]:
        alerts = read_alerts(kafka, names)
        return [a["customer_id"] for a in alerts if a["type"] == "clock_breached" and a["status"] == "opened"]

    wait_until(lambda: late.issubset(breached()), 30.0)
    assert sorted(breached()) == sorted(late), "a promise that was kept is said to be broken"
    assert worker.stop() == 0
