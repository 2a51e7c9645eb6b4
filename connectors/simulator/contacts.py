"""Customers who want something of somebody: calls, messages and help pages, and what becomes of the case."""

from collections.abc import Generator

from connectors.simulator.opinions import mention, rate
from connectors.simulator.visit import LATER, SOON, Journey, Seconds, Visit
from schemas.interactions import Interaction

_LINE = "call/support"
_DESK = "help/messages"
_HELP = "help/search"
_NEVER_SERVED = ("abandoned", "system_drop", "closed")
_WHILE: Seconds = (10.0, 60.0)  # until somebody in a talk, or the customer, has an answer


def call(visit: Visit) -> Journey:
    """A queue on the phone, given up at times and then tried again; a talk, on hold meanwhile; an end, or none."""
    visit.channel = "phone"
    for _ in range(3):
        bad = visit.in_bad_spell()
        outcome = "answered"
        if visit.chance(0.35 if bad else 0.1):
            outcome = visit.pick("abandoned", "abandoned", "abandoned", "callback", "rerouted", "system_drop")
        waited_s, rest_s = (30.0, 420.0) if bad else (3.0, 75.0), SOON if outcome == "answered" else LATER
        yield from visit.wait(_LINE, "queue", outcome, waited_s, rest_s)
        if outcome == "callback" and not (yield from _call_back(visit, _LINE)):
            return
        if outcome not in _NEVER_SERVED:
            break
        if visit.chance(0.6):
            return
    else:
        return
    if (yield from _open(visit, _LINE, _WHILE)):
        yield from _recover(visit, _LINE)
        return
    if visit.chance(0.3):
        yield from visit.wait(_LINE, "hold", "answered", (5.0, 60.0))
    yield from _answer(visit, _LINE, "personal")


def _call_back(visit: Visit, touchpoint: str) -> Generator[Interaction, None, bool]:
    """A promise to call back; whether somebody did."""
    due_s, kept = visit.drawn_s((120.0, 120.0)), visit.chance(0.7)
    due_ms = visit.now_ms + int(1000 * due_s)
    rest_s = (due_s * 0.3, due_s * 0.25) if kept else (due_s + 5.0, 60.0)
    yield visit.tell("callback.promised", touchpoint, rest_s=rest_s, attributes={"deadline": visit.deadline(due_s)})
    if kept:
        yield visit.tell_wait(touchpoint, "callback", "answered", (60.0, 60.0))
        yield visit.tell("callback.done", touchpoint)
    elif visit.now_ms > due_ms and visit.chance(0.7):  # else nobody notices
        yield visit.tell("callback.missed", touchpoint)
    return kept


def write(visit: Visit) -> Journey:
    """A message, an automatic receipt at times, a template or a person's reply later; an end, or none."""
    visit.channel = visit.pick("email", "chat", "social_dm")
    critical = yield from _open(visit, _DESK, SOON)
    if visit.chance(0.5):
        yield visit.tell("contact.replied", _DESK, rest_s=(60.0, 300.0), attributes={"reply": "automatic"})
        if visit.chance(0.08):
            yield visit.tell("contact.customer_replied", _DESK, rest_s=LATER)
    if critical:
        yield from _recover(visit, _DESK)
    elif visit.chance(0.9):
        yield from _answer(visit, _DESK, visit.pick("personal", "personal", "template"))


def look_up(visit: Visit) -> Journey:
    """The help pages: searches without a result, an article, or a message after all."""
    visit.channel = visit.pick("web", "app")
    while visit.chance(0.5):
        yield visit.tell("search.no_result", _HELP, attributes={"query": visit.customer.subject})
    if visit.chance(0.8):
        yield visit.tell("article.viewed", _HELP, subject=visit.customer.subject)
    else:
        yield from write(visit)


