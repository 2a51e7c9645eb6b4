"""Durations as people write them: 500ms, 30s, 2m, 1h, 7d."""

import re

_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_FORM = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def duration_ms(text: object) -> int:
    """Return milliseconds, more than 0.

    Raises:
        ValueError: it is not a number with a unit, or not more than 0.
    """
    match = _FORM.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"must be a duration such as 500ms, 30s, 2m, 1h or 7d, got {text!r}")
    milliseconds = round(float(match[1]) * _UNIT_MS[match[2]])
    if milliseconds <= 0:
        raise ValueError(f"must be > 0, got {text}")
    return milliseconds
