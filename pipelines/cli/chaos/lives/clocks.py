"""What a customer waits for: the open clocks, which interactions and time move."""

from collections.abc import Callable
from dataclasses import replace

from pipelines.cli.chaos.lives.clock import Clock, due_ms, key_of, told_ms
from pipelines.cli.chaos.lives.terms import ClockTerms, Entry, Record, Terms

About = tuple[str, str, str, str]  # type of the alert, clock or subject, case, event_id


class Clocks:
    """The clocks of one customer.

    open: in the order in which they were opened. alerts: written to. heat: called with signal, time, magnitude and case
    when a clock has run out.
    """

    def __init__(self, terms: Terms, alerts: dict[About, str], heat: Callable[[str, int, float, str], None]) -> None:
        self.open: list[Clock] = []
        self._next: list[Clock] = []
        self._terms = terms
        self._alerts = alerts
        self._heat = heat

    def run_out(self, clock: Clock, at_ms: int, what: str) -> None:
        """Say what time alone makes a clock say."""
        if what == "warning":
            clock.warned = True
            self._tell("clock_warning", clock, "opened")
        elif what == "breach":
            self._breach(clock, at_ms)
        else:
            again = clock.ages_said + clock.repeats_said > 0
            self._tell("still_waiting", clock, "escalated" if again else "opened")
            clock.ages_said += what == "age"
            clock.repeats_said += what == "repeat"
            if what == "repeat":
                for name, signal in self._terms.signals.items():
                    if clock.name in signal.get("breaches", ()):
                        self._heat(name, at_ms, signal.get("repeats", 0.0), clock.case_id)

    def _breach(self, clock: Clock, at_ms: int) -> None:
        clock.breached, clock.broken_ms = True, at_ms
        if clock.warned:
            self._tell("clock_warning", clock, "escalated")
        self._tell("clock_breached", clock, "opened")
        for name, signal in self._terms.signals.items():
            if clock.name in signal.get("breaches", ()):
                self._heat(name, at_ms, 1.0, clock.case_id)

    def _tell(self, kind: str, clock: Clock, status: str) -> None:
        self._alerts[kind, clock.name, clock.said_case_id, clock.event_id] = status

    def stop(self, record: Record) -> int | None:
        """Close, pause and resume; how long one ran that was closed."""
        at_ms, ran_ms = record["occurred_at"], None
        for terms in self._terms.clocks:
            if self._terms.found(terms.closes, record) is not None:
                clock = self._meant(terms, record)
                if clock is not None:
                    ran_ms = at_ms - clock.opened_ms
                    self.close(clock)
                    self._begin_next(clock, at_ms)
            mine = [c for c in self.open if c.terms is terms]
            if self._terms.found(terms.pauses, record) is not None:
                for clock in _moved(terms, record, mine):
                    clock.pause(at_ms)
            if self._terms.found(terms.resumes, record) is not None:
                for clock in _moved(terms, record, [c for c in mine if c.paused_at_ms is not None]):
                    clock.resume(at_ms)
        return ran_ms

    def _meant(self, terms: ClockTerms, record: Record) -> Clock | None:
        """Which open clock an interaction is about."""
        mine = [c for c in self.open if c.terms is terms]
        named = _named(terms, record, mine)
        if not named and terms.match == "case":
            named = mine if not record.get("case_id") else [c for c in mine if not c.case_id]
        elif not named:
            named = mine if not key_of(terms, record) else [c for c in mine if not c.key]
        return next(iter(named), None)

    def close(self, clock: Clock) -> None:
        """End a clock; what it had said is resolved."""
        self.open.remove(clock)
        for kind in ("clock_warning", "clock_breached", "still_waiting"):
            about = kind, clock.name, clock.said_case_id, clock.event_id
            if about in self._alerts:
                self._alerts[about] = "resolved"

    def start(self, record: Record) -> None:
        """Open, set anew and break."""
        for terms in self._terms.clocks:
            opening = self._terms.found(terms.opens, record)
            if opening is not None:
                self._open(terms, opening, record)
            reset = self._terms.found(terms.resets, record)
            clock = self._meant(terms, record) if reset is not None else None
            if reset is not None and clock is not None and not clock.breached and told_ms(terms, record) is not None:
                self._reset(clock, reset, record)
            broken = self._terms.found(terms.breaks, record)
            if broken is not None:
                at_ms, clock = record["occurred_at"], self._meant(terms, record)
                if clock is None:  # nobody had seen the promise
                    clock = self._open(terms, broken, record)
                    if clock is not None:
                        clock.due_ms = at_ms
                if clock is not None and not clock.breached:
                    clock.due_ms = at_ms if clock.due_ms is None else clock.due_ms
                    self._breach(clock, at_ms)

    def _reset(self, clock: Clock, entry: Entry, record: Record) -> None:
        """A new deadline; of one that had been warned of nothing is left but how long the customer waits."""
        if clock.warned:
            self.close(clock)
            case_id = record.get("case_id") or ""
            clock = replace(clock, event_id=record["event_id"], case_id=case_id, said_case_id=case_id, warned=False)
            clock.session_id = record.get("session_id") or ""
            clock.key = key_of(clock.terms, record)
            self.open.append(clock)
        clock.due_ms, clock.warn_ms = due_ms(clock.terms, entry, record)
        if clock.paused_at_ms is not None:
            clock.paused_at_ms = record["occurred_at"]

    def _open(self, terms: ClockTerms, entry: Entry, record: Record) -> Clock | None:
        key = key_of(terms, record)
        due, warn = due_ms(terms, entry, record)
        same = [c for c in self.open if c.terms is terms and c.key == key]
        if terms.deadline and terms.match != "customer" and not key:
            same = [c for c in same if c.due_ms == due]
        keeps = bool(same) and (not terms.resets_again or same[0].breached)
        for clock in same[:1] if not keeps else []:
            self.close(clock)
        case_id, event_id = record.get("case_id") or "", record["event_id"]
        said_case_id = record.get("said_case_id", case_id)
        session_id = record.get("session_id") or ""
        clock = Clock(terms, key, case_id, session_id, said_case_id, event_id, record["occurred_at"], due, warn)
        if keeps:
            self._next.append(clock)
            if same[0].is_promised_at(record["occurred_at"]) and due is not None and due < (same[0].due_ms or 0):
                self._reset(same[0], entry, record)  # the shorter promise counts
            return None
        self.open.append(clock)
        return clock

    def _begin_next(self, closed: Clock, at_ms: int) -> None:
        """A session has one wait at a time: what began when another one was closed has begun."""
        then = [c for c in self._next if c.opened_ms == at_ms and c.terms is closed.terms and c.key == closed.key]
        if then and closed.terms.match == "session" and closed.opened_ms < at_ms:
            self._next.remove(then[0])
            self.open.append(then[0])


def _named(terms: ClockTerms, record: Record, clocks: list[Clock]) -> list[Clock]:
    """Those whose case or session an interaction names."""
    session_id = record.get("session_id") or ""
    if terms.match == "case" and not record.get("case_id"):
        return [c for c in clocks if session_id and c.session_id == session_id]
    key = key_of(terms, record)
    return [c for c in clocks if (key and c.key == key) or terms.match == "customer"]


def _moved(terms: ClockTerms, record: Record, clocks: list[Clock]) -> list[Clock]:
    """Those that an interaction stops or lets go on."""
    named, names = _named(terms, record, clocks), bool(key_of(terms, record))
    if terms.match == "case":
        names = bool(record.get("case_id"))
    return named if named or names else clocks[:1]
