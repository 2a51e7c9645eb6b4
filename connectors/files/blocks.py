"""A piece of a file as raw columns, before anything is known of their meaning."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from connectors.files.rejects import MOST_RAW, RejectedRow
from schemas.arrays import Bytes, Int64s


class Places(Protocol):
    """Where the rows of a block stand in their file."""

    def line(self, row: int) -> int:
        """The line at which a row begins, or its number, from 1 on."""

    def raw(self, row: int) -> str:
        """The row as it is in the file."""


def raw_text(row: bytes) -> str:
    """A row as it is kept when it is rejected; what is not UTF-8 is replaced."""
    return row[: MOST_RAW * 4].decode(errors="replace").rstrip("\r\n")[:MOST_RAW]


@dataclass(frozen=True, slots=True)
class LinePlaces:
    """Rows of text: data[start[i]:end[i]], of line line[i]."""

    data: Bytes
    start: Int64s
    end: Int64s
    number: Int64s

    def line(self, row: int) -> int:
        """The line at which a row begins."""
        return int(self.number[row])

    def raw(self, row: int) -> str:
        """The text of a row."""
        return raw_text(self.data[self.start[row] : self.end[row]].tobytes())

    def take(self, rows: Int64s) -> "LinePlaces":
        """The places of some rows."""
        return LinePlaces(self.data, self.start[rows], self.end[rows], self.number[rows])


@dataclass(frozen=True, slots=True)
class RowPlaces:
    """Rows of a table, of which there were ``before`` others in the file."""

    rows: pa.RecordBatch
    before: int

    def line(self, row: int) -> int:
        """The number of a row in the file."""
        return self.before + row + 1

    def raw(self, row: int) -> str:
        """The row as JSON."""
        told = {
            name: shown(column[row]) for name, column in zip(self.rows.schema.names, self.rows.columns, strict=True)
        }
        return json.dumps(told, default=str, ensure_ascii=False)[:MOST_RAW]


def shown(one: pa.Scalar) -> Any:
    """A value as Python has it, or the number that stands for a time that Python does not have."""
    try:
        return one.as_py()
    except (OverflowError, ValueError):
        return one.value if isinstance(one, pa.TimestampScalar) else str(one)


def named_again(name: str, time: int) -> str:
    """What a column is called whose name comes for the ``time``-th time."""
    return name if time == 1 else f"{name} ({time})"


@dataclass(frozen=True, slots=True)
class Block:
    """n rows as columns by name; nested ones are named with dots. broken: rows of the block that could not be read."""

    file: str
    n: int
    columns: Mapping[str, pa.Array]
    places: Places
    broken: list[RejectedRow] = field(default_factory=list)
