"""What is remembered of customers: a compact row each, and a record in the side store for those with a band alert."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.index import TextIndex
from pipelines.layouts import EPISODE, NEWEST, RowColumns, head_dtype, put_rows_compiled
from pipelines.pool import NONE, Pool
from schemas.arrays import Bytes, Float64s, Int32s, Int64s
from schemas.growing import grown


def row_dtype(signals: int) -> np.dtype[np.void]:
    """A customer's row in memory: 24 bytes and 8 for each signal."""
    return np.dtype(
        [
            ("updated_ms", "<i8"),  # event time of the newest interaction: heat stands as of it
            ("interactions", "<i8"),  # how many have counted
            ("episode", "<i4"),  # place of the last band alert in the side store
            ("unused", "<i4"),
            ("heat", "<f8", (signals,)),
        ]
    )


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


NO_EPISODE = Episode(0, 0, 0)


class CustomerRows:
    """Rows of the customers of a partition, numbered by their index.

    ``band`` and ``dirty`` are apart, for they are searched: uint8[m]. The others are views into the rows, which are
    gone when ``make_room`` is called.
    """

    def __init__(self, signal_names: Sequence[str], bands: int) -> None:
        self.customers = TextIndex()
        self.episodes = Pool(np.dtype(EPISODE.descr, align=True))
        self.signal_names = tuple(signal_names)
        self._bands = bands
        self._rows = np.zeros(64, row_dtype(len(self.signal_names)))
        self.band: Bytes = np.zeros(64, np.uint8)
        self.dirty: Bytes = np.zeros(64, np.uint8)

    def __len__(self) -> int:
        return len(self.customers)

    @property
    def numbers(self) -> int:
        """All rows are below it; some may be nobody's."""
        return self.customers.numbers

    def make_room(self) -> None:
        """Let every numbered customer have a row."""
        self._rows = grown(self._rows, self.numbers)
        self.band = grown(self.band, self.numbers)
        self.dirty = grown(self.dirty, self.numbers)

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

    @property
    def episode_of(self) -> Int32s:
        """int32[m]: place in ``episodes``."""
        return self._field("episode")

    def _field(self, name: str) -> npt.NDArray[Any]:
        return self._rows[name]

    def episode(self, row: int) -> Episode:
        """The last band alert of a row."""
        place = self._rows["episode"].item(row)
        return Episode(*self.episodes.records[place].item()) if place else NO_EPISODE

    def set_episode(self, row: int, episode: Episode) -> None:
        """Remember a band alert."""
        place = self._rows["episode"].item(row)
        if place == NONE:
            place = self._rows["episode"][row] = self.episodes.take()
        self.episodes.records[place] = episode.opened_ms, episode.closed_ms, episode.revision

    @property
    def changed(self) -> int:
        """How many rows are dirty."""
        return int(np.count_nonzero(self.dirty[: self.numbers]))

    def take_dirty(self) -> Int64s:
        """Numbers of the rows that changed since the last call, int64[k]."""
        numbers: Int64s = np.flatnonzero(self.dirty[: self.numbers])
        self.dirty[numbers] = 0
        return numbers

    def columns(self, numbers: Int64s) -> RowColumns:
        """Copies of some rows, int64[k]."""
        rows = self._rows[numbers]
        head = np.empty(numbers.shape[0], head_dtype(NEWEST, len(self.signal_names)))
        for name in ("updated_ms", "interactions", "heat"):
            head[name] = rows[name]
        head["band"] = self.band[numbers]
        episode = self.episodes.records[rows["episode"]]
        episode[episode["opened_ms"] == 0] = np.zeros((), episode.dtype)  # of who was forgotten and came back
        return RowColumns(head, episode)

    def put(self, numbers: Int64s, columns: RowColumns, names: Sequence[str]) -> None:
        """Take stored rows, int64[k], each number once. names: of their heats, in order; ours are taken by name."""
        rows = np.zeros(numbers.shape[0], self._rows.dtype)
        rows["updated_ms"], rows["interactions"] = columns.head["updated_ms"], columns.head["interactions"]
        for column, name in enumerate(self.signal_names):
            if name in names:
                rows["heat"][:, column] = columns.head["heat"][:, list(names).index(name)]
        self.episodes.give_back(self._rows["episode"][numbers].astype(np.int64))
        told = np.flatnonzero(columns.episode["opened_ms"])
        places = self.episodes.take_many(told.shape[0])
        self.episodes.records[places] = columns.episode[told]
        rows["episode"][told] = places
        self._rows[numbers] = rows
        self.band[numbers] = np.minimum(columns.head["band"], self._bands - 1)  # the policy may have had more of them

    def put_plain(self, numbers: Int64s, data: Bytes, start: Int64s) -> None:
        """Take stored rows of the newest layout with our signals and without sections, int64[k], each number once."""
        self.episodes.give_back(self._rows["episode"][numbers].astype(np.int64))
        words = self._rows.view(np.uint64).reshape(self._rows.shape[0], self._rows.dtype.itemsize // 8)
        put_rows_compiled(data, start, numbers, self._bands, words, self.band)

    def forget(self, numbers: Int64s) -> None:
        """Remove some rows, int64[k], each once; their numbers will be others'."""
        self.episodes.give_back(self._rows["episode"][numbers].astype(np.int64))
        self._rows[numbers] = np.zeros((), self._rows.dtype)
        self.band[numbers] = 0
        self.dirty[numbers] = 0
        self.customers.remove(numbers)
