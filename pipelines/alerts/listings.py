"""The open clocks and earlier contacts that alerts list, as columns."""

from typing import NamedTuple

import numpy as np

from pipelines.fold.notes import (
    LISTED,
    LISTED_AT,
    LISTED_CLOCK,
    LISTED_DUE,
    LISTED_KIND,
    NOTE_AFTER,
    RISEN,
    ROWS_USED,
    SHOWN_AT,
    TEXT_USED,
    TEXTS_AT,
    WHAT,
    Notes,
)
from pipelines.policy.policy import Policy
from schemas.arrays import Bytes, Int64s
from schemas.columnar.writer import ListColumn, NullableColumn, TextColumn, ValueColumn

EVENT_ID, CASE_ID, SUBJECT, CHANNEL, TOUCHPOINT, TRIED = range(6)
"""Texts of a row of notes."""


class Listings(NamedTuple):
    """A copy of what kernels have noted: ``row`` and ``text`` as of Notes, behind the text the kinds of interactions.

    clocks: their names. kinds: of interactions, an empty one first.
    """

    row: Int64s
    data: Bytes
    clocks: tuple[str, ...]
    kinds: TextColumn

    def lists_of(self, crossing: Int64s) -> dict[str, ListColumn]:
        """What alerts of crossings, int64[n] ascending, list."""
        return self.lists_behind(self._risen(crossing))

    def places_of(self, crossing: Int64s) -> dict[str, NullableColumn]:
        """Where customers of crossings, int64[n], were seen last, of what is open."""
        of = self._risen(crossing)
        shown = self.row[of] if self.row.shape[0] else np.zeros((of.shape[0], self.row.shape[1]), np.int64)
        shown[of < 0] = 0
        return {name: or_null(shown_of(shown, name, self.data)) for name in ("touchpoint", "channel")}

    def _risen(self, crossing: Int64s) -> Int64s:
        """The row of each crossing, int64[n], below 0 for those of which nothing was noted."""
        rows = np.flatnonzero(self.row[:, WHAT] == RISEN)
        of = np.full_like(crossing, -1)
        if rows.shape[0]:
            numbers = self.row[rows, NOTE_AFTER]
            at = np.minimum(np.searchsorted(numbers, crossing), rows.shape[0] - 1)
            of = np.where(numbers[at] == crossing, rows[at], -1)
        return of

    def lists_behind(self, of: Int64s) -> dict[str, ListColumn]:
        """The open clocks and earlier contacts that stand behind each row, int64[n] ascending; below 0 for none."""
        listed = self.row[:, WHAT] == LISTED
        head = np.maximum.accumulate(np.where(listed, 0, np.arange(listed.shape[0])))
        asked = np.zeros(listed.shape[0], np.bool_)
        asked[of[of >= 0]] = True
        wanted, is_clock = listed & asked[head], self.row[:, LISTED_CLOCK] >= 0

        def lists(rows: Int64s, entries: dict[str, ValueColumn]) -> ListColumn:
            size = np.bincount(head[rows], minlength=listed.shape[0] + 1)[of]  # behind the last row there is nothing
            return ListColumn(np.append(0, np.cumsum(size)).astype(np.int32), entries)

        clocks, contacts = np.flatnonzero(wanted & is_clock), np.flatnonzero(wanted & ~is_clock)
        return {
            "open_clocks": lists(clocks, self._clocks(self.row[clocks])),
            "earlier": lists(contacts, self._contacts(self.row[contacts])),
        }

    def _clocks(self, listed: Int64s) -> dict[str, ValueColumn]:
        return {
            "clock": TextColumn.chosen(self.clocks, listed[:, LISTED_CLOCK]),
            "opened_at": listed[:, LISTED_AT],
            "deadline": NullableColumn(listed[:, LISTED_DUE], listed[:, LISTED_DUE] != 0),
            "case_id": or_null(text_of(listed, CASE_ID, self.data)),
        }

    def _contacts(self, listed: Int64s) -> dict[str, ValueColumn]:
        """What was tried is told, or is a kind."""
        told, kind = text_of(listed, TRIED, self.data), listed[:, LISTED_KIND]
        first = self.data.shape[0] - self.kinds.data.shape[0]
        tried = TextColumn(
            self.data,
            np.where(told.length > 0, told.start, first + self.kinds.start[kind]),
            np.where(told.length > 0, told.length, self.kinds.length[kind]).astype(np.int32),
        )
        return {
            "occurred_at": listed[:, LISTED_AT],
            "channel": text_of(listed, CHANNEL, self.data),
            "tried": tried,
        }


class Lister:
    """Copies what kernels note under a policy: they use the same room again."""

    def __init__(self, policy: Policy) -> None:
        self._clocks, self._kinds = policy.clock_names, TextColumn.of(["", *policy.compiled.kinds])

    def of(self, notes: Notes) -> Listings:
        """What has been noted."""
        data = np.concatenate([notes.text[: notes.used[TEXT_USED]], self._kinds.data])
        return Listings(notes.row[: notes.used[ROWS_USED]].copy(), data, self._clocks, self._kinds)


def text_of(rows: Int64s, k: int, data: Bytes, *, texts_at: int = TEXTS_AT) -> TextColumn:
    """Text k of some rows, of those that begin where column ``texts_at`` says."""
    start = rows[:, texts_at : texts_at + 1 + k].sum(axis=1)
    return TextColumn(data, start, rows[:, texts_at + 1 + k].astype(np.int32))


_SHOWN = ("subject", "channel", "touchpoint")


def shown_of(rows: Int64s, name: str, data: Bytes) -> TextColumn:
    """The subject, channel or touchpoint that is shown of some rows."""
    return text_of(rows, _SHOWN.index(name), data, texts_at=SHOWN_AT)


def or_null(texts: TextColumn) -> NullableColumn:
    """The same, null where there is none."""
    return NullableColumn(texts, texts.length > 0)
