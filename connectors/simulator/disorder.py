"""Disorder on the way: some interactions are sent long after they were told, and some are sent twice."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from random import Random

from schemas.errors import SettingsError
from schemas.interactions import Interaction

MOST = 0.9  # a larger share leaves hardly anything to send now
LATE_MS = (5_000, 600_000)  # from the least to the longest delay; half of the delays are below a minute
AGAIN_MS = (1_000, 60_000)  # until it is sent a second time
_HELD = 100_000  # interactions at a time, about 1 kB each


def require_shares(*, late: float, repeated: float) -> None:
    """Check both.

    Raises:
        SettingsError: one of them is out of range.
    """
    for name, share in (("late", late), ("repeated", repeated)):
        if not 0.0 <= share <= MOST:
            raise SettingsError(f"{name} of the simulator must be from 0 to {MOST:g}, got {share:g}")


def disordered(
    times: Iterable[int],
    crowd: Callable[[Iterable[int]], Iterator[Interaction]],
    *,
    late: float,
    repeated: float,
    random: Random,
) -> Iterator[Interaction]:
    """One interaction for each of ``times`` (epoch ms, ascending), in the order of sending.

    crowd: tells one interaction for each moment that it is given. It is asked again at the same moment when
    what it has told is to be late.
    late: share of the interactions that are held back after they were told. None of their fields changes.
    repeated: share of the interactions that are sent a second time, the very same.

    What is held when the times end is not sent. When very much is held, what is due next is sent early.
    """
    now_ms = 0
    held: list[tuple[int, int, Interaction, bool]] = []  # due, number, what, whether it was sent before
    tellings = crowd(now_ms for _ in count())  # now_ms of the loop below, at each look
    numbers = count()
    for now_ms in times:
        told, again = None, False
        while told is None:
            if held and (held[0][0] <= now_ms or len(held) >= _HELD):
                _, _, told, again = heapq.heappop(held)
            else:
                told = next(tellings)
                if random.random() < late:
                    heapq.heappush(held, (now_ms + _drawn_ms(random, LATE_MS), next(numbers), told, False))
                    told = None
        if not again and random.random() < repeated:
            heapq.heappush(held, (now_ms + _drawn_ms(random, AGAIN_MS), next(numbers), told, True))
        yield told


def _drawn_ms(random: Random, between_ms: tuple[int, int]) -> int:
    """Even on a logarithmic scale: a delay of ten times the length is a tenth as frequent."""
    least, most = between_ms
    return int(least * (most / least) ** random.random())
