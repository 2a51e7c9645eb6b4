"""What customers do with their account: the first steps, and what they tell about themselves."""

from connectors.simulator.crowd import card_id
from connectors.simulator.visit import Journey, Visit

_STEPS = ("email", "address", "payment", "first_order")


def onboard(visit: Visit) -> Journey:
    """The four first steps, each with its failures; an end, or giving up after a failure."""
    visit.channel = visit.pick("web", "app")
    for step in _STEPS:
        while visit.chance(0.2):
            yield visit.tell("onboarding.step_failed", "account/onboarding", attributes={"step": step})
            if visit.chance(0.15):
                return
    yield visit.tell("onboarding.completed", "account/onboarding")


def settle_in(visit: Visit) -> Journey:
    """The settings: a store card is linked with the account, or how somebody wants to be reached."""
    visit.channel = visit.pick("web", "app")
    if visit.chance(0.6):
        linked = {"same_as": card_id(visit.customer)}
        yield visit.tell("identity.linked", "account/settings", attributes=linked)
        return
    if visit.chance(0.3):
        wish = {"do_not_contact": "true"}
    elif visit.chance(0.5):
        wish = {"preferred_channel": visit.pick("phone", "email", "chat")}
    else:
        wish = {"quiet_hours": "21:00-09:00"}
    yield visit.tell("customer.preferences", "account/settings", attributes=wish)
