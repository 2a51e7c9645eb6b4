"""Dates of the Gregorian calendar, for kernels that read times."""

from schemas.compiled import step


@step
def day_number(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of a date of the Gregorian calendar, -1 when there is none (years before 1970 too)."""
    if year < 1970 or month < 1 or month > 12 or day < 1:
        return -1
    leap = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
    length = 31
    if month in (4, 6, 9, 11):
        length = 30
    elif month == 2:
        length = 29 if leap else 28
    if day > length:
        return -1
    # Howard Hinnant, chrono-compatible low-level date algorithms: years that begin in March
    shifted = year - 1 if month <= 2 else year
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
