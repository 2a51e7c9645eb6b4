"""Record sets are read as aiokafka reads them: every codec, gaps, markers, aborted batches, headers."""

import struct

import numpy as np
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from connectors.kafka import records
from connectors.kafka.records import CorruptBatch, read_in_pieces, read_record_set


def batch(first: int, values: list[bytes | None], *, codec: int = 0, producer_id: int = -1, transactional: bool = False,
          skip: frozenset[int] = frozenset()) -> bytes:  # fmt: skip
    builder = DefaultRecordBatchBuilder(2, codec, transactional, producer_id, 0 if producer_id >= 0 else -1, 0, 1 << 20)
    for i, value in enumerate(values):
        if i not in skip:
            builder.append(i, 1_700_000_000_000 + i, f"k{i}".encode(), value, [("h", b"1"), ("none", None)])
    raw = bytearray(builder.build())
    raw[:8] = struct.pack(">q", first)
    return bytes(raw)


def marker(offset: int, producer_id: int, *, commit: bool) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, True, producer_id, 0, -1, 1 << 20)
    builder.append(0, 0, struct.pack(">hh", 0, int(commit)), struct.pack(">hi", 0, 0), [])
    raw = bytearray(builder.build())
    raw[:8] = struct.pack(">q", offset)
    attributes = struct.unpack_from(">h", raw, 21)[0] | 0x20
    struct.pack_into(">h", raw, 21, attributes)
    struct.pack_into(">I", raw, 17, calc_crc32c(bytes(raw[21:])))
    return bytes(raw)


def offsets_and_values(
    raw: bytes, aborted: list[tuple[int, int]], position: int
) -> tuple[list[tuple[int, bytes | None]], int]:
    columns, following = read_record_set(raw, aborted, position)
    return [(int(columns.offset[i]), columns.value(i)) for i in range(len(columns))], following


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
def test_every_codec_gives_keys_values_times_and_headers(codec: int) -> None:
    values: list[bytes | None] = [b"a" * 300, None, b"", "şehir".encode()]
    columns, following = read_record_set(batch(40, values, codec=codec), [], 40)
    assert following == 44
    assert [columns.value(i) for i in range(4)] == values
    assert [columns.key(i) for i in range(4)] == [b"k0", b"k1", b"k2", b"k3"]
    assert columns.offset.tolist() == [40, 41, 42, 43]
    assert columns.timestamp_ms.tolist() == [1_700_000_000_000 + i for i in range(4)]
    assert columns.headers(2) == [("h", b"1"), ("none", None)]
    assert not columns.data.flags.writeable, "kernels would be compiled once more"


def test_batches_lie_behind_each_other_and_the_last_may_be_cut_off() -> None:
    raw = batch(0, [b"a", b"b"]) + batch(2, [b"c"]) + batch(3, [b"d"])[:-1]
    assert offsets_and_values(raw, [], 0) == ([(0, b"a"), (1, b"b"), (2, b"c")], 3)


def test_a_set_that_begins_before_the_position_is_trimmed() -> None:
    raw = batch(10, [b"a", b"b", b"c"]) + batch(13, [b"d"])
    assert offsets_and_values(raw, [], 12) == ([(12, b"c"), (13, b"d")], 14)


def test_holes_of_compaction_are_passed() -> None:
    raw = batch(5, [b"a", b"b", b"c"], skip=frozenset({1}))
    assert offsets_and_values(raw, [], 5) == ([(5, b"a"), (7, b"c")], 8)


def test_aborted_records_and_markers_are_not_seen_but_passed() -> None:
    raw = (
        batch(0, [b"lost", b"lost"], producer_id=7, transactional=True)
        + batch(2, [b"kept"], producer_id=8, transactional=True)
        + marker(3, 7, commit=False)
        + marker(4, 8, commit=True)
        + batch(5, [b"after"], producer_id=7, transactional=True)
        + marker(6, 7, commit=True)
    )
    assert offsets_and_values(raw, [(7, 0)], 0) == ([(2, b"kept"), (5, b"after")], 7)


def test_a_set_of_markers_alone_moves_the_position() -> None:
    assert offsets_and_values(marker(9, 1, commit=True), [], 9) == ([], 10)


def test_the_append_time_of_the_broker_counts_for_all_records() -> None:
    raw = bytearray(batch(0, [b"a", b"b"]))
    struct.pack_into(">h", raw, 21, 0x08)
    struct.pack_into(">q", raw, 35, 1_800_000_000_000)
    struct.pack_into(">I", raw, 17, calc_crc32c(bytes(raw[21:])))
    columns, _ = read_record_set(bytes(raw), [], 0)
    assert columns.timestamp_ms.tolist() == [1_800_000_000_000] * 2


def test_a_flipped_bit_is_noticed() -> None:
    raw = bytearray(batch(3, [b"abc"]))
    raw[-2] ^= 1
    with pytest.raises(CorruptBatch, match="offset 3 has a wrong checksum"):
        read_record_set(bytes(raw), [], 3)


def test_a_batch_that_promises_too_many_records_is_refused() -> None:
    raw = bytearray(batch(3, [b"abc"]))
    struct.pack_into(">i", raw, 57, 2)
    with pytest.raises(CorruptBatch, match="does not hold 2 records"):
        read_record_set(bytes(raw), [], 3, check_crc=False)


@pytest.mark.parametrize("piece_records", [1, 2, 3, 100])
def test_pieces_hold_what_the_set_holds(piece_records: int, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = (
        batch(0, [b"before", b"a"], codec=3)
        + batch(2, [b"lost"], producer_id=7, transactional=True)
        + batch(3, [b"b", None], codec=4)
        + marker(5, 7, commit=False)
        + batch(6, [b"c"])
    )
    monkeypatch.setattr(records, "_PIECE_RECORDS", piece_records)
    pieces = list(read_in_pieces(raw, [(7, 2)], 1))
    found = [(int(p.offset[i]), p.key(i), p.value(i)) for p in pieces for i in range(len(p))]
    whole, _ = read_record_set(raw, [(7, 2)], 1)
    assert found == [(int(whole.offset[i]), whole.key(i), whole.value(i)) for i in range(len(whole))]
    assert [offset for offset, _, _ in found] == [1, 3, 4, 6]
    assert all(len(p) < piece_records + 2 and not p.data.flags.writeable for p in pieces)


def test_a_flipped_bit_is_noticed_in_pieces_too() -> None:
    raw = bytearray(batch(0, [b"a"]) + batch(1, [b"abc"]))
    raw[-2] ^= 1
    with pytest.raises(CorruptBatch, match="offset 1 has a wrong checksum"):
        list(read_in_pieces(bytes(raw), [], 0))


def test_the_kernel_gives_the_same_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = batch(1, [b"x" * 200, None, b"y"], codec=3)
    compiled, _ = read_record_set(raw, [], 1)
    monkeypatch.setattr(records, "read_batch_compiled", records.read_batch)
    plain, _ = read_record_set(raw, [], 1)
    for name in plain.__slots__:
        assert np.array_equal(getattr(plain, name), getattr(compiled, name))
    begins = plain.keys_begin_with(ord("k")).tolist()
    monkeypatch.setattr(records, "begin_with_compiled", records.begin_with)
    assert plain.keys_begin_with(ord("k")).tolist() == begins == [1, 1, 1]
    assert plain.keys_begin_with(ord("c")).tolist() == [0, 0, 0]
