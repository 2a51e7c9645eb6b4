"""Rows that cannot be taken: where, why, and as they were."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from schemas.arrays import Bools

MOST_RAW = 65_536
"""Characters of a rejected row that are kept."""


class RejectedRow(NamedTuple):
    """A row of a file. line: the line at which it begins, from 1 on; of Parquet the number of the row.

    raw: the row as it is, without what is beyond MOST_RAW.
    """

    file: str
    line: int
    reason: str
    raw: str


@dataclass(slots=True)
class Problems:
    """Why rows of n cannot be taken; the first reason of a row is kept."""

    n: int
    reasons: dict[int, str] = field(default_factory=dict)

    def note(self, bad: Bools, say: Callable[[int], str]) -> None:
        """Note the rows where ``bad`` (bool[n]) is true."""
        for i in np.flatnonzero(bad).tolist():
            if i not in self.reasons:
                self.reasons[i] = say(i)

    def good(self) -> Bools:
        """bool[n]: rows without a problem."""
        good = np.ones(self.n, np.bool_)
        good[list(self.reasons)] = False
        return good
