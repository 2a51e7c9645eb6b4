"""What customers do: each journey is a generator that tells one interaction when it is resumed.

A journey decides at the moment at which it tells, so it feels a bad spell while that lasts, and says how
long it wants to rest before the next. What it tells is over, and most waits are told by their end and began
before; a wait that is told live has a start and an end of its own.
"""

from collections.abc import Callable

from connectors.simulator.accounts import onboard, settle_in
from connectors.simulator.contacts import call, look_up, write
from connectors.simulator.opinions import speak_up
from connectors.simulator.orders import come_in, send_back
from connectors.simulator.shopping import shop
from connectors.simulator.visit import Journey, Visit

# of a hundred visits; a later entry's bound includes the earlier ones
_MIX: tuple[tuple[float, Callable[[Visit], Journey]], ...] = (
    (38.5, shop),
    (65.0, call),
    (76.0, write),
    (84.0, come_in),
    (90.0, send_back),
    (97.6, look_up),
    (98.6, speak_up),
    (100.0, settle_in),
)
_FIRST_STEPS = 0.05  # of the visits of a new customer


def chosen_journey(visit: Visit) -> Journey:
    """The journey of this visit, by the shares of the mix; the first steps are for new customers alone."""
    if visit.customer.segment == "new" and visit.chance(_FIRST_STEPS):
        return onboard(visit)
    drawn = visit.random.random() * 100
    return next(journey for bound, journey in _MIX if drawn < bound)(visit)
