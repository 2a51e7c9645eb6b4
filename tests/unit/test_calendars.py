"""Working time: the promises in words, the nights on which clocks change against a walk by minutes, and the laws."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numba
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.policy.calendar_model import Calendar, without_always
from pipelines.policy.calendars import (
    CalendarTables,
    after_business_days,
    after_working_ms,
    before_working_ms,
    calendar_numbers,
    calendar_tables,
    working_ms_between,
)
from schemas.arrays import Int64s

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
ISTANBUL = {"zone": "Europe/Istanbul", "hours": {"mon-fri": "09:00-18:00"}}
HOLIDAY = {**ISTANBUL, "holidays": [date(2026, 3, 9)]}  # the Monday after Thursday, 5 March
SHOP = {
    "zone": "Europe/Istanbul",
    "hours": {"mon-fri": ["09:00-12:00", "13:00-18:00"], "sat": "10:00-14:00"},
    "holidays": ["2026-10-29"],
    "half_days": {"2026-10-28": "09:00-13:00"},
}


def calendar(said: dict[str, Any]) -> Calendar:
    return Calendar.model_validate(said)


def tables(*said: dict[str, Any]) -> CalendarTables:
    return calendar_tables({f"c{n}": calendar(one) for n, one in enumerate(said)})


def ms(text: str, zone: str = "Europe/Istanbul", fold: int = 0) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def local(at_ms: int, zone: str = "Europe/Istanbul") -> str:
    return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M")


# the promise: five business days


def test_a_refund_in_five_business_days_goes_over_the_holiday_and_warns_four_working_hours_before() -> None:
    with_holiday, without = tables(HOLIDAY), tables(ISTANBUL)
    asked_ms = ms("2026-03-05 16:00")
    deadline_ms = after_business_days(with_holiday, 1, asked_ms, 5)
    assert local(deadline_ms) == "Fri 2026-03-13 16:00"
    assert local(before_working_ms(with_holiday, 1, deadline_ms, 4 * HOUR_MS)) == "Fri 2026-03-13 12:00"
    assert local(after_business_days(without, 1, asked_ms, 5)) == "Thu 2026-03-12 16:00"


@pytest.mark.parametrize(
    ("asked", "days", "deadline"),
    [
        ("2026-10-22 12:30", 0, "Thu 2026-10-22 13:00"),  # in the break: as at the next opening
        ("2026-10-22 12:30", 1, "Fri 2026-10-23 13:00"),
        ("2026-10-22 07:00", 1, "Fri 2026-10-23 09:00"),  # before opening
        (
            "2026-10-22 18:00",
            1,
            "Sat 2026-10-24 10:00",
        ),  # after closing: as on Friday at 09:00, and Saturday opens at 10
        ("2026-10-22 17:59", 1, "Fri 2026-10-23 17:59"),
        ("2026-10-23 17:00", 1, "Sat 2026-10-24 14:00"),  # beyond Saturday's closing
        ("2026-10-24 12:30", 1, "Mon 2026-10-26 12:30"),  # in Monday's break
        ("2026-10-25 11:00", 1, "Tue 2026-10-27 09:00"),  # on a Sunday: as on Monday at 09:00
        ("2026-10-29 11:00", 1, "Sat 2026-10-31 10:00"),  # on a holiday
        ("2026-10-27 16:00", 1, "Wed 2026-10-28 13:00"),  # a half day counts, and ends at 13:00
        ("2026-10-27 16:00", 2, "Fri 2026-10-30 16:00"),
        ("2026-10-28 15:00", 1, "Sat 2026-10-31 10:00"),  # after the half day: as on Friday at 09:00
    ],
)
def test_business_days_keep_the_local_time_inside_the_hours_of_the_day(asked: str, days: int, deadline: str) -> None:
    assert local(after_business_days(tables(SHOP), 1, ms(asked), days)) == deadline


@pytest.mark.parametrize(
    ("asked", "deadline", "fold"),
    [
        ("2026-03-28 02:30", "2026-03-29 03:00", 0),  # left out that night: the first instant after the gap
        ("2026-10-24 02:30", "2026-10-25 02:30", 0),  # twice that night: the first
        ("2026-10-24 03:00", "2026-10-25 03:00", 0),
        ("2026-10-23 02:30", "2026-10-24 02:30", 0),
    ],
)
def test_business_days_lead_into_the_nights_on_which_clocks_change(asked: str, deadline: str, fold: int) -> None:
    berlin = tables({"zone": "Europe/Berlin", "hours": {"mon-sun": "00:00-24:00"}})
    found = after_business_days(berlin, 1, ms(asked, "Europe/Berlin"), 1)
    assert found == ms(deadline, "Europe/Berlin", fold)


def test_asked_in_the_hour_that_comes_twice_no_business_day_later_is_at_once() -> None:
    berlin = tables({"zone": "Europe/Berlin", "hours": {"mon-sun": "00:00-24:00"}})
    again_ms = ms("2026-10-25 02:30", "Europe/Berlin", fold=1)
    assert after_business_days(berlin, 1, again_ms, 0) == again_ms
    assert local(after_business_days(berlin, 1, again_ms, 1), "Europe/Berlin") == "Mon 2026-10-26 02:30"


def test_a_day_that_a_zone_left_out_is_no_business_day() -> None:
    samoa = tables({"zone": "Pacific/Apia", "hours": {"mon-fri": "09:00-17:00"}})  # had no Friday, 30 December 2011
    found = after_business_days(samoa, 1, ms("2011-12-29 10:00", "Pacific/Apia"), 1)
    assert local(found, "Pacific/Apia") == "Mon 2012-01-02 10:00"
    assert working_ms_between(samoa, 1, ms("2011-12-29 16:00", "Pacific/Apia"), found) == 2 * HOUR_MS


# working time in words


def test_working_time_waits_for_the_next_opening_and_may_end_at_a_closing() -> None:
    shop = tables(SHOP)
    friday_ms = ms("2026-10-23 17:00")
    assert local(after_working_ms(shop, 1, friday_ms, HOUR_MS)) == "Fri 2026-10-23 18:00"
    assert after_working_ms(shop, 1, friday_ms, HOUR_MS + 1) == ms("2026-10-24 10:00") + 1
    assert local(after_working_ms(shop, 1, ms("2026-10-25 03:00"), HOUR_MS)) == "Mon 2026-10-26 10:00"
    assert local(after_working_ms(shop, 1, ms("2026-10-26 11:30"), HOUR_MS)) == "Mon 2026-10-26 13:30"
    assert local(after_working_ms(shop, 1, ms("2026-10-28 12:00"), 2 * HOUR_MS)) == "Fri 2026-10-30 10:00"
    assert local(before_working_ms(shop, 1, ms("2026-10-30 10:00"), HOUR_MS)) == "Fri 2026-10-30 09:00"
    assert local(before_working_ms(shop, 1, ms("2026-10-30 10:00"), 2 * HOUR_MS)) == "Wed 2026-10-28 12:00"
    assert working_ms_between(shop, 1, ms("2026-10-26 00:00"), ms("2026-11-02 00:00")) == (8 * 3 + 4 + 4) * HOUR_MS
    assert working_ms_between(shop, 1, ms("2026-10-26 10:00"), ms("2026-10-26 09:30")) == -30 * MINUTE_MS


def test_no_working_time_has_passed_at_once_even_outside_of_working_hours() -> None:
    sunday_ms = ms("2026-10-25 03:00")
    assert (
        after_working_ms(tables(SHOP), 1, sunday_ms, 0) == before_working_ms(tables(SHOP), 1, sunday_ms, 0) == sunday_ms
    )


def test_a_half_day_opens_a_day_on_which_nobody_works_in_other_weeks() -> None:
    said = {**ISTANBUL, "half_days": {"2026-10-25": "10:00-12:00"}}  # a Sunday
    assert local(after_business_days(tables(said), 1, ms("2026-10-23 11:00"), 1)) == "Sun 2026-10-25 11:00"


def test_always_is_plain_arithmetic() -> None:
    for said in (tables(), tables(SHOP)):
        assert working_ms_between(said, 0, -5, 7) == 12
        assert after_working_ms(said, 0, -5, 12) == 7
        assert before_working_ms(said, 0, 7, 12) == -5
        assert after_business_days(said, 0, 7, 3) == 7 + 3 * DAY_MS


def test_outside_of_its_years_a_calendar_is_always() -> None:
    shop = tables(SHOP)
    for from_ms in (-(2**53), -1, 0, ms("1999-12-30 00:00"), ms("2060-01-01 00:00"), 2**53):
        assert working_ms_between(shop, 1, from_ms, from_ms + DAY_MS) == DAY_MS
        assert after_working_ms(shop, 1, from_ms, DAY_MS) == from_ms + DAY_MS
        assert before_working_ms(shop, 1, from_ms + DAY_MS, DAY_MS) == from_ms
        assert after_business_days(shop, 1, from_ms, 1) == from_ms + DAY_MS
    assert after_business_days(shop, 1, 2**62, 1) == 2**62 + DAY_MS
    last_ms = ms("2059-12-31 10:00")  # a Wednesday
    assert local(after_working_ms(shop, 1, last_ms, 8 * HOUR_MS)) == "Thu 2060-01-01 01:00"
    assert local(after_business_days(shop, 1, last_ms, 2)) == "Fri 2060-01-02 10:00"
    assert local(after_business_days(shop, 1, ms("2059-12-31 20:00"), 2)) == "Sat 2060-01-03 00:00"
    assert local(before_working_ms(shop, 1, ms("2000-01-03 09:00"), 5 * HOUR_MS)) == "Fri 1999-12-31 23:00"


def test_calendars_in_one_table_do_not_know_each_other() -> None:
    parts = ["00:00-06:00", "08:00-10:00", "12:00-14:00", "22:00-24:00"]  # more ranges than the second one has
    berlin = {"zone": "Europe/Berlin", "hours": {"sun-thu": parts, "fri": "00:00-06:00"}}
    both = tables(berlin, SHOP)
    assert calendar_numbers({"de": calendar(berlin), "tr": calendar(SHOP)}) == {"always": 0, "de": 1, "tr": 2}
    for at_ms in range(ms("2026-10-20 00:30"), ms("2026-11-02 00:00"), 7 * HOUR_MS):
        for number, alone in ((1, tables(berlin)), (2, tables(SHOP))):
            for question in (working_ms_between, after_working_ms, before_working_ms, after_business_days):
                more = 2 if question is after_business_days else 11 * HOUR_MS
                assert question(both, number, at_ms, more) == question(alone, 1, at_ms, more)


# the nights on which clocks change


@pytest.mark.parametrize(
    ("night", "hours", "worked_minutes"),
    [
        ("2026-03-29", "02:00-03:00", 0),  # left out
        ("2026-03-29", "01:00-02:30", 60),
        ("2026-03-29", "02:30-04:00", 60),
        ("2026-03-29", "00:00-24:00", 23 * 60),
        ("2026-10-25", "02:00-03:00", 120),  # twice
        ("2026-10-25", "00:00-02:30", 150),  # until the first 02:30
        ("2026-10-25", "02:30-04:00", 150),  # from the first 02:30
        ("2026-10-25", "00:00-24:00", 25 * 60),
    ],
)
def test_an_hour_left_out_is_not_worked_and_one_that_comes_twice_is_worked_twice(
    night: str, hours: str, worked_minutes: int
) -> None:
    berlin = tables({"zone": "Europe/Berlin", "hours": {"sun": hours}})
    midnight_ms = ms(f"{night} 00:00", "Europe/Berlin")
    assert working_ms_between(berlin, 1, midnight_ms, midnight_ms + 2 * DAY_MS) == worked_minutes * MINUTE_MS


NIGHTS = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),  # half an hour
    ("Australia/Lord_Howe", "2026-10-04"),
    ("America/St_Johns", "2010-11-07"),  # from one minute past midnight back into Saturday
    ("Europe/Istanbul", "2026-03-29"),  # none
]
WALKED_DAYS = 4


@cache
def walk(zone: str, night: str) -> tuple[int, list[datetime]]:
    """Begin in ms and, minute by minute, the latest local time that the clock has shown until then."""
    begin = datetime.fromisoformat(night).replace(hour=12, tzinfo=UTC) - timedelta(days=WALKED_DAYS / 2)
    shown, latest = [], datetime.min  # noqa: DTZ901  # local times, without a zone
    for minute in range(WALKED_DAYS * 24 * 60):
        at = (begin + timedelta(minutes=minute)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        latest = max(latest, at)
        shown.append(latest)
    return round(begin.timestamp() * 1000), shown


def walked_minutes(said: dict[str, Any], night: str) -> tuple[int, list[int]]:
    """Begin in ms, and the minutes after it in which somebody works: 00:00-24:00 texts compared as texts."""
    begin_ms, shown = walk(said["zone"], night)
    spans = [text.split("-") for text in said["hours"]["mon-sun"]]
    clock = [at.strftime("%H:%M") for at in shown]
    return begin_ms, [m for m, time in enumerate(clock) if any(begin <= time < end for begin, end in spans)]


@st.composite
def day_hours(draw: st.DrawFn) -> list[str]:
    """Hours near the night, most of them: the ends are any of the first hours, or later."""
    minute = st.one_of(st.integers(0, 18).map(lambda n: n * 15), st.integers(0, 96).map(lambda n: n * 15))
    ends = sorted(draw(st.lists(minute, min_size=2, max_size=6, unique=True)))
    texts = [f"{n // 60:02}:{n % 60:02}" for n in ends]
    return [f"{begin}-{end}" for n, (begin, end) in enumerate(pairwise(texts)) if n % 2 == 0 or draw(st.booleans())]


@settings(max_examples=60, deadline=None)  # the first walk of a night takes longer
@given(st.sampled_from(NIGHTS), day_hours(), st.data())
def test_working_time_is_what_a_walk_by_minutes_counts(
    where: tuple[str, str], hours: list[str], data: st.DataObject
) -> None:
    said = {"zone": where[0], "hours": {"mon-sun": hours}}
    begin_ms, minutes = walked_minutes(said, where[1])
    assume(len(minutes) > 2)
    of = tables(said)
    first, last = sorted(data.draw(st.lists(st.integers(0, WALKED_DAYS * DAY_MS), min_size=2, max_size=2)))

    def walked_until(at_ms: int) -> int:
        return sum(min(MINUTE_MS, at_ms - m * MINUTE_MS) for m in minutes if m * MINUTE_MS < at_ms)

    assert working_ms_between(of, 1, begin_ms + first, begin_ms + last) == walked_until(last) - walked_until(first)

    n, k = sorted(data.draw(st.lists(st.integers(0, len(minutes) - 1), min_size=2, max_size=2)))
    amount_ms = (k - n + 1) * MINUTE_MS  # from the beginning of one worked minute to the end of another
    from_ms, to_ms = begin_ms + minutes[n] * MINUTE_MS, begin_ms + (minutes[k] + 1) * MINUTE_MS
    assert after_working_ms(of, 1, from_ms, amount_ms) == to_ms
    assert before_working_ms(of, 1, to_ms, amount_ms) == from_ms


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NIGHTS), st.integers(0, 2 * 24 * 60 - 1), st.integers(0, 2))
def test_business_days_over_the_night_show_the_same_local_time(where: tuple[str, str], minute: int, days: int) -> None:
    zone, night = ZoneInfo(where[0]), where[1]
    begin_ms, shown = walk(*where)
    asked_ms = begin_ms + minute * MINUTE_MS
    asked = datetime.fromtimestamp(asked_ms // 1000, zone).replace(tzinfo=None)
    assume(asked == shown[minute])  # the second of two equal times has a test of its own
    wanted = asked + timedelta(days=days)
    found = next((m for m, latest in enumerate(shown) if latest >= wanted), None)
    assume(found is not None)
    assert found is not None
    of = tables({"zone": where[0], "hours": {"mon-sun": "00:00-24:00"}})
    assert after_business_days(of, 1, asked_ms, days) == begin_ms + found * MINUTE_MS, night


# laws

INSTANTS = st.integers(ms("2026-01-01 00:00"), ms("2027-01-01 00:00"))
AMOUNTS = st.integers(0, 90 * DAY_MS)
SAID = st.sampled_from(
    [
        SHOP,
        {**SHOP, "zone": "America/New_York"},
        {"zone": "Europe/Berlin", "hours": {"sat-thu": ["00:00-06:00", "22:00-24:00"]}},
    ]
)


@cache
def cached_tables(said: str) -> CalendarTables:
    return tables(json.loads(said))


@given(SAID, INSTANTS, AMOUNTS)
def test_before_takes_back_what_after_has_added(said: dict[str, Any], from_ms: int, working_ms: int) -> None:
    of = cached_tables(json.dumps(said))
    to_ms = after_working_ms(of, 1, from_ms, working_ms)
    assert working_ms_between(of, 1, from_ms, to_ms) == working_ms
    back_ms = before_working_ms(of, 1, to_ms, working_ms)
    if working_ms_between(of, 1, from_ms, from_ms + 1) == 1:
        assert back_ms == from_ms
    else:  # counted from the next opening
        assert back_ms >= from_ms
        assert working_ms_between(of, 1, from_ms, back_ms) == 0


@given(SAID, INSTANTS, AMOUNTS, AMOUNTS)
def test_working_time_adds_up(said: dict[str, Any], from_ms: int, one_ms: int, more_ms: int) -> None:
    of = cached_tables(json.dumps(said))
    middle_ms = after_working_ms(of, 1, from_ms, one_ms)
    assert (
        after_working_ms(of, 1, from_ms, one_ms + more_ms) == after_working_ms(of, 1, middle_ms, more_ms) or not more_ms
    )
    middle_ms = before_working_ms(of, 1, from_ms, one_ms)
    assert before_working_ms(of, 1, from_ms, one_ms + more_ms) == before_working_ms(of, 1, middle_ms, more_ms)


@given(SAID, INSTANTS, st.integers(0, 30))
def test_more_business_days_never_give_an_earlier_deadline(said: dict[str, Any], from_ms: int, days: int) -> None:
    of = cached_tables(json.dumps(said))
    assert from_ms <= after_business_days(of, 1, from_ms, days) <= after_business_days(of, 1, from_ms, days + 1)


@given(INSTANTS, st.integers(0, 4 * DAY_MS), st.integers(0, 30))
def test_who_asks_later_never_has_an_earlier_deadline(from_ms: int, more_ms: int, days: int) -> None:
    of = cached_tables(json.dumps(SHOP))  # without changes of the clock: in a repeated hour local times go back
    assert after_business_days(of, 1, from_ms, days) <= after_business_days(of, 1, from_ms + more_ms, days)


def counted_on_the_calendar(said: Calendar, from_ms: int, days: int) -> int:
    """Business days as a person counts them, for hours that are not in the night."""
    zone = ZoneInfo(said.zone)
    asked = datetime.fromtimestamp(from_ms / 1000, zone).replace(tzinfo=None, microsecond=from_ms % 1000 * 1000)
    day, start = asked.date(), None
    left = days
    while True:
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001  # local, as all here
        hours = said.exceptions.get(day, said.week[day.weekday()])
        spans = [(midnight + timedelta(minutes=begin), midnight + timedelta(minutes=end)) for begin, end in hours]
        if start is None:
            start = next((max(asked, opens) for opens, closes in spans if asked < closes), None)
        else:
            left -= bool(spans)
        if start is not None and left == 0 and spans:
            at = datetime.combine(day, start.time())
            at = min(max(at, spans[0][0]), spans[-1][1]).replace(tzinfo=zone)
            return round(at.timestamp() * 1000)
        day += timedelta(days=1)


@given(st.sampled_from(["Europe/Istanbul", "Europe/Berlin", "America/New_York"]), INSTANTS, st.integers(0, 30))
def test_business_days_are_those_that_a_person_counts(zone: str, from_ms: int, days: int) -> None:
    said = {**SHOP, "zone": zone}
    of = cached_tables(json.dumps(said))
    assert after_business_days(of, 1, from_ms, days) == counted_on_the_calendar(calendar(said), from_ms, days)


def ask_all(of: CalendarTables, number: int, from_ms: Int64s, amount_ms: Int64s, days: Int64s, answers: Int64s) -> None:
    for i in range(from_ms.shape[0]):
        answers[i, 0] = working_ms_between(of, number, from_ms[i], from_ms[i] + amount_ms[i])
        answers[i, 1] = after_working_ms(of, number, from_ms[i], amount_ms[i])
        answers[i, 2] = before_working_ms(of, number, from_ms[i], amount_ms[i])
        answers[i, 3] = after_business_days(of, number, from_ms[i], days[i])


def test_compiled_and_plain_give_the_same_answers() -> None:
    compiled: Callable[..., None] = numba.njit(error_model="numpy")(
        ask_all
    )  # not kept on disk: the steps are elsewhere
    random = np.random.default_rng(7)
    from_ms = random.integers(ms("1999-12-01 00:00"), ms("2060-02-01 00:00"), 300)
    amount_ms, days = random.integers(0, 40 * DAY_MS, 300), random.integers(0, 30, 300)
    of = tables(SHOP, {"zone": "Australia/Lord_Howe", "hours": {"sat-wed": "00:30-23:00"}})
    for number in range(3):
        plain, fast = np.zeros((300, 4), np.int64), np.ones((300, 4), np.int64)
        ask_all(of, number, from_ms, amount_ms, days, plain)
        compiled(of, number, from_ms, amount_ms, days, fast)
        assert (plain == fast).all()


# what is wrong with a calendar


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"zone": "Mars/Base"}, "must be an IANA time zone such as Europe/Istanbul, got 'Mars/Base'"),
        ({"zone": "localtime"}, "must be an IANA time zone such as Europe/Istanbul, got 'localtime'"),
        ({"zone": "Europe"}, "must be an IANA time zone such as Europe/Istanbul, got 'Europe'"),
        ({"zone": "../zone"}, "must be an IANA time zone such as Europe/Istanbul, got '../zone'"),
        ({"hours": {}}, "at least 1 item"),
        ({"hours": {"mon": []}}, "must have hours; a day on which nobody works is left out"),
        (
            {"hours": {"mon": "18:00-09:00"}},
            "must end after it begins, got 18:00-09:00; hours over midnight are two: 18:00-24:00 and 00:00-09:00 of",
        ),
        ({"hours": {"mon": "09:00-09:00"}}, "must end after it begins, got 09:00-09:00"),
        (
            {"hours": {"mon": "22:00-00:00"}},
            "must end after it begins, got 22:00-00:00; the midnight that ends a day is 24:00",
        ),
        ({"hours": {"mon": "09:00-24:01"}}, "must be times from 00:00 to 24:00, got 09:00-24:01"),
        ({"hours": {"mon": "9-18"}}, "must be hours such as 09:00-18:00, got '9-18'"),
        ({"hours": {"mon": 540}}, "must be hours such as 09:00-18:00, got 540"),
        ({"hours": {"mon": ["13:00-18:00", "09:00-13:01"]}}, "must not overlap, got 09:00-13:01 and 13:00-18:00"),
        ({"hours": {"mon-fri": "09:00-18:00", "fri-sat": "10:00-14:00"}},
         "must say a weekday once, but fri is in mon-fri and fri-sat"),
        ({"hours": {"monday": "09:00-18:00"}},
         "must be a weekday or two with - between them, such as sat or mon-fri, got 'monday'"),
        ({"hours": {"mon-mon": "09:00-18:00"}},
         "must be a weekday or two with - between them, such as sat or mon-fri, got 'mon-mon'"),
        ({"holidays": ["2026-10-29"], "half_days": {"2026-10-29": "09:00-13:00"}},
         "a date must be a holiday or a half day, but 2026-10-29 is both"),
        ({"holidays": ["29.10.2026"]}, "must be a date such as 2026-10-29, got '29.10.2026'"),
        ({"holidays": [20261029]}, "must be a date such as 2026-10-29, got '20261029'"),
        ({"holidays": [datetime(2026, 10, 29, tzinfo=UTC)]}, "must be a date such as 2026-10-29, got '2026-10-29 00"),
        ({"holidays": ["2026-02-30"]}, "must be a day that exists, got 2026-02-30: day is out of range for month"),
        ({"holidays": ["2206-10-29"]}, "must be from 2000-01-01 to 2059-12-31, got 2206-10-29"),
        ({"half_days": {"2026-10-28": "13:00-09:00"}}, "must end after it begins, got 13:00-09:00"),
        ({"half_days": {"soon": "09:00-13:00"}}, "must be a date such as 2026-10-29, got 'soon'"),
        ({"closed": ["2026-10-29"]}, "not permitted"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_calendar_is_told(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as error:
        calendar({**ISTANBUL, **change})
    (one,) = error.value.errors()
    assert told in one["msg"]


def test_an_error_of_a_half_day_names_the_date_as_it_is_written() -> None:
    for key in ("2026-10-28", date(2026, 10, 28)):
        with pytest.raises(ValidationError) as error:
            calendar({**ISTANBUL, "half_days": {key: "0900-13:00"}})
        assert error.value.errors()[0]["loc"] == ("half_days", "2026-10-28")


def test_nobody_may_call_a_calendar_always() -> None:
    with pytest.raises(ValueError, match="always is the calendar of all hours and needs no entry"):
        without_always({"always": calendar(ISTANBUL)})
    assert list(without_always({"tr": calendar(ISTANBUL)})) == ["tr"]


def test_hours_may_touch_and_weeks_may_end_on_any_day() -> None:
    said = calendar({"zone": "UTC", "hours": {"sun-tue": ["12:00-24:00", "00:00-12:00"]}})
    assert said.week == (((0, 720), (720, 1440)),) * 2 + ((),) * 4 + (((0, 720), (720, 1440)),)
    assert said.model_dump(mode="json")["hours"] == {"sun-tue": [[0, 720], [720, 1440]]}
    assert calendar_tables({"c": said}).ranges["worked_ms"].min() == 0
