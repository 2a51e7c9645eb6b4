"""Working time: how much of it is between two instants, when so much has passed, and business days.

Calendars become tables of numbers, so that kernels can ask. A calendar's number is its place in the policy, from 1;
number 0 is ``always``: 24 hours, every day. From 2000 to 2059, by the calendar's own clock, its hours count; before
and after, all time is working time and a business day has 24 hours.

On the nights on which clocks change, a local time is the first instant at which the clock shows it or a later one. So
an hour that is left out is no working time, an hour that comes twice is worked twice, and hours that begin or end
inside it begin or end the first time.
"""

from bisect import bisect_left
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from pipelines.policy.calendar_model import ALWAYS, FIRST_DATE, LAST_DATE, Calendar
from schemas.arrays import Int64s
from schemas.compiled import step

_DAY_MS, _DAY_S = 86_400_000, 86_400
_FAR_MS = 1000 * 2**50  # 35 million years; sums of a few of them are still int64
_EPOCH = date(1970, 1, 1)
_FIRST_DAY, _END_DAY = (FIRST_DATE - _EPOCH).days, (LAST_DATE - _EPOCH).days + 1


Records: TypeAlias = npt.NDArray[np.void]


def _int64s(*names: str) -> np.dtype[np.void]:
    return np.dtype([(name, np.int64) for name in names])


_FIRST = _int64s("range", "day", "shift")
_RANGE = _int64s("opens_ms", "closes_ms", "worked_ms", "day")
_DAY = _int64s("local_day", "opens_ms", "closes_ms")
_SHIFT = _int64s("since_ms", "offset_ms", "reached_ms")


class CalendarTables(NamedTuple):
    """All calendars, one after the other, as records of int64: few arrays are cheap to hand from step to step.

    firsts: [c + 1], places of the first range, day and shift of each calendar; they end where those of the next begin.
    ranges: [r], working time in UTC, ascending, closes_ms exclusive; worked_ms: the working time in the calendar's
        ranges before; day: which of the calendar's business days it belongs to. A calendar's first and last ranges are
        the time outside of its years (day -1).
    days: [d], business days; local_day: since 1970; opens_ms, closes_ms: of the first and the last range.
    shifts: [s], changes of the zone's clock; since_ms: when; offset_ms: local time minus UTC from then on; reached_ms:
        local time that the clock had reached then.
    """

    firsts: Records
    ranges: Records
    days: Records
    shifts: Records


def calendar_numbers(calendars: Mapping[str, Calendar]) -> dict[str, int]:
    """Return the number of each calendar, ``always`` too."""
    return {ALWAYS: 0, **{name: number for number, name in enumerate(calendars, start=1)}}


def calendar_tables(calendars: Mapping[str, Calendar]) -> CalendarTables:
    """Return the tables of the calendars, numbered as by calendar_numbers."""
    parts = [(_records(_RANGE), _records(_DAY), _records(_SHIFT)), *map(_tables_of, calendars.values())]
    ranges, days, shifts = zip(*parts, strict=True)
    firsts = (np.cumsum([0, *map(len, own)]) for own in (ranges, days, shifts))
    return CalendarTables(_records(_FIRST, *firsts), *map(np.concatenate, (ranges, days, shifts)))


def _records(of: np.dtype[np.void], *columns: Int64s) -> Records:
    records = np.empty(len(columns[0]) if columns else 0, of)
    for name, column in zip(of.names or (), columns, strict=bool(columns)):
        records[name] = column
    return records


