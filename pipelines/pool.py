"""The side store: records of what few customers have, taken from a pool and given back."""

import numpy as np
import numpy.typing as npt

from schemas.arrays import Int64s
from schemas.growing import grown

NONE = 0
"""The place that nobody has: its record is all zero."""


class Pool:
    """Records of one dtype, by place. Memory is that of the most that were ever taken at a time."""

    def __init__(self, dtype: np.dtype[np.void]) -> None:
        self.records: npt.NDArray[np.void] = np.zeros(16, dtype)
        self._given = 1
        self._free: list[int] = []

    def __len__(self) -> int:
        return self._given - 1 - len(self._free)

    def take(self) -> int:
        """Return the place of a record of zeros."""
        if self._free:
            return self._free.pop()
        self.records = grown(self.records, self._given + 1)
        self._given += 1
        return self._given - 1

    def take_many(self, count: int) -> Int64s:
        """Places of records of zeros, int64[count]."""
        return np.array([self.take() for _ in range(count)], np.int64)

    def give_back(self, places: Int64s) -> None:
        """Give records back, each place once; NONE is nobody's."""
        owned = places[places != NONE]
        self.records[owned] = np.zeros((), self.records.dtype)
        self._free += owned.tolist()
