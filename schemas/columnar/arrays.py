"""The raw columns of a batch of records, as the kernel leaves them."""

from dataclasses import dataclass

import numpy as np

from schemas.arrays import Bools, Bytes, Float64s, Int32s, Int64s
from schemas.columnar.kernel import FLOATS, INTS, TEXTS
from schemas.columnar.plan import Plan, RecordList, Simple, StringMap


@dataclass(frozen=True, slots=True)
class Arrays:
    """Columns of n records and of their entries, those of one store one behind the other (see kernel.py).

    problem: uint8[n], not 0 for the records that could not be read.
    """

    plan: Plan
    data: Bytes
    n: int
    entries: int
    ints: Int64s
    floats: Float64s
    text_start: Int64s
    text_length: Int32s
    valid: Bytes
    begin: Int32s
    problem: Bytes

    @classmethod
    def empty(cls, plan: Plan, data: Bytes, n: int, entries: int) -> "Arrays":
        """Room for n records with up to ``entries`` entries; the memory of entries is touched only when written."""

        def size(store: int) -> int:
            return plan.level.of_store[store] * n + plan.items.of_store[store] * entries

        valid = np.empty(plan.level.valid * n + plan.items.valid * entries, np.uint8)
        valid[: plan.level.valid * n] = 0
        begin, problem = np.zeros(plan.lists * (n + 1), np.int32), np.zeros(n, np.uint8)
        return cls(
            plan=plan,
            data=data,
            n=n,
            entries=entries,
            ints=np.empty(size(INTS), np.int64),
            floats=np.empty(size(FLOATS), np.float64),
            text_start=np.empty(size(TEXTS), np.int64),
            text_length=np.empty(size(TEXTS), np.int32),
            valid=valid,
            begin=begin,
            problem=problem,
        )

    def part(self, column: int, store: int, *, entry: bool = False) -> slice:
        """Where a column of records, or of entries, stands in the array of its store."""
        if not entry:
            return slice(column * self.n, (column + 1) * self.n)
        first = self.plan.level.of_store[store] * self.n + column * self.entries
        return slice(first, first + self.used(entry=True))

    def used(self, *, entry: bool) -> int:
        """How many values a column has: records, or the entries that they own."""
        if not entry:
            return self.n
        # plans with several lists share ``entries``; each list's own end is the last of its begins
        return int(max((self.begin[(c + 1) * (self.n + 1) - 1] for c in range(self.plan.lists)), default=0))

    def is_valid(self, column: Simple | StringMap | RecordList, *, entry: bool = False) -> Bools:
        """bool[n] (or of the entries): where the column is not null. Undefined for broken records."""
        first = self.plan.level.valid * self.n + column.valid * self.entries if entry else column.valid * self.n
        flags: Bools = self.valid[first : first + self.used(entry=entry)].view(np.bool_)
        return flags

    def begins(self, column: StringMap | RecordList) -> Int32s:
        """int32[n + 1]: the first entry of each record, and the end."""
        return self.begin[column.number * (self.n + 1) : (column.number + 1) * (self.n + 1)]
