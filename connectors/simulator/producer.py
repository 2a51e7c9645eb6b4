"""The simulated crowd as a producer like any other: Avro under a registered schema, keyed by customer."""

import math
import time
from collections.abc import Callable
from threading import Event

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.producing import Sender, Sent
from connectors.registry.client import SchemaRegistry
from connectors.simulator.disorder import require_shares
from connectors.simulator.pace import paced
from connectors.simulator.simulation import DEFAULT_CUSTOMERS, crowd_interactions
from schemas.errors import SettingsError
from schemas.interactions import InteractionEncoder
from schemas.topics import INTERACTIONS, TopicNames, avro_schema

_PROGRESS_S = 1.0


def simulate(
    kafka: KafkaConnection,
    registry: SchemaRegistry,
    names: TopicNames,
    *,
    seed: int,
    rate: float,
    count: int | None = None,
    seconds: float | None = None,
    customers: int = DEFAULT_CUSTOMERS,
    span_hours: float | None = None,
    late: float = 0.0,
    repeated: float = 0.0,
    stop: Event,
    on_progress: Callable[[Sent], None] | None = None,
) -> Sent:
    """Send the crowd's interactions at ``rate`` a second, until ``stop`` or the smaller of the two limits.

    count, seconds: limits; ``seconds`` means ``rate * seconds`` interactions. With neither it goes on.
    span_hours: None for real time; else so much time is squeezed into the run and ends with it, and a limit
        is needed.
    late, repeated: shares of the interactions that are sent long after they were told, and twice.
    seed: names the crowd's decisions, together with the moment of the start: a second start goes on with
        other interactions of the same customers, and their event ids are others.
    on_progress: called about once a second.

    Returns when everything told has been acknowledged, also after ``stop``.

    Raises:
        SettingsError: an argument is out of range.
        TopicMismatch: the topic does not exist.
        StoreUnavailable: Kafka or the registry is away, or some records were not delivered.
    """
    _check(rate=rate, count=count, seconds=seconds, customers=customers, span_hours=span_hours)
    require_shares(late=late, repeated=repeated)
    total = _limit(rate, count, seconds)
    sender = Sender(kafka)
    topic = names.of(INTERACTIONS)
    sender.require_topic(topic)
    schema_id = registry.register(names.subject(INTERACTIONS), avro_schema("interaction"))
    encoder = InteractionEncoder(schema_id)

    start_ms = time.time_ns() // 1_000_000
    begun_s = reported_s = time.monotonic()
    crowd = crowd_interactions(
        seed=seed,
        start_ms=start_ms,
        rate=rate,
        total=total,
        customers=customers,
        span_hours=span_hours,
        late=late,
        repeated=repeated,
    )

    def wait(pause_s: float) -> None:
        sender.poll()
        stop.wait(pause_s)

    for told in paced(crowd, rate, elapsed_s=lambda: time.monotonic() - begun_s, wait=wait, stop=stop):
        if not sender.send(topic, told.customer_id.encode(), encoder.encode(told), give_up=stop.is_set):
            break
        if on_progress is not None and time.monotonic() - reported_s >= _PROGRESS_S:
            reported_s = time.monotonic()
            on_progress(sender.sent)
    return sender.flush()


def _limit(rate: float, count: int | None, seconds: float | None) -> int | None:
    limits = [limit for limit in (count, None if seconds is None else round(rate * seconds)) if limit is not None]
    return max(1, min(limits)) if limits else None


def _check(**arguments: float | None) -> None:
    for name, value in arguments.items():
        if value is not None and not 0 < value < math.inf:
            raise SettingsError(f"{name} of the simulator must be > 0, got {value}")
