"""What is accepted, and the windows of waits, as the policy's text says: the part of the oracles that both share.

It shares no code with the core, and imports nothing of ours.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

Place = tuple[str, str, int]  # touchpoint, channel, start of the window in ms

MAX_TEXT_BYTES = 512  # of customer_id, touchpoint and channel
MAX_DURATION_MS = 10 * 365 * 86_400_000
DAY_MS = 86_400_000
_UNITS = {"ms": 1, "s": 1000, "m": 60 * 1000, "h": 3600 * 1000, "d": DAY_MS}


def milliseconds(text: str) -> int:
    number, unit = re.findall(r"^([\d.]+)([a-z]+)$", str(text))[0]
    return round(float(number) * _UNITS[unit])


class Waits(NamedTuple):
    """The waits of a window."""

    answered: int = 0
    abandoned: int = 0
    other_ends: int = 0
    wait_sum_ms: int = 0
    wait_max_ms: int = 0

    def and_one(self, outcome: str | None, wait_ms: int) -> "Waits":
        answered, abandoned = outcome == "answered", outcome == "abandoned"
        return self.plus(Waits(answered, abandoned, not answered and not abandoned, wait_ms, wait_ms))

    def plus(self, other: "Waits") -> "Waits":
        return Waits(
            self.answered + other.answered,
            self.abandoned + other.abandoned,
            self.other_ends + other.other_ends,
            self.wait_sum_ms + other.wait_sum_ms,
            max(self.wait_max_ms, other.wait_max_ms),
        )


class Intake:
    """What comes of one partition. said: the policy, read.

    windows: by place, those that are closed too. rejected: how many interactions were not accepted, by reason (the
    words of the dead letters). late: waits that came after their window was closed. advanced_ms: to when time passed.
    """

    def __init__(self, said: Mapping[str, Any]) -> None:
        self.windows: dict[Place, Waits] = {}
        self.rejected: Counter[str] = Counter()
        self.late = 0
        self.watermark_ms: int | None = None
        self.advanced_ms: int | None = None
        self.wait_kinds = said["windows"]["kinds"]
        self._length_ms = milliseconds(said["windows"]["length"])
        self._lateness_ms = milliseconds(said["windows"]["lateness"])
        self.max_age_ms = milliseconds(said["acceptance"]["max_age"])
        self._max_ahead_ms = milliseconds(said["acceptance"]["max_ahead"])

    def refuses(self, record: Mapping[str, Any], append_ms: int) -> bool:
        """Whether an interaction becomes a dead letter, which is counted."""
        reason = self._refusal(record, append_ms)
        if reason is not None:
            self.rejected[reason] += 1
        return reason is not None

    def pass_time(self, to_ms: int) -> bool:
        """Let time pass: nothing that was appended before ``to_ms`` is still to come. False: it had passed before."""
        if self.advanced_ms is not None and to_ms <= self.advanced_ms:
            return False
        self.advanced_ms = to_ms
        seen_ms = to_ms - self._lateness_ms
        self.watermark_ms = seen_ms if self.watermark_ms is None else max(seen_ms, self.watermark_ms)
        return True

    def _refusal(self, record: Mapping[str, Any], append_ms: int) -> str | None:
        duration_ms = record.get("duration_ms")
        if not 1 <= len(record["customer_id"].encode()) <= MAX_TEXT_BYTES:
            return "BadCustomer"
        if record["occurred_at"] < append_ms - self.max_age_ms:
            return "TooOld"
        if record["occurred_at"] > append_ms + self._max_ahead_ms:
            return "TooFarAhead"
        if duration_ms is not None and not 0 <= duration_ms <= MAX_DURATION_MS:
            return "BadDuration"
        if max(len(record[name].encode()) for name in ("touchpoint", "channel")) > MAX_TEXT_BYTES:
            return "BadPlace"
        return None

    def wait(self, record: Mapping[str, Any], append_ms: int) -> None:
        """Count what an accepted interaction says of waits."""
        begun_ms, duration_ms = record["occurred_at"], record.get("duration_ms")
        seen_ms = min(begun_ms, append_ms)
        self.watermark_ms = seen_ms if self.watermark_ms is None else max(seen_ms, self.watermark_ms)
        if record["kind"] not in self.wait_kinds or duration_ms is None:
            return
        start_ms = begun_ms // self._length_ms * self._length_ms
        if self.watermark_ms >= start_ms + self._length_ms + self._lateness_ms:
            self.late += 1
            return
        place = record["touchpoint"], record["channel"], start_ms
        outcome = (record.get("attributes") or {}).get("outcome")
        self.windows[place] = self.windows.get(place, Waits()).and_one(outcome, duration_ms)


def added(intakes: Iterable[Intake]) -> dict[Place, Waits]:
    """The windows of several partitions as one."""
    together: dict[Place, Waits] = {}
    for intake in intakes:
        for place, waits in intake.windows.items():
            together[place] = together.get(place, Waits()).plus(waits)
    return together
