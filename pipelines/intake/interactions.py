"""A batch of interactions of one partition, as columns: what the core takes."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from schemas.arrays import Bytes, Float64s, Int8s, Int32s, Int64s

NO_TIME = -(2**62)  # before all times
UNKNOWN_MS = -1  # a duration that was not told

OUTCOMES = ("answered", "abandoned", "callback", "rerouted", "system_drop", "closed")
ANSWERED, ABANDONED = 0, 1


@dataclass(frozen=True, slots=True)
class Texts:
    """n texts that lie in a batch's ``data``: start int64[n], length int32[n], 0 for those that are not told."""

    start: Int64s
    length: Int32s

    def take(self, rows: Int64s) -> "Texts":
        """The texts of some rows."""
        return Texts(self.start[rows], self.length[rows])

    def part(self, rows: slice) -> "Texts":
        """The texts of rows that lie side by side, not copied."""
        return Texts(self.start[rows], self.length[rows])

    def text(self, data: Bytes, i: int) -> str:
        """Text i."""
        return data[self.start[i] : self.start[i] + self.length[i]].tobytes().decode()

    def moved(self, by: int) -> "Texts":
        """The same texts when what they lie in begins ``by`` bytes later."""
        return Texts(self.start + by, self.length)

    @classmethod
    def none(cls, n: int) -> "Texts":
        """N texts that are not told."""
        return cls(np.zeros(n, np.int64), np.zeros(n, np.int32))


class _Columns:
    """Fields that are columns: arrays and texts, by row, and entries that rows own."""

    __slots__ = ()

    def _each(self, change: Any) -> Self:
        return type(self)(**{f.name: change(f.name, getattr(self, f.name)) for f in fields(self)})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Details(_Columns):
    """What a policy with more than signals of single kinds asks of n interactions.

    amount, rating, sentiment: float64[n], NaN when not told. reach: int64[n], -1 when not told.
    entry_start: int64[n], ascending, entry_count: int32[n], the attributes of each in ``entry_key`` and
    ``entry_value``, [e].
    """

    event_id: Texts
    session_id: Texts
    case_id: Texts
    subject: Texts
    segment: Texts
    amount: Float64s
    rating: Float64s
    sentiment: Float64s
    reach: Int64s
    entry_start: Int64s
    entry_count: Int32s
    entry_key: Texts
    entry_value: Texts

    def take(self, rows: Int64s) -> "Details":
        """The details of some rows, with their entries."""
        count = self.entry_count[rows]
        first = np.cumsum(count, dtype=np.int64) - count
        entries = np.arange(int(count.sum())) + np.repeat(self.entry_start[rows] - first, count)

        def taken(name: str, column: Any) -> Any:
            if name == "entry_start":
                return first
            which = entries if name in _ENTRIES else rows
            return column.take(which) if isinstance(column, Texts) else column[which]

        return self._each(taken)

    def part(self, first: int, stop: int) -> "Details":
        """The details of rows ``first`` ... stop - 1, not copied."""
        begin = int(self.entry_start[first]) if first < stop else 0
        end = int(self.entry_start[stop - 1] + self.entry_count[stop - 1]) if first < stop else 0

        def own(name: str, column: Any) -> Any:
            rows = slice(begin, end) if name in _ENTRIES else slice(first, stop)
            if isinstance(column, Texts):
                return column.part(rows)
            return column[rows] - begin if name == "entry_start" else column[rows]

        return self._each(own)

    def attributes(self, data: Bytes, i: int) -> dict[str, str]:
        """The attributes of one interaction; for the few kinds of which more is asked than a kernel can read."""
        first = int(self.entry_start[i])
        entries = range(first, first + int(self.entry_count[i]))
        return {self.entry_key.text(data, e): self.entry_value.text(data, e) for e in entries}


_ENTRIES = ("entry_key", "entry_value")


