"""What a policy says of what customers wait for: clocks, cases, contacts, mentions and searches."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipelines.policy.durations import duration_ms, duration_text
from pipelines.policy.terms import DurationMs, DurationText, Kinds, Name, Openings, Said, Text

_BUSINESS_DAYS = r"^0*([1-9][0-9]?|[12][0-9]{2}|3[0-5][0-9]|36[0-5])bd$"


def _promise(said: Any) -> Any:
    if isinstance(said, str) and said.endswith("bd"):
        if re.fullmatch(_BUSINESS_DAYS, said) is None:
            raise ValueError(f"must be whole business days such as 5bd, at most 365bd, got {said[:40]}")
        return {"business_days": int(said[:-2])}
    try:
        return {"ms": duration_ms(said)}
    except ValueError as error:
        raise ValueError(f"{error}; business days are such as 5bd") from None


class Promise(Said):
    """How long a clock may run: working time of its calendar, or business days."""

    ms: int = 0
    business_days: int = 0


PromiseText = Annotated[
    Promise,
    BeforeValidator(
        _promise,
        json_schema_input_type=DurationText | Annotated[str, Field(pattern=_BUSINESS_DAYS, examples=["5bd"])],
    ),
]


class Clock(Said):
    """What a customer waits for.

    match: what opening and closing have in common. again: what an opening does to a clock that is open already.
    warn: how long before the deadline. still_waiting: ages at which it is said again that the customer still waits.
    repeat: how often it is said after the deadline.
    """

    opens: Openings
    closes: Kinds
    resets: Kinds | None = None
    breaks: Kinds | None = None
    pauses: Kinds | None = None
    resumes: Kinds | None = None
    match: Literal["case", "session", "customer"] = "case"
    again: Literal["keep", "reset"] = "keep"
    promise: PromiseText | None = None
    deadline: Text | None = None
    warn: DurationMs | None = None
    calendar: Name = "always"
    still_waiting: tuple[DurationMs, ...] = Field(default=(), max_length=8)
    repeat: DurationMs | None = None
    priority: int = Field(default=3, ge=1, le=5, strict=True)
    action: Text | None = None

    @model_validator(mode="after")
    def _says_when(self) -> "Clock":
        if self.promise is None and (self.warn is not None or self.repeat is not None):
            raise ValueError("warn and repeat need a promise")
        if self.promise is None and not self.still_waiting and self.deadline is None:
            raise ValueError("promise, deadline or still_waiting must say when it is too long")
        if self.deadline is not None and self.promise is None:
            raise ValueError("deadline needs a promise too: of those who are told no deadline")
        if (self.pauses is None) != (self.resumes is None):
            raise ValueError("pauses and resumes need each other")
        for before, after in zip(self.still_waiting, self.still_waiting[1:], strict=False):
            if after <= before:
                told = f"{duration_text(after)} after {duration_text(before)}"
                raise ValueError(f"still_waiting must rise, got {told}")
        return self


class Cases(Said):
    """When a case is open. While it is, its friction does not decay."""

    opens: Kinds
    resolves: Kinds
    reopens: Kinds | None = None
    answered: Kinds | None = None
    customer: Kinds | None = None
    silence: DurationMs | None = None
    reopen_within: DurationMs | None = None

    @model_validator(mode="after")
    def _silence(self) -> "Cases":
        if self.silence is not None and self.answered is None:
            raise ValueError("silence needs answered: the replies after which silence closes a case")
        return self


class Contacts(Said):
    """When a customer has to ask again, across channels, about the same subject."""

    kinds: Kinds
    count: int = Field(default=3, ge=2, le=16, strict=True)
    within: DurationMs
    tried: Kinds | None = None
    priority: int = Field(default=2, ge=1, le=5, strict=True)
    action: Text | None = None


class Social(Said):
    """Public mentions that are a risk at once: of that reach, by a customer with an open case."""

    kinds: Kinds
    answers: Kinds
    reach: int = Field(default=1000, ge=1, le=10_000_000_000, strict=True)  # more than there are people
    priority: int = Field(default=1, ge=1, le=5, strict=True)
    action: Text | None = None


class Deflection(Said):
    """Help pages: a search, and whether a contact follows."""

    searches: Kinds
    contacts: Kinds
    failed_within: DurationMs
    assumed_after: DurationMs

    @model_validator(mode="after")
    def _bounds(self) -> "Deflection":
        if self.assumed_after <= self.failed_within:
            raise ValueError("assumed_after must be longer than failed_within")
        return self


class Corrections(Said):
    """What is kept to put right what was told: for late interactions, and for those that are sent twice."""

    horizon: DurationMs
    remembered: int = Field(default=8, ge=0, le=64, strict=True)

    @model_validator(mode="after")
    def _long_enough(self) -> "Corrections":
        if self.horizon < 900_000:
            raise ValueError(f"horizon must be at least 15m, got {duration_text(self.horizon)}")
        return self
