"""The web shop, up to the order: the promotion form and what the delivery costs."""

from connectors.simulator.contacts import call
from connectors.simulator.opinions import rate
from connectors.simulator.orders import place
from connectors.simulator.visit import LATER, Journey, Visit
from schemas.interactions import Interaction

_FORM = "checkout/promo-form"
_PAYMENT = "checkout/payment"


def shop(visit: Visit) -> Journey:
    """A page that loads, the promotion form with its failures, an order; or giving up, and perhaps a call."""
    visit.channel = visit.pick("web", "web", "app")
    if visit.chance(0.2):
        yield visit.tell_wait(_FORM, "page", "answered", (0.4, 6.0 if visit.in_bad_spell() else 1.2))
    yield visit.tell("form.started", _FORM, rest_s=(5.0, 20.0))
    failures = 0
    while visit.chance(0.85 if visit.in_bad_spell() else 0.02):
        failures += 1
        yield visit.tell("form.failed", _FORM, attributes={"failure": str(failures), "field": "promo_code"})
        if visit.chance(0.35):
            yield visit.tell("form.abandoned", _FORM, rest_s=LATER)
            if visit.chance(0.3):
                yield from call(visit)
            elif visit.chance(0.05):
                yield from rate(visit, _FORM, content=False)
            return
    yield visit.tell("form.submitted", _FORM)
    if visit.chance(0.03):
        reason = visit.pick("expired", "minimum_not_reached", "already_used")
        yield visit.tell("promo.rejected", _FORM, attributes={"reason": reason})
    yield from _pay(visit)


def _pay(visit: Visit) -> Journey:
    """What the delivery costs, estimated first for some; an order, or giving up, more often after a surprise."""
    price, given_up, shown = visit.price(), 0.3, visit.random.random()
    if shown < 0.18:
        shipping = 0.0 if price > 1_500.0 else 39.9 + 40.0 * int(3 * visit.random.random())
        if shown < 0.08:
            yield _cost(visit, "checkout.cost_estimated", price, shipping)
            if visit.chance(0.25):
                shipping += round(0.15 * price, 2)  # customs, that nobody had spoken of
        yield _cost(visit, "checkout.cost_revealed", price, shipping)
        if shipping > 0.2 * price:
            given_up = 0.6
    if not visit.chance(given_up):
        yield from place(visit, _PAYMENT, price, followed=0.12)
    elif visit.chance(0.2):
        yield visit.tell("checkout.abandoned", _PAYMENT, amount=price)


def _cost(visit: Visit, kind: str, price: float, shipping: float) -> Interaction:
    return visit.tell(kind, _PAYMENT, amount=price, attributes={"shipping": f"{shipping:.2f}"})
