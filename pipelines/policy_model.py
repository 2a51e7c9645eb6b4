"""What a policy file says, key by key: the shapes and bounds that are checked when it is read."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from pipelines.durations import DURATION_FORM, duration_ms, duration_text

DurationText = Annotated[str, Field(pattern=f"^{DURATION_FORM}$", examples=["500ms", "30s", "2m", "1h", "7d"])]
DurationMs = Annotated[int, BeforeValidator(duration_ms, json_schema_input_type=DurationText)]
Points = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]  # strict: neither "12" nor yes is a number
ScoreValue = Annotated[float, Field(gt=0, lt=100, strict=True)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]
Kinds = Annotated[tuple[Text, ...], Field(min_length=1)]


HALF_LIVES_TO_FORGET = 30
"""After so many, heat is a billionth of what it was: no score that is told shows that it is gone."""


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Signal(_Said):
    """What adds heat to a customer."""

    kinds: Kinds
    weight: Points
    half_life: DurationMs
    cap: Points
    magnitude: Literal["one", "wait"] = "one"
    tolerated: DurationMs | None = None

    @model_validator(mode="after")
    def _tolerated_belongs_to_wait(self) -> "Signal":
        if (self.magnitude == "wait") != (self.tolerated is not None):
            raise ValueError("tolerated is needed for magnitude wait, and only there")
        return self


class Score(_Said):
    """How heat becomes a score."""

    scale: Points


class Level(_Said):
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


class Bands(_Said):
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


class Windows(_Said):
    """Tumbling windows of waits, in event time."""

    kinds: Kinds
    length: DurationMs
    lateness: DurationMs


class Acceptance(_Said):
    """What event times are accepted, against the broker's append time."""

    max_age: DurationMs
    max_ahead: DurationMs


class Retention(_Said):
    """How long customers without anything new are remembered."""

    quiet: DurationMs


class PolicyFile(_Said):
    """The whole file."""

    version: Literal[1]
    score: Score
    signals: dict[Name, Signal] = Field(min_length=1, max_length=64)
    bands: Bands
    windows: Windows
    acceptance: Acceptance
    retention: Retention | None = None

    @field_validator("signals")
    @classmethod
    def _a_kind_feeds_one_signal(cls, signals: dict[str, Signal]) -> dict[str, Signal]:
        fed: dict[str, str] = {}
        for name, signal in signals.items():
            for kind in signal.kinds:
                if kind in fed:
                    raise ValueError(f"kind {kind} feeds both {fed[kind]} and {name}")
                fed[kind] = name
        return signals

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
