"""Customers' rows from the log back into memory, in its order, without a Python object for each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from pipelines.state.layouts import copied, forms, read_rows, signals_id
from pipelines.state.rows import CustomerRows
from pipelines.state.unpacked_rows import UNPACKED
from pipelines.state.whole_rows import LAYOUT as WHOLE
from schemas.arrays import Bytes, Int32s, Int64s
from schemas.growing import grown

_AT_ONCE = 16_384  # records whose bytes are still near when their rows are put
_MOST_BYTES = 1 << 26  # of values that wait, before those that a later record has replaced are dropped


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Values of one form: of which records, which rows, and their bytes."""

    layout: int
    signals: int
    record: Int64s
    number: Int64s
    data: Bytes
    start: Int64s
    length: Int32s


Translate = Callable[[int, Int64s, Bytes, Int64s, Int32s], None]
"""Takes form and numbers of stored rows, int64[k], and where they lie in bytes: start int64[k], length int32[k]."""


class RowRestore:
    """Fills empty CustomerRows.

    Rows of other signals than ours wait for the header, which ends the log; and rows with what is open wait for the
    last one of their customer: most of a log has been replaced, and a block of each would be room that stays.
    """

    def __init__(self, rows: CustomerRows, form: int = 0) -> None:
        self._rows = rows
        self._form = form
        self._ours = signals_id(rows.signal_names)
        self._records = 0
        self._last: Int64s = np.zeros(64, np.int64)  # by row: the number of its last record, ~number if that is null
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = self._kept_bytes = 0

    def take(
        self,
        data: Bytes,
        customer_start: Int64s,
        customer_length: Int32s,
        value_start: Int64s,
        value_length: Int32s,
        *,
        wanted: Bytes | None = None,
    ) -> None:
        """Take stored rows in the order of the log; a value of length -1 forgets the customer.

        data: uint8[b], which may be another's after the call; starts int64[n], lengths int32[n]. wanted: uint8[n], 0
        for records that are no customers.

        Raises:
            ValueError: a row has a layout or a length that we do not know.
        """
        for at in range(0, value_start.shape[0], _AT_ONCE):
            part = slice(at, at + _AT_ONCE)
            some = None if wanted is None else wanted[part]
            number = self._rows.customers.add(data, customer_start[part], customer_length[part], wanted=some)
            self._take(data, number, value_start[part], value_length[part])

    def _take(self, data: Bytes, number: Int32s, start: Int64s, length: Int32s) -> None:
        self._rows.make_room()
        self._last = grown(self._last, self._rows.numbers)
        first, self._records = self._records, self._records + number.shape[0]
        others = self._rows.take_stored(number, data, start, length, first=first, last=self._last)
        if others.shape[0]:
            others = others[self._last[number[others]] == first + others]  # of one customer the last one stays
            self._take_others(data, number[others].astype(np.int64), start[others], length[others], first + others)

    def _take_others(self, data: Bytes, number: Int64s, start: Int64s, length: Int32s, record: Int64s) -> None:
        form = forms(data, start, length)
        kind = form["layout"].astype(np.int64) << 32 | form["signals"]
        for one in np.unique(kind).tolist():
            which, layout, signals = np.flatnonzero(kind == one), one >> 32, one & 0xFFFFFFFF
            if signals == self._ours and layout not in (UNPACKED, WHOLE):
                columns = read_rows(data, start[which], length[which], layout, len(self._rows.signal_names))
                self._rows.put(number[which], columns, self._rows.signal_names)
            else:
                values, begin = copied(data, start[which], length[which])
                self._waiting.append(
                    _Waiting(layout, signals, record[which], number[which], values, begin, length[which])
                )
                self._waiting_bytes += values.shape[0]
        if self._waiting_bytes > _MOST_BYTES + 2 * self._kept_bytes:
            self._drop_replaced()

    def finish(self, signal_sets: dict[int, list[str]], translate: Translate | None = None) -> None:
        """Read the rows that waited, and forget whom the log has forgotten.

        signal_sets: the header's signal names by their id. translate: brings rows of another policy to ours.

        Raises:
            ValueError: a row has signals or a length that we do not know.
        """
        for waiting in self._still_last():
            if waiting.layout in (UNPACKED, WHOLE):
                if waiting.signals == self._form:
                    self._rows.put_whole(waiting.number, waiting.data, waiting.start, waiting.length)
                    continue
                if translate is None:
                    raise ValueError("a stored row was written under a policy that is not known any more")
                translate(waiting.signals, waiting.number, waiting.data, waiting.start, waiting.length)
                continue
            if waiting.signals not in signal_sets:
                raise ValueError(f"a stored row has the signals {waiting.signals:#x}, which its header does not name")
            names = signal_sets[waiting.signals]
            columns = read_rows(waiting.data, waiting.start, waiting.length, waiting.layout, len(names))
            self._rows.put(waiting.number, columns, names)
        self._waiting.clear()
        self._rows.forget(np.flatnonzero(self._last[: self._rows.numbers] < 0))

    def _drop_replaced(self) -> None:
        """Let no bytes wait that a later record has replaced."""
        self._waiting = [
            replace(w, data=data, start=start)
            for w in self._still_last()
            for data, start in [copied(w.data, w.start, w.length)]
        ]
        self._waiting_bytes = self._kept_bytes = sum(w.data.shape[0] for w in self._waiting)

    def _still_last(self) -> Iterator[_Waiting]:
        """What waits, without what a later record has replaced."""
        for w in self._waiting:
            last = self._last[w.number] == w.record
            if last.any():
                yield _Waiting(
                    w.layout, w.signals, w.record[last], w.number[last], w.data, w.start[last], w.length[last]
                )
