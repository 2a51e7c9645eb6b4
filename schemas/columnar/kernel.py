"""Avro bodies to columns: one pass over the bytes of many records, no Python object per record.

The kernel is a small machine. Its program (schemas/columnar/plan.py) has a row for each field of the writer's
schema, in the writer's order:

    op, null_branch, store, base, valid, width

op           what stands in the bytes (the constants below)
null_branch  for a union of null and one other type: the index of null, 0 or 1; -1 for no union
store        where the value goes: SKIP, INTS, FLOATS or TEXTS
base         index of the column's first value in the array of that store; of record 0 in ``begin`` for LIST
valid        index of the column's first flag in ``valid``
width        FIXED: its bytes. LIST: how many of the following rows describe one entry. Else 0.

A LIST (an Avro array, or a map, whose entry is a key and a value) owns entries: ``begin[base + i]`` is the first
entry of record i, ``begin[base + i + 1]`` one past its last. Avro 1.12 specification, "Binary encoding".
"""

import numpy as np

from schemas.arrays import Bytes, Float64s, Int32s, Int64s
from schemas.compiled import compiled, step
from schemas.words import HIGH_BITS, word_at

NULL, BOOLEAN, INT, LONG, FLOAT, DOUBLE, BYTES, STRING, FIXED, LIST = range(10)
SKIP, INTS, FLOATS, TEXTS = range(4)

OK, TRUNCATED, LEFT_OVER, BAD_BRANCH, BAD_NUMBER, BAD_LENGTH, BAD_TEXT, BAD_BOOLEAN, TOO_MANY = range(9)
REASONS = (
    "",
    "the record ends before its schema does",
    "bytes are left over after the record",
    "a union names a branch that its schema does not have",
    "a number is longer than its type",
    "a length is negative",
    "a text is not UTF-8",
    "a boolean is neither 0 nor 1",
    "an array has more items than the record has bytes",
)


@step
def read_varint(data: Bytes, pos: int, stop: int) -> tuple[int, int]:
    """Return a zig-zag number and the position after it; the position is minus the problem when there is one."""
    shift = np.uint64(0)
    value = np.uint64(0)
    while pos < stop:
        byte = np.uint64(data[pos])
        pos += 1
        value |= (byte & np.uint64(127)) << shift
        if byte < np.uint64(128):
            return int(np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1))), pos
        shift += np.uint64(7)
        if shift > np.uint64(63):
            return 0, -BAD_NUMBER
    return 0, -TRUNCATED


@step
def is_utf8(data: Bytes, pos: int, stop: int) -> bool:
    """Whether data[pos:stop] is well-formed UTF-8 (Unicode 15, table 3-7)."""
    while pos + 8 <= stop and word_at(data, pos) & HIGH_BITS == np.uint64(0):
        pos += 8
    while pos < stop and data[pos] < 128:
        pos += 1
    while pos < stop:
        lead = data[pos]
        pos += 1
        if lead < 0x80:
            continue
        low, top = 0x80, 0xBF
        if 0xC2 <= lead <= 0xDF:
            more = 1
        elif 0xE0 <= lead <= 0xEF:
            more = 2
            if lead == 0xE0:
                low = 0xA0
            elif lead == 0xED:
                top = 0x9F
        elif 0xF0 <= lead <= 0xF4:
            more = 3
            if lead == 0xF0:
                low = 0x90
            elif lead == 0xF4:
                top = 0x8F
        else:
            return False
        if pos + more > stop:
            return False
        if data[pos] < low or data[pos] > top:
            return False
        for k in range(pos + 1, pos + more):
            if data[k] < 0x80 or data[k] > 0xBF:
                return False
        pos += more
    return True


