"""Columns to Avro bodies: the reverse of schemas/columnar/kernel.py, driven by a program of the same form.

    op, null_branch, store, base, valid, width

op, null_branch, base and width mean what they mean there; ``valid`` is the index of the column's first flag, or ALWAYS
or NEVER where all values are there, or none is. A LIST is one block of its entries ``begin[base + i]`` ...
``begin[base + i + 1] - 1``.
"""

import numpy as np

from schemas.arrays import Bytes, Float64s, Int32s, Int64s
from schemas.columnar.kernel import BOOLEAN, BYTES, DOUBLE, INT, LIST, LONG, STRING
from schemas.compiled import compiled, step

ALWAYS, NEVER = -1, -2


@step
def write_varint(out: Bytes, pos: int, number: int) -> int:
    """Write a zig-zag number; return the position after it."""
    value = np.uint64(np.int64(number) << np.int64(1)) ^ np.uint64(np.int64(number) >> np.int64(63))
    while value > np.uint64(127):
        out[pos] = np.uint8(value & np.uint64(127)) | np.uint8(128)
        value >>= np.uint64(7)
        pos += 1
    out[pos] = np.uint8(value)
    return pos + 1


def write_records(
    program: Int64s,
    n: int,
    header: Bytes,
    data: Bytes,
    ints: Int64s,
    floats: Float64s,
    text_start: Int64s,
    text_length: Int32s,
    valid: Bytes,
    begin: Int32s,
    out: Bytes,
    end: Int64s,
) -> None:
    """Write n records, each behind ``header`` (uint8[h]), one after the other.

    program: int64[k, 6]. data: uint8[b], where the texts lie. The others as in kernel.read_records.
    out: uint8[c], large enough, written; record i ends before end[i], int64[n], written.
    """
    eight = np.empty(1, np.float64)
    raw = eight.view(np.uint8)
    rows = program.shape[0]
    pos = 0
    for i in range(n):
        for h in range(header.shape[0]):
            out[pos + h] = header[h]
        pos += header.shape[0]
        k = 0
        slot = i
        stop = 0  # one past the last entry of the list that we are in
        listing = -1
        while True:
            if listing >= 0 and k == listing + 1 + program[listing, 5]:
                slot += 1
                if slot < stop:
                    k = listing + 1
                else:
                    out[pos] = 0  # the end of the blocks
                    pos += 1
                    listing = -1
                    slot = i
            if k == rows:
                break
            op = program[k, 0]
            if program[k, 1] >= 0:
                first = program[k, 4]
                there = valid[first + slot] != 0 if first >= 0 else first == ALWAYS
                pos = write_varint(out, pos, 1 - program[k, 1] if there else program[k, 1])
                if not there:
                    k += 1 + (program[k, 5] if op == LIST else 0)
                    continue
            at = program[k, 3] + slot
            if op in (STRING, BYTES):
                pos = write_varint(out, pos, text_length[at])
                for c in range(text_length[at]):
                    out[pos + c] = data[text_start[at] + c]
                pos += text_length[at]
            elif op in (LONG, INT):
                pos = write_varint(out, pos, ints[at])
            elif op == DOUBLE:
                eight[0] = floats[at]
                for c in range(8):
                    out[pos + c] = raw[c]
                pos += 8
            elif op == BOOLEAN:
                out[pos] = ints[at] != 0
                pos += 1
            elif op == LIST:
                first = begin[at]
                stop = begin[at + 1]
                if stop > first:
                    pos = write_varint(out, pos, stop - first)
                    listing = k
                    slot = first
                else:
                    out[pos] = 0
                    pos += 1
                    k += program[k, 5]
            k += 1
        end[i] = pos


write_records_compiled = compiled(write_records)
