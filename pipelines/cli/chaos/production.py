"""Live interactions of the simulator's crowd, some of them late and some sent twice."""

import heapq
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random
from threading import Event, Thread

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.producing import Sender, Sent
from connectors.simulator.pace import paced
from connectors.simulator.simulation import crowd_interactions
from pipelines.cli.chaos.crowd import moved, short_lives
from pipelines.cli.chaos.plan import Plan
from schemas.errors import FrictionError
from schemas.interactions import Interaction, InteractionEncoder
from schemas.topics import INTERACTIONS, TopicNames

LATE = 0.05
TWICE = 0.05
LATE_MS = 60_000  # on average
AGAIN_WITHIN = 5_000  # interactions

_EPOCH_MS = 1_790_000_000_000  # a run's decisions are those of its seed, whenever it runs: moments are moved from here


def disturbed(interactions: Iterable[Interaction], seed: int) -> Iterator[Interaction]:
    """The same, 5 % of them with an event time up to some minutes back, and 5 % a second time somewhat later."""
    random = Random(f"{seed} disturbed")
    again: list[tuple[int, int, Interaction]] = []
    for number, interaction in enumerate(interactions):
        while again and again[0][0] <= number:
            yield heapq.heappop(again)[2]
        told = interaction
        if random.random() < LATE:
            told = replace(told, occurred_ms=told.occurred_ms - int(random.expovariate(1 / LATE_MS)))
        yield told
        if random.random() < TWICE:
            heapq.heappush(again, (number + random.randint(1, AGAIN_WITHIN), number, told))
    yield from (interaction for _, _, interaction in sorted(again, key=lambda one: one[:2]))


def crowd(plan: Plan) -> Iterator[Interaction]:
    """What a run sends, for as long as it shall last: the simulator's crowd, or lives of all kinds."""
    if plan.policy == "full":
        return short_lives(
            seed=plan.seed, start_ms=_EPOCH_MS, rate=plan.rate, total=max(1, int(plan.rate * plan.seconds))
        )
    alone = plan.rate / (1 + TWICE)
    told = crowd_interactions(
        seed=plan.seed,
        start_ms=_EPOCH_MS,
        rate=alone,
        total=max(1, int(alone * plan.seconds)),
        customers=plan.customers,
    )
    return disturbed(told, plan.seed)


class Production(Thread):
    """Sends what is told at ``rate`` a second. Wait for its end with ``result``."""

    def __init__(
        self,
        kafka: KafkaConnection,
        names: TopicNames,
        schema_id: int,
        *,
        told: Iterator[Interaction],
        rate: float,
    ) -> None:
        super().__init__(name="production", daemon=True)
        self._kafka = kafka
        self._topic = names.of(INTERACTIONS)
        self._encoder = InteractionEncoder(schema_id)
        self._told = told
        self._rate = rate
        self._given_up = Event()
        self._sent: Sent | None = None
        self._failure: FrictionError | None = None

    def run(self) -> None:
        """Send it all."""
        try:
            self._sent = self._send()
        except FrictionError as error:
            self._failure = error

    def _send(self) -> Sent:
        sender = Sender(self._kafka)
        begun_s, moved_ms = time.monotonic(), time.time_ns() // 1_000_000 - _EPOCH_MS

        def wait(pause_s: float) -> None:
            sender.poll()
            self._given_up.wait(pause_s)

        for one in paced(
            self._told, self._rate, elapsed_s=lambda: time.monotonic() - begun_s, wait=wait, stop=self._given_up
        ):
            at_ms, attributes = moved(one, moved_ms)
            value = self._encoder.encode(replace(one, occurred_ms=at_ms, attributes=attributes))
            sender.send(self._topic, one.customer_id.encode(), value, give_up=self._given_up.is_set)
        return sender.flush(timeout_s=120.0)

    def give_up(self) -> None:
        """Send no more."""
        self._given_up.set()

    def result(self, *, timeout_s: float) -> Sent:
        """What became of it, after its end.

        Raises:
            FrictionError: it failed, or did not end in time.
        """
        self.join(timeout_s)
        if self._failure is not None:
            raise self._failure
        if self._sent is None:
            raise FrictionError(f"the production did not end within {timeout_s:g} s")
        return self._sent
