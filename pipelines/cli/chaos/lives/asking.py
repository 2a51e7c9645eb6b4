"""How often a customer has to ask, on which channels, and what is said in public."""

from dataclasses import dataclass

from pipelines.cli.chaos.lives.clocks import About
from pipelines.cli.chaos.lives.terms import Record, Terms

_CONTACTS = 16  # so many are remembered (docs/policy.md, Bounds)


@dataclass
class Case:
    """A case, open or ended. subject, session_id: of what opened it. channel: on which the customer spoke last."""

    case_id: str
    opened_ms: int
    subject: str
    channel: str
    session_id: str
    silent_ms: int | None = None
    ended_ms: int | None = None


@dataclass
class Repeat:
    """Contacts about a subject that were too many."""

    about: About
    last_ms: int


def channel_of(record: Record) -> str:
    """The channel of an interaction; no text where none is told."""
    return "" if record["channel"] == "unknown" else str(record["channel"])


class Asking:
    """Contacts, mentions and searches of one customer. alerts: written to. contacts: those that are remembered."""

    def __init__(self, terms: Terms, alerts: dict[About, str]) -> None:
        self.contacts: list[Record] = []
        self.within_ms = terms.duration("contacts", "within") or 0
        self._terms = terms
        self._lists = terms.lists
        self._alerts = alerts
        self._repeats: dict[str, Repeat] = {}
        self._mentions: list[tuple[About, str, str]] = []  # with the case, and the channel
        self._asked_ms: int | None = None
        self._failed_ms = terms.duration("deflection", "failed_within") or 0
        self._assumed_ms = terms.duration("deflection", "assumed_after")
        self._count = (terms.said.get("contacts") or {}).get("count", 3)
        self._reach = (terms.said.get("social") or {}).get("reach", 1000)

    def ends(self) -> list[tuple[int, str]]:
        """What time alone ends, and when: repeated contacts about a subject, and a search (no subject)."""
        found = [(repeat.last_ms + self.within_ms, subject) for subject, repeat in self._repeats.items()]
        if self._asked_ms is not None and self._assumed_ms is not None:
            found.append((self._asked_ms + self._assumed_ms, ""))
        return found

    def end(self, subject: str) -> None:
        """It is that time."""
        if subject:
            self._alerts[self._repeats.pop(subject).about] = "resolved"
        else:
            self._asked_ms = None

    def end_case(self, case: Case) -> None:
        """What was said of a case, and of its subject, is resolved."""
        for mention in [m for m in self._mentions if m[1] == case.case_id]:
            self._mentions.remove(mention)
            self._alerts[mention[0]] = "resolved"
        for subject, repeat in self._repeats.items():
            if subject == case.subject or repeat.about[2] == case.case_id:
                self._alerts[repeat.about] = "resolved"

    def ask(self, record: Record, within: Case | None) -> set[str]:
        """What follows from several contacts. within: the case that was open already."""
        at_ms, subject = record["occurred_at"], record.get("subject") or ""
        derived, found = set[str](), self._terms.found
        if found(self._lists["deflection.searches"], record):
            self._asked_ms = at_ms
        elif self._asked_ms is not None and found(self._lists["deflection.contacts"], record):
            if at_ms - self._asked_ms <= self._failed_ms:
                derived.add("deflected")
            self._asked_ms = None
        asks = found(self._lists["contacts.kinds"], record) is not None
        if self._switched(record, within, asks=asks):
            derived.add("switched")
        if asks and subject and within is None and self._asks_again(record):
            derived.add("repeated")
        return derived

    def _switched(self, record: Record, within: Case | None, *, asks: bool) -> bool:
        """Whether the customer speaks on another channel than before, in an open case or about a subject."""
        channel = channel_of(record)
        if within is not None:
            if not channel or not (asks or self._terms.found(self._lists["cases.customer"], record)):
                return False
            before, within.channel = within.channel, channel
            return before not in {"", channel}
        about = self._about(record.get("subject") or "", record["occurred_at"])
        return bool(asks and channel and about and channel_of(about[-1]) not in {"", channel})

    def _about(self, subject: str, at_ms: int) -> list[Record]:
        """Contacts about a subject that still count."""
        since_ms = at_ms - self.within_ms
        return [c for c in self.contacts if subject and c["subject"] == subject and c["occurred_at"] > since_ms]

    def _asks_again(self, record: Record) -> bool:
        """Note a contact; whether it is one too many."""
        at_ms, subject = record["occurred_at"], record["subject"]
        self.contacts = [*self.contacts, record][-_CONTACTS:]
        repeat = self._repeats.get(subject)
        if repeat is None and len(self._about(subject, at_ms)) < self._count:
            return False
        if repeat is None:
            about = "repeat_contact", subject, record.get("case_id") or "", record["event_id"]
            self._repeats[subject] = Repeat(about, at_ms)
            self._alerts[about] = "opened"
        else:
            repeat.last_ms = at_ms
            self._alerts[repeat.about] = "escalated"
        return True

    def speak(self, record: Record, cases: list[Case]) -> None:
        """Mentions, and answers to them. cases: that are open."""
        if self._terms.found(self._lists["social.answers"], record) and self._mentions:
            channel = channel_of(record)
            answered = next((m for m in self._mentions if channel and m[2] == channel), self._mentions[0])
            self._mentions.remove(answered)
            self._alerts[answered[0]] = "resolved"
        if not cases or not self._terms.found(self._lists["social.kinds"], record):
            return
        if (record.get("reach") or 0) >= self._reach:
            subject = record.get("subject") or ""
            of_subject = [c for c in cases if subject and c.subject == subject]
            case = next((c for c in cases if c.case_id == record.get("case_id")), (of_subject or cases)[-1])
            about = "social_risk", subject, record.get("case_id") or "", record["event_id"]
            self._mentions.append((about, case.case_id, channel_of(record)))
            self._alerts[about] = "opened"