def read_records(
    program: Int64s,
    data: Bytes,
    start: Int64s,
    end: Int64s,
    ints: Int64s,
    floats: Float64s,
    text_start: Int64s,
    text_length: Int32s,
    valid: Bytes,
    begin: Int32s,
    entries: int,
    problem: Bytes,
) -> None:
    """Read n Avro bodies into columns.

    program: int64[k, 6], see above. data: uint8[b]; record i is data[start[i]:end[i]], int64[n] each.
    ints: int64, floats: float64: the columns of that store one behind the other, n long or, for those of
    entries, ``entries`` long. text_start: int64, text_length: int32: the same for texts, references into data.
    valid: uint8, set to 1 for values that are not null (0 before). begin: int32, see above (0 before).
    problem: uint8[n], 0 or the index of the reason in REASONS. What a broken record has written is undefined,
    but it owns no entries.
    """
    four = np.empty(4, np.uint8)
    as_float32 = four.view(np.float32)
    eight = np.empty(8, np.uint8)
    as_float64 = eight.view(np.float64)
    rows = program.shape[0]
    for i in range(start.shape[0]):
        pos = start[i]
        stop = end[i]
        slot = i  # where values go: the record, or inside of a list the entry
        remaining = 0  # entries of the block that are still to come
        listing = -1  # the row of the list that we are in
        k = 0
        while True:
            if listing >= 0 and k == listing + 1 + program[listing, 5]:  # an entry is whole, or a list begins
                base = program[listing, 3] + i + 1
                if slot >= 0:
                    begin[base] += 1
                    remaining -= 1
                if remaining == 0:
                    remaining, pos = read_varint(data, pos, stop)
                    if pos < 0:
                        break
                    if remaining < 0:  # minus the count, then the size of the block in bytes
                        remaining = -remaining
                        _, pos = read_varint(data, pos, stop)
                        if pos < 0:
                            break
                if remaining < 0:
                    pos = -BAD_LENGTH
                    break
                if remaining == 0:
                    listing = -1
                    slot = i
                    continue
                slot = begin[base]
                if slot >= entries or remaining > entries:
                    pos = -TOO_MANY
                    break
                k = listing + 1
                if program[listing, 5] == 0:
                    continue
            if k == rows:
                break
            op = program[k, 0]
            null_branch = program[k, 1]
            if null_branch >= 0:
                if pos < stop and data[pos] < 128:  # as nearly always, one byte
                    branch = int(data[pos] >> 1) ^ -int(data[pos] & 1)
                    pos += 1
                else:
                    branch, pos = read_varint(data, pos, stop)
                    if pos < 0:
                        break
                if branch == null_branch:
                    if program[k, 2] != SKIP:
                        valid[program[k, 4] + slot] = 0
                    k += 1
                    if op == LIST:
                        k += program[k - 1, 5]
                    continue
                if branch != 1 - null_branch:
                    pos = -BAD_BRANCH
                    break
            store = program[k, 2]
            if store != SKIP:
                valid[program[k, 4] + slot] = 1
            to = program[k, 3] + slot
            if op in (STRING, BYTES):
                if pos < stop and data[pos] < 128:
                    length = int(data[pos] >> 1) ^ -int(data[pos] & 1)
                    pos += 1
                else:
                    length, pos = read_varint(data, pos, stop)
                    if pos < 0:
                        break
                if length < 0:
                    pos = -BAD_LENGTH
                    break
                if length > stop - pos:
                    pos = -TRUNCATED
                    break
                if op == STRING and not is_utf8(data, pos, pos + length):
                    pos = -BAD_TEXT
                    break
                if store == TEXTS:
                    text_start[to] = pos
                    text_length[to] = length
                pos += length
            elif op in (LONG, INT):
                number, pos = read_varint(data, pos, stop)
                if pos < 0:
                    break
                if op == INT and (number > 2147483647 or number < -2147483648):
                    pos = -BAD_NUMBER
                    break
                if store == INTS:
                    ints[to] = number
                elif store == FLOATS:
                    floats[to] = number
            elif op == LIST:
                listing = k
                k += program[k, 5]
                slot = -1
            elif op == BOOLEAN:
                if pos >= stop:
                    pos = -TRUNCATED
                    break
                if data[pos] > 1:
                    pos = -BAD_BOOLEAN
                    break
                if store == INTS:
                    ints[to] = data[pos]
                pos += 1
            elif op != NULL:
                size = program[k, 5]
                if op == DOUBLE:
                    size = 8
                elif op == FLOAT:
                    size = 4
                if size > stop - pos:
                    pos = -TRUNCATED
                    break
                if store == FLOATS:
                    if op == DOUBLE:
                        for b in range(8):
                            eight[b] = data[pos + b]
                        floats[to] = as_float64[0]
                    else:
                        for b in range(4):
                            four[b] = data[pos + b]
                        floats[to] = as_float32[0]
                pos += size
            k += 1
        if pos < 0:
            problem[i] = -pos
        elif pos != stop:
            problem[i] = LEFT_OVER
        for k in range(rows):
            if program[k, 0] == LIST:
                base = program[k, 3] + i
                if problem[i] != OK:
                    begin[base + 1] = begin[base]
                if i + 1 < start.shape[0]:
                    begin[base + 2] = begin[base + 1]


read_records_compiled = compiled(read_records)
