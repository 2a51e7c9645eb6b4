"""Raw columns to interactions: exactly the columns of schemas/avro/interaction.avsc, and the rows that are none."""

from collections.abc import Iterator
from collections.abc import Mapping as Columns
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.files import values
from connectors.files.blocks import Block, Places, named_again
from connectors.files.event_ids import EventIds
from connectors.files.fields import RowFields, replaced_ids
from connectors.files.mapping import (
    ATTRIBUTES,
    FIELDS,
    REQUIRED,
    DurationField,
    FieldSpec,
    InteractionTable,
    Mapping,
    MappingFile,
    WrittenTime,
)
from connectors.files.rejects import Problems, RejectedRow
from schemas.arrays import Bools, Int64s
from schemas.errors import InputUnreadable


@dataclass(frozen=True, slots=True)
class EventRows:
    """Interactions of a file. row: int64[n], of ``places``. appended_ms: int64[n], None when no row tells it."""

    file: str
    batch: pa.RecordBatch
    appended_ms: Int64s | None
    row: Int64s
    places: Places

    def rejected(self, i: int, reason: str) -> RejectedRow:
        """Row i as one that cannot be taken."""
        row = int(self.row[i])
        return RejectedRow(self.file, self.places.line(row), reason, self.places.raw(row))


@dataclass(frozen=True, slots=True)
class Shaped:
    """What a block gave. skipped: rows that no table of the mapping wanted."""

    events: EventRows
    rejected: list[RejectedRow]
    skipped: int


class Shaper:
    """Turns the blocks of files into interactions. ids: of all that is read together."""

    def __init__(self, mapping: Mapping, ids: EventIds) -> None:
        self._mapping = mapping
        self._ids = ids

    def check_columns(self, file: str, found: Columns[str, pa.Array], *, may_lack: bool) -> None:
        """Refuse a file that has not the columns that are needed. may_lack: optional ones may be missing (JSONL).

        Raises:
            InputUnreadable: the text names the file, the columns found and what to do.
        """
        has = ", ".join(found) or "none"
        if "\ufffd" in has:
            has += " - which is not UTF-8: say in a mapping what it is, such as encoding = 'cp1254'"
        for column, where, needed in self.asked():
            _check_once(file, column, found)
            if column not in found and (needed or not may_lack):
                raise InputUnreadable(f"{file} has no column {column!r}, which {where} asks for; it has: {has}")
        for table in self._mapping.interactions:
            specs, _ = self._mapping.fields_of(table)
            for name in FIELDS:
                if name not in specs:
                    _check_once(file, name, found)
            missing = [name for name in REQUIRED if name not in specs and name not in found]
            if missing:
                raise InputUnreadable(
                    f"{file} has no column {' or '.join(missing)}; it has: {has}. Rename the columns, or say "
                    "in a mapping (--map FILE, docs/backtest.md) which column each field is"
                )

    def asked(self) -> Iterator[tuple[str, str, bool]]:
        """The columns that the mapping names, what asks for each, and whether each row must have it."""
        for table in self._mapping.interactions:
            specs, attributes = self._mapping.fields_of(table)
            named = [*specs.items(), *((f"{ATTRIBUTES}.{name}", spec) for name, spec in attributes.items())]
            for key, column in _columns_of(named):
                needed = key.split(".", maxsplit=1)[0] in REQUIRED and column not in table.filled and not table.when
                yield column, self._mapping.where(table, key), needed
        filters: list[MappingFile | InteractionTable] = [self._mapping.file, *self._mapping.interactions]
        for column in dict.fromkeys(column for one in filters for column in (*one.when, *one.unless, *one.filled)):
            yield column, f"`when`, `unless` or `filled` of {self._mapping.name}", False

    def shape(self, block: Block) -> Shaped:
        """Give the interactions of a block, in the order of its rows."""
        if self._mapping.file.empty:
            block = replace(block, columns=_emptied(block.columns, self._mapping.file.empty))
        wanted = _fits(block, self._mapping.file)
        used = np.zeros(block.n, np.bool_)
        rejected: dict[tuple[int, str], RejectedRow] = {}
        parts: list[tuple[pa.RecordBatch, Int64s | None, Int64s]] = []
        for table in self._mapping.interactions:
            here = wanted & _fits(block, table)
            used |= here
            rows = np.flatnonzero(here)
            columns = block.columns
            if len(rows) < block.n:
                columns = {name: array.take(pa.array(rows)) for name, array in columns.items()}
            problems = Problems(len(rows))
            batch, appended_ms = RowFields(self._mapping, table, columns, problems).interactions(self._ids)
            for i, reason in problems.reasons.items():
                row = int(rows[i])
                rejected[row, reason] = RejectedRow(block.file, block.places.line(row), reason, block.places.raw(row))
            if problems.reasons:
                good = np.flatnonzero(problems.good())
                rows = rows[good]
                appended_ms = None if appended_ms is None else appended_ms[good]
            parts.append((batch, appended_ms, rows))
        told = sorted([*rejected.values(), *block.broken], key=lambda one: one.line)
        return Shaped(_together(block, parts), told, int(block.n - used.sum()))


