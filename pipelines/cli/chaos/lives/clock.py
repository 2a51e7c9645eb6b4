"""One clock: when it has something to say, and what stops it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pipelines.cli.chaos.lives.terms import ClockTerms, Entry, Record

_MOST_REPEATS = 30


@dataclass
class Clock:
    """A clock that is open. Times in epoch ms; due_ms None without a promise. said_case_id: as it is told of it.

    broken_ms: when the promise was broken, or that was said.
    """

    terms: ClockTerms
    key: str
    case_id: str
    session_id: str
    said_case_id: str
    event_id: str
    opened_ms: int
    due_ms: int | None
    warn_ms: int | None
    warned: bool = False
    breached: bool = False
    ages_said: int = 0
    repeats_said: int = 0
    paused_at_ms: int | None = None
    broken_ms: int | None = None

    @property
    def name(self) -> str:
        return self.terms.name

    def says(self) -> Iterator[tuple[int, str]]:
        """What time alone makes it say next, and when."""
        if self.paused_at_ms is not None:
            return
        if self.ages_said < len(self.terms.still_ms):
            yield self.opened_ms + self.terms.still_ms[self.ages_said], "age"
        if self.due_ms is None:
            return
        if self.broken_ms is not None:
            if self.terms.repeat_ms is not None and self.repeats_said < _MOST_REPEATS:
                yield self.broken_ms + (self.repeats_said + 1) * self.terms.repeat_ms, "repeat"
        else:
            if self.warn_ms is not None and not self.warned:
                yield self.warn_ms, "warning"
            yield self.due_ms, "breach"

    def is_promised_at(self, at_ms: int) -> bool:
        """Whether it runs, and its promise may still be kept."""
        runs = self.paused_at_ms is None and self.broken_ms is None
        return runs and self.due_ms is not None and at_ms < self.due_ms

    def pause(self, at_ms: int) -> None:
        """Stand still; what is left of the promise stays left."""
        if self.paused_at_ms is None:
            self.paused_at_ms = at_ms

    def resume(self, at_ms: int) -> None:
        """Go on."""
        if self.paused_at_ms is None:
            return
        paused_ms = at_ms - self.paused_at_ms
        self.paused_at_ms = None
        if self.breached:
            return
        if self.due_ms is not None:
            self.due_ms += paused_ms
        if self.warn_ms is not None:
            self.warn_ms += paused_ms


def key_of(terms: ClockTerms, record: Record) -> str:
    """What opening and closing share."""
    case_id, session_id = record.get("case_id") or "", record.get("session_id") or ""
    if terms.match == "customer":
        return ""
    return (case_id or session_id) if terms.match == "case" else (session_id or case_id)


def told_ms(terms: ClockTerms, record: Record) -> int | None:
    """The deadline that an interaction tells."""
    text = (record.get("attributes") or {}).get(terms.deadline or "")
    if not text:
        return None
    if text.isdecimal():
        return int(text)
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if told.tzinfo is None else round(told.timestamp() * 1000)


def due_ms(terms: ClockTerms, entry: Entry, record: Record) -> tuple[int | None, int | None]:
    """When the promise is broken, and when it is warned of that."""
    at_ms: int = record["occurred_at"]
    told = told_ms(terms, record)
    promise_ms = entry.promise_ms or terms.promise_ms
    due = max(told, at_ms) if told is not None else None if promise_ms is None else at_ms + promise_ms
    warn_ms = entry.warn_ms or terms.warn_ms
    if due is None or warn_ms is None or due - warn_ms <= at_ms:
        return due, None
    return due, due - warn_ms
