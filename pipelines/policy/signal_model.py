"""What a policy says of signals: what adds heat to a customer, and what takes it away."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipelines.policy.terms import (
    DurationMs,
    DurationText,
    FedKinds,
    Kinds,
    Name,
    Points,
    Said,
    Share,
    When,
    can_all_hold,
)

Magnitude = Literal["one", "wait", "amount", "rating", "reach", "cost", "consecutive", "age"]
Derived = Literal["repeated", "switched", "deflected"]
OF_ITS_FIELDS = ("wait", "amount", "rating", "reach")
"""Magnitudes that are counted from the fields of an interaction; there is room for two of them."""


def _stages(said: Any) -> Any:
    return {"other": said} if isinstance(said, str) else said


Tolerated = Annotated[
    dict[Name, DurationMs],
    BeforeValidator(_stages, json_schema_input_type=DurationText | dict[Name, DurationText]),
    Field(min_length=1),
]


class Signal(Said):
    """What adds heat to a customer; a relief takes it away.

    kinds, breaches (of clocks) and derived say what feeds it, at least one of them. repeats: of the weight, each time
    that it is said that the customer still waits.
    """

    kinds: FedKinds = ()
    breaches: tuple[Name, ...] = ()
    repeats: Share = 0.0
    derived: Derived | None = None
    weight: Points
    half_life: DurationMs
    cap: Points
    relief: bool = Field(default=False, strict=True)
    magnitude: Magnitude = "one"
    tolerated: Tolerated | None = None
    reference: Points | None = None
    least: Share | None = None
    most: Points | None = None
    halved_after: DurationMs | None = None
    until: Kinds | None = None
    estimates: Kinds | None = None

    @model_validator(mode="after")
    def _fed(self) -> "Signal":
        if not (self.kinds or self.breaches or self.derived):
            raise ValueError("kinds, breaches or derived must say what feeds it")
        return self

    @model_validator(mode="after")
    def _belongs_to_its_magnitude(self) -> "Signal":
        needed = {"wait": "tolerated", "amount": "reference", "age": "halved_after"}
        for magnitude, key in needed.items():
            if (self.magnitude == magnitude) != (getattr(self, key) is not None):
                raise ValueError(f"{key} is needed for magnitude {magnitude}, and only there")
        for magnitude, key in {"cost": "least", "consecutive": "until"}.items():
            if getattr(self, key) is not None and self.magnitude != magnitude:
                raise ValueError(f"{key} belongs to magnitude {magnitude} only")
        if self.estimates is not None and self.magnitude != "cost":
            raise ValueError("estimates belongs to magnitude cost only")
        if self.tolerated is not None and "other" not in self.tolerated:
            raise ValueError("tolerated must say how long for the stage other: it is that of every stage not named")
        return self


def too_many_magnitudes(signals: Mapping[str, Signal]) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """Kinds of which one interaction would have three magnitudes OF_ITS_FIELDS, with the signals that ask for them."""
    asked: dict[str, list[tuple[str, When]]] = {}
    for name, signal in signals.items():
        for fed in signal.kinds if signal.magnitude in OF_ITS_FIELDS else ():
            asked.setdefault(fed.kind, []).append((name, fed))
    for kind, entries in asked.items():
        for three in combinations(entries, 3):
            (a, one), (b, two), (c, last) = three
            if len({a, b, c}) == len(three) and can_all_hold([one, two, last]):
                yield kind, (a, b, c)


class Score(Said):
    """How heat becomes a score. relief: how much of a point of relief counts against a point of friction."""

    scale: Points
    relief: Share = 0.5


class Segment(Said):
    """Customers with a fuse of their own. patience: of the scale. priority: added to that of alerts, -1 is sooner."""

    patience: Annotated[float, Field(gt=0, le=10, strict=True)] = 1.0
    priority: Annotated[int, Field(ge=-4, le=4, strict=True)] = 0


class Question(Said):
    """A scale on which customers answer: the numbers that are worst and best."""

    worst: Annotated[float, Field(allow_inf_nan=False)]
    best: Annotated[float, Field(allow_inf_nan=False)]

    @model_validator(mode="after")
    def _is_a_scale(self) -> "Question":
        if self.worst == self.best:
            raise ValueError(f"worst and best must differ, got {self.worst:g} for both")
        return self


class Feedback(Said):
    """What ratings mean. bad, good: share of the way from worst to best below and from which it is that."""

    questions: dict[Name, Question] = Field(min_length=1, max_length=32)
    question: Name
    bad: Share
    good: Share

    @model_validator(mode="after")
    def _bounds(self) -> "Feedback":
        if self.bad >= self.good:
            raise ValueError(f"bad must be below good, got bad {self.bad:g} and good {self.good:g}")
        if self.question not in self.questions:
            raise ValueError(
                f"question must be one of the questions ({', '.join(self.questions)}), got {self.question}"
            )
        return self
