"""What customers do: each journey is a generator that tells one interaction when it is resumed.

A journey decides at the moment at which it tells, so it feels a bad spell while that lasts, and says how
long it wants to rest before the next. What it tells is over: a wait is told by its end and began before.
"""

import math
from collections.abc import Callable, Generator, Mapping
from random import Random

from connectors.simulator.crowd import Customer
from connectors.simulator.day import BadSpell
from schemas.interactions import Interaction

Journey = Generator[Interaction, None, None]
Seconds = tuple[float, float]  # at least, and how much more on average

_SOON: Seconds = (2.0, 6.0)
_LATER: Seconds = (60.0, 240.0)
_NEVER_SERVED = ("abandoned", "system_drop", "closed")


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

    def tell(
        self,
        kind: str,
        touchpoint: str,
        *,
        rest_s: Seconds = _SOON,
        duration_ms: int | None = None,
        subject: str | None = None,
        amount: float | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> Interaction:
        """What happens now, or ``duration_ms`` ago; the journey rests for ``rest_s`` after it."""
        self.rest_ms = int(1000 * self.drawn_s(rest_s))
        self.last_ms = self.now_ms
        self.told += 1
        return Interaction(
            event_id=f"{self.name}-{self.told}",
            customer_id=self.customer.customer_id,
            kind=kind,
            channel=self.channel,
            touchpoint=touchpoint,
            occurred_ms=self.now_ms - (duration_ms or 0),
            session_id=self.name,
            case_id=self.case_id,
            subject=subject,
            duration_ms=duration_ms,
            amount=amount,
            currency=None if amount is None else "TRY",
            segment=self.customer.segment,
            source="simulator",
            attributes={} if attributes is None else attributes,
        )

    def tell_wait(
        self, touchpoint: str, stage: str, outcome: str, waited_s: Seconds, rest_s: Seconds = _SOON
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


def shop(visit: Visit) -> Journey:
    """A page that loads, the promotion form with its failures, an order; or giving up, and perhaps a call."""
    form = "checkout/promo-form"
    visit.channel = visit.pick("web", "web", "app")
    if visit.chance(0.15):
        yield visit.tell_wait(form, "page", "answered", (0.4, 6.0 if visit.in_bad_spell() else 1.2))
    yield visit.tell("form.started", form, rest_s=(5.0, 20.0))
    failures = 0
    while visit.chance(0.85 if visit.in_bad_spell() else 0.02):
        failures += 1
        yield visit.tell("form.failed", form, attributes={"failure": str(failures), "field": "promo_code"})
        if visit.chance(0.35):
            yield visit.tell("form.abandoned", form, rest_s=_LATER)
            if visit.chance(0.3):
                yield from call(visit)
            return
    yield visit.tell("form.submitted", form)
    if visit.chance(0.7):
        visit.case_id = f"o-{visit.name}"
        yield visit.tell("order.placed", "checkout/payment", amount=visit.price())


def call(visit: Visit) -> Journey:
    """A queue on the phone, given up at times and then tried again; a talk, on hold meanwhile; an end, or none."""
    visit.channel = "phone"
    line = "call/support"
    for _ in range(3):
        bad = visit.in_bad_spell()
        outcome = "answered"
        if visit.chance(0.35 if bad else 0.1):
            outcome = visit.pick("abandoned", "abandoned", "abandoned", "callback", "rerouted", "system_drop")
        waited_s, rest_s = (30.0, 420.0) if bad else (3.0, 75.0), _SOON if outcome == "answered" else _LATER
        yield visit.tell_wait(line, "queue", outcome, waited_s, rest_s)
        if outcome == "callback":
            yield visit.tell_wait(line, "callback", "answered", (60.0, 60.0))
        if outcome not in _NEVER_SERVED:
            break
        if visit.chance(0.6):
            return
    else:
        return
    visit.case_id = f"c-{visit.name}"
    yield visit.tell("contact.opened", line, subject=visit.customer.subject, rest_s=(10.0, 60.0))
    if visit.chance(0.3):
        yield visit.tell_wait(line, "hold", "answered", (5.0, 60.0))
    yield from _answer(visit, line, "personal")


def write(visit: Visit) -> Journey:
    """A message, an automatic receipt at times, a template or a person's reply later; an end, or none."""
    visit.channel = visit.pick("email", "chat", "social_dm")
    desk = "help/messages"
    visit.case_id = f"c-{visit.name}"
    yield visit.tell("contact.opened", desk, subject=visit.customer.subject)
    if visit.chance(0.5):
        yield visit.tell("contact.replied", desk, rest_s=(60.0, 300.0), attributes={"reply": "automatic"})
    if visit.chance(0.9):
        yield from _answer(visit, desk, visit.pick("personal", "personal", "template"))


def _answer(visit: Visit, touchpoint: str, reply: str) -> Journey:
    yield visit.tell("contact.replied", touchpoint, rest_s=(10.0, 60.0), attributes={"reply": reply})
    if visit.chance(0.75):
        yield visit.tell("case.resolved", touchpoint, subject=visit.customer.subject)


def come_in(visit: Visit) -> Journey:
    """The store's desk: a wait at the counter, then an order or a return."""
    visit.channel = "store"
    outcome = "answered" if visit.chance(0.93) else visit.pick("abandoned", "closed")
    yield visit.tell_wait("store/desk", "counter", outcome, (10.0, 180.0))
    if outcome in _NEVER_SERVED:
        return
    visit.case_id = f"o-{visit.name}"
    if visit.chance(0.6):
        yield visit.tell("order.placed", "store/desk", amount=visit.price())
    else:
        yield visit.tell("return.requested", "store/desk", amount=visit.price())


def send_back(visit: Visit) -> Journey:
    """A return: the label's form, then the request."""
    visit.channel = visit.pick("web", "app")
    visit.case_id = f"o-{visit.name}"
    yield visit.tell("form.started", "returns/label")
    if visit.chance(0.04):
        yield visit.tell("form.failed", "returns/label", attributes={"failure": "1", "field": "order_number"})
    if visit.chance(0.1):
        yield visit.tell("form.abandoned", "returns/label")
        return
    yield visit.tell("form.submitted", "returns/label")
    yield visit.tell("return.requested", "returns/label", amount=visit.price())


def look_up(visit: Visit) -> Journey:
    """The help pages: searches without a result, an article, or a message after all."""
    visit.channel = visit.pick("web", "app")
    while visit.chance(0.5):
        yield visit.tell("search.no_result", "help/search", attributes={"query": visit.customer.subject})
    if visit.chance(0.8):
        yield visit.tell("article.viewed", "help/search", subject=visit.customer.subject)
    else:
        yield from write(visit)


# of a hundred visits; a later entry's bound includes the earlier ones
_MIX: tuple[tuple[int, Callable[[Visit], Journey]], ...] = (
    (42, shop),
    (66, call),
    (78, write),
    (86, come_in),
    (92, send_back),
    (100, look_up),
)


def chosen_journey(visit: Visit) -> Journey:
    """The journey of this visit, by the shares of the mix."""
    drawn = visit.random.random() * 100
    return next(journey for bound, journey in _MIX if drawn < bound)(visit)
