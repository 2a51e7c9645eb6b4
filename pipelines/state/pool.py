"""The side store: records of what few customers have, taken from a pool and given back."""

import numpy as np
import numpy.typing as npt

from schemas.arrays import Int64s
from schemas.compiled import step
from schemas.growing import grown

NONE = 0
"""The place that nobody has: its record is all zero."""


@step
def take_place(free: Int64s, used: Int64s) -> int:
    """Take a place; there is room. free, used: see Pool."""
    if used[1] > 0:
        used[1] -= 1
        return free[used[1]]
    used[0] += 1
    return used[0] - 1


class Pool:
    """Records of one dtype, by place. Memory is that of the most that were ever taken at a time.

    Kernels take and give back by themselves. free: int64[f], places that were given back, the last one first.
    used: int64[2], places that there have been, with NONE, and how many of them are in ``free``.
    """

    def __init__(self, dtype: np.dtype[np.void]) -> None:
        self.records: npt.NDArray[np.void] = np.zeros(16, dtype)
        self.free: Int64s = np.zeros(16, np.int64)
        self.used: Int64s = np.array([1, 0])

    def __len__(self) -> int:
        return int(self.used[0] - 1 - self.used[1])

    def make_room(self, count: int) -> None:
        """Let so many records be taken, and every one be given back."""
        self.records = grown(self.records, int(self.used[0]) + count)
        self.free = grown(self.free, self.records.shape[0])

    def take(self) -> int:
        """Return the place of a record of zeros."""
        return int(self.take_many(1)[0])

    def take_many(self, count: int) -> Int64s:
        """Places of records of zeros, int64[count]."""
        self.make_room(count)
        given, free = self.used.tolist()
        again = min(count, free)
        self.used[:] = given + count - again, free - again
        return np.concatenate([self.free[free - again : free][::-1], np.arange(given, given + count - again)])

    def give_back(self, places: Int64s) -> None:
        """Give records back, each place once; NONE is nobody's."""
        owned = places[places != NONE]
        self.records[owned] = np.zeros((), self.records.dtype)
        free = int(self.used[1])
        self.free[free : free + owned.shape[0]] = owned
        self.used[1] = free + owned.shape[0]
