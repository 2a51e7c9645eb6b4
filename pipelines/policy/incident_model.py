"""What a policy says of touchpoint incidents: many customers at once who fail, speak of something, or stay away."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from pipelines.policy.durations import duration_text
from pipelines.policy.terms import DurationMs, Name, Points, Said, Share, Text

HISTORY_SLOTS = 62
"""For so many slots the first stage remembers in which of them a customer was seen: a bit each."""

MONTH_MS = 30 * 86_400_000

KindNames = Annotated[tuple[Text, ...], Field(min_length=1)]
Ratio = Annotated[float, Field(gt=1, allow_inf_nan=False, strict=True)]
Customers = Annotated[int, Field(ge=2, le=1_000_000, strict=True)]


class UsualShare(Said):
    """What a new touchpoint is taken for: so many of its customers fail, known as if ``customers`` had been seen."""

    share: Annotated[float, Field(gt=0, lt=1, strict=True)]
    customers: Points


class UsualRate(Said):
    """What a new place is taken for: so many customers in a lookback, known as if ``lookbacks`` had been seen."""

    customers: Points
    lookbacks: Points


class Silence(Said):
    """A touchpoint that is not used any more."""

    min_expected: Points
    most_left: Share = 0.1


class IncidentRule(Said):
    """Which interactions are looked at, and what is unusual."""

    by: Literal["touchpoint", "subject"] = "touchpoint"
    attempts: tuple[Text, ...] = ()
    failures: KindNames
    lookback: DurationMs
    min_customers: Customers
    min_ratio: Ratio = 2.0
    usual_share: UsualShare = UsualShare(share=0.02, customers=20.0)
    usual_rate: UsualRate | None = None
    learn: DurationMs = 3_600_000
    silence: Silence | None = None
    priority: int = Field(default=2, ge=1, le=5, strict=True)
    action: Text | None = None

    @model_validator(mode="after")
    def _each_kind_once(self) -> "IncidentRule":
        both = [kind for kind in self.failures if kind in self.attempts]
        if both:
            raise ValueError(f"kind {both[0]} cannot be an attempt and a failure: a failure is an attempt already")
        if self.silence is not None and not self.attempts:
            raise ValueError("silence needs attempts: only what is used can stop being used")
        return self


class Incidents(Said):
    """When many customers at one touchpoint are one alert."""

    slot: DurationMs
    lateness: DurationMs
    quiet: DurationMs
    false_alarms: Annotated[float, Field(gt=0, le=100, strict=True)] = 0.1
    memory: DurationMs = 86_400_000
    accept_after: DurationMs = 86_400_000
    escalate_at: Ratio = 2.0
    most_places: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 5000
    rules: dict[Name, IncidentRule] = Field(min_length=1, max_length=16)

    @field_validator("rules")
    @classmethod
    def _a_kind_belongs_to_one_rule(cls, rules: dict[str, IncidentRule]) -> dict[str, IncidentRule]:
        belongs: dict[str, str] = {}
        for name, rule in rules.items():
            for kind in (*rule.attempts, *rule.failures):
                if belongs.setdefault(kind, name) != name:
                    raise ValueError(f"kind {kind} belongs to both {belongs[kind]} and {name}")
        return rules

    @model_validator(mode="after")
    def _in_whole_slots(self) -> "Incidents":
        if self.slot > 60_000:
            raise ValueError(
                f"slot must be at most 1m, or an incident is told too late, got {duration_text(self.slot)}"
            )
        parts = {"lateness": self.lateness, "quiet": self.quiet}
        parts |= {f"rules.{name}.lookback": rule.lookback for name, rule in self.rules.items()}
        for name, ms in parts.items():
            if ms % self.slot:
                slot, got = duration_text(self.slot), duration_text(ms)
                raise ValueError(f"{name} must be a multiple of slot, {slot}, got {got}")
        longest = max(rule.lookback for rule in self.rules.values())
        if longest + self.lateness > HISTORY_SLOTS * self.slot:
            raise ValueError(
                f"lateness and the longest lookback must be at most {HISTORY_SLOTS} slots together, "
                f"{duration_text(HISTORY_SLOTS * self.slot)}, got {duration_text(longest + self.lateness)}"
            )
        return self

    @property
    def alpha(self) -> float:
        """How unlikely what is seen at the end of a slot must be: a month has so many slots (Bonferroni)."""
        return self.false_alarms * self.slot / MONTH_MS
