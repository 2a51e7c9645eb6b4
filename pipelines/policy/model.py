"""What a policy file says, key by key: the shapes and bounds that are checked when it is read."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from pipelines.policy.acting_model import AlertBudgets, CustomerPreferences
from pipelines.policy.calendar_model import Calendar, without_always
from pipelines.policy.clock_model import Cases, Clock, Contacts, Corrections, Deflection, Social
from pipelines.policy.durations import duration_text
from pipelines.policy.incident_model import Incidents
from pipelines.policy.rules import MOST_FED
from pipelines.policy.signal_model import OF_ITS_FIELDS, Feedback, Score, Segment, Signal, too_many_magnitudes
from pipelines.policy.terms import DurationMs, Name, Said, Text
from pipelines.policy.wording_terms import Template, TemplateName, check_placeholders

ScoreValue = Annotated[float, Field(gt=0, lt=100, strict=True)]

HALF_LIVES_TO_FORGET = 30
"""After so many, heat is a billionth of what it was: no score that is told shows that it is gone."""


class Level(Said):
    """A band above calm."""

    name: Name
    enter: ScoreValue
    leave: ScoreValue
    priority: int = Field(default=3, ge=1, le=5, strict=True)
    action: Text | None = None

    @model_validator(mode="after")
    def _hysteresis(self) -> "Level":
        if self.leave >= self.enter:
            raise ValueError(f"leave must be below enter, got leave {self.leave} and enter {self.enter}")
        return self


class Bands(Said):
    """The bands above calm, upwards."""

    cooldown: DurationMs
    levels: tuple[Level, ...] = Field(min_length=1, max_length=8)

    @model_validator(mode="after")
    def _upwards(self) -> "Bands":
        names = ["calm", *(level.name for level in self.levels)]
        for n, name in enumerate(names):
            if name in names[:n]:
                raise ValueError(f"levels must have different names, and calm is the one below them: {name} is taken")
        for low, high in zip(self.levels, self.levels[1:], strict=False):
            if high.enter <= low.enter or high.leave <= low.leave:
                raise ValueError(f"levels must rise, but {high.name} is not above {low.name}")
        return self


class Windows(Said):
    """Tumbling windows of waits, in event time."""

    kinds: Annotated[tuple[Text, ...], Field(min_length=1)]
    length: DurationMs
    lateness: DurationMs


class Acceptance(Said):
    """What event times are accepted, against the broker's append time."""

    max_age: DurationMs
    max_ahead: DurationMs


class Retention(Said):
    """How long customers without anything new are remembered."""

    quiet: DurationMs


class Wording(Said):
    """In which language the reasons of alerts are told, and sentences of your own by type and status."""

    language: Literal["en", "tr"] = "en"
    templates: dict[TemplateName, Template] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _can_be_filled_in(self) -> "Wording":
        check_placeholders(self.templates)
        return self


