"""What changed of the clocks and cases of a customer between two looks at what is open."""

from typing import Literal, NamedTuple

from pipelines.alerts.open_clocks import Opened, WaitingClock

What = Literal["opened", "paused", "resumed", "moved", "breached", "closed"]


class ClockChange(NamedTuple):
    """What happened to a clock; ``clock`` is how it was then: of a closed one, how it was last seen."""

    what: What
    clock: WaitingClock


class CaseChange(NamedTuple):
    """A case was opened, or closed."""

    what: Literal["opened", "closed"]
    case_id: str
    opened_ms: int


def clock_key(clock: WaitingClock) -> tuple[str, int, int]:
    """What a clock keeps while it is open: its name, when it was opened, and by what."""
    return clock.clock, clock.opened_ms, clock.opened_by


def clock_changes(before: Opened, after: Opened) -> list[ClockChange]:
    """What happened to the clocks: what ended first, then what has become of others, then what began."""
    was = {clock_key(clock): clock for clock in before.clocks}
    now = {clock_key(clock): clock for clock in after.clocks}
    ended = [ClockChange("closed", clock) for key, clock in was.items() if key not in now]
    became = [change for key, clock in now.items() if key in was for change in _became(was[key], clock)]
    began = [change for key, clock in now.items() if key not in was for change in _began(clock)]
    return [*ended, *became, *began]


def case_changes(before: Opened, after: Opened) -> list[CaseChange]:
    """Which cases were closed, and which were opened."""
    was, now = set(before.cases), set(after.cases)
    closed = [CaseChange("closed", *case) for case in before.cases if case not in now]
    return [*closed, *(CaseChange("opened", *case) for case in after.cases if case not in was)]


def _became(was: WaitingClock, now: WaitingClock) -> list[ClockChange]:
    found: list[ClockChange] = []
    if was.paused_at_ms is None and now.paused_at_ms is not None:
        found.append(ClockChange("paused", now))
    elif was.paused_at_ms is not None and now.paused_at_ms is None:
        found.append(ClockChange("resumed", now))
    elif was.deadline_ms != now.deadline_ms:
        found.append(ClockChange("moved", now))
    if now.breached and not was.breached:
        found.append(ClockChange("breached", now))
    return found


def _began(clock: WaitingClock) -> list[ClockChange]:
    found = [ClockChange("opened", clock)]
    if clock.breached:
        found.append(ClockChange("breached", clock))
    return found
