"""One customer's interactions from the first to the last, and what time does in between."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import expm1

from pipelines.cli.chaos.lives.clock import Clock, due_ms, key_of, told_ms
from pipelines.cli.chaos.lives.heats import Heats
from pipelines.cli.chaos.lives.terms import ClockTerms, Entry, Record, Terms

_LOOKS = 16
_ROUNDING = 1e-9
_CONTACTS = 16  # so many are remembered (docs/policy.md, Bounds)

About = tuple[str, str, str, str]  # type of the alert, clock or subject, case, event_id


@dataclass
class Case:
    """A case, open or ended. channel: on which the customer spoke last."""

    case_id: str
    opened_ms: int
    subject: str
    channel: str
    silent_ms: int | None = None
    ended_ms: int | None = None


@dataclass
class Repeat:
    """Contacts about a subject that were too many."""

    about: About
    last_ms: int


@dataclass
class Life:
    """Walk once, with all interactions of a customer, each once, in the order of event time and id.

    alerts: the last status of each alert but those of bands. clocks, cases: what is open; contacts: what is remembered.
    """

    terms: Terms
    alerts: dict[About, str] = field(default_factory=dict)
    clocks: list[Clock] = field(default_factory=list)
    cases: dict[str, Case] = field(default_factory=dict)
    contacts: list[Record] = field(default_factory=list)
    repeats: dict[str, Repeat] = field(default_factory=dict)
    mentions: list[tuple[About, str]] = field(default_factory=list)
    asked_ms: int | None = None
    segment: str | None = None
    band: int = 0
    judged_ms: int = 0
    lived_ms: int = 0
    interactions: int = 0

    def __post_init__(self) -> None:
        self.heats = Heats(self.terms)
        self._lists = self.terms.lists
        self._silence_ms = self.terms.duration("cases", "silence")
        self._reopen_ms = self.terms.duration("cases", "reopen_within") or 0
        self.within_ms = self.terms.duration("contacts", "within") or 0
        self._failed_ms = self.terms.duration("deflection", "failed_within") or 0
        self._assumed_ms = self.terms.duration("deflection", "assumed_after")
        self._count = (self.terms.said.get("contacts") or {}).get("count", 3)
        self._reach = (self.terms.said.get("social") or {}).get("reach", 1000)

    def walk(self, records: Iterable[Record], to_ms: int) -> "Life":
        """Live through the interactions, and through the time up to ``to_ms``."""
        for record in records:
            at_ms = record["occurred_at"]
            self.interactions += 1
            self._pass(at_ms - 1)
            self._cool(at_ms)
            self._happen(record)
            self._warm(at_ms)
        self._pass(to_ms)
        self._cool(to_ms)
        self.lived_ms = to_ms
        return self

    def heat(self) -> dict[str, float]:
        """Heat of each signal now, before its cap."""
        return self.heats.of_signals(self.lived_ms)

    @property
    def known_segment(self) -> str | None:
        """The segment, if the policy speaks of it."""
        return self.segment if self.segment in self.terms.patience else None

    def would_leave(self, band: int) -> bool:
        """Whether a customer in this band has a score now with which nobody stays in it."""
        return band > 0 and self.score(self.lived_ms) < self.terms.levels[band - 1][1] - _ROUNDING

    def open_cases(self) -> list[Case]:
        """By when they were opened."""
        return [case for case in self.cases.values() if case.ended_ms is None]

    # -- time ---------------------------------------------------------------------------------------------------

    def _pass(self, to_ms: int) -> None:
        """Everything that time alone does up to and with ``to_ms``, one after the other."""
        while True:
            due = [(at_ms, 1, n, what) for n, clock in enumerate(self.clocks) for at_ms, what in clock.says()]
            due += [(c.silent_ms, 0, n, "silence") for n, c in enumerate(self.open_cases()) if c.silent_ms is not None]
            due += [(r.last_ms + self.within_ms, 2, n, "over") for n, r in enumerate(self.repeats.values())]
            if self.asked_ms is not None and self._assumed_ms is not None:
                due.append((self.asked_ms + self._assumed_ms, 3, 0, "assumed"))
            at_ms, _, n, what = min(due, default=(to_ms + 1, 0, 0, ""))
            if at_ms > to_ms:
                return
            self._cool(at_ms)
            if what == "silence":
                self._end_case(self.open_cases()[n], at_ms)
            elif what == "assumed":
                self.asked_ms = None
            elif what == "over":
                self.alerts[self.repeats.pop(list(self.repeats)[n]).about] = "resolved"
            else:
                self._run_out(self.clocks[n], at_ms, what)
            self._warm(at_ms)

    def _cool(self, at_ms: int) -> None:
        """Leave the bands that decay has ended by then, or on the way: relief may decay later than what it relieves."""
        if not self.band:
            return
        lowest = self._lowest(self.judged_ms, at_ms)
        while self.band and lowest < self.terms.levels[self.band - 1][1]:
            self.band -= 1

    def _lowest(self, from_ms: int, to_ms: int) -> float:
        """The lowest score between two times."""
        step_ms = (to_ms - from_ms) // _LOOKS
        if step_ms == 0 or not self.heats.relieved:  # without relief it only falls
            return min(self.score(from_ms), self.score(to_ms))
        looks = [*range(from_ms, to_ms, step_ms), to_ms]
        at_ms = min(looks, key=self.score)
        return min(self._lowest(max(at_ms - step_ms, from_ms), min(at_ms + step_ms, to_ms)), self.score(at_ms))

    def _warm(self, at_ms: int) -> None:
        """Enter the band that the score has reached, or leave it: the customer may be relieved."""
        score = self.score(at_ms)
        self.band = max([self.band, *(n for n, (enter, _) in enumerate(self.terms.levels, 1) if score >= enter)])
        self.judged_ms = at_ms
        self._cool(at_ms)

    def score(self, at_ms: int) -> float:
        """From 0 to 100."""
        scale = self.terms.said["score"]["scale"] * self.terms.patience.get(self.segment or "", 1.0)
        return -100 * expm1(-self.heats.total(at_ms) / scale)

    def _run_out(self, clock: Clock, at_ms: int, what: str) -> None:
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
                for name, signal in self.terms.signals.items():
                    if clock.name in signal.get("breaches", ()):
                        self._heat(name, at_ms, signal.get("repeats", 0.0), clock.case_id)

    def _breach(self, clock: Clock, at_ms: int) -> None:
        clock.breached = True
        if clock.warned:
            self._tell("clock_warning", clock, "escalated")
        self._tell("clock_breached", clock, "opened")
        for name, signal in self.terms.signals.items():
            if clock.name in signal.get("breaches", ()):
                self._heat(name, at_ms, 1.0, clock.case_id)

    def _tell(self, kind: str, clock: Clock, status: str) -> None:
        self.alerts[kind, clock.name, clock.case_id, clock.event_id] = status

    def _heat(self, signal: str, at_ms: int, magnitude: float, case_id: str) -> None:
        case = self.cases.get(case_id)
        self.heats.add(signal, at_ms, magnitude, case_id if case is not None and case.ended_ms is None else "")

    # -- interactions -------------------------------------------------------------------------------------------

    def _happen(self, record: Record) -> None:
        at_ms, case_id = record["occurred_at"], record.get("case_id") or ""
        if record.get("segment"):
            self.segment = record["segment"]
        ran_ms = self._stop_clocks(record)
        was_open = any(case.case_id == case_id for case in self.open_cases())
        age_ms = self._cases(record)
        self._clocks(record)
        derived = self._contacts(record, was_open=was_open)
        self._social(record)
        for name, magnitude in self.heats.magnitudes(record, ran_ms, age_ms, derived):
            self._heat(name, at_ms, magnitude, case_id)

    def _stop_clocks(self, record: Record) -> int | None:
        """Close, pause and resume; how long one ran that was closed."""
        at_ms, ran_ms = record["occurred_at"], None
        for terms in self.terms.clocks:
            if self.terms.found(terms.closes, record) is not None:
                clock = self._meant(terms, record)
                if clock is not None:
                    ran_ms = at_ms - clock.opened_ms
                    self._close(clock)
            for clock in [c for c in self.clocks if c.terms is terms and c.key == key_of(terms, record)]:
                if self.terms.found(terms.pauses, record) is not None:
                    clock.pause(at_ms)
                if self.terms.found(terms.resumes, record) is not None:
                    clock.resume(at_ms)
        return ran_ms

    def _meant(self, terms: ClockTerms, record: Record) -> Clock | None:
        """Which open clock an interaction is about."""
        key, mine = key_of(terms, record), [c for c in self.clocks if c.terms is terms]
        if not key:
            return next(iter(mine), None)
        return next((c for c in mine if c.key == key), None) or next((c for c in mine if not c.key), None)

    def _close(self, clock: Clock) -> None:
        self.clocks.remove(clock)
        for kind in ("clock_warning", "clock_breached", "still_waiting"):
            about = kind, clock.name, clock.case_id, clock.event_id
            if about in self.alerts:
                self.alerts[about] = "resolved"

    def _clocks(self, record: Record) -> None:
        for terms in self.terms.clocks:
            opening = self.terms.found(terms.opens, record)
            if opening is not None:
                self._open(terms, opening, record)
            reset = self.terms.found(terms.resets, record)
            clock = self._meant(terms, record) if reset is not None else None
            if reset is not None and clock is not None and not clock.breached and told_ms(terms, record) is not None:
                clock.due_ms, clock.warn_ms = due_ms(terms, reset, record)
            broken = self.terms.found(terms.breaks, record)
            if broken is not None:
                clock = self._meant(terms, record) or self._open(terms, broken, record)
                if clock is not None and not clock.breached:
                    clock.due_ms = record["occurred_at"]
                    self._breach(clock, record["occurred_at"])

    def _same(self, terms: ClockTerms, key: str) -> list[Clock]:
        return [c for c in self.clocks if c.terms is terms and c.key == key]

    def _open(self, terms: ClockTerms, entry: Entry, record: Record) -> Clock | None:
        key = key_of(terms, record)
        same = self._same(terms, key)
        if same and not terms.resets_again:
            return None
        for clock in same:
            self._close(clock)
        case_id, event_id = record.get("case_id") or "", record["event_id"]
        due, warn = due_ms(terms, entry, record)
        clock = Clock(terms, key, case_id, event_id, record["occurred_at"], due, warn)
        self.clocks.append(clock)
        return clock

    def _cases(self, record: Record) -> int | None:
        """Open, answer and end; the age of a case that is resolved."""
        at_ms, case_id, found = record["occurred_at"], record.get("case_id") or "", self.terms.found
        case, age_ms = self.cases.get(case_id), None
        if not case_id:
            return None
        if case is not None and case.ended_ms is None and found(self._lists["cases.resolves"], record):
            age_ms = at_ms - case.opened_ms
            self._end_case(case, at_ms)
        opens, reopens = found(self._lists["cases.opens"], record), found(self._lists["cases.reopens"], record)
        if opens or reopens:
            over = case is not None and case.ended_ms is not None and at_ms - case.ended_ms > self._reopen_ms
            if case is None or (over and not reopens):
                case = self.cases[case_id] = Case(case_id, at_ms, record.get("subject") or "", record["channel"])
            case.ended_ms = None
        if case is not None and case.ended_ms is None and self._silence_ms is not None:
            if found(self._lists["cases.answered"], record):
                case.silent_ms = at_ms + self._silence_ms
            if found(self._lists["cases.customer"], record):
                case.silent_ms = None
        return age_ms

    def _end_case(self, case: Case, at_ms: int) -> None:
        case.ended_ms, case.silent_ms = at_ms, None
        self.heats.release(case.case_id, at_ms)
        for clock in [c for c in self.clocks if c.case_id == case.case_id]:
            self._close(clock)
        for mention in [m for m in self.mentions if m[1] == case.case_id]:
            self.mentions.remove(mention)
            self.alerts[mention[0]] = "resolved"
        repeat = self.repeats.get(case.subject)
        if repeat is not None:
            self.alerts[repeat.about] = "resolved"

    def _contacts(self, record: Record, *, was_open: bool) -> set[str]:
        """What follows from several contacts."""
        at_ms, subject = record["occurred_at"], record.get("subject") or ""
        derived, found = set[str](), self.terms.found
        if found(self._lists["deflection.searches"], record):
            self.asked_ms = at_ms
        elif self.asked_ms is not None and found(self._lists["deflection.contacts"], record):
            if at_ms - self.asked_ms <= self._failed_ms:
                derived.add("deflected")
            self.asked_ms = None
        asks = found(self._lists["contacts.kinds"], record) is not None
        if self._switched(record, asks=asks, was_open=was_open):
            derived.add("switched")
        if asks and subject and not was_open and self._asks_again(record):
            derived.add("repeated")
        return derived

    def _switched(self, record: Record, *, asks: bool, was_open: bool) -> bool:
        """Whether the customer speaks on another channel than before, in an open case or about a subject."""
        channel, case = record["channel"], self.cases.get(record.get("case_id") or "")
        if was_open and case is not None:
            if not channel or not (asks or self.terms.found(self._lists["cases.customer"], record)):
                return False
            before, case.channel = case.channel, channel
            return before not in {"", channel}
        about = self._about(record.get("subject") or "", record["occurred_at"])
        return bool(asks and channel and about and about[-1]["channel"] not in {"", channel})

    def _about(self, subject: str, at_ms: int) -> list[Record]:
        """Contacts about a subject that still count."""
        since_ms = at_ms - self.within_ms
        return [c for c in self.contacts if subject and c["subject"] == subject and c["occurred_at"] > since_ms]

    def _asks_again(self, record: Record) -> bool:
        """Note a contact; whether it is one too many."""
        at_ms, subject = record["occurred_at"], record["subject"]
        self.contacts = [*self.contacts, record][-_CONTACTS:]
        repeat = self.repeats.get(subject)
        if repeat is None and len(self._about(subject, at_ms)) < self._count:
            return False
        if repeat is None:
            about = "repeat_contact", subject, record.get("case_id") or "", record["event_id"]
            self.repeats[subject] = Repeat(about, at_ms)
            self.alerts[about] = "opened"
        else:
            repeat.last_ms = at_ms
            self.alerts[repeat.about] = "escalated"
        return True

    def _social(self, record: Record) -> None:
        if self.terms.found(self._lists["social.answers"], record) and self.mentions:
            self.alerts[self.mentions.pop(0)[0]] = "resolved"
        cases = self.open_cases()
        if not cases or not self.terms.found(self._lists["social.kinds"], record):
            return
        if (record.get("reach") or 0) >= self._reach:
            case = next((c for c in cases if c.case_id == record.get("case_id")), cases[-1])
            about = "social_risk", record.get("subject") or "", record.get("case_id") or "", record["event_id"]
            self.mentions.append((about, case.case_id))
            self.alerts[about] = "opened"
