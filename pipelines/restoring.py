"""Customers' rows from the log back into memory, record by record in its order, without a Python object for each."""

import numpy as np

from pipelines.state import CustomerRows
from schemas.arrays import Bytes, Int32s, Int64s
from schemas.compiled import compiled


def take_rows(
    data: Bytes, value_start: Int64s, value_length: Int32s, number: Int32s, form: Bytes, rows: Bytes, taken: Bytes
) -> None:
    """Copy stored rows of our own form into memory; a later one of a customer takes the place of an earlier one.

    data: uint8[b]. value_start: int64[n], value_length: int32[n]. number: int32[n], the customer's row.
    form: uint8[f], how a stored row of ours begins. rows: uint8[m, w], written. taken: uint8[n], written: whether the
    value has our form, and f + w bytes.
    """
    head, width = form.shape[0], rows.shape[1]
    for i in range(number.shape[0]):
        taken[i] = value_length[i] == head + width
        k = 0
        while taken[i] and k < head:
            taken[i] = data[value_start[i] + k] == form[k]
            k += 1
        if taken[i]:
            for b in range(width):
                rows[number[i], b] = data[value_start[i] + head + b]


take_rows_compiled = compiled(take_rows)


class RowRestore:
    """Fills empty CustomerRows. Rows of another form (other signals, another layout) wait for the header."""

    def __init__(self, rows: CustomerRows) -> None:
        self._rows = rows
        self._others: dict[int, bytes] = {}

    def take(
        self, data: Bytes, customer_start: Int64s, customer_length: Int32s, value_start: Int64s, value_length: Int32s
    ) -> None:
        """Take stored rows in the order of the log; a value of length -1 forgets the customer.

        data: uint8[b]; starts int64[n], lengths int32[n].
        """
        number = self._rows.customers.add(data, customer_start, customer_length)
        self._rows.make_room()
        taken = np.empty(number.shape[0], np.uint8)
        form, rows = self._rows.form, self._rows.raw()
        take_rows_compiled(data, value_start, value_length, number, form, rows, taken)
        if not taken.all():
            self._take_others(data, value_start, value_length, number, taken, rows)
        elif self._others:
            for n in set(number.tolist()) & self._others.keys():
                del self._others[n]

    def _take_others(
        self, data: Bytes, start: Int64s, length: Int32s, number: Int32s, taken: Bytes, rows: Bytes
    ) -> None:
        last = dict(zip(number.tolist(), range(number.shape[0]), strict=True))  # the last record of each customer
        for n, i in last.items():
            self._others.pop(n, None)
            if not taken[i]:
                rows[n] = 0  # what an earlier record has left
                if length[i] >= 0:
                    self._others[n] = data[start[i] : start[i] + length[i]].tobytes()

    def finish(self, signal_sets: dict[int, list[str]]) -> None:
        """Read the rows that waited. ``signal_sets``: the header's signal names by their id.

        Raises:
            ValueError: a row has a layout, signals or a length that we do not know.
        """
        self._rows.bands_from_rows()
        customers = [self._rows.customers.raw(n) for n in self._others]
        self._rows.restore(customers, list(self._others.values()), signal_sets)
