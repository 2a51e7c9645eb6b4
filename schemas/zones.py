"""Time zones by name, as policies and mappings say them."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_OF_A_MACHINE = {"localtime", "posixrules"}  # files among the zones, of which each machine has its own


def iana_zone(name: str) -> ZoneInfo:
    """Return an IANA time zone, the same everywhere.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        if name not in _OF_A_MACHINE:
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass  # it is told below
    raise ValueError(f"must be an IANA time zone such as Europe/Istanbul, got {name[:40]!r}")


def zone_name(name: str) -> str:
    """Return the name of an IANA time zone as it is; else as ``iana_zone``."""
    iana_zone(name)
    return name
