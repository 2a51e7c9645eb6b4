"""Numbers and times as attributes write them, read by kernels."""

import math

from schemas.acceptance import LAST_MS
from schemas.arrays import Bytes
from schemas.compiled import step
from schemas.dates import day_number


@step
def number_at(data: Bytes, start: int, length: int) -> float:
    """A decimal number such as -12.50; NaN for anything else."""
    sign, at, end = 1.0, start, start + length
    if length > 0 and (data[at] == 45 or data[at] == 43):  # - +
        sign = -1.0 if data[at] == 45 else 1.0
        at += 1
    digits, value, scale, point = 0, 0.0, 1.0, False
    while at < end:
        c = data[at]
        if 48 <= c <= 57:
            value = value * 10.0 + (c - 48)
            scale = scale * 10.0 if point else scale
            digits += 1
        elif c == 46 and not point:
            point = True
        else:
            return math.nan
        at += 1
    return sign * value / scale if 0 < digits <= 18 else math.nan


@step
def whole_at(data: Bytes, at: int, digits: int) -> int:
    """A number of exactly so many digits; below 0 for anything else."""
    value = 0
    for k in range(digits):
        c = int(data[at + k])
        if c < 48 or c > 57:
            return -1
        value = value * 10 + (c - 48)
    return value


@step
def digits_at(data: Bytes, at: int, most: int) -> int:
    """How many digits there are from a place on, ``most`` at most."""
    count = 0
    while count < most and 48 <= data[at + count] <= 57:
        count += 1
    return count


@step
def time_at(data: Bytes, start: int, length: int) -> int:
    """A time in epoch ms: RFC 3339 with its offset, or epoch milliseconds, cut where they have a fraction; else 0.

    As ISO 8601 allows it, seconds and the colon of the offset may be missing, and a comma may be before the fraction.
    Also 0 for what does not lie between 1970 and 2200.
    """
    at_ms = any_time_at(data, start, length)
    return at_ms if 0 < at_ms < LAST_MS else 0


@step
def any_time_at(data: Bytes, start: int, length: int) -> int:
    """As ``time_at``, of any year."""
    count = digits_at(data, start, length)
    if 10 <= count <= 15:
        fraction = count + 1 + digits_at(data, start + count + 1, length - count - 1)
        if count == length or (fraction == length and data[start + count] == 46):
            return whole_at(data, start, count)
    if length < 17:
        return 0
    if data[start + 4] != 45 or data[start + 7] != 45 or data[start + 13] != 58:
        return 0
    if data[start + 10] not in (84, 116, 32):  # T t, or a blank
        return 0
    year, month, day = whole_at(data, start, 4), whole_at(data, start + 5, 2), whole_at(data, start + 8, 2)
    hour, minute, second = whole_at(data, start + 11, 2), whole_at(data, start + 14, 2), 0
    at, end, millis, unit = start + 16, start + length, 0, 100
    if data[at] == 58 and at + 3 < end:
        second = whole_at(data, at + 1, 2)
        at += 3
        if data[at] == 46 or data[at] == 44:  # . or ,
            at += 1
            while at < end and 48 <= data[at] <= 57:
                millis += (int(data[at]) - 48) * unit
                unit //= 10
                at += 1
    days = day_number(year, month, day)
    if min(days, hour, minute, second) < 0 or hour > 23 or minute > 59 or second > 60 or at >= end:
        return 0
    offset_min = 0
    if data[at] == 43 or data[at] == 45:  # +hh:mm, +hhmm or +hh, or with -
        colon = int(end - at == 6 and data[at + 3] == 58)
        if end - at not in (3, 5, 5 + colon):
            return 0
        hours = whole_at(data, at + 1, 2)
        minutes = whole_at(data, at + 3 + colon, 2) if end - at > 3 else 0
        if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
            return 0
        offset_min = hours * 60 + minutes
        offset_min = -offset_min if data[at] == 45 else offset_min
    elif end - at != 1 or (data[at] != 90 and data[at] != 122):  # Z z
        return 0
    utc_min = days * 1440 + hour * 60 + minute - offset_min
    return (utc_min * 60 + second) * 1000 + millis
