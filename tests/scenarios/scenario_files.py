"""What a scenario file says: events with times such as ``day 3 16:30``, and what is expected of them.

Keys that are not known are errors. Nothing here runs anything: tests/scenarios/test_scenarios.py plays the files.
"""

import re
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf, model_validator

from pipelines.policy.policy import Policy, parse_policy
from pipelines.policy.terms import DurationMs
from tests.batches import Event, event

HERE = Path(__file__).parent
FULL = HERE.parents[1] / "schemas" / "policy" / "default.yaml"

OF_ALERT = "of alert"
"""In an interaction's attributes: the type of the alert of its customer whose id shall stand there."""

_MOMENT = r"day (\d+) (\d\d):(\d\d)(?::(\d\d))?"


class Moment(NamedTuple):
    """A time as it is written: ``day 1 10:00``, or with seconds."""

    day: int
    second: int
    text: str


def moment_of(said: Any) -> Moment:
    """Return what ``day 3 16:30`` means.

    Raises:
        ValueError: it is written otherwise.
    """
    found = re.fullmatch(_MOMENT, said) if isinstance(said, str) else None
    if found is None:
        raise ValueError(f"must be a time such as day 3 16:30 or day 3 16:30:15, got {said!r}")
    hours, minutes, seconds = int(found[2]), int(found[3]), int(found[4] or 0)
    return Moment(int(found[1]), (hours * 60 + minutes) * 60 + seconds, said)


MomentText = Annotated[InstanceOf[Moment], BeforeValidator(moment_of)]
_NUMBER = r"(-?\d+(?:\.\d+)?)"


class Bound(NamedTuple):
    """What a number may be: from least to most, a share of what it was at a time, or more than somebody else's."""

    least: float
    most: float
    text: str
    share_of: Moment | None = None
    more_than: str | None = None


def bound_of(said: Any) -> Bound:
    """Return what ``at least 60``, ``at most 40 % of day 1 10:02``, ``20 to 30``, ``more than Ayşe`` or 12.5 means.

    Raises:
        ValueError: it is written otherwise.
    """
    text = str(said)
    if found := re.fullmatch(f"at most {_NUMBER} % of ({_MOMENT})", text):
        return Bound(0.0, float(found[1]) / 100.0, text, share_of=moment_of(found[2]))
    if found := re.fullmatch(f"at least {_NUMBER}", text):
        return Bound(float(found[1]), float("inf"), text)
    if found := re.fullmatch(f"at most {_NUMBER}", text):
        return Bound(float("-inf"), float(found[1]), text)
    if found := re.fullmatch(f"{_NUMBER} to {_NUMBER}", text):
        return Bound(float(found[1]), float(found[2]), text)
    if found := re.fullmatch("more than (.+)", text):
        return Bound(0.0, 0.0, text, more_than=found[1])
    if re.fullmatch(_NUMBER, text):
        return Bound(float(text) - 0.05, float(text) + 0.05, text)
    raise ValueError(f"must be N, at least N, at most N, N to M, at most N % of TIME or more than NAME, got {text}")


BoundText = Annotated[InstanceOf[Bound], BeforeValidator(bound_of)]
Clocks = list[str | dict[str, MomentText]]


