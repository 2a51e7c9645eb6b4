"""Arrow record batches of interactions (the columns of schemas/avro/interaction.avsc) as what the core takes."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.intake.index import TextIndex
from pipelines.intake.interactions import OUTCOMES, UNKNOWN_MS, Details, InteractionBatch, Texts
from schemas.arrays import Bools, Bytes, Int8s, Int32s, Int64s

NO_REACH = -1

# field: column, and of numbers what stands for null
_TEXTS = {"customer": "customer_id", "kind": "kind", "channel": "channel", "touchpoint": "touchpoint"}
_DETAIL_TEXTS = ("event_id", "session_id", "case_id", "subject", "segment")
_DETAIL_NUMBERS = {"amount": np.nan, "rating": np.nan, "sentiment": np.nan, "reach": NO_REACH}


def interaction_batch(
    batch: pa.RecordBatch, offset: Int64s, append_ms: Int64s | None = None, *, details: bool = False
) -> InteractionBatch:
    """The columns of n interactions; no Python object is made for one.

    offset: int64[n]. append_ms: int64[n], None when each is taken as appended when it happened. details: whether the
    policy asks for them. A text that is null has no bytes, a number is NaN, ``reach`` and ``duration_ms`` are -1.
    """
    texts = _JoinedTexts()
    occurred_ms = _numbers(batch.column("occurred_at").cast(pa.int64()), 0)
    main = {name: texts.add(batch.column(column)) for name, column in _TEXTS.items()}
    entries = _entries(batch.column("attributes"), texts)
    more: dict[str, Any] = {}
    if details:
        more = {name: texts.add(batch.column(name)) for name in _DETAIL_TEXTS}
        more |= {name: _numbers(batch.column(name), null) for name, null in _DETAIL_NUMBERS.items()}
        more |= entries
    data = texts.data()
    return InteractionBatch(
        data=data,
        offset=offset,
        append_ms=occurred_ms if append_ms is None else append_ms,
        occurred_ms=occurred_ms,
        duration_ms=_numbers(batch.column("duration_ms"), UNKNOWN_MS),
        outcome=_outcome(data, **entries),
        details=Details(**more) if details else None,
        **main,
    )


@dataclass(slots=True)
class _JoinedTexts:
    """The bytes of several columns, one behind the other."""

    _parts: list[Bytes] = field(default_factory=list)
    _bytes: int = 0

    def add(self, texts: pa.Array) -> Texts:
        n = len(texts)
        _, offsets, data = texts.buffers()
        if n == 0:
            return Texts(np.zeros(0, np.int64), np.zeros(0, np.int32))
        ends = np.frombuffer(offsets, np.int32, n + 1, texts.offset * 4)
        first, last = int(ends[0]), int(ends[-1])
        start = ends[:-1].astype(np.int64) + (self._bytes - first)
        length: Int32s = np.diff(ends)
        if texts.null_count:
            length = np.where(_valid(texts), length, 0).astype(np.int32)
        if last > first:
            self._parts.append(np.frombuffer(data, np.uint8, last - first, first))
            self._bytes += last - first
        return Texts(start, length)

    def data(self) -> Bytes:
        joined = np.concatenate(self._parts) if self._parts else np.zeros(0, np.uint8)
        joined.flags.writeable = False  # as the bytes of a fetch: kernels are compiled for that
        return joined


@cache
def _index(*words: str) -> TextIndex:
    return TextIndex(words)


def _valid(array: pa.Array) -> Bools:
    told: Bools = array.is_valid().to_numpy(zero_copy_only=False)
    return told


def _numbers(array: pa.Array, null: float) -> Any:
    told = array.fill_null(null) if array.null_count else array
    return told.to_numpy().copy()  # writable, as what is decoded: kernels are compiled for that


def _entries(maps: pa.Array, texts: _JoinedTexts) -> dict[str, Any]:
    """Where the entries of each row begin, how many they are, and their keys and values."""
    n = len(maps)
    ends = np.frombuffer(maps.buffers()[1], np.int32, n + 1, maps.offset * 4) if n else np.zeros(1, np.int32)
    first, last = int(ends[0]), int(ends[-1])
    count: Int32s = np.diff(ends)
    if maps.null_count:
        count = np.where(_valid(maps), count, 0).astype(np.int32)
    keys, values = (texts.add(part.slice(first, last - first)) for part in (maps.keys, maps.items))
    start = ends[:-1].astype(np.int64) - first
    return {"entry_start": start, "entry_count": count, "entry_key": keys, "entry_value": values}


def _outcome(data: Bytes, entry_start: Int64s, entry_count: Int32s, entry_key: Texts, entry_value: Texts) -> Int8s:
    """int8[n]: the attribute ``outcome`` as an index in OUTCOMES, -1 for none or another one."""
    outcome = np.full(entry_start.shape[0], -1, np.int8)
    is_outcome = _index("outcome").find(data, entry_key.start, entry_key.length) >= 0
    if not is_outcome.any():
        return outcome
    number = _index(*OUTCOMES).find(data, entry_value.start, entry_value.length, wanted=is_outcome.view(np.uint8))
    entry = np.flatnonzero(is_outcome)
    row = np.searchsorted(entry_start, entry, "right") - 1
    mine = entry < entry_start[row] + entry_count[row]
    outcome[row[mine]] = number[entry[mine]]
    return outcome