class PolicyFile(Said):
    """The whole file."""

    version: Literal[1]
    score: Score
    segments: dict[Name, Segment] = Field(default_factory=dict, max_length=32)
    feedback: Feedback | None = None
    calendars: Annotated[dict[Name, Calendar], AfterValidator(without_always)] = Field(
        default_factory=dict, max_length=32
    )
    clocks: dict[Name, Clock] = Field(default_factory=dict, max_length=32)
    cases: Cases | None = None
    contacts: Contacts | None = None
    social: Social | None = None
    deflection: Deflection | None = None
    signals: dict[Name, Signal] = Field(min_length=1, max_length=64)
    bands: Bands
    windows: Windows
    acceptance: Acceptance
    incidents: Incidents | None = None
    corrections: Corrections | None = None
    retention: Retention | None = None
    wording: Wording | None = None
    preferences: CustomerPreferences | None = None
    known: tuple[Text, ...] = ()
    budgets: AlertBudgets | None = None

    @field_validator("clocks")
    @classmethod
    def _calendars_are_known(cls, clocks: dict[str, Clock], info: ValidationInfo) -> dict[str, Clock]:
        known = ("always", *info.data.get("calendars", {}))
        for name, clock in clocks.items() if "calendars" in info.data else ():
            if clock.calendar not in known:
                raise ValueError(f"{name}.calendar must be one of {', '.join(known)}, got {clock.calendar}")
        told = [(name, clock.deadline) for name, clock in clocks.items() if clock.deadline is not None]
        for name, attribute in told:
            first, own = told[0]
            if attribute != own:
                raise ValueError(
                    f"{name}.deadline must be {own}, the one attribute of all, as in {first}; got {attribute}"
                )
        return clocks

    @field_validator("signals")
    @classmethod
    def _what_feeds_signals_fits(cls, signals: dict[str, Signal]) -> dict[str, Signal]:
        """What the rows of what is open have room for: the core would leave out the rest, and say nothing."""
        fed: dict[str, list[str]] = {}
        derived: dict[str, str] = {}
        for name, signal in signals.items():
            for clock in dict.fromkeys(signal.breaches):
                others = fed.setdefault(clock, [])
                if len(others) == MOST_FED:
                    raise ValueError(
                        f"{name}.breaches must leave out {clock}, which feeds {MOST_FED} signals at most: "
                        f"{', '.join(others)}"
                    )
                others.append(name)
            if signal.derived is not None and signal.derived in derived:
                raise ValueError(
                    f"{name}.derived must be of one signal, but {derived[signal.derived]} is {signal.derived}, too"
                )
            if signal.derived is not None:
                derived[signal.derived] = name
        for kind, (first, second, third) in too_many_magnitudes(signals):
            raise ValueError(
                f"{third}.kinds must leave out {kind}, which feeds {first} and {second}: an interaction has two "
                f"magnitudes of {', '.join(OF_ITS_FIELDS)} at most"
            )
        return signals

    @field_validator("signals")
    @classmethod
    def _breaches_are_of_clocks(cls, signals: dict[str, Signal], info: ValidationInfo) -> dict[str, Signal]:
        clocks = info.data.get("clocks", {})
        for name, signal in signals.items() if "clocks" in info.data else ():
            for clock in signal.breaches:
                if clock not in clocks:
                    known = ", ".join(clocks) or "there are none"
                    raise ValueError(f"{name}.breaches must name clocks ({known}), got {clock}")
        return signals

    @field_validator("budgets")
    @classmethod
    def _segments_are_known(cls, budgets: AlertBudgets | None, info: ValidationInfo) -> AlertBudgets | None:
        known = info.data.get("segments", {})
        for name, team in ({} if budgets is None or "segments" not in info.data else budgets.teams).items():
            for segment in team.segments:
                if segment not in known:
                    told = ", ".join(known) or "there are none"
                    raise ValueError(f"teams.{name}.segments must name segments ({told}), got {segment}")
        return budgets

    @field_validator("retention")
    @classmethod
    def _nothing_that_counts_is_forgotten(cls, retention: Retention | None, info: ValidationInfo) -> Retention | None:
        said = info.data
        if retention is not None and {"signals", "acceptance", "bands"} <= said.keys():
            for least, what in least_quiet(said["signals"].values(), said["acceptance"], said["bands"]):
                if retention.quiet < least:
                    got = duration_text(retention.quiet)
                    raise ValueError(f"quiet must be at least {duration_text(least)}, {what}, got {got}")
        return retention


def least_quiet(signals: Iterable[Signal], acceptance: Acceptance, bands: Bands) -> Iterator[tuple[int, str]]:
    """Bounds of retention.quiet in ms, and why."""
    longest = max(signal.half_life for signal in signals)
    yield HALF_LIVES_TO_FORGET * longest, f"{HALF_LIVES_TO_FORGET} times the longest half-life"
    yield acceptance.max_age, "acceptance.max_age"
    yield bands.cooldown, "bands.cooldown"
