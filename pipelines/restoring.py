"""Customers' rows from the log back into memory, in its order, without a Python object for each."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.layouts import NEWEST, forms, plain_bytes, read_rows, signals_id
from pipelines.state import CustomerRows
from schemas.arrays import Bytes, Int32s, Int64s
from schemas.growing import grown


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Values of one form whose signals only the header names: of which records, which rows, and their bytes."""

    layout: int
    signals: int
    record: Int64s
    number: Int64s
    data: Bytes
    start: Int64s
    length: Int32s


class RowRestore:
    """Fills empty CustomerRows. Rows of other signals than ours wait for the header, which ends the log."""

    def __init__(self, rows: CustomerRows) -> None:
        self._rows = rows
        self._ours = signals_id(rows.signal_names)
        self._records = 0
        self._last: Int64s = np.zeros(64, np.int64)  # by row: the number of its last record
        self._there: Bytes = np.zeros(64, np.uint8)  # by row: whether that record has a value
        self._waiting: list[_Waiting] = []

    def take(
        self, data: Bytes, customer_start: Int64s, customer_length: Int32s, value_start: Int64s, value_length: Int32s
    ) -> None:
        """Take stored rows in the order of the log; a value of length -1 forgets the customer.

        data: uint8[b]; starts int64[n], lengths int32[n].

        Raises:
            ValueError: a row has a layout or a length that we do not know.
        """
        every = self._rows.customers.add(data, customer_start, customer_length)
        self._rows.make_room()
        self._last, self._there = grown(self._last, self._rows.numbers), grown(self._there, self._rows.numbers)
        record = np.arange(self._records, self._records + every.shape[0])
        self._records += every.shape[0]
        self._last[every] = record  # of the records of one customer the last one stays
        last = np.flatnonzero(self._last[every] == record)
        number = every[last].astype(np.int64)
        self._there[number] = value_length[last] >= 0
        told = last[value_length[last] >= 0]
        form = forms(data, value_start[told], value_length[told])
        kind = form["layout"].astype(np.int64) << 32 | form["signals"]
        for one in _different(kind):
            which, layout, signals = told[kind == one], one >> 32, one & 0xFFFFFFFF
            start, length, rows = value_start[which], value_length[which], every[which].astype(np.int64)
            if signals == self._ours and layout == NEWEST:
                plain = length == plain_bytes(len(self._rows.signal_names))
                self._rows.put_plain(rows[plain], data, start[plain])
                start, length, rows = start[~plain], length[~plain], rows[~plain]
            if signals == self._ours:
                columns = read_rows(data, start, length, layout, len(self._rows.signal_names))
                self._rows.put(rows, columns, self._rows.signal_names)
            else:
                self._waiting.append(_Waiting(layout, signals, record[which], rows, data, start, length))

    def finish(self, signal_sets: dict[int, list[str]]) -> None:
        """Read the rows that waited, and forget whom the log has forgotten.

        signal_sets: the header's signal names by their id.

        Raises:
            ValueError: a row has signals or a length that we do not know.
        """
        for waiting in self._still_last():
            if waiting.signals not in signal_sets:
                raise ValueError(f"a stored row has the signals {waiting.signals:#x}, which its header does not name")
            names = signal_sets[waiting.signals]
            columns = read_rows(waiting.data, waiting.start, waiting.length, waiting.layout, len(names))
            self._rows.put(waiting.number, columns, names)
        self._waiting.clear()
        self._rows.forget(np.flatnonzero(self._there[: self._rows.numbers] == 0))

    def _still_last(self) -> Iterator[_Waiting]:
        """What waits, without what a later record has replaced."""
        for w in self._waiting:
            last = self._last[w.number] == w.record
            if last.any():
                yield _Waiting(
                    w.layout, w.signals, w.record[last], w.number[last], w.data, w.start[last], w.length[last]
                )


def _different(kind: Int64s) -> list[int]:
    """The values that there are; nearly always one, so they are not sorted first."""
    if kind.shape[0] and (kind == kind[0]).all():
        return [int(kind[0])]
    found: list[int] = np.unique(kind).tolist()
    return found
