"""What a policy says about working hours: the calendars' shapes, and what is checked when they are read.

The one thing from outside is the time zone data, which ``zoneinfo`` finds on the machine or in the package tzdata.
"""

import re
from datetime import date, datetime
from itertools import pairwise
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.zones import zone_name

ALWAYS = "always"
"""The calendar that needs no entry: 24 hours, every day. Its number is 0."""

FIRST_DATE, LAST_DATE = date(2000, 1, 1), date(2059, 12, 31)
"""Calendars count between these; before and after, all time is working time."""

Hours: TypeAlias = tuple[tuple[int, int], ...]
"""Working hours of a day: beginnings and ends in minutes since midnight, ascending; an end is exclusive."""

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKDAYS_FORM = rf"({'|'.join(_WEEKDAYS)})(?:-({'|'.join(_WEEKDAYS)}))?"
_TIME_FORM = r"([01][0-9]|2[0-4]):([0-5][0-9])"
_SPAN_FORM = f"{_TIME_FORM}-{_TIME_FORM}"
_DATE_FORM = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_DAY_END = 24 * 60


def _span(text: object) -> tuple[int, int]:
    match = re.fullmatch(_SPAN_FORM, text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"must be hours such as 09:00-18:00, got {text!r}")
    begin, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    if max(begin, end) > _DAY_END:
        raise ValueError(f"must be times from 00:00 to 24:00, got {text}")
    if end == 0:
        raise ValueError(f"must end after it begins, got {text}; the midnight that ends a day is 24:00")
    if end <= begin:
        split = f"{match[1]}:{match[2]}-24:00 and 00:00-{match[3]}:{match[4]} of the next day"
        over = f"; hours over midnight are two: {split}" if end < begin < _DAY_END else ""
        raise ValueError(f"must end after it begins, got {text}{over}")
    return begin, end


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def hours_of(said: object) -> Hours:
    """Return the hours of a day that are written as ``"09:00-18:00"``, or as a list of such spans.

    Raises:
        ValueError: one is no span of a day, there is none, or two of them overlap.
    """
    spans = sorted(_span(text) for text in (said if isinstance(said, list | tuple) else [said]))
    if not spans:
        raise ValueError("must have hours; a day on which nobody works is left out")
    for (begin, end), (next_begin, next_end) in pairwise(spans):
        if next_begin < end:
            both = f"{_clock(begin)}-{_clock(end)} and {_clock(next_begin)}-{_clock(next_end)}"
            raise ValueError(f"must not overlap, got {both}")
    return tuple(spans)


def weekdays_of(text: str) -> tuple[int, ...]:
    """Return the weekdays (Monday is 0) of ``mon-fri`` or ``sat``; ``sun-thu`` goes over the end of the week.

    Raises:
        ValueError: it is neither.
    """
    match = re.fullmatch(_WEEKDAYS_FORM, text)
    if match is None or match[1] == match[2]:
        raise ValueError(f"must be a weekday or two with - between them, such as sat or mon-fri, got {text!r}")
    begin, end = _WEEKDAYS.index(match[1]), _WEEKDAYS.index(match[2] or match[1])
    return tuple((begin + n) % 7 for n in range((end - begin) % 7 + 1))


def _weekdays_text(text: str) -> str:
    weekdays_of(text)
    return text


def _date(said: object) -> date:
    """Return the day: YAML makes a date of 2026-10-29, quoted it is a text."""
    day = said
    if isinstance(said, str) and re.fullmatch(_DATE_FORM, said):
        try:
            day = date.fromisoformat(said)
        except ValueError as error:
            raise ValueError(f"must be a day that exists, got {said}: {error}") from error
    if not isinstance(day, date) or isinstance(day, datetime):
        raise ValueError(f"must be a date such as 2026-10-29, got {str(said)[:40]!r}")  # noqa: TRY004  # pydantic's
    if not FIRST_DATE <= day <= LAST_DATE:
        raise ValueError(f"must be from {FIRST_DATE} to {LAST_DATE}, got {day}")
    return day


Zone = Annotated[str, AfterValidator(zone_name), Field(examples=["Europe/Istanbul"])]
"""Name of an IANA time zone."""

_SpanText = Annotated[str, Field(pattern=f"^{_SPAN_FORM}$", examples=["09:00-18:00"])]
_DateText = Annotated[str, Field(pattern=f"^{_DATE_FORM}$", examples=["2026-10-29"])]
_HoursInput: TypeAlias = _SpanText | Annotated[list[_SpanText], Field(min_length=1)]

DayHours = Annotated[Hours, BeforeValidator(hours_of, json_schema_input_type=_HoursInput)]
Day = Annotated[date, BeforeValidator(_date, json_schema_input_type=_DateText)]
Weekdays = Annotated[str, AfterValidator(_weekdays_text), Field(json_schema_extra={"pattern": f"^{_WEEKDAYS_FORM}$"})]


def _a_weekday_is_said_once(hours: dict[str, Hours]) -> dict[str, Hours]:
    said: dict[int, str] = {}
    for text in hours:
        for weekday in weekdays_of(text):
            if weekday in said:
                raise ValueError(f"must say a weekday once, but {_WEEKDAYS[weekday]} is in {said[weekday]} and {text}")
            said[weekday] = text
    return hours


def _with_text_keys(said: object) -> object:
    """Turn the dates that YAML makes of keys back into texts, so that an error names the key as it is written."""
    return {str(key): value for key, value in said.items()} if isinstance(said, dict) else said


class Calendar(BaseModel):
    """When somebody works: the hours of the week, and the dates that differ."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zone: Zone
    hours: Annotated[dict[Weekdays, DayHours], Field(min_length=1), AfterValidator(_a_weekday_is_said_once)]
    holidays: tuple[Day, ...] = ()
    half_days: Annotated[dict[Day, DayHours], BeforeValidator(_with_text_keys)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _a_date_is_said_once(self) -> "Calendar":
        for day in self.holidays:
            if day in self.half_days:
                raise ValueError(f"a date must be a holiday or a half day, but {day} is both")
        return self

    @property
    def week(self) -> tuple[Hours, ...]:
        """Hours of Monday to Sunday; () is a day on which nobody works."""
        said = {weekday: hours for text, hours in self.hours.items() for weekday in weekdays_of(text)}
        return tuple(said.get(weekday, ()) for weekday in range(7))

    @property
    def exceptions(self) -> dict[date, Hours]:
        """Hours of the dates that do not follow the week: () on holidays, half days as they are said."""
        return {**dict.fromkeys(self.holidays, ()), **self.half_days}


def without_always(calendars: dict[str, Calendar]) -> dict[str, Calendar]:
    """Return the calendars of a policy as they are.

    Raises:
        ValueError: one has the name of the calendar that needs no entry.
    """
    if ALWAYS in calendars:
        raise ValueError(f"{ALWAYS} is the calendar of all hours and needs no entry: give yours another name")
    return calendars