class Told(BaseModel):
    """A section: its keys are known. A key that is written with a space has an underscore here."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=lambda name: name.replace("_", " ").rstrip(), validate_by_name=True
    )


class Happening(Told):
    """An interaction; every: it happens again, so many times in all. seen: when it arrived, if it came late."""

    at: MomentText
    seen: MomentText | None = None
    every: DurationMs | None = None
    times: int = 1
    customer: str
    kind: str
    channel: str = "web"
    touchpoint: str = "shop"
    session: str | None = None
    case: str | None = None
    subject: str | None = None
    segment: str | None = None
    duration: DurationMs | None = None
    amount: float | None = None
    rating: float | None = None
    sentiment: float | None = None
    reach: int | None = None
    attributes: dict[str, str | bool | int | float] = Field(default_factory=dict)
    of_alert: str | None = None


class Crowd(Told):
    """So many customers, evenly spread, who begin something; some of them fail ten seconds later."""

    from_: MomentText
    until: MomentText
    customers: int
    fail: int = 0
    touchpoint: str
    begins: str = "form.started"
    fails: str = "form.failed"


class Contact(Told):
    """An earlier contact as an alert lists it."""

    at: MomentText | None = None
    channel: str
    tried: str | None = None


class Expected(Told):
    """What is expected; README.md says what the keys mean."""

    at: MomentText | None = None
    by: MomentText | None = None
    told: MomentText | None = None
    customer: str | None = None
    # an alert
    alert: str | None = None
    status: Literal["opened", "escalated", "resolved", "retracted"] | None = None
    only: bool = False
    revision: int | None = None
    clock: str | None = None
    case: str | None = None
    subject: str | None = None
    channel: str | None = None
    touchpoint: str | None = None
    priority: int | None = None
    deadline: MomentText | None = None
    action: str | None = None
    reason: str | None = None
    earlier: list[str | Contact] | None = None
    customers: BoundText | None = None
    share: BoundText | None = None
    team: str | None = None
    handling: str | None = None
    assignee: str | None = None
    do_not_contact: bool | None = None
    not_before: MomentText | None = None
    held_back: bool | None = None
    muted: BoundText | None = None
    # none
    no_alert: str | None = None
    since: MomentText | None = None
    # how a customer stands
    score: BoundText | None = None
    heat: BoundText | None = None
    heats: dict[str, BoundText] = Field(default_factory=dict)
    band: str | None = None
    made_of: list[str] | None = None
    standing: list[str] | None = None
    open_clocks: Clocks | None = None
    as_in: str | None = None
    to_act_on: list[str] | None = None
    # counted
    deflections: dict[Literal["failed", "undecided", "assumed"], int] | None = None

    @model_validator(mode="after")
    def _has_a_time(self) -> "Expected":
        if (self.at is None) == (self.by is None):
            raise ValueError("at or by must say when")
        if self.alert and self.no_alert:
            raise ValueError("alert and no alert cannot be one expectation")
        only_alerts = {"status", "only", "revision", "clock", "case", "subject", "told", "deadline", "earlier"}
        if not self.alert and (wrong := sorted(only_alerts & self.model_fields_set)):
            raise ValueError(f"{', '.join(wrong)}: only an alert has that")
        return self

    @property
    def when(self) -> Moment:
        """The time at which it can be judged."""
        moment = self.at or self.by
        assert moment is not None
        return moment if self.told is None else self.told


class Case(Told):
    """A variant: what happens besides the scenario's events, and what is expected."""

    policy: dict[str, Any] = Field(default_factory=dict)
    events: list[Happening] = Field(default_factory=list)
    crowds: list[Crowd] = Field(default_factory=list)
    expect: list[Expected] = Field(min_length=1)


class Shuffle(Told):
    """How the events of all other scenarios are put out of order. twice: the part of them that is sent again."""

    within: DurationMs
    twice: float
    seeds: list[int]


