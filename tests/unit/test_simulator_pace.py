from itertools import count, islice
from threading import Event

import pytest

from connectors.simulator.pace import paced


class FakeClock:
    """Time that passes only when it is told to: by waiting, and a little by every look at it."""

    def __init__(self, look_s: float = 0.0, oversleep_s: float = 0.0) -> None:
        self.now_s = 0.0
        self.look_s = look_s
        self.oversleep_s = oversleep_s
        self.longest_wait_s = 0.0

    def elapsed_s(self) -> float:
        self.now_s += self.look_s
        return self.now_s

    def wait(self, pause_s: float) -> None:
        self.longest_wait_s = max(self.longest_wait_s, pause_s)
        self.now_s += pause_s + self.oversleep_s


@pytest.mark.parametrize("rate", [0.4, 7.0, 50.0, 10_000.0])
@pytest.mark.parametrize("oversleep_s", [0.0, 0.013])
def test_nothing_is_told_before_its_moment_and_the_rate_is_kept_on_average(rate: float, oversleep_s: float) -> None:
    clock = FakeClock(look_s=1e-6, oversleep_s=oversleep_s)
    told_s = [clock.now_s for _ in paced(range(2_000), rate, elapsed_s=clock.elapsed_s, wait=clock.wait, stop=Event())]
    late_s = [at - number / rate for number, at in enumerate(told_s)]
    assert min(late_s) >= -1e-9
    assert max(late_s) <= 0.002 + oversleep_s + 1e-3
    assert clock.longest_wait_s <= 0.2


def test_after_a_stall_it_catches_up() -> None:
    clock = FakeClock()
    told_s = []
    for number in paced(range(300), 100.0, elapsed_s=clock.elapsed_s, wait=clock.wait, stop=Event()):
        told_s.append(clock.now_s)
        if number == 100:
            clock.now_s += 1.0  # the broker was slow
    assert told_s[199] == told_s[101]
    assert told_s[299] == pytest.approx(2.99, abs=0.003)


def test_a_stop_ends_it_at_once_also_while_it_is_behind() -> None:
    clock, stop, told = FakeClock(), Event(), []
    clock.now_s = 1_000.0
    for number in paced(count(), 100.0, elapsed_s=clock.elapsed_s, wait=clock.wait, stop=stop):
        told.append(number)
        if number == 41:
            stop.set()
    assert told == [*range(42)]


def test_a_stop_ends_a_wait() -> None:
    stop, waits = Event(), []

    def wait(pause_s: float) -> None:
        waits.append(pause_s)
        stop.set()

    assert [*islice(paced(count(), 0.01, elapsed_s=lambda: 0.0, wait=wait, stop=stop), 5)] == [0]
    assert waits == [0.2]
