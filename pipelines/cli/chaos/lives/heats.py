"""The heat of one customer: each addition with its time, and which of them a case holds."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.cli.chaos.intake import milliseconds
from pipelines.cli.chaos.lives import magnitudes
from pipelines.cli.chaos.lives.terms import Record, Terms

_STREAK_MS = 6 * 3_600_000


@dataclass
class Added:
    """Points of a signal; they decay since ``since_ms``, or not at all while a case holds them."""

    signal: str
    points: float
    since_ms: int
    held_by: str


@dataclass
class Streak:
    """Failures in a row."""

    count: int
    last_ms: int


class Heats:
    """What signals add. Also what of earlier interactions a magnitude depends on: failures in a row, estimates."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._added: list[Added] = []
        self.relieved = False
        self._streaks: dict[tuple[str, str, str], Streak] = {}
        self._shown: dict[tuple[str, str], float] = {}
        self._half_life_ms = {name: milliseconds(signal["half_life"]) for name, signal in terms.signals.items()}

    def add(self, signal: str, at_ms: int, magnitude: float, held_by: str) -> None:
        """Add heat. held_by: the open case that it belongs to, which holds friction and no relief."""
        said = self._terms.signals[signal]
        points = float(said["weight"]) * magnitude
        if points:
            self.relieved |= bool(said.get("relief"))
            self._added.append(Added(signal, points, at_ms, "" if said.get("relief") else held_by))

    def release(self, case_id: str, at_ms: int) -> None:
        """The case is closed: what it held begins to decay."""
        for added in self._added:
            if added.held_by == case_id:
                added.held_by, added.since_ms = "", at_ms

    def of_signals(self, at_ms: int) -> dict[str, float]:
        """Heat of each signal before its cap, what is held included; without those that never were fed."""
        heats: dict[str, float] = {}
        for a in self._added:
            left = 1.0 if a.held_by else 0.5 ** ((at_ms - a.since_ms) / self._half_life_ms[a.signal])
            heats[a.signal] = heats.get(a.signal, 0.0) + a.points * left
        return heats

    def total(self, at_ms: int) -> float:
        """Heat of the customer: caps applied, and relief taken away."""
        signals, relief = self._terms.signals, self._terms.said["score"].get("relief", 0.5)
        total = 0.0
        for name, heat in self.of_signals(at_ms).items():
            total += min(heat, float(signals[name]["cap"])) * (-relief if signals[name].get("relief") else 1.0)
        return max(total, 0.0)

    def magnitudes(
        self, record: Record, ran_ms: int | None, age_ms: int | None, derived: set[str]
    ) -> Iterator[tuple[str, float]]:
        """How much an interaction adds to which signals, in units of their weights."""
        for name, signal in self._terms.signals.items():
            self._remember(name, signal, record)
            if signal.get("derived") in derived:
                yield name, 1.0
            entry = self._terms.found(signal["kinds"], record)
            if entry is None:
                continue
            match signal.get("magnitude", "one"):
                case "wait":
                    magnitude = magnitudes.of_wait(signal, record, ran_ms)
                case "amount":
                    magnitude = magnitudes.of_amount(signal, record)
                case "rating":
                    magnitude = magnitudes.of_rating(signal, record, self._terms)
                case "reach":
                    magnitude = magnitudes.of_reach(signal, record)
                case "cost":
                    shown = self._shown.get((name, record.get("session_id") or ""), 0.0)
                    magnitude = magnitudes.of_cost(signal, record, shown)
                case "consecutive":
                    magnitude = min(self._in_a_row(name, record), signal["most"])
                case "age":
                    magnitude = 0.5 ** ((age_ms or 0) / milliseconds(signal["halved_after"]))
                case _:
                    magnitude = 1.0
            yield name, entry.times * magnitude

    def _remember(self, name: str, signal: dict[str, object], record: Record) -> None:
        if self._terms.found(signal["until"], record):  # type: ignore[arg-type]
            self._streaks.pop(_place(name, record), None)
        if self._terms.found(signal["estimates"], record):  # type: ignore[arg-type]
            session = name, record.get("session_id") or ""
            self._shown[session] = max(self._shown.get(session, 0.0), magnitudes.number(record, "shipping") or 0.0)

    def _in_a_row(self, name: str, record: Record) -> int:
        at_ms, place = record["occurred_at"], _place(name, record)
        streak = self._streaks.setdefault(place, Streak(0, at_ms))
        if at_ms - streak.last_ms > max(self._half_life_ms[name], _STREAK_MS):
            streak.count = 0
        streak.count, streak.last_ms = streak.count + 1, at_ms
        return streak.count


def _place(name: str, record: Record) -> tuple[str, str, str]:
    return name, record["touchpoint"], record.get("session_id") or ""
