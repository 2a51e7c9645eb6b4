"""A worker from its first look at Kafka to its last transaction."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.transport import FetchSettings
from connectors.registry.client import SchemaRegistry, register_contract
from connectors.registry.connection import RegistryConnection
from pipelines.incidents.alerts import Labels
from pipelines.policy.policy import Policy
from pipelines.worker.app import build_app
from pipelines.worker.checkpoint import Checkpoints
from pipelines.worker.customer_records import CustomerRecords
from pipelines.worker.customers import CustomerStage
from pipelines.worker.decoding import InteractionDecoder
from pipelines.worker.encoding import Encoder
from pipelines.worker.faults import engine_class
from pipelines.worker.incidents import IncidentStage
from pipelines.worker.memory import keep_memory
from pipelines.worker.policy_file import load_policy
from pipelines.worker.settings import WorkerOptions
from pipelines.worker.stage import Stage
from pipelines.worker.topics import (
    identities,
    partition_counts,
    refuse_forgetful_state,
    refuse_what_we_may_not,
    watch_topics,
)
from pipelines.worker.touchpoints import TouchpointStage
from pipelines.worker.warmup import warm_up
from schemas.acceptance import Bounds
from schemas.columnar import ColumnarReader
from schemas.columnar.writer import ColumnarWriter
from schemas.errors import FrictionError, InvariantBroken, SettingsError, StoreUnavailable
from schemas.topics import (
    ALERTS,
    INCIDENT_PARTIALS,
    INCIDENT_STATE,
    INTERACTIONS,
    SCORES,
    STATE,
    TOUCHPOINT_STATE,
    WAIT_PARTIALS,
    WAITS,
    TopicNames,
    avro_schema,
    topics,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Parts:
    stages: tuple[Stage, ...]
    decoder: InteractionDecoder
    topic_ids: Mapping[str, str]
    """Of every topic, by its name on the cluster."""
    lasting: frozenset[str]
    """Topics that must stay the ones that they are."""


def _assemble(
    kafka: KafkaConnection,
    registry: RegistryConnection,
    names: TopicNames,
    app_id: str,
    options: WorkerOptions,
    policy: Policy,
) -> _Parts:
    client = SchemaRegistry(registry)
    ids = _patiently("the schema registry", lambda: register_contract(client, names))
    counts = _patiently("Kafka", lambda: partition_counts(kafka, names))
    _patiently("Kafka", lambda: refuse_what_we_may_not(kafka, names, app_id))
    _patiently("Kafka", lambda: refuse_forgetful_state(kafka, names))
    topic_ids = _patiently("Kafka", lambda: identities(kafka, names))
    acceptance = policy.file.acceptance
    if policy.needs_details and options.state_layout is not None:
        raise SettingsError(
            f"worker.state_layout is {options.state_layout}, but the policy asks for more than signals, and what is "
            "open of a customer is kept in layout 4: leave worker.state_layout out."
        )
    decoder = InteractionDecoder(client, Bounds(acceptance.max_age, acceptance.max_ahead), details=policy.needs_details)
    decoder.know(ids[INTERACTIONS], "interaction")
    first = CustomerStage(
        app_id=app_id,
        names=names,
        policy=policy,
        decoder=decoder,
        form=CustomerRecords(
            names=names,
            policy=policy,
            scores=ColumnarWriter(avro_schema("score"), ids[SCORES]),
            alerts=ColumnarWriter(avro_schema("alert"), ids[ALERTS]),
            partials=Encoder("wait_partial", ids[WAIT_PARTIALS]),
            incidents=Encoder("incident_partial", ids[INCIDENT_PARTIALS]),
            touchpoints=counts[topics()[WAIT_PARTIALS].partitions],
        ),
        partitions=counts[topics()[INTERACTIONS].partitions],
        topic_ids=topic_ids,
        accept_loss=options.accept_loss,
        dead_letter_limit=options.dead_letter_limit,
        state_layout=options.state_layout,
        now_ms=lambda: time.time_ns() // 1_000_000,
    )
    second = TouchpointStage(
        app_id=app_id,
        names=names,
        registry=client,
        windows=Encoder("wait_window", ids[WAITS]),
        policy_digest=policy.digest,
        sources=first.partitions,
        lateness_ms=policy.file.windows.lateness,
        topic_ids=topic_ids,
        accept_loss=options.accept_loss,
        reader=ColumnarReader(avro_schema("wait_partial")),
        writers={},
    )
    log.info("topics: %s, state of windows in %s", counts, names.of(TOUCHPOINT_STATE))
    stages: list[Stage] = [first, second]
    lasting = {*first.inputs, *second.inputs, names.of(STATE), names.of(TOUCHPOINT_STATE)}
    section = policy.file.incidents
    if section is not None:
        incidents = IncidentStage(
            app_id=app_id,
            names=names,
            registry=client,
            alerts=first.form.alerts,
            incidents=section,
            labels=Labels.of(policy),
            sources=first.partitions,
            topic_ids=topic_ids,
            accept_loss=options.accept_loss,
            now_ms=first.now_ms,
            writers={},
        )
        stages.append(incidents)
        lasting |= {*incidents.inputs, names.of(INCIDENT_STATE)}
    return _Parts(tuple(stages), decoder, topic_ids, frozenset(lasting))


def _patiently(what: str, ask: Callable[[], Any], *, within_s: float = 60.0) -> Any:
    """Ask again while a store is away, saying so once; give up after ``within_s``."""
    end_s, told = time.monotonic() + within_s, False
    while True:
        try:
            return ask()
        except StoreUnavailable as error:
            if time.monotonic() > end_s:
                raise
            if not told:
                log.warning("waiting for %s: %s", what, error)
                told = True
            time.sleep(0.5)


def run_worker(
    kafka: KafkaConnection,
    registry: RegistryConnection,
    names: TopicNames,
    *,
    app_id: str,
    options: WorkerOptions,
    policy_file: Path | None = None,
) -> None:
    """Process until SIGTERM or SIGINT. Blocks; call it from the main thread.

    app_id: consumer group of all workers of these topics, and the beginning of their transactional ids.

    Raises:
        FrictionError: the worker cannot start, or had to stop; its class says why (schemas/errors.py).
    """
    keep_memory()
    policy = load_policy(policy_file)
    parts = _assemble(kafka, registry, names, app_id, options, policy)
    warm_up(parts.decoder, policy)
    failure = asyncio.run(_run(kafka, app_id, options, parts))
    if failure is None:
        return
    if isinstance(failure, FrictionError):
        raise failure
    if isinstance(failure, KafkaError) and failure.retriable:
        raise StoreUnavailable(f"Kafka at {kafka.bootstrap_servers} does not answer: {failure!r}") from failure
    raise InvariantBroken(f"the worker stopped before anything wrong was committed: {failure!r}") from failure


async def _run(kafka: KafkaConnection, app_id: str, options: WorkerOptions, parts: _Parts) -> BaseException | None:
    stopped = asyncio.Event()
    failures: list[BaseException] = []

    def stop(error: BaseException) -> None:
        failures.append(error)
        stopped.set()

    fetch = FetchSettings(
        wait_ms=options.fetch_wait_ms,
        min_bytes=options.fetch_min_bytes,
        partition_bytes=options.fetch_max_bytes,
        total_bytes=options.fetch_max_bytes * 4,
        buffer_bytes=options.buffer_bytes,
        check_crc=options.fetch_check_crc,
    )
    engine = engine_class()(
        kafka=kafka,
        group_id=app_id,
        stages=parts.stages,
        fetch=fetch,
        checkpoints=Checkpoints(options.checkpoint_interval_s, options.alert_gap_s),
        transaction_timeout_s=options.transaction_timeout_s,
        stop=stop,
    )
    app = build_app(
        kafka,
        app_id=app_id,
        instance_id=options.instance_id,
        session_timeout_s=options.session_timeout_s,
        fetch=fetch,
        engine=engine,
        stages=parts.stages,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        await app.start()
    except KafkaError as error:  # Kafka was there a moment ago
        await engine.close()
        failures.append(error)
        return failures[0]
    watching = asyncio.create_task(watch_topics(kafka, parts.topic_ids, same=parts.lasting, fail=engine.fail))
    ended = asyncio.create_task(app.wait_until_stopped())
    asked = asyncio.create_task(stopped.wait())
    await asyncio.wait([ended, asked], return_when=asyncio.FIRST_COMPLETED)
    await engine.close()
    await app.stop()
    for task in (ended, asked, watching):
        task.cancel()
    if failures:
        return failures[0]
    reason: BaseException | None = app.crash_reason
    return reason
