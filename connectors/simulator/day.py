"""When things happen: the moments of telling, and the hour in which one touchpoint goes wrong.

A moment of telling is when a producer sends; what it tells has happened then, or before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

HOUR_MS = 3_600_000
_LOCAL_OFFSET_MS = 3 * HOUR_MS  # the shop's customers live in Istanbul, UTC+3 all year
# how busy each local hour is: quiet nights, a peak at noon and a higher one in the evening
_BUSY = (4, 2, 1, 1, 1, 2, 4, 7, 10, 12, 14, 17, 20, 17, 13, 12, 13, 15, 18, 22, 25, 21, 14, 8)


@dataclass(frozen=True, slots=True)
class BadSpell:
    """A time in which the promotion form fails for most customers and the queues are long.

    first_ms: when it begins. length_ms: how long it lasts. every_ms: it comes again after that; None: once.
    """

    first_ms: int
    length_ms: int
    every_ms: int | None = None

    def covers(self, at_ms: int) -> bool:
        """Whether ``at_ms`` lies in the spell, its end exclusive."""
        since_ms = at_ms - self.first_ms
        if since_ms < 0:
            return False
        if self.every_ms is not None:
            since_ms %= self.every_ms
        return since_ms < self.length_ms


def live_spell(start_ms: int) -> BadSpell:
    """In real time: three minutes from the fifteenth second on, so that a short run sees them; each half hour."""
    return BadSpell(first_ms=start_ms + 15_000, length_ms=180_000, every_ms=HOUR_MS // 2)


def span_spell(to_ms: int, span_ms: int) -> BadSpell:
    """In a compressed span: its busiest hour, or an eighth of a span that is shorter than eight."""
    from_ms, until_ms, _ = max(_busy_slices(to_ms - span_ms, to_ms), key=lambda busy: busy[2])
    return BadSpell(first_ms=from_ms, length_ms=min(until_ms - from_ms, span_ms // 8))


def live_times(start_ms: int, rate: float) -> Iterator[int]:
    """Moments of telling in real time, epoch ms, without an end: ``rate`` > 0 a second, evenly."""
    return (start_ms + int(i * 1000 / rate) for i in count())


def span_end(start_ms: int, rate: float, total: int) -> int:
    """The moment, epoch ms, at which a run of ``total`` events tells its last: the end of its span."""
    return start_ms + int((total - 1) * 1000 / rate)


def span_times(start_ms: int, rate: float, total: int, span_ms: int) -> Iterator[int]:
    """``total`` moments of a span that is squeezed into a run, epoch ms, ascending.

    The run begins at ``start_ms`` and tells ``rate`` events a second. The span ends when the run does
    (``span_end``). No moment is later than the time at which it is told.
    """
    if total < 1:
        return
    to_ms = span_end(start_ms, rate, total)
    slices = list(_busy_slices(to_ms - span_ms, to_ms))
    events_per_weight = total / sum(weight for _, _, weight in slices)
    told, due = live_times(start_ms, rate), 0.0
    i = 0
    for from_ms, until_ms, weight in slices:
        begun, due = due, due + weight * events_per_weight
        while i < total - 1 and i + 1 <= due:
            yield min(from_ms + int((i + 1 - begun) / (due - begun) * (until_ms - from_ms)), next(told))
            i += 1
    yield to_ms


def _busy_slices(from_ms: int, to_ms: int) -> Iterator[tuple[int, int, float]]:
    """Begin, end and weight of each local hour, or part of one, between two moments."""
    while from_ms < to_ms:
        hour = (from_ms + _LOCAL_OFFSET_MS) // HOUR_MS
        until_ms = min(to_ms, (hour + 1) * HOUR_MS - _LOCAL_OFFSET_MS)
        yield from_ms, until_ms, _BUSY[hour % 24] * (until_ms - from_ms) / HOUR_MS
        from_ms = until_ms
