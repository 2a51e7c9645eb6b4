"""How many alerts a team is given in an hour: the first ones by rank pass, the others are held back (docs/budgets.md).

Workers do not ask each other, so each source partition has a share of the budget. An alert passes when, of those of its
team and of the hour of its raised_at that the partition has passed so far, fewer than the share rank before it.
"""

import json
from bisect import bisect_right, insort
from collections.abc import Iterator

from pipelines.alerts.alert import Alert
from pipelines.policy.policy import Policy

BUDGET = b"b"
"""First byte of the keys in friction.state; the team and the begin of the hour follow, as JSON."""

HOUR_MS = 3_600_000
_KEPT_HOURS = 48  # of a team, before its newest one
_NO_DEADLINE_MS = 10 * 365 * 24 * HOUR_MS

Rank = tuple[int, int]
Hour = tuple[str, int]


def rank_of(alert: Alert) -> Rank:
    """What is handled first has the lowest rank: by priority, then by the time that is left until the deadline."""
    left_ms = _NO_DEADLINE_MS if alert.deadline_ms is None else max(0, alert.deadline_ms - alert.raised_ms)
    return alert.priority, min(left_ms, _NO_DEADLINE_MS)


def share_of(per_hour: int, hour: int, partition: int, partitions: int) -> int:
    """Alerts of a budget that a source partition may pass in an hour; those of all partitions add up to the budget.

    What cannot be divided evenly goes to other partitions in each hour.
    """
    each, rest = divmod(per_hour, partitions)
    return each + ((partition + hour) % partitions < rest)


class Budgets:
    """The budgets of one source partition."""

    def __init__(self, policy: Policy, partition: int, partitions: int) -> None:
        section = policy.file.budgets
        self._per_hour = {} if section is None else {name: team.per_hour for name, team in section.teams.items()}
        self._never_held = 0 if section is None else section.never_held
        self._place = partition, partitions
        self._passed: dict[Hour, list[Rank]] = {}  # the first ones of each hour, as many as its share
        self._newest: dict[str, int] = {}
        self._changed: set[Hour] = set()

    def limits(self, team: str | None) -> bool:
        """Whether a team has a budget."""
        return self._per_hour.get(team or "") is not None

    def passes(self, alert: Alert) -> bool:
        """Whether an alert of a team with a budget is passed; it takes a place of its hour then."""
        team, hour = alert.team or "", alert.raised_ms // HOUR_MS
        share = share_of(self._per_hour[team] or 0, hour, *self._place)
        passed = self._hour(team, hour)
        rank = rank_of(alert)
        is_first = bisect_right(passed, rank) < share
        if is_first:
            insort(passed, rank)
            del passed[share:]
            self._changed.add((team, hour))
        return is_first or alert.priority <= self._never_held

    def _hour(self, team: str, hour: int) -> list[Rank]:
        found = self._passed.get((team, hour))
        if found is not None:
            return found
        self._newest[team] = newest = max(self._newest.get(team, hour), hour)
        for old in [key for key in self._passed if key[0] == team and key[1] < newest - _KEPT_HOURS]:
            del self._passed[old]
            self._changed.add(old)
        return self._passed.setdefault((team, hour), [])

    def take_changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Keys and values that changed since the last call; None for hours that are gone."""
        for team, hour in sorted(self._changed):
            key = BUDGET + json.dumps([team, hour * HOUR_MS], ensure_ascii=False).encode()
            passed = self._passed.get((team, hour))
            yield key, None if passed is None else json.dumps(passed, separators=(",", ":")).encode()
        self._changed.clear()

    def restore(self, key: bytes, value: bytes) -> None:
        """Take back an hour as it was stored."""
        team, begin_ms = json.loads(key[1:])
        hour = begin_ms // HOUR_MS
        if not self.limits(team):
            self._changed.add((team, hour))  # of another policy
            return
        self._passed[team, hour] = [(priority, left_ms) for priority, left_ms in json.loads(value)]
        self._newest[team] = max(self._newest.get(team, hour), hour)
