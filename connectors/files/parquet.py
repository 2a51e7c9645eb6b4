"""Parquet, in batches of columns."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.files.blocks import Block, RowPlaces, named_again
from connectors.files.rejects import RejectedRow
from connectors.files.sources import STDIN, Source, opened
from connectors.files.values import plain
from schemas.errors import InputUnreadable

BATCH_ROWS = 65_536


def parquet_blocks(source: Source) -> Iterator[Block]:
    """The rows of a file, none of which is missing."""
    with opened(source) as file:
        try:
            whole: Any = io.BytesIO(file.read()) if source.name == STDIN else file
            before = 0
            for batch in pq.ParquetFile(whole, pre_buffer=True).iter_batches(BATCH_ROWS, use_threads=False):
                yield _block(source.name, batch, before)
                before += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise InputUnreadable(f"{source.name} cannot be read as Parquet: {error}") from error


def _block(file: str, batch: pa.RecordBatch, before: int) -> Block:
    places = RowPlaces(batch, before)
    columns: dict[str, pa.Array] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        _add(name, column, columns)
    bad = np.zeros(batch.num_rows, np.bool_)
    for array in columns.values():
        if pa.types.is_string(array.type) or pa.types.is_map(array.type):
            try:
                array.validate(full=True)
            except pa.ArrowInvalid:
                bad |= _not_utf8(array)
    if not bad.any():
        return Block(file, batch.num_rows, columns, places)
    broken = [
        RejectedRow(file, places.line(i), "a text of the row is not UTF-8", "") for i in np.flatnonzero(bad).tolist()
    ]
    kept = pa.array(np.flatnonzero(~bad))
    columns = {name: array.take(kept) for name, array in columns.items()}
    return Block(file, len(kept), columns, _KeptPlaces(places, kept.to_pylist()), broken)


def _add(name: str, column: pa.Array, columns: dict[str, pa.Array]) -> None:
    if pa.types.is_struct(column.type):
        for field, inner in zip(column.type, column.flatten(), strict=True):
            _add(f"{name}.{field.name}", inner, columns)
    else:
        time = 1
        while named_again(name, time) in columns:
            time += 1
        columns[named_again(name, time)] = plain(column)


def _not_utf8(array: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    bad = np.zeros(len(array), np.bool_)
    for i in range(len(array)):
        try:
            array[i].as_py()
        except UnicodeDecodeError:
            bad[i] = True
    return bad


class _KeptPlaces:
    """Places of the rows that are left."""

    def __init__(self, places: RowPlaces, kept: list[int]) -> None:
        self._places = places
        self._kept = kept

    def line(self, row: int) -> int:
        return self._places.line(self._kept[row])

    def raw(self, row: int) -> str:
        return self._places.raw(self._kept[row])
