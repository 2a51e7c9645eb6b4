"""Record batches of Kafka's message format v2 to columns, without a Python object per record.

Layout of a batch (all big-endian): base offset i64, length i32, leader epoch i32, magic i8, CRC-32C u32,
attributes i16, last offset delta i32, base timestamp i64, max timestamp i64, producer id i64, producer epoch i16,
base sequence i32, count i32, records. Kafka protocol guide, "Record Batch".
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cramjam
import numpy as np
from aiokafka.codec import gzip_decode, snappy_decode
from aiokafka.record.util import calc_crc32c

from schemas.arrays import Bytes, Int32s, Int64s
from schemas.compiled import compiled, step

_HEAD = struct.Struct(">qiibIhiqqqhii")
_PREFIX_BYTES = 12  # base offset and length, which the length does not count
_CRC_FROM = 21
_PIECE_RECORDS = 8192
_PIECE_BYTES = 1024 * 1024
_NO_BYTES = np.zeros(0, np.uint8)
_ABORT_MARKER = b"\0\0\0\0"  # key of a control record: version 0, type 0

_DECODE: dict[int, Callable[[memoryview], Any]] = {  # to bytes, or to what can be read as such without a copy
    0: bytes,
    1: gzip_decode,
    2: snappy_decode,
    3: cramjam.lz4.decompress,
    4: cramjam.zstd.decompress,
}


def begin_with(data: Bytes, start: Int64s, length: Int32s, byte: int, begins: Bytes) -> None:
    """Say of each text, data[start[i]:start[i] + length[i]], whether it begins with a byte: uint8[n], written."""
    for i in range(start.shape[0]):
        begins[i] = length[i] > 0 and data[start[i]] == byte


begin_with_compiled = compiled(begin_with)


class CorruptBatch(ValueError):
    """A batch is not what the protocol says; it is fetched again."""


@dataclass(frozen=True, slots=True)
class RecordColumns:
    """n records as they lie in ``data`` (uint8[b]).

    offset, timestamp_ms: int64[n]. key_*, value_*: start int64[n] and length int32[n] in data, length -1 for null.
    headers_start: int64[n], headers_count: int32[n]; ``headers(i)`` reads them.
    """

    data: Bytes
    offset: Int64s
    timestamp_ms: Int64s
    key_start: Int64s
    key_length: Int32s
    value_start: Int64s
    value_length: Int32s
    headers_start: Int64s
    headers_count: Int32s

    def __len__(self) -> int:
        return int(self.offset.shape[0])

    def key(self, i: int) -> bytes | None:
        """Key of record i."""
        return _bytes(self.data, self.key_start[i], self.key_length[i])

    def value(self, i: int) -> bytes | None:
        """Value of record i."""
        return _bytes(self.data, self.value_start[i], self.value_length[i])

    def headers(self, i: int) -> list[tuple[str, bytes | None]]:
        """Headers of record i, in their order."""
        found: list[tuple[str, bytes | None]] = []
        pos = int(self.headers_start[i])
        for _ in range(int(self.headers_count[i])):
            length, pos = read_varint(self.data, pos, len(self.data))
            name = _bytes(self.data, pos, length) or b""
            length, pos = read_varint(self.data, pos + length, len(self.data))
            found.append((name.decode("utf-8", "replace"), _bytes(self.data, pos, length)))
            pos += max(length, 0)
        return found

    def keys_begin_with(self, byte: int) -> Bytes:
        """uint8[n]: whether the key's first byte is this one."""
        begins = np.empty(len(self), np.uint8)
        begin_with_compiled(self.data, self.key_start, self.key_length, byte, begins)
        return begins

    def since(self, offset: int) -> "RecordColumns":
        """The records from ``offset`` on."""
        first = int(np.searchsorted(self.offset, offset))
        columns = (getattr(self, name)[first:] for name in self.__slots__ if name != "data")
        return RecordColumns(self.data, *columns)


def _bytes(data: Bytes, start: int, length: int) -> bytes | None:
    return None if length < 0 else data[start : start + length].tobytes()


@step
def read_varint(data: Bytes, pos: int, stop: int) -> tuple[int, int]:
    """Return a zig-zag number of at most 64 bits and the position after it; position -1 when it is cut off."""
    shift = np.uint64(0)
    value = np.uint64(0)
    while pos < stop and shift < np.uint64(64):
        byte = np.uint64(data[pos])
        pos += 1
        value |= (byte & np.uint64(127)) << shift
        if byte < np.uint64(128):
            return int(np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1))), pos
        shift += np.uint64(7)
    return 0, -1


