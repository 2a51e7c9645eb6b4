"""The simulated crowd as a producer like any other: Avro under a registered schema, keyed by customer."""

import math
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from threading import Event

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.producing import Sender, Sent
from connectors.registry.client import SchemaRegistry
from connectors.simulator.disorder import require_shares
from connectors.simulator.inbox import AlertInbox
from connectors.simulator.pace import paced
from connectors.simulator.simulation import DEFAULT_CUSTOMERS, crowd_moments_and_interactions
from connectors.simulator.team import Team
from schemas.errors import SettingsError
from schemas.interactions import Interaction, InteractionEncoder
from schemas.topics import INTERACTIONS, TopicNames, avro_schema

_PROGRESS_S = 1.0
_LOOK_S = 0.1  # how often the team looks for alerts


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
    team: float = 0.0,
    stop: Event,
    on_progress: Callable[[Sent], None] | None = None,
) -> Sent:
    """Send the crowd's interactions at ``rate`` a second, until ``stop`` or the smaller of the two limits.

    count, seconds: limits; ``seconds`` means ``rate * seconds`` interactions. With neither it goes on.
    span_hours: None for real time; else so much time is squeezed into the run and ends with it, and a limit
        is needed.
    late, repeated: shares of the interactions that are sent long after they were told, and twice.
    team: share of the alerts that are told meanwhile with which a team does something; what it does is sent
        besides.
    seed: names the crowd's decisions, together with the moment of the start: a second start goes on with
        other interactions of the same customers, and their event ids are others.
    on_progress: called about once a second.

    Returns when everything told has been acknowledged, also after ``stop``.

    Raises:
        SettingsError: an argument is out of range.
        TopicMismatch: a topic does not exist.
        StoreUnavailable: Kafka or the registry is away, or some records were not delivered.
    """
    check(rate=rate, count=count, seconds=seconds, customers=customers, span_hours=span_hours)
    require_shares(late=late, repeated=repeated)
    total = limit(rate, count, seconds)
    sender = Sender(kafka)
    topic = names.of(INTERACTIONS)
    sender.require_topic(topic)
    schema_id = registry.register(names.subject(INTERACTIONS), avro_schema("interaction"))
    encoder = InteractionEncoder(schema_id)

    def send(told: Interaction) -> bool:
        return sender.send(topic, told.customer_id.encode(), encoder.encode(told), give_up=stop.is_set)

    desk = _Desk(Team(seed=seed, share=team), AlertInbox(kafka, registry, names), send) if team else None
    serve = desk.serve if desk is not None else lambda _: False
    start_ms = time.time_ns() // 1_000_000
    begun_s = reported_s = time.monotonic()
    pairs = crowd_moments_and_interactions(
        seed=seed,
        start_ms=start_ms,
        rate=rate,
        total=total,
        customers=customers,
        span_hours=span_hours,
        late=late,
        repeated=repeated,
    )
    now_ms = 0

    def wait(pause_s: float) -> None:
        sender.poll()
        if not serve(now_ms if span_hours is not None else time.time_ns() // 1_000_000):
            stop.wait(pause_s)

    with closing(desk) if desk is not None else nullcontext():
        for moment_ms, told in paced(pairs, rate, elapsed_s=lambda: time.monotonic() - begun_s, wait=wait, stop=stop):
            now_ms = moment_ms
            serve(now_ms)
            if not send(told):
                break
            if on_progress is not None and time.monotonic() - reported_s >= _PROGRESS_S:
                reported_s = time.monotonic()
                on_progress(sender.sent)
        return sender.flush()


class _Desk:
    """The team at work: it looks for alerts now and then, and sends what is to be done."""

    def __init__(self, team: Team, inbox: AlertInbox, send: Callable[[Interaction], bool]) -> None:
        self._team = team
        self._inbox = inbox
        self._send = send
        self._looked_s = 0.0

    def serve(self, now_ms: int) -> bool:
        """Do what is due by then, in the customers' time; whether anything was."""
        if time.monotonic() - self._looked_s >= _LOOK_S:
            for alert in self._inbox.poll():
                self._team.see(alert, now_ms)
            self._looked_s = time.monotonic()
        done = list(self._team.due(now_ms))
        for one in done:
            self._send(one)
        return bool(done)

    def close(self) -> None:
        """Go home."""
        self._inbox.close()


def limit(rate: float, count: int | None, seconds: float | None) -> int | None:
    """How many interactions a run sends by the smaller of its limits; None without any."""
    limits = [limit for limit in (count, None if seconds is None else round(rate * seconds)) if limit is not None]
    return max(1, min(limits)) if limits else None


def check(**arguments: float | None) -> None:
    """See that the arguments of a run are above 0.

    Raises:
        SettingsError: one is not.
    """
    for name, value in arguments.items():
        if value is not None and not 0 < value < math.inf:
            raise SettingsError(f"{name} of the simulator must be > 0, got {value}")
