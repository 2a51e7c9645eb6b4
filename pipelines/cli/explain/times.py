"""Times and durations in the words of people, in one zone."""

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.errors import SettingsError
from schemas.zones import iana_zone

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Zone:
    """The zone in which times are told. name: as people know it."""

    name: str
    zone: tzinfo

    def at(self, at_ms: int) -> datetime:
        """A time, with its offset."""
        return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(self.zone)

    def full(self, at_ms: int) -> str:
        """Weekday, date and time to the minute; to the second if it is not a whole one."""
        return f"{self.day(at_ms)} {self.clock(at_ms)}"

    def day(self, at_ms: int) -> str:
        """Weekday and date."""
        return f"{self.at(at_ms):%a %Y-%m-%d}"

    def clock(self, at_ms: int) -> str:
        """Time of day, with seconds if there are any."""
        at = self.at(at_ms)
        return (f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}") + self.told_apart(at_ms)

    def told_apart(self, at_ms: int) -> str:
        """Which of two like times is meant, behind a blank; empty on days on which clocks are not changed."""
        at = self.at(at_ms)
        begin, end = at.replace(hour=0, minute=0, fold=0), at.replace(hour=23, minute=59, fold=1)
        return "" if begin.utcoffset() == end.utcoffset() else f" {at:%Z}"

    def near(self, at_ms: int, seen_ms: int) -> str:
        """A time as it is told on the day of ``seen_ms``: without the date if it is the same one."""
        return self.clock(at_ms) if self.at(at_ms).date() == self.at(seen_ms).date() else self.full(at_ms)


def zone_of(name: str) -> Zone:
    """Return UTC, ``local``, the zone of this machine, or an IANA zone.

    Raises:
        SettingsError: there is none of that name.
    """
    if name.lower() == "utc":
        return Zone("UTC", UTC)
    if name == "local":
        return Zone("local time", _local())
    try:
        return Zone(name, iana_zone(name))
    except ValueError as error:
        raise SettingsError(
            f"--zone: must be UTC, local or an IANA zone such as Europe/Istanbul, got {name!r}"
        ) from error


def _local() -> tzinfo:
    """The zone of this machine; where it is not told, its offset of today."""
    name = os.environ.get("TZ", "").removeprefix(":")
    with suppress(ZoneInfoNotFoundError, ValueError, OSError):
        if name:
            return ZoneInfo(name)
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file)
    return datetime.now().astimezone().tzinfo or UTC


def span_text(ms: int) -> str:
    """A duration by its two largest units: 3 d 4 h, 1 h 30 min, 45 min, 12 s."""
    seconds = round(ms / 1000)
    parts = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(seconds, size)
        parts.append(f"{count} {unit}" if count else "")
    first = next((n for n, part in enumerate(parts) if part), 3)
    return " ".join(part for part in parts[first : first + 2] if part) or "0 s"
