"""An order from the moment at which it is placed: delivery, return, refund."""

from connectors.simulator.opinions import rate
from connectors.simulator.visit import LATER, Journey, Visit

_ARRIVAL = "orders/delivery"
_DESK = "store/desk"


def place(visit: Visit, touchpoint: str, price: float, *, followed: float) -> Journey:
    """The order; of a ``followed`` share also what becomes of it."""
    visit.case_id = f"o-{visit.name}"
    yield visit.tell("order.placed", touchpoint, amount=price)
    if visit.chance(followed):
        yield from _deliver(visit, price)


def _deliver(visit: Visit, price: float) -> Journey:
    """A promise; a delay that is told in time or too late; what arrives, if it does."""
    due_s = visit.drawn_s((120.0, 180.0))
    due_ms = visit.now_ms + int(1000 * due_s)
    delayed = visit.chance(0.15)
    rest_s = (due_s + 5.0, 30.0) if delayed and visit.chance(0.5) else (due_s * 0.4, due_s * 0.15)
    yield visit.tell("order.promised", _ARRIVAL, rest_s=rest_s, attributes={"deadline": visit.deadline(due_s)})
    if delayed:
        later_s = visit.drawn_s((180.0, 180.0))
        told = {"deadline": visit.deadline(later_s)}
        if visit.now_ms < due_ms:
            told["proactive"] = "true"
        yield visit.tell("order.delayed", _ARRIVAL, rest_s=(later_s * 0.6, later_s * 0.3), attributes=told)
    if visit.chance(0.03):
        return
    yield visit.tell("order.delivered", _ARRIVAL)
    wrong = visit.chance(0.1)
    if wrong:
        yield visit.tell("order.wrong", _ARRIVAL, attributes={"wrong": visit.pick("item", "size", "quantity")})
    if visit.chance(0.1):
        yield from rate(visit, _ARRIVAL, content=not delayed and not wrong)
    if wrong and visit.chance(0.7):
        yield from _give_back(visit, "returns/label", price)


def _give_back(visit: Visit, touchpoint: str, price: float) -> Journey:
    """The request, a fee for some, and the money for most."""
    yield visit.tell("return.requested", touchpoint, amount=price)
    if visit.chance(0.2):
        yield visit.tell("return.fee_charged", touchpoint, amount=49.9)
    if visit.chance(0.4):
        yield visit.tell("refund.issued", touchpoint, rest_s=LATER, amount=price)


def come_in(visit: Visit) -> Journey:
    """The store's desk: a wait at the counter, then an order or a return."""
    visit.channel = "store"
    outcome = "answered" if visit.chance(0.93) else visit.pick("abandoned", "closed")
    yield from visit.wait(_DESK, "counter", outcome, (10.0, 180.0))
    if outcome != "answered":
        return
    price = visit.price()
    if visit.chance(0.6):
        yield from place(visit, _DESK, price, followed=0.0)
    else:
        visit.case_id = f"o-{visit.name}"
        yield from _give_back(visit, _DESK, price)


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
    yield from _give_back(visit, "returns/label", visit.price())