def read_batch(
    data: Bytes,
    pos: int,
    stop: int,
    base_offset: int,
    base_timestamp_ms: int,
    append_ms: int,
    first: int,
    count: int,
    offset: Int64s,
    timestamp_ms: Int64s,
    key_start: Int64s,
    key_length: Int32s,
    value_start: Int64s,
    value_length: Int32s,
    headers_start: Int64s,
    headers_count: Int32s,
) -> bool:
    """Read the records of one batch, data[pos:stop] without its head, into rows first ... first + count - 1.

    append_ms: the broker's append time for a LogAppendTime topic, which all records share; -1 for their own.
    Returns False when the bytes do not hold ``count`` records.
    """
    for i in range(first, first + count):
        length, pos = read_varint(data, pos, stop)
        if pos < 0 or length < 0 or length > stop - pos:
            return False
        end = pos + length
        delta_ms, pos = read_varint(data, pos + 1, end)  # one byte of attributes, unused
        if pos < 0:
            return False
        delta, pos = read_varint(data, pos, end)
        if pos < 0:
            return False
        offset[i] = base_offset + delta
        timestamp_ms[i] = base_timestamp_ms + delta_ms if append_ms < 0 else append_ms
        length, pos = read_varint(data, pos, end)
        if pos < 0 or length > end - pos:
            return False
        key_start[i] = pos
        key_length[i] = length
        pos += max(length, 0)
        length, pos = read_varint(data, pos, end)
        if pos < 0 or length > end - pos:
            return False
        value_start[i] = pos
        value_length[i] = length
        pos += max(length, 0)
        length, pos = read_varint(data, pos, end)
        if pos < 0 or length < 0:
            return False
        headers_start[i] = pos
        headers_count[i] = length
        pos = end
    return True


read_batch_compiled = compiled(read_batch)


@dataclass(frozen=True, slots=True)
class BatchHead:
    """What stands before the records of a batch."""

    base_offset: int
    next_offset: int
    attributes: int
    crc: int
    base_timestamp_ms: int
    max_timestamp_ms: int
    producer_id: int
    count: int
    start: int
    end: int

    @property
    def is_control(self) -> bool:
        """Whether it holds a transaction's marker instead of records."""
        return bool(self.attributes & 0x20)

    @property
    def is_transactional(self) -> bool:
        """Whether its records belong to a transaction."""
        return bool(self.attributes & 0x10)

    @property
    def append_ms(self) -> int:
        """The broker's append time; -1 when the records bear their own."""
        return self.max_timestamp_ms if self.attributes & 0x08 else -1


def batch_heads(raw: bytes) -> Iterator[BatchHead]:
    """Heads of the whole batches in a fetched record set; a batch that is cut off at its end is left out.

    Raises:
        CorruptBatch: the bytes are not batches of message format v2.
    """
    pos = 0
    while len(raw) - pos >= _HEAD.size:
        base, length, _, magic, crc, attributes, last, first_ms, max_ms, producer, _, _, count = _HEAD.unpack_from(
            raw, pos
        )
        end = pos + _PREFIX_BYTES + length
        if magic != 2 or length < _HEAD.size - _PREFIX_BYTES:
            raise CorruptBatch(f"the batch at offset {base} has message format {magic}, only 2 is read")
        if end > len(raw):
            return
        yield BatchHead(base, base + last + 1, attributes, crc, first_ms, max_ms, producer, count, pos, end)
        pos = end


def visible_batches(
    raw: bytes, aborted: Sequence[tuple[int, int]], *, check_crc: bool
) -> Iterator[tuple[BatchHead, Bytes | None]]:
    """Batches of a record set as a read_committed reader sees them: the head and its records, decompressed.

    aborted: (producer id, first offset) of the aborted transactions that the broker named for the record set.
    The records are None for markers and for what was aborted.

    Raises:
        CorruptBatch: a checksum differs, or a compressed set cannot be unpacked.
    """
    pending = sorted(aborted, key=lambda transaction: transaction[1])
    aborting: set[int] = set()
    for head in batch_heads(raw):
        if check_crc and calc_crc32c(memoryview(raw)[head.start + _CRC_FROM : head.end]) != head.crc:
            raise CorruptBatch(f"the batch at offset {head.base_offset} has a wrong checksum")
        while pending and pending[0][1] <= head.base_offset:
            aborting.add(pending.pop(0)[0])
        if not (head.is_control or (head.is_transactional and head.producer_id in aborting)):
            yield head, _records(raw, head)
            continue
        if head.is_control and head.producer_id in aborting and _is_abort(_records(raw, head)):
            aborting.discard(head.producer_id)
        yield head, None


