"""The slots of a place over all source partitions, by time, as kernels take them."""

from typing import NamedTuple

import numpy as np

from pipelines.incidents.base import Seen
from schemas.arrays import Int64s
from schemas.compiled import compiled, step
from schemas.growing import grown

REPORTED = 0.2
"""Attempts are reported at a place if of those who tried in a slot, so many are known by an attempt of their own."""

_AT_FIRST = 64


class SlotSum(NamedTuple):
    """A slot of a place over all source partitions; the fields are those of SlotState. members: sorted."""

    tried: tuple[int, ...]
    failed: tuple[int, ...]
    attempted: int
    members: tuple[str, ...]
    all_named: bool


class SlotSums:
    """Those of one place. lookback: slots of a lookback, as many as each has words of who tried, and who failed."""

    __slots__ = ("_known", "_slot", "_words", "lookback")

    def __init__(self, lookback: int) -> None:
        self.lookback = lookback
        self._known: dict[int, SlotSum] = {}
        self._slot: Int64s = np.empty(_AT_FIRST, np.int64)
        self._words: Int64s = np.empty((_AT_FIRST, 2 * lookback + 1), np.int64)

    def __contains__(self, slot: int) -> bool:
        return slot in self._known

    def get(self, slot: int) -> SlotSum | None:
        """A slot, None for one in which nobody came."""
        return self._known.get(slot)

    def put(self, slot: int, said: SlotSum) -> None:
        """Take a slot, in place of what is known of it."""
        n = len(self._known)
        at = n if n == 0 or slot > self._slot[n - 1] else int(np.searchsorted(self._slot[:n], slot))
        if slot not in self._known:
            self._slot, self._words = grown(self._slot, n + 1), grown(self._words, n + 1)
            if at < n:
                self._slot[at + 1 : n + 1] = self._slot[at:n].copy()
                self._words[at + 1 : n + 1] = self._words[at:n].copy()
            self._slot[at] = slot
        self._known[slot] = said
        self._words[at] = (*said.tried, *said.failed, said.attempted)

    def drop_to(self, slot: int) -> None:
        """Forget the slots up to ``slot``, included."""
        n = len(self._known)
        gone = int(np.searchsorted(self._slot[:n], slot, "right"))
        if gone:
            for one in self._slot[:gone].tolist():
                del self._known[one]
            self._slot[: n - gone] = self._slot[gone:n].copy()
            self._words[: n - gone] = self._words[gone:n].copy()

    def columns(self) -> tuple[Int64s, Int64s]:
        """Slots, int64[n], ascending, and of each who tried, who failed and who attempted, int64[n, 2 * lookback + 1].

        Both are views that hold until the next change.
        """
        n = len(self._known)
        return self._slot[:n], self._words[:n]

    def seen(self, last: int) -> Seen:
        """The lookback that ends with a slot."""
        slot, words = self.columns()
        end = int(np.searchsorted(slot, last, "right"))
        return Seen(*seen_compiled(slot, words, end, last, self.lookback))


@step
def seen(slot: Int64s, words: Int64s, end: int, last: int, lookback: int) -> tuple[int, int, bool]:
    """The lookback that ends with slot ``last``, see Seen. slot, words: see SlotSums; end: of slots up to ``last``.

    Attempts are reported if they are in its later half, too.
    """
    tried, failed, attempted, distinct, later, of_later = 0, 0, 0, 0, 0, 0
    first, half = last - lookback + 1, lookback // 2
    at = end - 1
    while at >= 0 and slot[at] >= first:
        k = slot[at] - first
        tried += words[at, k]
        failed += words[at, lookback + k]
        attempted += words[at, 2 * lookback]
        distinct += words[at, 0]
        if k >= half:
            later += words[at, 2 * lookback]
            of_later += words[at, 0]
        at -= 1
    reported = later >= REPORTED * of_later and attempted > 0 and attempted >= REPORTED * distinct
    return tried, failed, reported


seen_compiled = compiled(seen)
