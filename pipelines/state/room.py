"""Room for what one call of a kernel may lead to; it grows when a kernel says that there was none."""

import numpy as np

from pipelines.fold.blocks import NEED_ITEMS, NEED_NOTES, NEED_TEXT, NEED_WORDS, Blocks, new_scratch
from pipelines.fold.items import ASSUMED, FAILED, GIVEN_UP, HEAT_COUNT, ORPHANS, UNDECIDED, USED
from pipelines.fold.notes import new_notes
from pipelines.fold.scoring import Crossings
from pipelines.fold.timers import with_room
from pipelines.fold.work import Work
from pipelines.state.rows import CustomerRows
from schemas.growing import grown

_CROSSINGS = 4096  # in one call; more calls follow when they are used up
_NOTES = 16_384
_TIMERS = 4096
_TEXT_BYTES = 1 << 16


class Room:
    """What the kernels of one partition write to, besides its rows.

    counted: int64[3], how many interactions were sent twice, and how many have been folded (counting.DUPLICATES ...).
    """

    def __init__(self, signals: int) -> None:
        self._signals = signals
        self._crossed = Crossings.room(_CROSSINGS, signals)
        self._notes = new_notes(_NOTES, signals)
        self._scratch = new_scratch(256, _TEXT_BYTES)
        self._out, self._moved = np.zeros(4 * _TEXT_BYTES, np.uint8), np.zeros(_TEXT_BYTES, np.int64)
        self.counted = np.zeros(3, np.int64)

    def give(self, rows: CustomerRows) -> Work:
        """Make room for the next call: what the last one asked for, and timers."""
        count = self._scratch.count
        rows.timers = with_room(rows.timers, _TIMERS)
        if count[NEED_WORDS]:
            arena, free = rows.blocks
            rows.blocks = Blocks(grown(arena, int(free[USED] + count[NEED_WORDS])), free)
        if count[NEED_ITEMS] or count[NEED_TEXT]:
            items = max(self._scratch.lists.shape[1], int(count[NEED_ITEMS]))
            text = max(self._scratch.text.shape[0], 2 * int(count[NEED_TEXT]))
            self._scratch = new_scratch(items, text)
            self._out, self._moved = np.zeros(4 * text, np.uint8), np.zeros(text, np.int64)
            self._scratch.count[HEAT_COUNT:] = count[HEAT_COUNT:]
        if count[NEED_NOTES] and self._notes.used[0] == 0:  # there was none though all of it was free
            self._notes = new_notes(2 * self._notes.row.shape[0], self._signals)
        self._scratch.count[NEED_ITEMS : NEED_TEXT + 1] = 0
        self._notes.used[:] = 0
        return Work(
            rows.blocks, rows.timers, self._scratch, self._out, self._moved, self._crossed, self._notes, self.counted
        )

    @property
    def tally(self) -> dict[str, int]:
        """What has been counted for good."""
        names = {
            "orphans": ORPHANS, "failed": FAILED, "undecided": UNDECIDED, "assumed": ASSUMED, "given_up": GIVEN_UP,
        }  # fmt: skip
        return {name: int(self._scratch.count[at]) for name, at in names.items()}
