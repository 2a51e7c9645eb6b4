"""Telling at a rate: never before the moment, and as fast as possible when behind."""

from collections.abc import Callable, Iterable, Iterator
from threading import Event
from typing import TypeVar

_LEAST_WAIT_S = 0.002  # at high rates several are told at a time, instead of a wait for each
_LONGEST_WAIT_S = 0.2  # whoever waits has other things to look after

T = TypeVar("T")


def paced(
    items: Iterable[T],
    rate: float,
    *,
    elapsed_s: Callable[[], float],
    wait: Callable[[float], object],
    stop: Event,
) -> Iterator[T]:
    """The same items, number i (from 0) not before ``i / rate`` seconds have elapsed; ends early after ``stop``.

    elapsed_s: seconds since the run began. wait: called with the seconds, at most 0.2, for which there is
    nothing to tell.
    """
    allowed = 0
    for number, item in enumerate(items):
        while number >= allowed and not stop.is_set():
            elapsed = elapsed_s()
            allowed = int(elapsed * rate) + 1
            if number >= allowed:
                wait(min(max(number / rate - elapsed, _LEAST_WAIT_S), _LONGEST_WAIT_S))
        if stop.is_set():
            return
        yield item