def _records(raw: bytes, head: BatchHead) -> Bytes:
    packed = memoryview(raw)[head.start + _HEAD.size : head.end]
    try:
        found = np.frombuffer(_DECODE[head.attributes & 7](packed), np.uint8)
    except Exception as error:
        # each codec has errors of its own
        raise CorruptBatch(f"the batch at offset {head.base_offset} cannot be unpacked: {error}") from error
    return _sealed(found)


def _sealed(data: Bytes) -> Bytes:
    """Let nobody write to it: kernels are compiled for arrays that cannot be written to, and not once more."""
    data.flags.writeable = False
    return data


def _is_abort(records: Bytes) -> bool:
    columns, one = _columns(records, 1), BatchHead(0, 1, 0, 0, 0, 0, 0, 1, 0, 0)
    return _fill(columns, 0, one, 0, len(records)) and columns.key(0) == _ABORT_MARKER


_Part = tuple[BatchHead, Bytes]


def _columns(data: Bytes, n: int) -> RecordColumns:
    longs = np.empty((5, n), np.int64)
    ints = np.empty((3, n), np.int32)
    return RecordColumns(data, longs[0], longs[1], longs[2], ints[0], longs[3], ints[1], longs[4], ints[2])


def _fill(columns: RecordColumns, first: int, head: BatchHead, start: int, end: int) -> bool:
    return read_batch_compiled(
        columns.data, start, end, head.base_offset, head.base_timestamp_ms, head.append_ms, first, head.count,
        columns.offset, columns.timestamp_ms, columns.key_start, columns.key_length, columns.value_start,
        columns.value_length, columns.headers_start, columns.headers_count,
    )  # fmt: skip


def read_record_set(
    raw: bytes, aborted: Sequence[tuple[int, int]], position: int, *, check_crc: bool = True
) -> tuple[RecordColumns, int]:
    """Read a fetched record set from ``position`` on; return its visible records and the next position.

    A set may begin before the position (in the middle of a batch), and offsets have holes (compaction, markers).

    Raises:
        CorruptBatch: the bytes are not what the protocol says.
    """
    parts: list[_Part] = []
    following = position
    for head, records in visible_batches(raw, aborted, check_crc=check_crc):
        following = max(following, head.next_offset)
        if records is not None and head.count and head.next_offset > position:
            parts.append((head, records))
    return _read(parts, position), following


def read_in_pieces(raw: bytes, aborted: Sequence[tuple[int, int]], position: int) -> Iterator[RecordColumns]:
    """Read what ``read_record_set`` reads in pieces that are small enough to be worked on while they are near.

    A set unpacked at once is many times its size, and each byte of it comes from far away again.

    Raises:
        CorruptBatch: the bytes are not what the protocol says.
    """
    parts: list[_Part] = []
    count = size = 0
    for head, records in visible_batches(raw, aborted, check_crc=True):
        if records is None or not head.count or head.next_offset <= position:
            continue
        parts.append((head, records))
        count, size = count + head.count, size + len(records)
        if count >= _PIECE_RECORDS or size >= _PIECE_BYTES:
            yield _read(parts, position)
            parts, count, size = [], 0, 0
    if parts:
        yield _read(parts, position)


def _read(parts: list[_Part], position: int) -> RecordColumns:
    data = parts[0][1] if len(parts) == 1 else _sealed(np.concatenate([_NO_BYTES, *(r for _, r in parts)]))
    columns = _columns(data, sum(head.count for head, _ in parts))
    at, first = 0, 0
    for head, records in parts:
        if not _fill(columns, first, head, at, at + len(records)):
            raise CorruptBatch(f"the batch at offset {head.base_offset} does not hold {head.count} records")
        at, first = at + len(records), first + head.count
    if len(columns) and columns.offset[0] < position:
        columns = columns.since(position)
    return columns