def _open(visit: Visit, touchpoint: str, rest_s: Seconds) -> Generator[Interaction, None, bool]:
    """The customer asks; whether it is critical."""
    visit.case_id = f"c-{visit.name}"
    if visit.chance(0.02):
        urgent = {"urgency": "critical"}
        yield visit.tell("contact.opened", touchpoint, rest_s=rest_s, subject=visit.customer.subject, attributes=urgent)
        return True
    yield visit.tell("contact.opened", touchpoint, rest_s=rest_s, subject=visit.customer.subject)
    return False


def _recover(visit: Visit, touchpoint: str) -> Journey:
    """Somebody takes it on, by a deadline that is kept at times; the end, or silence."""
    due_s = visit.drawn_s((180.0, 120.0))
    deadline = {"deadline": visit.deadline(due_s)}
    yield visit.tell("recovery.promised", touchpoint, rest_s=(due_s * 0.4, due_s * 0.3), attributes=deadline)
    yield visit.tell("contact.replied", touchpoint, attributes={"reply": "personal"})
    if visit.chance(0.85):
        yield visit.tell("recovery.done", touchpoint)
        yield from _resolve(visit, touchpoint)


def _answer(visit: Visit, touchpoint: str, reply: str) -> Journey:
    if visit.chance(0.15):
        yield from _detour(visit, touchpoint)
    yield visit.tell("contact.replied", touchpoint, rest_s=_WHILE, attributes={"reply": reply})
    if visit.chance(0.06):
        yield visit.tell("contact.customer_replied", touchpoint, rest_s=_WHILE)
        yield visit.tell("contact.replied", touchpoint, rest_s=_WHILE, attributes={"reply": "personal"})
    if visit.chance(0.75):
        yield from _resolve(visit, touchpoint)
        return
    ends = visit.random.random()
    if ends < 0.15:
        yield visit.tell("case.closed", touchpoint, rest_s=LATER)
    elif ends < 0.25:
        yield from rate(visit, touchpoint, content=False)
    elif ends < 0.31:
        yield from mention(visit, content=False)


def _detour(visit: Visit, touchpoint: str) -> Journey:
    """A call back, a transfer with the same explanation again, or a while with the customer or a third party."""
    where = visit.random.random()
    if where < 0.2 and visit.channel == "phone":
        yield from _call_back(visit, touchpoint)
    elif where < 0.6:
        for _ in range(1 if where < 0.5 else 2):
            yield visit.tell("contact.transferred", touchpoint, rest_s=_WHILE)
            if visit.chance(0.5):
                yield visit.tell("contact.repeated_explanation", touchpoint, subject=visit.customer.subject)
    elif where < 0.8:
        yield visit.tell("case.pending", touchpoint, rest_s=LATER)
        yield visit.tell("contact.customer_replied", touchpoint)  # which resumes it, whoever says so or not
        if visit.chance(0.5):
            yield visit.tell("case.resumed", touchpoint, rest_s=_WHILE)
    else:
        yield visit.tell("case.on_hold", touchpoint, rest_s=LATER)
        yield visit.tell("case.resumed", touchpoint, rest_s=_WHILE)


def _resolve(visit: Visit, touchpoint: str) -> Journey:
    """Solved; not quite for some, who come again with the same case; an answer to a question, the file closed."""
    yield visit.tell("case.resolved", touchpoint, rest_s=_WHILE, subject=visit.customer.subject)
    ends = visit.random.random()
    if ends < 0.04:
        yield visit.tell("case.reopened", touchpoint, rest_s=LATER, subject=visit.customer.subject)
        yield visit.tell("contact.replied", touchpoint, rest_s=_WHILE, attributes={"reply": "personal"})
        yield visit.tell("case.resolved", touchpoint, rest_s=_WHILE, subject=visit.customer.subject)
    elif ends < 0.12:
        yield from rate(visit, touchpoint, content=True)
    if ends < 0.02 or ends > 0.92:
        yield visit.tell("case.closed", touchpoint)
