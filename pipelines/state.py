"""What is remembered of customers: a compact row each, and how a row is stored.

In the log a row is ``layout (u16), signals (u32), row``, little-endian; ``signals`` identifies the names of the
signals in heat order, which the partition's header spells out (docs/state.md).
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.index import TextIndex
from schemas.arrays import Bytes, Float64s, Int64s

LAYOUT = 1
_PREFIX = np.dtype([("layout", "<u2"), ("signals", "<u4")])


def row_dtype(signals: int) -> np.dtype[np.void]:
    """Layout of a customer's row: 40 bytes and 8 for each signal."""
    return np.dtype(
        [
            ("updated_ms", "<i8"),  # event time of the newest interaction: heat stands as of it
            ("interactions", "<i8"),  # how many have counted
            ("opened_ms", "<i8"),  # band alert: when its episode began, 0 for none yet
            ("closed_ms", "<i8"),  # when it was resolved, 0 while it stands
            ("revision", "<i4"),
            ("band", "u1"),
            ("unused", "u1", (3,)),
            ("heat", "<f8", (signals,)),
        ]
    )


def signals_id(names: Sequence[str]) -> int:
    """CRC-32 of the signals' names in heat order: which heats a stored row has."""
    return zlib.crc32("\x1f".join(names).encode())


@dataclass(frozen=True, slots=True)
class Episode:
    """A customer's last band alert."""

    opened_ms: int
    closed_ms: int
    revision: int

    @property
    def stands(self) -> bool:
        """Whether its alert has been opened and not resolved."""
        return self.opened_ms != 0 and self.closed_ms == 0

    def opened(self, at_ms: int) -> "Episode":
        """A new one."""
        return Episode(at_ms, 0, 1)

    def reopened(self) -> "Episode":
        """It goes on."""
        return Episode(self.opened_ms, 0, self.revision + 1)

    def revised(self) -> "Episode":
        """The same, told again."""
        return replace(self, revision=self.revision + 1)

    def closed(self, at_ms: int) -> "Episode":
        """It is over."""
        return Episode(self.opened_ms, at_ms, self.revision + 1)


class CustomerRows:
    """Rows of the customers of a partition, numbered by their index.

    ``band`` and ``dirty`` are apart, for they are searched: uint8[m]. The others are views into the rows.
    """

    def __init__(self, signal_names: Sequence[str], bands: int) -> None:
        self.customers = TextIndex()
        self.signal_names = tuple(signal_names)
        self._bands = bands
        self._rows = np.zeros(64, row_dtype(len(self.signal_names)))
        self.band: Bytes = np.zeros(64, np.uint8)
        self.dirty: Bytes = np.zeros(64, np.uint8)
        prefix = np.array((LAYOUT, signals_id(self.signal_names)), _PREFIX)
        self._prefix: Bytes = np.frombuffer(prefix.tobytes(), np.uint8)

    def __len__(self) -> int:
        return len(self.customers)

    def make_room(self) -> None:
        """Let every numbered customer have a row."""
        if len(self.customers) > self._rows.shape[0]:
            room = max(len(self.customers), self._rows.shape[0] * 2)
            for name in ("_rows", "band", "dirty"):
                old = getattr(self, name)
                larger = np.zeros(room, old.dtype)
                larger[: old.shape[0]] = old
                setattr(self, name, larger)

    @property
    def heat(self) -> Float64s:
        """float64[m, s]."""
        return self._field("heat")

    @property
    def updated_ms(self) -> Int64s:
        """int64[m]."""
        return self._field("updated_ms")

    @property
    def interactions(self) -> Int64s:
        """int64[m]."""
        return self._field("interactions")

    def _field(self, name: str) -> npt.NDArray[Any]:
        return self._rows[name]

    def episode(self, row: int) -> Episode:
        """The last band alert of a row."""
        stored = self._rows[row]
        return Episode(int(stored["opened_ms"]), int(stored["closed_ms"]), int(stored["revision"]))

    def set_episode(self, row: int, episode: Episode) -> None:
        """Remember a band alert."""
        stored = self._rows[row]
        stored["opened_ms"], stored["closed_ms"], stored["revision"] = (
            episode.opened_ms,
            episode.closed_ms,
            episode.revision,
        )

    def take_dirty(self) -> Int64s:
        """Numbers of the rows that changed since the last call, int64[k]."""
        numbers: Int64s = np.flatnonzero(self.dirty[: len(self)])
        self.dirty[numbers] = 0
        return numbers

    def stored(self, numbers: Int64s) -> Bytes:
        """The stored form of some rows: uint8[k, width]."""
        rows = self._rows[numbers]
        rows["band"] = self.band[numbers]
        width = self._prefix.shape[0]
        stored = np.empty((numbers.shape[0], width + rows.dtype.itemsize), np.uint8)
        stored[:, :width] = self._prefix
        stored[:, width:] = rows.view(np.uint8).reshape(numbers.shape[0], rows.dtype.itemsize)
        return stored

    def restore(self, customers: Sequence[bytes], values: Sequence[bytes], signal_sets: dict[int, list[str]]) -> None:
        """Take stored rows, each customer once. ``signal_sets``: the header's signal names by their id.

        Raises:
            ValueError: a row has a layout, signals or a length that we do not know.
        """
        data, lengths = np.frombuffer(b"".join(customers), np.uint8), np.array([len(c) for c in customers], np.int32)
        numbers = self.customers.add(data, (np.cumsum(lengths) - lengths).astype(np.int64), lengths)
        self.make_room()
        by_form: dict[bytes, list[int]] = {}
        for i, value in enumerate(values):
            by_form.setdefault(value[: _PREFIX.itemsize], []).append(i)
        for form, which in by_form.items():
            names = self._signals_of(form, signal_sets)
            dtype = row_dtype(len(names))
            for i in which:
                if len(values[i]) != _PREFIX.itemsize + dtype.itemsize:
                    raise ValueError(f"a stored row of {len(names)} signals has {len(values[i])} bytes")
            rows = np.frombuffer(b"".join(values[i][_PREFIX.itemsize :] for i in which), dtype)
            at = numbers[which]
            for field in ("updated_ms", "interactions", "opened_ms", "closed_ms", "revision"):
                self._rows[field][at] = rows[field]
            self.band[at] = np.minimum(rows["band"], self._bands - 1)  # the policy may have had more of them
            for column, name in enumerate(self.signal_names):
                if name in names:
                    self._rows["heat"][at, column] = rows["heat"][:, names.index(name)]

    @property
    def form(self) -> Bytes:
        """How every row that we store begins: uint8[f]."""
        return self._prefix

    def raw(self) -> Bytes:
        """The bytes of the rows, for a restore to write: uint8[m, w]. Bands are taken from them afterwards."""
        return self._rows.view(np.uint8).reshape(self._rows.shape[0], self._rows.dtype.itemsize)

    def bands_from_rows(self) -> None:
        """Take the bands of restored rows; the policy may have had more of them."""
        self.band[:] = np.minimum(self._rows["band"], self._bands - 1)

    def _signals_of(self, form: bytes, signal_sets: dict[int, list[str]]) -> list[str]:
        if len(form) != _PREFIX.itemsize:
            raise ValueError(f"a stored row has only {len(form)} bytes")
        layout, signals = np.frombuffer(form, _PREFIX)[0]
        if layout != LAYOUT:
            raise ValueError(f"a stored row has layout {layout}, this version reads {LAYOUT}")
        if int(signals) not in signal_sets:
            raise ValueError(f"a stored row has the signals {signals:#x}, which its header does not name")
        return signal_sets[int(signals)]
