"""What has to be remembered of an alert besides what it says: what a team did with it, and that it was held back.

Few alerts have an entry: those that somebody has marked, and those that a budget holds back. An entry goes when its
alert has been over for so long that it cannot be opened again.
"""

import json
from collections.abc import Iterator
from typing import NamedTuple

from pipelines.alerts.alert import Alert
from pipelines.policy.marks import ASSIGNED, DISMISSED, Mark

ALERT = b"a"
"""First byte of the keys in friction.state; the alert's id follows."""


class Remembered(NamedTuple):
    """An entry. over_ms: raised_at of the revision that ended the alert, None while it stands."""

    did: str | None = None
    at_ms: int = 0
    reason: str | None = None
    assignee: str | None = None
    team: str | None = None
    held: bool = False
    over_ms: int | None = None

    def marked(self, mark: Mark) -> "Remembered":
        """With what was done last; who has it, and why, stays until somebody says otherwise.

        A mark that is older than the one that is known changes nothing.
        """
        if mark.at_ms < self.at_ms:
            return self
        passed_on = mark.did == ASSIGNED
        return self._replace(
            did=mark.did,
            at_ms=mark.at_ms,
            reason=mark.reason,
            assignee=mark.assignee if passed_on else mark.assignee or self.assignee,
            team=mark.team or self.team,
        )


class AlertMemory:
    """The entries of one source partition. keep_ms: how long one is kept when its alert is over."""

    def __init__(self, keep_ms: int) -> None:
        self._keep_ms = keep_ms
        self._of: dict[str, Remembered] = {}
        self._over: dict[str, None] = {}  # ids of those that are over, in the order in which they ended
        self._changed: set[str] = set()

    def __len__(self) -> int:
        return len(self._of)

    def of(self, alert_id: str) -> Remembered | None:
        """What is remembered of an alert."""
        return self._of.get(alert_id)

    def is_dismissed(self, alert_id: str) -> bool:
        """Whether a team has dismissed it, and has done nothing else with it since."""
        known = self._of.get(alert_id)
        return known is not None and known.did == DISMISSED

    def put(self, alert_id: str, remembered: Remembered) -> None:
        """Remember."""
        if self._of.get(alert_id) != remembered:
            self._of[alert_id] = remembered
            self._changed.add(alert_id)

    def follow(self, alert: Alert) -> None:
        """Take notice of a revision of an alert that has an entry: it may be over, or go on."""
        known = self._of[alert.alert_id]
        over_ms = alert.raised_ms if alert.status in {"resolved", "retracted"} else None
        if known.over_ms is None and over_ms is not None:
            self._over[alert.alert_id] = None
        elif known.over_ms is not None and over_ms is None:
            self._over.pop(alert.alert_id, None)
        self.put(alert.alert_id, known._replace(over_ms=over_ms))

    def forget(self, to_ms: int) -> None:
        """Forget alerts that have been over for so long, as of a time."""
        for alert_id in list(self._over):
            if (self._of[alert_id].over_ms or 0) + self._keep_ms >= to_ms:
                return
            del self._over[alert_id], self._of[alert_id]
            self._changed.add(alert_id)

    def take_changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Keys and values that changed since the last call; None for an entry that is gone."""
        for alert_id in sorted(self._changed):
            known = self._of.get(alert_id)
            value = None if known is None else json.dumps(known, ensure_ascii=False, separators=(",", ":")).encode()
            yield ALERT + alert_id.encode(), value
        self._changed.clear()

    def restore(self, key: bytes, value: bytes) -> None:
        """Take back an entry as it was stored."""
        self._of[key[1:].decode()] = Remembered(*json.loads(value))

    def finish(self) -> None:
        """All has been taken back."""
        over = [(known.over_ms, alert_id) for alert_id, known in self._of.items() if known.over_ms is not None]
        self._over = dict.fromkeys(alert_id for _, alert_id in sorted(over))
