"""Files of interactions as batches of columns."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import assert_never

import pyarrow as pa

from connectors.files.blocks import Block
from connectors.files.delimited import csv_blocks
from connectors.files.event_ids import EventIds
from connectors.files.jsonl import jsonl_blocks
from connectors.files.mapping import Mapping
from connectors.files.parquet import parquet_blocks
from connectors.files.rejects import RejectedRow
from connectors.files.shaping import EventRows, Shaper
from connectors.files.sources import Source
from schemas.errors import InputUnreadable

_SECONDS_MS = 10**11  # numbers below are milliseconds of before March 1973, or seconds of before the year 5138


@dataclass(slots=True)
class _Read:
    """What has been read by one mapping."""

    shaper: Shaper
    columns: set[str] = field(default_factory=set)
    rows: int = 0
    skipped: int = 0


@dataclass(slots=True)
class EventReader:
    """Reads files one after the other. reject: is told each row that cannot be taken; warn: what else is strange.

    strict: the first row that cannot be taken ends the reading.
    """

    sources: Sequence[Source]
    reject: Callable[[RejectedRow], None]
    warn: Callable[[str], None]
    strict: bool = False
    skipped: int = 0
    _refused: list[RejectedRow] = field(default_factory=list)

    def __iter__(self) -> Iterator[EventRows]:
        """The interactions, in batches of at least one.

        Raises:
            InputUnreadable: a file cannot be read, has not the columns that are needed, or, if ``strict``, a row cannot
                be taken.
        """
        read: dict[Mapping, _Read] = {}
        ids = EventIds()
        for source in self.sources:
            of = read.setdefault(source.mapping, _Read(Shaper(source.mapping, ids)))
            rows, checked, early, ahead = 0, False, 0, 0
            for block in _blocks(source):
                if block.columns and not checked:
                    checked = True
                    of.shaper.check_columns(source.name, block.columns, may_lack=source.format == "jsonl")
                of.columns.update(block.columns)
                rows += block.n + len(block.broken)
                shaped = of.shaper.shape(block)
                of.skipped += shaped.skipped
                self.skipped += shaped.skipped
                self._refused += shaped.rejected
                if shaped.events.batch.num_rows:
                    early += _early(shaped.events)
                    ahead += _ahead(shaped.events, time.time())
                    yield shaped.events
                self._reject_in_order()
            if early:
                self.warn(
                    f"{source.name}: {early:,} interactions are of before 1973. Numbers count milliseconds; "
                    "a mapping with epoch = 's' reads seconds"
                )
            if ahead:
                self.warn(
                    f"{source.name}: {ahead:,} interactions are of after tomorrow, and time passes up to the last one; "
                    "--to leaves them out"
                )
            if not rows:
                self.warn(f"{source.name} is empty: no interactions come from it")
            of.rows += rows
        for mapping, of in read.items():
            self._warn_of_all(mapping, of)

    def _warn_of_all(self, mapping: Mapping, of: _Read) -> None:
        """Tell what no row of the files of a mapping had."""
        if of.columns:
            asked = {column: where for column, where, _ in of.shaper.asked() if column not in of.columns}
            for column, where in asked.items():
                self.warn(
                    f"no row has {column!r}, which {where} asks for; lists are left out, and there are: "
                    f"{', '.join(sorted(of.columns))}"
                )
        if of.rows and of.skipped == of.rows:
            self.warn(
                f"all {of.rows:,} rows were skipped: `when`, `unless` or `filled` of {mapping.name} leave them out"
            )

    def refuse(self, row: RejectedRow) -> None:
        """Take a row of the batch that was given last as one that cannot be taken; it is told before the next one."""
        self._refused.append(row)

    def _reject_in_order(self) -> None:
        """Tell the rows of a block that cannot be taken, whoever found them, by their lines."""
        for row in sorted(self._refused, key=attrgetter("line")):
            if self.strict:
                raise InputUnreadable(f"{row.file}:{row.line}: {row.reason}")
            self.reject(row)
        self._refused.clear()


def _early(events: EventRows) -> int:
    """How many interactions occurred so early that seconds were meant."""
    return int((events.batch.column("occurred_at").cast(pa.int64()).to_numpy() < _SECONDS_MS).sum())


def _ahead(events: EventRows, now_s: float) -> int:
    """How many interactions occur more than a day from now."""
    return int((events.batch.column("occurred_at").cast(pa.int64()).to_numpy() > (now_s + 86_400) * 1000).sum())


def _blocks(source: Source) -> Iterator[Block]:
    said = source.mapping.file
    match source.format:
        case "jsonl":
            return jsonl_blocks(source, said.encoding)
        case "csv":
            return csv_blocks(source, said.encoding, said.delimiter)
        case "parquet":
            return parquet_blocks(source)
        case _:
            assert_never(source.format)
