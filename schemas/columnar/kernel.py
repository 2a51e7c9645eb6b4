"""Avro bodies to columns: one pass over the bytes of many records, no Python object per record.

The kernel is a small machine. Its program (schemas/columnar/plan.py) has a row for each field of the writer's
schema, in the writer's order:

    op, null_branch, store, column, valid, width

op           what stands in the bytes (the constants below)
null_branch  for a union of null and one other type: the index of null, 0 or 1; -1 for no union
store        where the value goes: SKIP, INTS, FLOATS or STRINGS
column       its row in the arrays of that store
valid        its row in ``valid``
width        FIXED: its bytes. ARRAY: how many of the following rows describe one item. Else 0.

MAP and ARRAY write entries: ``begin[c, i]`` is the first entry of record i, ``begin[c, i + 1]`` one past its last.
Avro 1.12 specification, "Binary encoding".
"""

import numpy as np

from schemas.arrays import Bytes, Float64s, Int32s, Int64s
from schemas.compiled import compiled, step

NULL, BOOLEAN, INT, LONG, FLOAT, DOUBLE, BYTES, STRING, FIXED, MAP, ARRAY = range(11)
SKIP, INTS, FLOATS, STRINGS = range(4)

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
    high = np.uint8(0)
    for k in range(pos, stop):
        high |= data[k]
    if high < 128:
        return True
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


@step
def read_value(
    op: int, store: int, column: int, slot: int, width: int, data: Bytes, pos: int, stop: int,
    ints: Int64s, floats: Float64s, text_start: Int64s, text_length: Int32s, four: Bytes, eight: Bytes,
) -> int:  # fmt: skip
    """Read one value of a simple type into its column; return the position after it, or minus the problem."""
    if op == NULL:
        return pos
    if op in (INT, LONG):
        number, pos = read_varint(data, pos, stop)
        if pos < 0:
            return pos
        if op == INT and (number > 2147483647 or number < -2147483648):
            return -BAD_NUMBER
        if store == INTS:
            ints[column, slot] = number
        elif store == FLOATS:
            floats[column, slot] = number
        return pos
    if op in (BYTES, STRING):
        length, pos = read_varint(data, pos, stop)
        if pos < 0:
            return pos
        if length < 0:
            return -BAD_LENGTH
        if length > stop - pos:
            return -TRUNCATED
        if op == STRING and not is_utf8(data, pos, pos + length):
            return -BAD_TEXT
        if store == STRINGS:
            text_start[column, slot] = pos
            text_length[column, slot] = length
        return pos + length
    if op == BOOLEAN:
        if pos >= stop:
            return -TRUNCATED
        if data[pos] > 1:
            return -BAD_BOOLEAN
        if store == INTS:
            ints[column, slot] = data[pos]
        return pos + 1
    size = width
    if op == DOUBLE:
        size = 8
    elif op == FLOAT:
        size = 4
    if size > stop - pos:
        return -TRUNCATED
    if store == FLOATS:
        if op == DOUBLE:
            for k in range(8):
                eight[k] = data[pos + k]
            floats[column, slot] = eight.view(np.float64)[0]
        else:
            for k in range(4):
                four[k] = data[pos + k]
            floats[column, slot] = four.view(np.float32)[0]
    return pos + size


def read_records(
    program: Int64s, data: Bytes, start: Int64s, end: Int64s,
    ints: Int64s, floats: Float64s, text_start: Int64s, text_length: Int32s, valid: Bytes,
    begin: Int32s, item_ints: Int64s, item_floats: Float64s, item_text_start: Int64s, item_text_length: Int32s,
    item_valid: Bytes, problem: Bytes,
) -> None:  # fmt: skip
    """Read n Avro bodies into columns.

    program: int64[k, 6], see above. data: uint8[b]; record i is data[start[i]:end[i]], int64[n] each.
    ints, floats: int64[ci, n], float64[cf, n]. text_start, text_length: int64[cs, n], int32[cs, n], references
    into data. valid: uint8[cv, n], set to 1 for values that are not null (0 before).
    begin: int32[cb, n + 1], begin[:, 0] = 0. item_*: as their namesakes for the entries of maps and arrays, [c, m].
    problem: uint8[n], 0 or the index of the reason in REASONS. What a broken record has written is undefined,
    but it owns no entries.
    """
    four = np.empty(4, np.uint8)
    eight = np.empty(8, np.uint8)
    rows = program.shape[0]
    entries = item_valid.shape[1]
    for i in range(start.shape[0]):
        pos = start[i]
        stop = end[i]
        for c in range(begin.shape[0]):
            begin[c, i + 1] = begin[c, i]
        k = 0
        while k < rows:
            op = program[k, 0]
            null_branch = program[k, 1]
            store = program[k, 2]
            column = program[k, 3]
            width = program[k, 5]
            following = k + 1 + (width if op == ARRAY else 0)
            if null_branch >= 0:
                branch, pos = read_varint(data, pos, stop)
                if pos < 0:
                    break
                if branch == null_branch:
                    k = following
                    continue
                if branch != 1 - null_branch:
                    pos = -BAD_BRANCH
                    break
            if store != SKIP or op == NULL:
                valid[program[k, 4], i] = op != NULL
            if op not in (MAP, ARRAY):
                pos = read_value(op, store, column, i, width, data, pos, stop,
                                 ints, floats, text_start, text_length, four, eight)  # fmt: skip
                if pos < 0:
                    break
                k = following
                continue
            while True:  # the blocks of a map or an array
                count, pos = read_varint(data, pos, stop)
                if pos <= 0 or count == 0:
                    break
                if count < 0:  # minus the count, then the size of the block in bytes
                    count = -count
                    _, pos = read_varint(data, pos, stop)
                    if pos < 0:
                        break
                for _ in range(count):
                    slot = begin[column, i + 1]
                    if slot >= entries:
                        pos = -TOO_MANY
                        break
                    for j in range(k + 1, following) if op == ARRAY else range(k, k + 1):
                        if op == MAP:
                            pos = read_value(STRING, STRINGS, width, slot, 0, data, pos, stop, item_ints, item_floats,
                                             item_text_start, item_text_length, four, eight)  # fmt: skip
                            if pos < 0:
                                break
                            pos = read_value(STRING, STRINGS, width + 1, slot, 0, data, pos, stop, item_ints,
                                             item_floats, item_text_start, item_text_length, four, eight)  # fmt: skip
                            break
                        if program[j, 1] >= 0:
                            branch, pos = read_varint(data, pos, stop)
                            if pos < 0:
                                break
                            if branch == program[j, 1]:
                                item_valid[program[j, 4], slot] = 0
                                continue
                            if branch != 1 - program[j, 1]:
                                pos = -BAD_BRANCH
                                break
                        if program[j, 2] != SKIP:
                            item_valid[program[j, 4], slot] = 1
                        pos = read_value(program[j, 0], program[j, 2], program[j, 3], slot, program[j, 5], data, pos,
                                         stop, item_ints, item_floats, item_text_start, item_text_length,
                                         four, eight)  # fmt: skip
                        if pos < 0:
                            break
                    if pos < 0:
                        break
                    begin[column, i + 1] += 1
                if pos < 0:
                    break
            if pos < 0:
                break
            k = following
        if pos < 0:
            problem[i] = -pos
        elif pos != stop:
            problem[i] = LEFT_OVER
        if problem[i] != OK:
            for c in range(begin.shape[0]):
                begin[c, i + 1] = begin[c, i]


read_records_compiled = compiled(read_records)
