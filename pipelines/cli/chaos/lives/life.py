"""One customer's interactions from the first to the last, and what time does in between."""

from collections.abc import Iterable
from math import expm1

from pipelines.cli.chaos.lives.asking import Asking, Case, channel_of
from pipelines.cli.chaos.lives.clock import Clock
from pipelines.cli.chaos.lives.clocks import About, Clocks
from pipelines.cli.chaos.lives.heats import Heats
from pipelines.cli.chaos.lives.terms import Record, Terms

_LOOKS = 16
_ROUNDING = 1e-9


class Life:
    """Walk once, with all interactions of a customer, each once, in the order of event time and id.

    alerts: the last status of each alert but those of bands. clocks: those that are open. contacts: those that are
    remembered. band: its number, 0 for calm. lived_ms: up to when.
    """

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.alerts: dict[About, str] = {}
        self.heats = Heats(terms)
        self.cases: dict[str, Case] = {}
        self.segment: str | None = None
        self.band = 0
        self.lived_ms = 0
        self.interactions = 0
        self._clocks = Clocks(terms, self.alerts, self._heat)
        self._asking = Asking(terms, self.alerts)
        self._judged_ms = 0
        self._lists = terms.lists
        self._silence_ms = terms.duration("cases", "silence")
        self._reopen_ms = terms.duration("cases", "reopen_within") or 0

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
    def clocks(self) -> list[Clock]:
        """By when they were opened."""
        return self._clocks.open

    @property
    def contacts_since_ms(self) -> int:
        """Contacts after that still count."""
        return self.lived_ms - self._asking.within_ms

    @property
    def recent_contacts_ms(self) -> list[int]:
        """When the contacts were that still count."""
        times = [record["occurred_at"] for record in self._asking.contacts]
        return [at_ms for at_ms in times if at_ms > self.contacts_since_ms]

    @property
    def known_segment(self) -> str | None:
        """The segment, if the policy speaks of it."""
        return self.segment if self.segment in self.terms.patience else None

    def would_leave(self, band: int) -> bool:
        """Whether a customer in this band has a score now with which nobody stays in it."""
        return band > 0 and self.score(self.lived_ms) < self.terms.levels[band - 1][1] - _ROUNDING

    def open_cases(self) -> list[Case]:
        """By when they were opened."""
        return sorted((case for case in self.cases.values() if case.ended_ms is None), key=lambda case: case.opened_ms)

    # -- time ---------------------------------------------------------------------------------------------------

    def _pass(self, to_ms: int) -> None:
        """Everything that time alone does up to and with ``to_ms``, one after the other."""
        while True:
            due: list[tuple[int, int, int, str]] = []
            cases, ends = self.open_cases(), self._asking.ends()
            due += [(case.silent_ms, 0, n, "") for n, case in enumerate(cases) if case.silent_ms is not None]
            due += [(at_ms, 1, n, what) for n, clock in enumerate(self.clocks) for at_ms, what in clock.says()]
            due += [(at_ms, 2, n, "") for n, (at_ms, _) in enumerate(ends)]
            at_ms, of, n, what = min(due, default=(to_ms + 1, 0, 0, ""))
            if at_ms > to_ms:
                return
            now_ms = max(
                at_ms, self._judged_ms
            )  # what a paused clock could not say is said, of its time, when it goes on
            self._cool(now_ms)
            if of == 0:
                self._end_case(cases[n], at_ms, silent=True)
            elif of == 1:
                self._clocks.run_out(self.clocks[n], at_ms, what)
            else:
                self._asking.end(ends[n][1])
            self._warm(now_ms)

    def _cool(self, at_ms: int) -> None:
        """Leave the bands that decay has ended by then, or on the way: relief may decay later than what it relieves."""
        if not self.band:
            return
        lowest = self._lowest(self._judged_ms, at_ms)
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
        self._judged_ms = at_ms
        self._cool(at_ms)

    def score(self, at_ms: int) -> float:
        """From 0 to 100."""
        scale = self.terms.said["score"]["scale"] * self.terms.patience.get(self.segment or "", 1.0)
        return -100 * expm1(-self.heats.total(at_ms) / scale)

    def _heat(self, signal: str, at_ms: int, magnitude: float, case_id: str) -> None:
        case = self.cases.get(case_id)
        self.heats.add(signal, at_ms, magnitude, case_id if case is not None and case.ended_ms is None else "")

    # -- interactions -------------------------------------------------------------------------------------------

    def _happen(self, record: Record) -> None:
        record = record if record.get("case_id") else self._of_a_case(record)
        at_ms, case_id = record["occurred_at"], record.get("case_id") or ""
        if record.get("segment"):
            self.segment = record["segment"]
        ran_ms = self._clocks.stop(record)
        within = next((case for case in self.open_cases() if case.case_id == case_id), None)
        age_ms = self._cases(record)
        self._clocks.start(record)
        derived = self._asking.ask(record, within)
        self._asking.speak(record, self.open_cases())
        for name, magnitude in self.heats.magnitudes(record, ran_ms, age_ms, derived):
            self._heat(name, at_ms, magnitude, case_id)

    def _of_a_case(self, record: Record) -> Record:
        """The interaction, which names no case, as one of the case that it ends or opens again."""
        session_id, found = record.get("session_id") or "", self.terms.found
        cases, meant = self.cases.values(), list[Case]()
        if found(self._lists["cases.resolves"], record):
            meant = sorted((c for c in cases if c.ended_ms is None), key=lambda c: c.opened_ms)
        elif found(self._lists["cases.reopens"], record):
            since_ms = record["occurred_at"] - self._reopen_ms
            ended = [(c.ended_ms, c.opened_ms, c) for c in cases if c.ended_ms is not None and c.ended_ms >= since_ms]
            meant = [c for _, _, c in sorted(ended, key=lambda e: e[:2], reverse=True)]
        meant.sort(key=lambda c: not session_id or c.session_id != session_id)  # first those of its session
        return {**record, "case_id": meant[0].case_id, "said_case_id": ""} if meant else record

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
                about = record.get("subject") or "", channel_of(record), record.get("session_id") or ""
                case = self.cases[case_id] = Case(case_id, at_ms, *about)
            case.ended_ms = None
        if case is not None and case.ended_ms is None and self._silence_ms is not None:
            if found(self._lists["cases.answered"], record):
                case.silent_ms = at_ms + self._silence_ms
            if found(self._lists["cases.customer"], record):
                case.silent_ms = None
        return age_ms

    def _end_case(self, case: Case, at_ms: int, *, silent: bool = False) -> None:
        """Whoever falls silent says nothing of what the company has promised."""
        case.ended_ms, case.silent_ms = at_ms, None
        self.heats.release(case.case_id, at_ms)
        resolving = {entry.kind for entry in self._lists["cases.resolves"]}
        for clock in [clock for clock in self.clocks if clock.case_id == case.case_id]:
            resolved_too = any(entry.kind in resolving for entry in clock.terms.closes)
            if not (silent and clock.is_promised_at(at_ms) and not resolved_too):
                self._clocks.close(clock)
        self._asking.end_case(case)