def _together(block: Block, parts: list[tuple[pa.RecordBatch, Int64s | None, Int64s]]) -> EventRows:
    batch, appended_ms, row = parts[0]
    if len(parts) > 1:
        row = np.concatenate([rows for _, _, rows in parts])
        order = np.argsort(row, kind="stable")
        batch = pa.concat_batches([one for one, _, _ in parts]).take(pa.array(order))
        row = row[order]
        batch = _told_apart(batch, row)
        times = [t for _, t, _ in parts if t is not None]
        appended_ms = np.concatenate(times)[order] if len(times) == len(parts) else None
    return EventRows(block.file, batch, appended_ms, row, block.places)


def _columns_of(specs: list[tuple[str, FieldSpec]]) -> Iterator[tuple[str, str]]:
    for key, spec in specs:
        for column in spec.column or ():
            yield key, column
        if isinstance(spec, WrittenTime):
            for name in ("plus", "minus"):
                other: DurationField | None = getattr(spec, name)
                yield from ((f"{key}.{name}", column) for column in (other.column if other else None) or ())


def _fits(block: Block, wanted: MappingFile | InteractionTable) -> Bools:
    """bool[n]: the rows in which every column has one of the texts that ``when`` says, or any if it must be filled.

    Those are left out in which one has a text of ``unless``.
    """
    fits = np.ones(block.n, np.bool_)
    filters: dict[str, tuple[str, ...] | None] = {**dict.fromkeys(wanted.filled), **wanted.when}
    for column, words in filters.items():
        raw = block.columns.get(column)
        if raw is None:
            return np.zeros(block.n, np.bool_)
        said = values.texts(values.plain(raw), column, Problems(block.n))
        if words is None:
            fits &= values.valid(values.blank_is_null(said))
        else:
            fits &= _is_one(said, words)
    for column, words in wanted.unless.items():
        raw = block.columns.get(column)
        if raw is not None:
            fits &= ~_is_one(values.texts(values.plain(raw), column, Problems(block.n)), words)
    return fits


def _is_one(said: pa.Array, words: tuple[str, ...]) -> Bools:
    found: Bools = pc.is_in(said, value_set=pa.array(words, pa.utf8())).to_numpy(zero_copy_only=False)
    return found


def _emptied(columns: Columns[str, pa.Array], empty: tuple[str, ...]) -> dict[str, pa.Array]:
    """The columns, null where a text says nothing."""
    made = {name: values.plain(array) for name, array in columns.items()}
    for name, array in made.items():
        if pa.types.is_string(array.type):
            made[name] = pc.if_else(pa.array(_is_one(array, empty)), pa.scalar(None, pa.utf8()), array)
    return made


def _check_once(file: str, column: str, found: Columns[str, pa.Array]) -> None:
    if named_again(column, 2) in found:
        raise InputUnreadable(f"{file} names a column twice: {column}; give one of them another name")


def _told_apart(batch: pa.RecordBatch, row: Int64s) -> pa.RecordBatch:
    """The batch with different ids where several interactions of one row, int64[n] ascending, have the same."""
    number = np.arange(len(row)) - np.searchsorted(row, row, "left")
    if not number.any():
        return batch
    id_ = batch.column("event_id")
    first = id_.take(pa.array(np.arange(len(row)) - number))
    same = (number > 0) & pc.equal(id_, first).to_numpy(zero_copy_only=False)
    numbered = pc.binary_join_element_wise(id_, pa.array(number + 1).cast(pa.utf8()), "#")
    return replaced_ids(batch, pc.if_else(pa.array(same), numbered, id_))