def _tables_of(calendar: Calendar) -> tuple[Records, Records, Records]:
    """Ranges, days and shifts of one calendar."""
    shifts = _shifts(calendar.zone)

    def instants(local_ms: Int64s) -> Int64s:
        of = shifts[np.searchsorted(shifts["reached_ms"], local_ms, side="right") - 1]
        first_ms: Int64s = np.maximum(of["since_ms"], local_ms - of["offset_ms"])
        return first_ms

    local_day, hours = _said_hours(calendar)
    opens_ms, closes_ms = instants(local_day * _DAY_MS + hours[0]), instants(local_day * _DAY_MS + hours[1])
    exist = closes_ms > opens_ms  # hours, or a day, may fall into the time that clocks leave out
    local_day, opens_ms, closes_ms = local_day[exist], opens_ms[exist], closes_ms[exist]
    local_days, first, day = np.unique(local_day, return_index=True, return_inverse=True)
    days = _records(_DAY, local_days, opens_ms[first], closes_ms[np.append(first[1:], len(local_day)) - 1])

    begin_ms, end_ms = instants(np.array([_FIRST_DAY, _END_DAY]) * _DAY_MS)
    opens_ms, closes_ms = np.r_[-_FAR_MS, opens_ms, end_ms], np.r_[begin_ms, closes_ms, _FAR_MS]
    worked_ms = np.r_[0, np.cumsum(closes_ms - opens_ms)[:-1]]
    return _records(_RANGE, opens_ms, closes_ms, worked_ms, np.r_[-1, day, -1]), days, shifts


def _said_hours(calendar: Calendar) -> tuple[Int64s, Int64s]:
    """Hours as they are said, in their order: local days, int64[r], and ms from midnight to their ends, int64[2, r]."""
    every_day = np.arange(_FIRST_DAY, _END_DAY)
    exceptions = {(day - _EPOCH).days: hours for day, hours in calendar.exceptions.items()}
    weekday = (every_day + _EPOCH.weekday()) % 7
    weekday[np.isin(every_day, list(exceptions))] = 7
    groups = [(every_day[weekday == n], hours) for n, hours in enumerate(calendar.week)]
    groups += [(np.array([day]), hours) for day, hours in exceptions.items()]
    days = np.concatenate([days for days, hours in groups for _ in hours])
    minutes = np.concatenate(
        [np.tile([[begin], [end]], len(days)) for days, hours in groups for begin, end in hours], 1
    )
    order = np.lexsort((minutes[0], days))
    return days[order], minutes[:, order] * 60_000


def _offset_s(at_s: int, zone: ZoneInfo) -> int:
    return round((datetime.fromtimestamp(at_s, zone).utcoffset() or timedelta(0)).total_seconds())


def change_s(first_s: int, end_s: int, zone: ZoneInfo) -> int:
    """When, in epoch seconds, clocks are changed between two times; ``end_s`` when they are not before."""
    before_s = _offset_s(first_s, zone)
    return first_s + bisect_left(range(first_s, end_s), True, key=lambda at_s: _offset_s(at_s, zone) != before_s)


