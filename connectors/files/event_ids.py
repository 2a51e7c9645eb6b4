"""Ids for interactions that come without one: UUIDv5 of what they say, so that the same file gives the same ids."""

import hashlib
import uuid
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrays import Int64s

_NAMESPACE = uuid.UUID("0b0f2a0e-5c52-5d1c-8a5d-0f8f6f1e7a64")  # ours, made once; ids depend on it for ever
_BETWEEN, _NOTHING = "\x1f", "\x00"


def canonical(columns: Mapping[str, pa.Array]) -> pa.Array:
    """What each interaction says, as one text: its fields but for the id, in the order of ``columns``."""
    parts = [_text(array) for name, array in columns.items() if name != "event_id"]
    return pc.binary_join_element_wise(*parts, _BETWEEN, null_handling="replace", null_replacement=_NOTHING)


def _text(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_map(kind):
        pairs = pc.binary_join_element_wise(array.keys, array.items, "=")
        entries = pa.ListArray.from_arrays(array.offsets, pairs)
        return pc.binary_join(entries, "\x1e")
    if pa.types.is_timestamp(kind):
        return array.cast(pa.int64()).cast(pa.utf8())
    return array.cast(pa.utf8())


class EventIds:
    """Gives ids. What is said again, in all files of a run, is told apart by how often it was said before."""

    def __init__(self) -> None:
        self._seen: list[Int64s] = []  # sorted, each at least twice as long as the next

    def of(self, said: pa.Array) -> list[str]:
        """The id of each canonical text."""
        raw = [text.encode() for text in said.to_pylist()]
        digests = [_digest(one) for one in raw]
        short = np.frombuffer(b"".join(digests), ">i8").reshape(-1, 2)[:, 0].astype(np.int64)
        for i, times in self._repeated(short):
            digests[i] = _digest(raw[i] + f"{_BETWEEN}{times}".encode())
        return [_uuid(digest) for digest in digests]

    def _repeated(self, keys: Int64s) -> list[tuple[int, int]]:
        """Which keys were there before, and how often; the keys are then known."""
        before = np.zeros(len(keys), np.int64)
        for run in self._seen:
            before += np.searchsorted(run, keys, "right") - np.searchsorted(run, keys, "left")
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        first = np.searchsorted(ordered, ordered, "left")
        before[order] += np.arange(len(keys)) - first
        self._seen.append(ordered)
        while len(self._seen) > 1 and len(self._seen[-2]) < 2 * len(self._seen[-1]):
            last = self._seen.pop()
            self._seen[-1] = np.sort(np.concatenate([self._seen[-1], last]), kind="stable")
        again = np.flatnonzero(before)
        return list(zip(again.tolist(), before[again].tolist(), strict=True))


def _digest(text: bytes) -> bytes:
    return hashlib.sha1(_NAMESPACE.bytes + text, usedforsecurity=False).digest()[:16]


def _uuid(digest: bytes) -> str:
    made = bytearray(digest)
    made[6] = made[6] & 0x0F | 0x50  # RFC 9562: version 5
    made[8] = made[8] & 0x3F | 0x80
    text = made.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
