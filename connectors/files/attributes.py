"""Attributes of many interactions, from columns, maps and JSON, as one column of Arrow maps."""

import json
import math
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.files.rejects import Problems
from connectors.files.values import valid
from schemas.arrays import Int64s

MAP = pa.map_(pa.utf8(), pa.field("value", pa.utf8(), nullable=False))


@dataclass(slots=True)
class Attributes:
    """Entries of n rows; a key that comes twice in a row keeps its first value."""

    n: int
    kind: pa.DataType
    _rows: list[Int64s] = field(default_factory=list)
    _keys: list[pa.Array] = field(default_factory=list)
    _values: list[pa.Array] = field(default_factory=list)

    def add_column(self, key: str, values: pa.Array) -> None:
        """The same key in every row where the text is not null."""
        rows = np.flatnonzero(valid(values))
        self._add(rows, pa.repeat(pa.scalar(key, pa.utf8()), len(rows)), values.drop_null())

    def add_maps(self, maps: pa.Array) -> None:
        """Arrow maps of scalars."""
        offsets = maps.offsets.to_numpy()
        lengths = np.where(valid(maps), np.diff(offsets), 0)
        used = np.repeat(valid(maps), np.diff(offsets))
        entry = pa.array(np.flatnonzero(used) + offsets[0])
        keys, values = maps.keys.take(entry).cast(pa.utf8()), maps.items.take(entry)
        rows = np.repeat(np.arange(self.n), lengths)
        if not pa.types.is_string(values.type):
            values = values.cast(pa.utf8())
        there = valid(values)
        self._add(rows[there], keys.filter(pa.array(there)), values.drop_null())

    def add_json(self, texts: pa.Array, problems: Problems) -> None:
        """JSON objects, one text each."""
        rows: list[int] = []
        keys: list[str] = []
        values: list[str] = []
        known: dict[str, dict[str, str] | str] = {}
        for i, text in enumerate(texts.to_pylist()):
            if text is None or not text.strip():
                continue
            if text not in known:
                known[text] = _entries(text)
            said = known[text]
            if isinstance(said, str):
                problems.reasons.setdefault(i, said)
                continue
            rows += [i] * len(said)
            keys += said
            values += said.values()
        self._add(np.array(rows, np.int64), pa.array(keys, pa.utf8()), pa.array(values, pa.utf8()))

    def _add(self, rows: Int64s, keys: pa.Array, values: pa.Array) -> None:
        if len(rows):
            self._rows.append(rows)
            self._keys.append(keys)
            self._values.append(values)

    def array(self) -> pa.Array:
        """The maps, entries in the order of their keys."""
        none = pa.array([], pa.utf8())
        rows = np.concatenate([np.zeros(0, np.int64), *self._rows])
        keys, values = pa.concat_arrays([none, *self._keys]), pa.concat_arrays([none, *self._values])
        encoded = keys.dictionary_encode()
        rank = np.empty(len(encoded.dictionary), np.int64)
        rank[pc.array_sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(rank))
        place = rows * len(rank) + rank[encoded.indices.to_numpy()]
        _, first = np.unique(place, return_index=True)
        order = pa.array(first)
        offsets = np.zeros(self.n + 1, np.int32)
        np.cumsum(np.bincount(rows[first], minlength=self.n), out=offsets[1:])
        entries = pa.StructArray.from_arrays(
            [keys.take(order), values.take(order)], fields=[self.kind.key_field, self.kind.item_field]
        )
        return pa.Array.from_buffers(self.kind, self.n, [None, pa.py_buffer(offsets)], children=[entries])


def scalar_text(value: object) -> str | None:
    """A JSON value as the text of an attribute: objects and lists stay JSON, null and NaN are none."""
    match value:
        case None:
            return None
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            if math.isnan(value):
                return None
            return (
                str(int(value))
                if value.is_integer() and abs(value) < 2**53
                else pa.scalar(value).cast("string").as_py()
            )
        case _:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _entries(text: str) -> dict[str, str] | str:
    """The entries of an object, or what is wrong with it."""
    try:
        said = json.loads(text)
    except ValueError as error:
        return f"attributes is no JSON: {error}"
    if not isinstance(said, dict):
        return f"attributes must be a JSON object, got {text[:80]}"
    each = {key: scalar_text(value) for key, value in said.items()}
    return {key: value for key, value in each.items() if value is not None}