@cache
def _shifts(zone_name: str) -> Records:
    """Shifts of a zone, which does not change its clock twice within a day."""
    zone = ZoneInfo(zone_name)

    since_s, offsets_s = [-_FAR_MS // 1000], [_offset_s((_FIRST_DAY - 1) * _DAY_S, zone)]
    for end_s in range(_FIRST_DAY * _DAY_S, (_END_DAY + 1) * _DAY_S + 1, _DAY_S):
        if _offset_s(end_s, zone) != offsets_s[-1]:
            since_s.append(change_s(end_s - _DAY_S, end_s, zone))
            offsets_s.append(_offset_s(end_s, zone))
    since_ms, offset_ms = np.array(since_s) * 1000, np.array(offsets_s) * 1000
    return _records(_SHIFT, since_ms, offset_ms, np.r_[-_FAR_MS, since_ms[1:] + offset_ms[:-1]])


@step
def last_at_most(values: Int64s, first: int, end: int, bound: int) -> int:
    """Place of the last of the ascending values[first:end] that is <= bound; first - 1 if none is."""
    while first < end:
        middle = (first + end) // 2
        if values[middle] <= bound:
            first = middle + 1
        else:
            end = middle
    return first - 1


@step
def worked_until(tables: CalendarTables, calendar: int, at_ms: int) -> int:
    """Working time in ms of a calendar > 0 from its beginning, long before all events, until at_ms."""
    first, end = tables.firsts[calendar]["range"], tables.firsts[calendar + 1]["range"]
    of = tables.ranges[last_at_most(tables.ranges["opens_ms"], first + 1, end, at_ms)]
    return int(of["worked_ms"] + min(at_ms, of["closes_ms"]) - of["opens_ms"])


@step
def at_worked(tables: CalendarTables, calendar: int, worked_ms: int, bound_ms: int) -> int:
    """Instant with worked_until = worked_ms, in the last range before which at most bound_ms have been worked."""
    first, end = tables.firsts[calendar]["range"], tables.firsts[calendar + 1]["range"]
    of = tables.ranges[last_at_most(tables.ranges["worked_ms"], first + 1, end, bound_ms)]
    return int(of["opens_ms"] + worked_ms - of["worked_ms"])


@step
def working_ms_between(tables: CalendarTables, calendar: int, from_ms: int, to_ms: int) -> int:
    """Working time in ms from from_ms to to_ms; negative when to_ms is the earlier one."""
    if calendar == 0:
        return to_ms - from_ms
    return worked_until(tables, calendar, to_ms) - worked_until(tables, calendar, from_ms)


@step
def after_working_ms(tables: CalendarTables, calendar: int, from_ms: int, working_ms: int) -> int:
    """Instant at which working_ms >= 0 have been worked since from_ms: the first one, so it may be a closing."""
    if calendar == 0 or working_ms == 0:
        return from_ms + working_ms
    worked_ms = worked_until(tables, calendar, from_ms) + working_ms
    return at_worked(tables, calendar, worked_ms, worked_ms - 1)


@step
def before_working_ms(tables: CalendarTables, calendar: int, at_ms: int, working_ms: int) -> int:
    """Instant from which working_ms >= 0 are worked until at_ms: the last one, so it may be an opening."""
    if calendar == 0 or working_ms == 0:
        return at_ms - working_ms
    worked_ms = worked_until(tables, calendar, at_ms) - working_ms
    return at_worked(tables, calendar, worked_ms, worked_ms)


@step
def after_business_days(tables: CalendarTables, calendar: int, from_ms: int, days: int) -> int:
    """Instant at which the calendar's clock shows the same time as at from_ms, days >= 0 business days later.

    A business day is a local day with working hours, a half day too. Asked outside of working hours (before they begin,
    in a break, after they end, on a free day) counts as asked at the next opening. A local time after the last hours of
    the day that it leads to is their end, one before the first hours is their beginning, and one in a break stays.
    """
    if calendar == 0:
        return from_ms + days * _DAY_MS
    first, end = tables.firsts[calendar], tables.firsts[calendar + 1]
    r = last_at_most(tables.ranges["opens_ms"], first["range"] + 1, end["range"], from_ms)
    if from_ms >= tables.ranges[r]["closes_ms"] and r + 1 < end["range"]:
        r += 1
    start_ms = max(from_ms, tables.ranges[r]["opens_ms"])
    if tables.ranges[r]["day"] < 0:  # outside of the calendar's years
        return int(start_ms + days * _DAY_MS)

    from_day = first["day"] + tables.ranges[r]["day"]
    to_day = min(from_day + days, end["day"] - 1)
    to = tables.days[to_day]
    shift = tables.shifts[last_at_most(tables.shifts["since_ms"], first["shift"], end["shift"], start_ms)]
    local_ms = start_ms + shift["offset_ms"] + (to["local_day"] - tables.days[from_day]["local_day"]) * _DAY_MS
    shift = tables.shifts[last_at_most(tables.shifts["reached_ms"], first["shift"], end["shift"], local_ms)]
    at_ms = max(shift["since_ms"], local_ms - shift["offset_ms"])
    at_ms = min(max(at_ms, to["opens_ms"]), to["closes_ms"])
    return int(max(at_ms, start_ms) + (from_day + days - to_day) * _DAY_MS)
