"""The crowd at work: many journeys at a time, one interaction at each moment of telling."""

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice
from random import Random
from typing import Any

from connectors.simulator.crowd import customer, skewed
from connectors.simulator.day import (
    HOUR_MS,
    BadSpell,
    live_spell,
    live_times,
    span_end,
    span_spell,
    span_times,
)
from connectors.simulator.disorder import disordered, require_shares
from connectors.simulator.journeys import chosen_journey
from connectors.simulator.visit import Journey, Visit
from schemas.errors import SettingsError
from schemas.interactions import Interaction

DEFAULT_CUSTOMERS = 10_000
_UNDERWAY = 50_000  # journeys at a time, about 1 kB each
_ASKED = 16  # customers, until one is not on a journey


def crowd_interactions(
    *,
    seed: int,
    start_ms: int,
    rate: float,
    total: int | None = None,
    customers: int = DEFAULT_CUSTOMERS,
    span_hours: float | None = None,
    late: float = 0.0,
    repeated: float = 0.0,
) -> Iterator[Interaction]:
    """What a run that starts at ``start_ms`` (epoch ms) sends, in order; the same for the same arguments.

    late, repeated: shares, see ``interactions``. Delays are of the customers' time, also in a span.

    Raises:
        SettingsError: a span without ``total``, or one that is shorter than the run; a share out of range.
    """
    times = crowd_moments(start_ms=start_ms, rate=rate, total=total, span_hours=span_hours)
    spell = live_spell(start_ms)
    if span_hours is not None and total is not None:
        spell = span_spell(span_end(start_ms, rate, total), int(span_hours * HOUR_MS))
    return interactions(
        times, seed=seed, start_ms=start_ms, spell=spell, customers=customers, late=late, repeated=repeated
    )


def crowd_moments_and_interactions(
    *, start_ms: int, rate: float, total: int | None = None, span_hours: float | None = None, **crowd: Any
) -> Iterator[tuple[int, Interaction]]:
    """Each of ``crowd_interactions`` behind the moment, in the customers' time, at which a run sends it.

    crowd: the other arguments of ``crowd_interactions``.

    Raises:
        SettingsError: as there.
    """
    when: dict[str, Any] = {"start_ms": start_ms, "rate": rate, "total": total, "span_hours": span_hours}
    return zip(crowd_moments(**when), crowd_interactions(**when, **crowd), strict=True)


def crowd_moments(
    *, start_ms: int, rate: float, total: int | None = None, span_hours: float | None = None
) -> Iterator[int]:
    """When, in the customers' time, a run sends each of its interactions, epoch ms; see ``crowd_interactions``.

    Raises:
        SettingsError: a span without ``total``, or one that is shorter than the run.
    """
    if span_hours is None:
        times = live_times(start_ms, rate)
        return times if total is None else islice(times, total)
    if total is None:
        raise SettingsError("a compressed span needs a limit: give a count or seconds")
    span_ms, run_ms = int(span_hours * HOUR_MS), span_end(start_ms, rate, total) - start_ms
    if span_ms <= run_ms:
        raise SettingsError(
            f"a span must be longer than the run that it is squeezed into: got {span_hours:g} hours "
            f"for a run of {run_ms / 1000:g} s"
        )
    return span_times(start_ms, rate, total, span_ms)


def interactions(
    times: Iterable[int],
    *,
    seed: int,
    start_ms: int,
    spell: BadSpell | None = None,
    customers: int = DEFAULT_CUSTOMERS,
    late: float = 0.0,
    repeated: float = 0.0,
) -> Iterator[Interaction]:
    """One interaction for each of ``times``, in the order of sending; none occurs after its moment.

    times: moments of telling in epoch ms, ascending (day.live_times, day.span_times).
    seed, start_ms: name the run. The same run with the same arguments gives the same interactions; another
        run, also one that only starts a millisecond later, never repeats an event id.
    spell: when the promotion form fails for most; None never.
    customers: how many there are, > 0; few of them come often.
    late: share of the interactions that are sent 5 s to 10 min after they were told.
    repeated: share of the interactions that are sent twice, the second time within a minute.

    Raises:
        SettingsError: one of the shares is out of range.
    """
    require_shares(late=late, repeated=repeated)

    def crowd(moments: Iterable[int]) -> Iterator[Interaction]:
        return _told(moments, seed=seed, start_ms=start_ms, spell=spell, customers=customers)

    if late == repeated == 0.0:
        return crowd(times)
    return disordered(times, crowd, late=late, repeated=repeated, random=Random(f"{seed}/{start_ms} disorder"))


def _told(
    times: Iterable[int], *, seed: int, start_ms: int, spell: BadSpell | None, customers: int
) -> Iterator[Interaction]:
    """One interaction for each of ``times``, in the order of telling.

    A journey whose next interaction is due goes first; else somebody new arrives. When very many are under
    way (a high rate), nobody new arrives and the next one due is told early.
    """
    random = Random(f"{seed}/{start_ms}")  # a text is hashed with SHA-512: the same in every process
    run = f"{seed:x}-{start_ms:x}"
    underway: list[tuple[int, int, int, Visit, Journey]] = []
    visiting: set[int] = set()
    arrived = 0
    for now_ms in times:
        told: Interaction | None = None
        while told is None:
            if underway and (underway[0][0] <= now_ms or len(underway) >= _UNDERWAY):
                _, number, who, visit, journey = heapq.heappop(underway)
            else:
                arrived += 1
                number = arrived
                who = _arriving(random, customers, visiting)
                visiting.add(who)
                visit = Visit(f"{run}-{number:x}", customer(who), random, spell)
                journey = chosen_journey(visit)
            visit.now_ms = now_ms
            told = next(journey, None)
            if told is None:
                visiting.discard(who)
        heapq.heappush(underway, (now_ms + visit.rest_ms, number, who, visit, journey))
        yield told


def _arriving(random: Random, customers: int, visiting: set[int]) -> int:
    """Number of the customer who comes next: somebody who is not on a journey, unless nearly everybody is."""
    for _ in range(_ASKED):
        who = skewed(random.random(), customers)
        if who not in visiting:
            break
    return who
