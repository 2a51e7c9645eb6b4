"""Durations as people write them: 500ms, 30s, 2m, 1h, 7d."""

import re

DURATION_FORM = r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)"
DURATION_PATTERN = r"^([0-9]*[1-9][0-9]*(\.[0-9]+)?|0+\.[0-9]*[1-9][0-9]*)(ms|s|m|h|d)$"
"""Durations of more than 0, for those who check with regular expressions alone."""

_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_MOST_DAYS = 3650


def duration_ms(text: object) -> int:
    """Return milliseconds, more than 0.

    Raises:
        ValueError: it is not a number with a unit, not more than 0, or more than ten years.
    """
    match = re.fullmatch(DURATION_FORM, text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"must be a duration such as 500ms, 30s, 2m, 1h or 7d, got {text!r}")
    milliseconds = float(match[1]) * _UNIT_MS[match[2]]
    if milliseconds > _MOST_DAYS * _UNIT_MS["d"]:
        raise ValueError(f"must be at most {_MOST_DAYS}d, got {str(text)[:40]}")
    if round(milliseconds) == 0:
        raise ValueError(f"must be > 0, got {text}")
    return round(milliseconds)


def duration_text(milliseconds: int) -> str:
    """Return it with the largest unit that divides it."""
    unit = next(u for u in reversed(_UNIT_MS) if milliseconds % _UNIT_MS[u] == 0)
    return f"{milliseconds // _UNIT_MS[unit]}{unit}"
