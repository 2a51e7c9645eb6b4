"""How customers want to be contacted: not at all, not at night, or on one channel; and alerts that obey it.

A customer's preferences are kept when the customer is forgotten: somebody who does not want to be called says it once.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from math import inf
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from pipelines.alerts.alert import Alert
from pipelines.alerts.tables import AlertTable, text_column
from pipelines.alerts.wording import action_of
from pipelines.intake.index import TextIndex
from pipelines.policy.calendars import change_s
from pipelines.policy.policy import Policy
from pipelines.policy.wording_terms import SOCIAL_RISK
from schemas.arrays import Int64s
from schemas.columnar.writer import Column, NullableColumn

PREFERENCES = b"q"
"""First byte of the keys in friction.state; the customer_id follows."""

MOST_CHANNEL = 512
"""Characters of a channel that are kept."""

_HOURS = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])\s*[-–]\s*([01]?[0-9]|2[0-4]):([0-5][0-9])")  # noqa: RUF001 - as people write it
_NO = {"", "none", "no", "off", "false", "0"}
_YES = {"yes", "on", "true", "1"}
_DAY_MIN = 24 * 60


class Preferences(NamedTuple):
    """What a customer has said, each with the event time at which it was said.

    quiet: begin and end of the quiet hours in minutes since midnight; an end that is not above the begin is that of
    the next day. None where nothing is wished.
    """

    refuses: bool = False
    refuses_ms: int = 0
    quiet: tuple[int, int] | None = None
    quiet_ms: int = 0
    channel: str | None = None
    channel_ms: int = 0

    def said(self, attributes: Mapping[str, str], at_ms: int) -> tuple["Preferences", int]:
        """With what the attributes of an interaction say, and how many of them cannot be read.

        What is not spoken of stays, and so does what was said later.
        """
        known, bad = self, 0
        text = attributes.get("do_not_contact", "").strip().lower()
        if "do_not_contact" in attributes and text not in _YES | _NO:
            bad += 1
        elif "do_not_contact" in attributes and at_ms >= known.refuses_ms:
            known = known._replace(refuses=text in _YES, refuses_ms=at_ms)
        hours = attributes.get("quiet_hours", "").strip()
        quiet = hours_of(hours)
        if "quiet_hours" in attributes and quiet is None and hours.lower() not in _NO:
            bad += 1
        elif "quiet_hours" in attributes and at_ms >= known.quiet_ms:
            known = known._replace(quiet=quiet, quiet_ms=at_ms)
        if "preferred_channel" in attributes and at_ms >= known.channel_ms:
            channel = attributes["preferred_channel"].strip()[:MOST_CHANNEL]
            known = known._replace(channel=None if channel.lower() in _NO else channel, channel_ms=at_ms)
        return known, bad


Heard = tuple[float, Preferences | None]
"""From the alert at this place on that was known of a customer."""

NOTHING_HEARD: Mapping[str, Sequence[Heard]] = {}


def hours_of(text: str) -> tuple[int, int] | None:
    """Minutes since midnight of hours such as 22:00-08:00; None for others, and for hours without an end."""
    found = _HOURS.fullmatch(text)
    if found is None:
        return None
    begin, end = (int(found[k]) * 60 + int(found[k + 1]) for k in (1, 3))
    if max(begin, end) > _DAY_MIN or begin % _DAY_MIN == end % _DAY_MIN:
        return None
    return begin % _DAY_MIN, end % _DAY_MIN


def quiet_until(quiet: tuple[int, int], at_ms: int, zone: ZoneInfo) -> int | None:
    """When the quiet hours end in which a time lies, in epoch ms; None when it lies in none."""
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    begin, end = quiet
    now = local.hour * 60 + local.minute
    overnight = begin > end
    if not (now >= begin or now < end if overnight else begin <= now < end):
        return None
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    until = midnight + timedelta(days=1 if overnight and now >= begin else 0, minutes=end)  # by the clock on the wall
    first_s, second_s = (int(until.replace(fold=fold).timestamp()) for fold in (0, 1))
    if first_s > second_s:  # clocks are put forward over it
        first_s = change_s(second_s, first_s, zone)
    return (first_s if first_s * 1000 > at_ms else second_s) * 1000


class _Wish(NamedTuple):
    """What of an alert is as its customer wants it."""

    channel: str | None
    do_not_contact: bool
    not_before_ms: int | None
    suggested_action: str | None


_WISHED = frozenset(_Wish._fields) - {"not_before_ms"} | {"not_before"}


class KnownPreferences:
    """The preferences of the customers of a source partition. bad: attributes that could not be read, added to."""

    def __init__(self, policy: Policy) -> None:
        section = policy.file.preferences
        self.bad = 0
        self._policy = policy
        self._zone = ZoneInfo("UTC" if section is None else section.zone)
        self._of: dict[str, Preferences] = {}
        self._who = TextIndex()  # the customers in it, for many at a time
        self._changed: set[str] = set()

    def __len__(self) -> int:
        return len(self._of)

    def take(self, customer: str, attributes: Mapping[str, str], at_ms: int) -> None:
        """Take what a customer says."""
        before = self._of.get(customer, Preferences())
        known, bad = before.said(attributes, at_ms)
        self.bad += bad
        if known != before:
            self._put(customer, known)
            self._changed.add(customer)

    def _put(self, customer: str, known: Preferences) -> None:
        if customer not in self._of:
            self._who.add_text(customer)
        self._of[customer] = known

    def hear(
        self, customer: str, attributes: Mapping[str, str], at_ms: int, place: float, heard: dict[str, list[Heard]]
    ) -> None:
        """Take what a customer says while alerts are told, before that at ``place``; ``heard`` has what was known."""
        known = heard.setdefault(customer, [(-1, self._of.get(customer))])
        self.take(customer, attributes, at_ms)
        known.append((place, self._of.get(customer)))

    def known_at(self, customer: str, place: float, heard: Mapping[str, Sequence[Heard]]) -> Preferences | None:
        """What was known of a customer when the alert at ``place`` was told."""
        if customer not in heard:
            return self._of.get(customer)
        return next(known for since, known in reversed(heard[customer]) if since <= place)

    def obeyed(self, alert: Alert, place: float = inf, heard: Mapping[str, Sequence[Heard]] = NOTHING_HEARD) -> Alert:
        """The alert as its customer wants to be contacted."""
        known = self.known_at(alert.customer_id or "", place, heard)
        if known is None:
            return alert
        wish = self._wish(known, alert.type, alert.status, alert.raised_ms, alert.channel, alert.suggested_action)
        return alert._replace(**wish._asdict())

    def obeyed_table(
        self, table: AlertTable, places: Int64s, heard: Mapping[str, Sequence[Heard]] = NOTHING_HEARD
    ) -> AlertTable:
        """The alerts of a table, at these places, int64[n], as their customers want to be contacted."""
        if not self._of:
            return table
        customers = text_column(table.column("customer_id"))
        known: dict[int, Preferences] = {}
        for row in np.flatnonzero(self._who.find(customers.data, customers.start, customers.length) >= 0).tolist():
            one = self.known_at(customers.text(row), places.item(row), heard)
            if one is not None:
                known[row] = one
        if not known:
            return table
        return table.with_columns(
            _WISHED, partial(self._wished, table, np.array(list(known), np.int64), list(known.values()))
        )

    def _wished(self, table: AlertTable, rows: Int64s, known: Sequence[Preferences]) -> dict[str, Column]:
        """The columns in which a table is other than it was. rows: int64[k], of customers of whom that is known."""
        told = (table.values(name, rows) for name in ("type", "status", "raised_at", "channel", "suggested_action"))
        wishes = [self._wish(*one) for one in zip(known, *told, strict=True)]
        refuses, not_before_ms = np.zeros((2, table.n), np.int64)  # which no table says yet
        refuses[rows] = [wish.do_not_contact for wish in wishes]
        not_before_ms[rows] = [wish.not_before_ms or 0 for wish in wishes]
        return {
            "channel": table.with_texts("channel", rows, [wish.channel for wish in wishes]),
            "do_not_contact": refuses,
            "not_before": NullableColumn(not_before_ms, not_before_ms != 0),
            "suggested_action": table.with_texts("suggested_action", rows, [w.suggested_action for w in wishes]),
        }

    def _wish(
        self, known: Preferences, kind: str, status: str, raised_ms: int, channel: str | None, action: str | None
    ) -> _Wish:
        stands = status in {"opened", "escalated"}
        until_ms = quiet_until(known.quiet, raised_ms, self._zone) if known.quiet and stands else None
        not_before_ms = None if known.refuses else until_ms
        local = datetime.fromtimestamp(not_before_ms / 1000, self._zone) if not_before_ms else None
        done = action_of(action, self._policy, refuses=known.refuses, not_before=local)
        # what was said in public is answered where it was said
        preferred = channel if kind == SOCIAL_RISK else known.channel or channel
        return _Wish(preferred, known.refuses, not_before_ms, done)

    def take_changes(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values that changed since the last call."""
        for customer in sorted(self._changed):
            value = json.dumps(self._of[customer], ensure_ascii=False, separators=(",", ":")).encode()
            yield PREFERENCES + customer.encode(), value
        self._changed.clear()

    def restore(self, key: bytes, value: bytes) -> None:
        """Take back what was stored."""
        refuses, refuses_ms, quiet, quiet_ms, channel, channel_ms = json.loads(value)
        hours = None if quiet is None else (quiet[0], quiet[1])
        self._put(key[1:].decode(), Preferences(refuses, refuses_ms, hours, quiet_ms, channel, channel_ms))