class ScenarioFile(Told):
    """The whole file. begins: the date of day 1."""

    scenario: int
    name: str
    says: str
    begins: date = date(2026, 3, 2)
    zone: str = "UTC"
    policy: dict[str, Any] = Field(default_factory=dict)
    events: list[Happening] = Field(default_factory=list)
    cases: dict[str, Case] = Field(default_factory=dict)
    shuffle: Shuffle | None = None

    def ms(self, moment: Moment) -> int:
        """Epoch milliseconds of a time in this file."""
        midnight = datetime.combine(self.begins, time(), ZoneInfo(self.zone))
        return int((midnight + timedelta(days=moment.day - 1, seconds=moment.second)).timestamp() * 1000)

    def text(self, ms: int) -> str:
        """How a time is written in this file."""
        at = datetime.fromtimestamp(ms / 1000, ZoneInfo(self.zone))
        return f"day {(at.date() - self.begins).days + 1} {at:%H:%M:%S}"

    def policy_of(self, case: Case) -> Policy:
        """The full policy with what the file and the case say otherwise."""
        said = yaml.safe_load(FULL.read_text("utf-8"))
        for overrides in (self.policy, case.policy):
            said = merged(said, overrides)
        return parse_policy(yaml.safe_dump(said, allow_unicode=True, sort_keys=False), f"scenario {self.scenario}")

    def events_of(self, case: Case) -> list[Event]:
        """What happens, in the order in which it is seen."""
        happenings = [h for told in (self.events, case.events) for h in told]
        events = [e for n, h in enumerate(happenings) for e in self._repeated(n, h)]
        for n, crowd in enumerate(case.crowds):
            events += self._crowd(n, crowd)
        return sorted(events, key=lambda e: e.append_ms)

    def _repeated(self, n: int, said: Happening) -> list[Event]:
        fields = said.model_dump(exclude_none=True, include={"channel", "touchpoint", "subject", "segment", "reach"})
        fields |= said.model_dump(exclude_none=True, include={"amount", "rating", "sentiment"})
        attributes = {key: self._attribute(value) for key, value in said.attributes.items()}
        if said.of_alert is not None:
            attributes[OF_ALERT] = said.of_alert
        at_ms, seen_ms = self.ms(said.at), self.ms(said.seen or said.at)
        return [
            event(
                said.kind,
                at_ms + k * (said.every or 0),
                append_ms=seen_ms + k * (said.every or 0),
                event_id=f"event {n}.{k}",
                customer_id=said.customer,
                session_id=said.session,
                case_id=said.case,
                duration_ms=said.duration,
                attributes=attributes,
                **fields,
            )
            for k in range(said.times)
        ]

    def _crowd(self, number: int, crowd: Crowd) -> list[Event]:
        begin_ms, end_ms = self.ms(crowd.from_), self.ms(crowd.until)
        events = []
        for n in range(crowd.customers):
            at_ms = begin_ms + (end_ms - begin_ms) * n // crowd.customers
            who: dict[str, Any] = {"customer_id": f"crowd {number} customer {n}", "touchpoint": crowd.touchpoint}
            events.append(event(crowd.begins, at_ms, event_id=f"crowd {number}.{n} begins", **who))
            if (n + 1) * crowd.fail // crowd.customers > n * crowd.fail // crowd.customers:
                events.append(event(crowd.fails, at_ms + 10_000, event_id=f"crowd {number}.{n} fails", **who))
        return events

    def _attribute(self, value: str | bool | float) -> str:
        if isinstance(value, str) and re.fullmatch(_MOMENT, value):
            at = datetime.fromtimestamp(self.ms(moment_of(value)) / 1000, ZoneInfo("UTC"))
            return f"{at:%Y-%m-%dT%H:%M:%SZ}"
        return str(value).lower() if isinstance(value, bool) else str(value)


def merged(said: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """A policy with what is said otherwise; keys that are null are taken out."""
    both = dict(said)
    for key, value in overrides.items():
        if isinstance(value, dict) and isinstance(both.get(key), dict):
            both[key] = merged(both[key], value)
        elif value is None:
            both.pop(key, None)
        else:
            both[key] = value
    return both


def read_scenario(text: str) -> ScenarioFile:
    """Read the text of a scenario file.

    Raises:
        ValueError: a key is unknown or missing, or a value cannot be.
    """
    return ScenarioFile.model_validate(yaml.safe_load(text))


def scenario_files() -> dict[str, ScenarioFile]:
    """All files, by name."""
    return {path.stem: read_scenario(path.read_text("utf-8")) for path in sorted(HERE.glob("*.yaml"))}
