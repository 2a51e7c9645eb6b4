"""What is remembered of customers: a compact row each, and a record in the side store for those with a band alert."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipelines.fold.blocks import Blocks, contents_of
from pipelines.fold.items import give_block, held_at, new_arena
from pipelines.fold.scoring import BLOCK, EPISODE_AT, HEAT, INTERACTIONS, NEWEST_MS, SEGMENT, UPDATED, Rows
from pipelines.fold.timers import no_timers, with_room
from pipelines.intake.index import TextIndex
from pipelines.state.layouts import (
    EPISODE,
    NEWEST,
    RowColumns,
    head_dtype,
    plain_form,
    signals_id,
    take_rows_compiled,
)
from pipelines.state.pool import NONE, Pool
from pipelines.state.unpacked_rows import UNPACKED, packed
from pipelines.state.whole_rows import (
    LAYOUT,
    CopiedRows,
    arena_used,
    copied,
    fixed_words,
    take_whole_rows_compiled,
    words_for,
)
from schemas.arrays import Bytes, Float64s, Int32s, Int64s
from schemas.growing import grown


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

    def revised(self) -> "Episode":
        """The same, told again."""
        return replace(self, revision=self.revision + 1)


NO_EPISODE = Episode(0, 0, 0)


class CustomerRows:
    """Rows of the customers of a partition, numbered by their index.

    A row is words of int64 (scoring.UPDATED ...): 56 bytes, and 8 for each signal and each remembered event id.
    ``band`` and ``dirty`` are apart, for they are searched: uint8[m]. The others are views into the rows, which are
    gone when ``make_room`` is called.
    """

    def __init__(self, signal_names: Sequence[str], bands: int, remembered: int = 0) -> None:
        self.customers = TextIndex()
        self.episodes = Pool(np.dtype(EPISODE.descr, align=True))
        self.signal_names = tuple(signal_names)
        self.blocks = Blocks(*new_arena(len(self.signal_names)))
        self.timers = no_timers()
        self.remembered = remembered
        self._bands = bands
        self._words: Int64s = np.zeros((64, HEAT + len(self.signal_names) + remembered), np.int64)
        self.band: Bytes = np.zeros(64, np.uint8)
        self.dirty: Bytes = np.zeros(64, np.uint8)
        self._alarm: Int64s = np.zeros(64, np.int64)

    def __len__(self) -> int:
        return len(self.customers)

    @property
    def numbers(self) -> int:
        """All rows are below it; some may be nobody's."""
        return self.customers.numbers

    def make_room(self) -> None:
        """Let every numbered customer have a row."""
        self._words = grown(self._words, self.numbers)
        self.band = grown(self.band, self.numbers)
        self.dirty = grown(self.dirty, self.numbers)
        self._alarm = grown(self._alarm, self.numbers)

    @property
    def kernel(self) -> Rows:
        """The columns as kernels take them; they are gone when ``make_room`` is called or an episode is new."""
        return Rows(self._words, self.band, self.dirty, self._alarm, self._episode_words(), self.remembered)

    @property
    def heat(self) -> Float64s:
        """float64[m, s]: what decays."""
        return self._words.view(np.float64)[:, HEAT : HEAT + len(self.signal_names)]

    @property
    def updated_ms(self) -> Int64s:
        """int64[m]: the time as of which the heats stand."""
        return self._words[:, UPDATED]

    @property
    def newest_ms(self) -> Int64s:
        """int64[m]: event time of the newest interaction."""
        return self._words[:, NEWEST_MS]

    @property
    def interactions(self) -> Int64s:
        """int64[m]: how many have counted."""
        return self._words[:, INTERACTIONS]

    def held(self, numbers: Int64s) -> Float64s:
        """float64[k, s]: what open cases hold of each signal, of some rows, int64[k]."""
        place: Int64s = held_at(0) + self._words[numbers, BLOCK]
        held: Float64s = self.blocks.arena.view(np.float64)[place[:, None] + np.arange(len(self.signal_names))]
        return held

    def segments(self, numbers: Int64s) -> Int64s:
        """int64[k]: numbers of the segments of some rows, int64[k]."""
        segments: Int64s = self._words[numbers, SEGMENT]
        return segments

    def episode(self, row: int) -> Episode:
        """The last band alert of a row."""
        place = self._words.item(row, EPISODE_AT)
        return Episode(*self.episodes.records[place].item()) if place else NO_EPISODE

    def set_episode(self, row: int, episode: Episode) -> None:
        """Remember a band alert."""
        place = self._words.item(row, EPISODE_AT)
        if place == NONE:
            place = self._words[row, EPISODE_AT] = self.episodes.take()
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
        words = self._words[numbers]
        head = np.empty(numbers.shape[0], head_dtype(NEWEST, len(self.signal_names)))
        head["updated_ms"], head["interactions"] = words[:, UPDATED], words[:, INTERACTIONS]
        head["heat"] = words.view(np.float64)[:, HEAT : HEAT + len(self.signal_names)]
        head["band"] = self.band[numbers]
        episode = self.episodes.records[words[:, EPISODE_AT]]
        episode[episode["opened_ms"] == 0] = np.zeros((), episode.dtype)  # of who was forgotten and came back
        return RowColumns(head, episode)

    def put(self, numbers: Int64s, columns: RowColumns, names: Sequence[str]) -> None:
        """Take stored rows, int64[k], each number once. names: of their heats, in order; ours are taken by name."""
        words = np.zeros((numbers.shape[0], self._words.shape[1]), np.int64)
        words[:, UPDATED] = words[:, NEWEST_MS] = columns.head["updated_ms"]
        words[:, INTERACTIONS] = columns.head["interactions"]
        for column, name in enumerate(self.signal_names, HEAT):
            if name in names:
                words.view(np.float64)[:, column] = columns.head["heat"][:, list(names).index(name)]
        self.episodes.give_back(self._words[numbers, EPISODE_AT])
        told = np.flatnonzero(columns.episode["opened_ms"])
        places = self.episodes.take_many(told.shape[0])
        self.episodes.records[places] = columns.episode[told]
        words[told, EPISODE_AT] = places
        self._words[numbers] = words
        self.band[numbers] = np.minimum(columns.head["band"], self._bands - 1)  # the policy may have had more of them

    def take_stored(
        self, numbers: Int32s, data: Bytes, start: Int64s, length: Int32s, *, first: int, last: Int64s
    ) -> Int64s:
        """Take those stored rows that are of layout 2 and have our signals, in their order.

        numbers: int32[n], below 0 for none. start, length: of the values in data, int64[n] and int32[n]. first, last:
        see layouts.take_rows. Returns which are of another form, int64[k].
        """
        others = np.empty(start.shape[0], np.int64)
        self.episodes.make_room(start.shape[0])
        ours, pool = plain_form(signals_id(self.signal_names)), self.episodes
        left = take_rows_compiled(
            data, start, length, numbers, ours, len(self.signal_names), self._bands, first, self._words, self.band,
            last, self._episode_words(), pool.free, pool.used, others,
        )  # fmt: skip
        return others[:left]

    def copied(self, numbers: Int64s, form: int) -> CopiedRows:
        """Copies of some rows with everything that is open, int64[k]. form: see whole_rows.form_of."""
        return copied(numbers, self.kernel, self.blocks.arena, len(self.signal_names), form)

    def contents(self, row: int) -> tuple[list[Int64s], bytes]:
        """What is open of a row: see blocks.contents_of."""
        return contents_of(int(self._words[row, BLOCK]), len(self.signal_names), self.blocks.arena)

    def put_whole(self, numbers: Int64s, data: Bytes, start: Int64s, length: Int32s) -> None:
        """Take rows that were stored under the same policy in one layout, int64[k], each number once.

        Raises:
            ValueError: one is broken.
        """
        self.forget_parts(numbers)
        if length.shape[0] and data[start[0]] == UNPACKED:
            data, start, length = packed(data, start, length, fixed_words(self.kernel), len(self.signal_names))
        self.blocks = Blocks(
            grown(self.blocks.arena, arena_used(self.blocks.free) + words_for(length)), self.blocks.free
        )
        self.timers = with_room(self.timers, numbers.shape[0])
        places = self.episodes.take_many(numbers.shape[0])
        broken = take_whole_rows_compiled(
            data, start, length, numbers, places, len(self.signal_names), self._bands, self.kernel, self.blocks.arena,
            self.blocks.free, self.timers,
        )  # fmt: skip
        if broken >= 0:
            raise ValueError(f"a stored row of layout {LAYOUT} is broken: it has {length[broken]} bytes")
        self.episodes.give_back(places[self._words[numbers, EPISODE_AT] == NONE])

    def forget_parts(self, numbers: Int64s) -> None:
        """Give back what some rows, int64[k], have in the side stores."""
        self.episodes.give_back(self._words[numbers, EPISODE_AT])
        for block in self._words[numbers, BLOCK].tolist():
            if block:
                give_block(block, *self.blocks)
        self._words[numbers, EPISODE_AT] = self._words[numbers, BLOCK] = 0

    def forget(self, numbers: Int64s) -> None:
        """Remove some rows, int64[k], each once; their numbers will be others'."""
        self.forget_parts(numbers)
        self._words[numbers] = 0
        self.band[numbers] = 0
        self.dirty[numbers] = 0
        self.customers.remove(numbers)

    def _episode_words(self) -> Int64s:
        """int64[p, 3]: when an episode began and ended, and its last revision in the lower half of the last word."""
        records = self.episodes.records
        return records.view(np.int64).reshape(records.shape[0], records.dtype.itemsize // 8)
