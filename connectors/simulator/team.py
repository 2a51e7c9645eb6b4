"""A small team that works on alerts: who looks at which, after how long, and what comes of it."""

# ruff: noqa: RUF001 - names are written in their own letters

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

from schemas.errors import SettingsError
from schemas.interactions import Interaction

_PEOPLE = ("Ayşe Yılmaz", "Søren Müller", "Иван Петров", "さくら", "Amélie Rossi")
_TEAM = "simulated support"
_LOOKS_S = (10.0, 120.0)  # after the alert, at least and on average more
_GOES_ON_S = (15.0, 180.0)  # after the step before
_DISMISSED = 0.15
_ASSIGNED, _ANSWERED = 0.7, 0.6  # of those that are acknowledged, of those that are assigned
_REASONS = {"known": 0.45, "false_alarm": 0.25, "no_capacity": 0.2, "cannot_contact": 0.1}
_PERSONAL = {"reply": "personal"}
# what ends the wait that an alert is about, in the words of the default policy
_ENDS: dict[str, tuple[str, Mapping[str, str]]] = {
    "first_response": ("contact.replied", _PERSONAL),
    "reply": ("contact.replied", _PERSONAL),
    "resolution": ("case.resolved", {}),
    "callback": ("callback.done", {}),
    "refund": ("refund.issued", {}),
    "recovery": ("recovery.done", {}),
    "repeat_contact": ("contact.replied", _PERSONAL),
    "social_risk": ("social.replied", {}),
}


@dataclass(frozen=True, slots=True)
class _Step:
    """What somebody does: a kind of interactions and its attributes."""

    kind: str
    attributes: Mapping[str, str]


class Team:
    """Sees alerts as they are told, and does something about a share of them a little later.

    seed, and the id of an alert, say what is done with it: acknowledged first, then assigned to somebody, who answers
    at times so that the customer waits no longer; or dismissed. What is over meanwhile is left alone.

    Raises:
        SettingsError: the share is not from 0 to 1.
    """

    def __init__(self, *, seed: int, share: float) -> None:
        if not 0.0 <= share <= 1.0:
            raise SettingsError(f"team of the simulator must be from 0 to 1, got {share:g}")
        self._seed = seed
        self._share = share
        self._due: list[tuple[int, int, Interaction]] = []
        self._left: dict[str, int] = {}  # steps still to be done, by alert
        self._numbers = count()

    def see(self, alert: Mapping[str, Any], now_ms: int) -> None:
        """Take a revision of an alert, with the fields of schemas/avro/alert.avsc, at a time (epoch ms)."""
        if alert["status"] in {"resolved", "retracted"}:
            self._left.pop(alert["alert_id"], None)
        elif alert["revision"] == 1 and alert["customer_id"]:
            random = Random(f"{self._seed}/{alert['alert_id']}")
            if random.random() < self._share:
                self._plan(alert, now_ms, random)

    def due(self, now_ms: int) -> Iterator[Interaction]:
        """What is done by then, each once."""
        while self._due and self._due[0][0] <= now_ms:
            _, _, done = heapq.heappop(self._due)
            about = done.event_id.partition("/")[0].partition("-")[2]
            if about in self._left:
                self._left[about] -= 1
                if self._left[about] == 0:
                    del self._left[about]
                yield done

    def _plan(self, alert: Mapping[str, Any], now_ms: int, random: Random) -> None:
        steps = list(_steps(alert, random))
        self._left[alert["alert_id"]] = len(steps)
        at_ms = now_ms
        for n, step in enumerate(steps):
            least, more = _GOES_ON_S if n else _LOOKS_S
            at_ms += int(1000 * (least + random.expovariate(1.0 / more)))
            heapq.heappush(self._due, (at_ms, next(self._numbers), self._done(alert, step, n, at_ms)))

    def _done(self, alert: Mapping[str, Any], step: _Step, n: int, at_ms: int) -> Interaction:
        return Interaction(
            event_id=f"{self._seed:x}-{alert['alert_id']}/{n}",
            customer_id=alert["customer_id"],
            kind=step.kind,
            channel=alert["channel"] or "phone",
            touchpoint=alert["touchpoint"] or "support/alerts",
            occurred_ms=at_ms,
            case_id=alert["case_id"],
            subject=alert["subject"],
            source="simulator",
            attributes=step.attributes,
        )


def _steps(alert: Mapping[str, Any], random: Random) -> Iterator[_Step]:
    """What is done with an alert, one after the other."""
    about = {"alert_id": alert["alert_id"], "team": _TEAM}
    if alert["do_not_contact"]:
        yield _Step("alert.dismissed", {**about, "reason": "cannot_contact"})
        return
    if random.random() < _DISMISSED:
        yield _Step("alert.dismissed", {**about, "reason": random.choices(list(_REASONS), [*_REASONS.values()])[0]})
        return
    yield _Step("alert.acknowledged", about)
    if random.random() < _ASSIGNED:
        yield _Step("alert.assigned", {**about, "assignee": _PEOPLE[int(random.random() * len(_PEOPLE))]})
        end = _ENDS.get(alert["clock"] or alert["type"])
        if end is not None and random.random() < _ANSWERED:
            yield _Step(*end)
