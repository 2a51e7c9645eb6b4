"""The words that every section of a policy file is made of: durations, names, kinds and their conditions."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pipelines.policy.durations import DURATION_PATTERN, duration_ms

DurationText = Annotated[str, Field(pattern=DURATION_PATTERN, examples=["500ms", "30s", "2m", "1h", "7d"])]
DurationMs = Annotated[int, BeforeValidator(duration_ms, json_schema_input_type=DurationText)]
MOST_POINTS = 1e12
"""No number of a policy is larger, so that no heat that is made of several is without end."""

Points = Annotated[float, Field(gt=0, le=MOST_POINTS, allow_inf_nan=False, strict=True)]
"""A number above 0; strict: neither "12" nor yes is one."""

Share = Annotated[float, Field(ge=0, le=1, strict=True)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]

UNKNOWN = "unknown"
"""In a condition: the attribute is absent, or says so itself."""


class Said(BaseModel):
    """A section: its keys are known, its values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _values(said: Any) -> Any:
    listed = said if isinstance(said, list) else [said]
    return tuple(str(v).lower() if isinstance(v, bool) else str(v) if isinstance(v, int) else v for v in listed)


_Value = Text | bool | int
Values = Annotated[
    tuple[Text, ...],
    BeforeValidator(_values, json_schema_input_type=_Value | Annotated[list[_Value], Field(min_length=1)]),
    Field(min_length=1),
]


class When(Said):
    """Interactions of a kind, all of them or those whose attributes have one of the values.

    Besides the interaction's own attributes there are ``feedback`` (bad, fair, good), ``sentiment`` (negative,
    neutral, positive), ``channel`` and ``segment``.
    """

    kind: Text
    where: dict[Text, Values] = Field(default_factory=dict, max_length=3)


def can_all_hold(entries: Sequence[When]) -> bool:
    """Whether one interaction can fulfil the conditions of all entries: no attribute would need two values."""
    for attribute in {name for entry in entries for name in entry.where}:
        values = [{v.casefold() for v in entry.where[attribute]} for entry in entries if attribute in entry.where]
        if not set.intersection(*values):
            return False
    return True


class Fed(When):
    """What feeds a signal: ``times`` multiplies the weight."""

    times: Points = 1.0


class Opening(When):
    """What opens a clock, at times with a promise of its own."""

    promise: DurationMs | None = None
    warn: DurationMs | None = None


def _entry(said: Any) -> Any:
    return {"kind": said} if isinstance(said, str) else said


Kind = Annotated[When, BeforeValidator(_entry, json_schema_input_type=Text | When)]
Kinds = Annotated[tuple[Kind, ...], Field(min_length=1)]
FedKinds = tuple[Annotated[Fed, BeforeValidator(_entry, json_schema_input_type=Text | Fed)], ...]
Openings = Annotated[
    tuple[Annotated[Opening, BeforeValidator(_entry, json_schema_input_type=Text | Opening)], ...],
    Field(min_length=1),
]
