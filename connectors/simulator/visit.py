"""One customer's way through a journey: what a journey needs to decide, and how it tells."""

import math
import time
from collections.abc import Generator, Mapping
from random import Random

from connectors.simulator.crowd import Customer
from connectors.simulator.day import BadSpell
from schemas.interactions import Interaction

Journey = Generator[Interaction, None, None]
Seconds = tuple[float, float]  # at least, and how much more on average

SOON: Seconds = (2.0, 6.0)
LATER: Seconds = (60.0, 240.0)
_LIVE = 0.12  # of the waits that can be told while they last
_NO_ATTRIBUTES: Mapping[str, str] = {}


class Visit:
    """One customer's way through one journey.

    now_ms: the moment of telling, set before the journey is resumed.
    rest_ms: how long after it the journey wants to tell again, read after each resumption.
    """

    __slots__ = (
        "case_id", "channel", "customer", "last_ms", "name", "now_ms", "random", "rest_ms", "spell", "told",
    )  # fmt: skip

    def __init__(self, name: str, customer: Customer, random: Random, spell: BadSpell | None) -> None:
        self.name = name
        self.customer = customer
        self.random = random
        self.spell = spell
        self.channel = "web"
        self.case_id: str | None = None
        self.last_ms: int | None = None  # of the interaction before
        self.now_ms = 0
        self.rest_ms = 0
        self.told = 0

    def chance(self, share: float) -> bool:
        """True in that share of the cases."""
        return self.random.random() < share

    def pick(self, *choices: str) -> str:
        """One of the choices, each as likely as the others."""
        return choices[int(self.random.random() * len(choices))]

    def drawn_s(self, seconds: Seconds) -> float:
        """A duration: the least one and an exponential rest."""
        least, more = seconds
        return least - more * math.log(1.0 - self.random.random())

    def price(self) -> float:
        """A price in Turkish lira, many small and few large."""
        return round(self.drawn_s((80.0, 900.0)), 2)

    def in_bad_spell(self) -> bool:
        """Whether the form fails and the queues are long at this moment."""
        return self.spell is not None and self.spell.covers(self.now_ms)

    def deadline(self, in_s: float) -> str:
        """The moment ``in_s`` seconds from now as RFC 3339 in UTC, whole seconds."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now_ms // 1000 + round(in_s)))

    def tell(
        self,
        kind: str,
        touchpoint: str,
        *,
        rest_s: Seconds = SOON,
        duration_ms: int | None = None,
        subject: str | None = None,
        amount: float | None = None,
        rating: float | None = None,
        sentiment: float | None = None,
        reach: int | None = None,
        attributes: Mapping[str, str] = _NO_ATTRIBUTES,
    ) -> Interaction:
        """What happens now, or ``duration_ms`` ago; the journey rests for ``rest_s`` after it."""
        least, more = rest_s
        self.rest_ms = int(1000 * (least - more * math.log(1.0 - self.random.random())))
        self.last_ms = self.now_ms
        self.told += 1
        return Interaction(  # by position, which a crowd of this size notices
            f"{self.name}-{self.told}",
            self.customer.customer_id,
            kind,
            self.channel,
            touchpoint,
            self.now_ms - (duration_ms or 0),
            self.name,  # session_id
            self.case_id,
            subject,
            duration_ms,
            amount,
            None if amount is None else "TRY",
            rating,
            sentiment,
            reach,
            self.customer.segment,
            "simulator",
            attributes,
        )

    def tell_wait(
        self, touchpoint: str, stage: str, outcome: str, waited_s: Seconds, rest_s: Seconds = SOON
    ) -> Interaction:
        """A wait that ends now and began after what was told before it."""
        duration_ms = int(1000 * self.drawn_s(waited_s))
        if self.last_ms is not None:
            duration_ms = min(duration_ms, self.now_ms - self.last_ms)
        return self.tell(
            "wait.measured",
            touchpoint,
            rest_s=rest_s,
            duration_ms=duration_ms,
            attributes={"stage": stage, "outcome": outcome},
        )

    def wait(self, touchpoint: str, stage: str, outcome: str, waited_s: Seconds, rest_s: Seconds = SOON) -> Journey:
        """A wait that is told by its start and its end for some, and when it is over for most."""
        if self.chance(_LIVE):
            yield self.tell("wait.started", touchpoint, rest_s=waited_s, attributes={"stage": stage})
            ended = {"stage": stage, "outcome": outcome}
            yield self.tell("wait.ended", touchpoint, rest_s=rest_s, attributes=ended)
        else:
            yield self.tell_wait(touchpoint, stage, outcome, waited_s, rest_s)