@dataclass(frozen=True, slots=True)
class InteractionBatch(_Columns):
    """n accepted interactions in offset order; texts lie in ``data`` (uint8[b]).

    offset, append_ms, occurred_ms: int64[n], the source offset, the broker's append time, the event time.
    duration_ms: int64[n], UNKNOWN_MS when not told. outcome: int8[n], index in OUTCOMES, -1 when not told.
    details: None when the policy does not ask for them.
    """

    data: Bytes
    offset: Int64s
    append_ms: Int64s
    occurred_ms: Int64s
    duration_ms: Int64s
    outcome: Int8s
    customer: Texts
    kind: Texts
    channel: Texts
    touchpoint: Texts
    details: Details | None = None

    def __len__(self) -> int:
        return int(self.offset.shape[0])

    def take(self, rows: Int64s) -> "InteractionBatch":
        """The batch of some rows, int64[k], in their order."""

        def taken(name: str, column: Any) -> Any:
            if name == "data" or column is None:
                return column
            return column.take(rows) if isinstance(column, Texts | Details) else column[rows]

        return self._each(taken)

    def part(self, first: int, stop: int) -> "InteractionBatch":
        """The batch of rows ``first`` ... stop - 1, not copied."""

        def own(name: str, column: Any) -> Any:
            if name == "data" or column is None:
                return column
            if isinstance(column, Details):
                return column.part(first, stop)
            rows = slice(first, stop)
            return column.part(rows) if isinstance(column, Texts) else column[rows]

        return self._each(own)


def joined(parts: Sequence[tuple[Int64s, InteractionBatch]]) -> tuple[InteractionBatch, Int64s]:
    """Bring the parts of a batch into one, in the order of the number that stands beside each row, int64[n]."""
    if len(parts) == 1:
        return _in_order(parts[0][1], parts[0][0])
    if not parts:
        none = np.zeros(0, np.int64)
        texts = Texts(none, none.astype(np.int32))
        data = np.frombuffer(b"", np.uint8)  # not writable, as the bytes of a fetch: kernels are compiled for that
        empty = InteractionBatch(data, none, none, none, none, none.astype(np.int8), texts, texts, texts, texts)
        return empty, none
    return _in_order(together([b for _, b in parts]), np.concatenate([i for i, _ in parts]))


def together(batches: Sequence[InteractionBatch]) -> InteractionBatch:
    """One or more batches, one behind the other."""
    data = np.concatenate([b.data for b in batches])
    data.flags.writeable = False  # as above
    base = np.cumsum([0, *(b.data.shape[0] for b in batches)])[:-1].tolist()
    return InteractionBatch(data=data, details=_details(batches, base), **_whole(batches, base, InteractionBatch))


def _in_order(batch: InteractionBatch, index: Int64s) -> tuple[InteractionBatch, Int64s]:
    if (index[1:] >= index[:-1]).all():
        return batch, index
    order = np.argsort(index, kind="stable")
    return batch.take(order), index[order]


def _whole(parts: Sequence[Any], base: Sequence[int], kind: type[Any]) -> dict[str, Any]:
    """Columns one behind the other; texts lie where their part's data begins now."""
    whole: dict[str, Any] = {}
    for name in (f.name for f in fields(kind) if f.name not in {"data", "details"}):
        columns = [getattr(part, name) for part in parts]
        if isinstance(columns[0], Texts):
            moved = [texts.moved(at) for texts, at in zip(columns, base, strict=True)]
            whole[name] = Texts(np.concatenate([t.start for t in moved]), np.concatenate([t.length for t in moved]))
        else:
            whole[name] = np.concatenate(columns)
    return whole


def _details(batches: Sequence[InteractionBatch], base: Sequence[int]) -> Details | None:
    told = [b.details for b in batches if b.details is not None]
    if len(told) < len(batches):
        return None
    whole = _whole(told, base, Details)
    entries = np.cumsum([0, *(d.entry_key.start.shape[0] for d in told)])[:-1]
    whole["entry_start"] = np.concatenate([d.entry_start + at for d, at in zip(told, entries, strict=True)])
    return Details(**whole)
