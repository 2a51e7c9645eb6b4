"""From the kernel's arrays to Arrow columns, and from Avro types to Arrow types."""

from typing import Any, assert_never

import numpy as np
import pyarrow as pa

from schemas.arrays import Bools, Bytes, Int32s, Int64s
from schemas.columnar.arrays import Arrays
from schemas.columnar.gathering import gathered
from schemas.columnar.kernel import FLOATS, INTS, TEXTS
from schemas.columnar.plan import Absent, Column, RecordList, Simple, StringMap

_ARROW = {
    "null": pa.null(), "boolean": pa.bool_(), "int": pa.int32(), "long": pa.int64(), "float": pa.float32(),
    "double": pa.float64(), "string": pa.utf8(), "bytes": pa.binary(),
}  # fmt: skip


def arrow_type(schema: Any) -> pa.DataType:
    """Arrow type of an Avro type; a union of null and one type is that type, which Arrow lets be null."""
    if isinstance(schema, list):
        others = [s for s in schema if s != "null"]
        if len(others) != 1:
            raise TypeError(f"a union of several types has no Arrow type: {schema}")
        return arrow_type(others[0])
    if isinstance(schema, str):
        return _ARROW[schema]
    kind = schema["type"]
    if kind == "record":
        return pa.struct([_arrow_field(f) for f in schema["fields"]])
    if kind == "array":
        return pa.list_(arrow_type(schema["items"]))
    if kind == "map":
        return pa.map_(pa.utf8(), arrow_type(schema["values"]))
    if schema.get("logicalType") == "timestamp-millis":
        return pa.timestamp("ms", tz="UTC")
    return arrow_type(kind)


def _arrow_field(field: Any) -> pa.Field:
    return pa.field(field["name"], arrow_type(field["type"]), nullable=isinstance(field["type"], list))


def arrow_schema(schema: Any) -> pa.Schema:
    """Arrow schema of an Avro record."""
    return pa.schema([_arrow_field(f) for f in schema["fields"]])


def text_array(data: Bytes, start: Int64s, length: Int32s, valid: Bools | None, kind: pa.DataType) -> pa.Array:
    """Arrow array of texts that lie in ``data``; ``valid``: bool[n], None when all are there."""
    sizes = np.maximum(length, 0) if valid is None else np.where(valid, length, 0)
    offsets = np.zeros(len(start) + 1, np.int32)
    np.cumsum(sizes, out=offsets[1:])
    out = gathered(data, start, sizes.astype(np.int32))
    buffers = [None if valid is None else _bitmap(valid), pa.py_buffer(offsets), pa.py_buffer(out)]
    return pa.Array.from_buffers(kind, len(start), buffers)


def to_arrow(column: Column, kind: pa.DataType, arrays: Arrays, kept: Int64s) -> pa.Array:
    """Arrow array of one planned column, of the records ``kept`` (int64[k])."""
    match column:
        case Simple():
            return _simple(column, kind, arrays, slice(None) if len(kept) == arrays.n else kept, entry=False)
        case Absent():
            return _repeated(column.default, len(kept), kind)
        case StringMap() | RecordList():
            return _list(column, kind, arrays, kept)
        case _:
            assert_never(column)


def _simple(column: Simple, kind: pa.DataType, arrays: Arrays, rows: Int64s | slice, *, entry: bool) -> pa.Array:
    valid = arrays.is_valid(column, entry=entry)[rows] if column.nullable else None
    if column.type in ("string", "bytes"):
        at = arrays.part(column.column, TEXTS, entry=entry)
        return text_array(arrays.data, arrays.text_start[at][rows], arrays.text_length[at][rows], valid, kind)
    if column.type in ("float", "double"):
        values: Any = arrays.floats[arrays.part(column.column, FLOATS, entry=entry)][rows]
    else:
        values = arrays.ints[arrays.part(column.column, INTS, entry=entry)][rows]
    bitmap = None if valid is None else _bitmap(valid)
    if pa.types.is_boolean(kind):
        return pa.Array.from_buffers(kind, len(values), [bitmap, _bitmap(values.astype(np.bool_))])
    width = np.dtype(f"{'f' if pa.types.is_floating(kind) else 'i'}{kind.bit_width // 8}")
    return pa.Array.from_buffers(kind, len(values), [bitmap, pa.py_buffer(np.ascontiguousarray(values, width))])


def _repeated(default: Any, n: int, kind: pa.DataType) -> pa.Array:
    # pa.array would import pandas, which takes a second of the first batch
    if default is None:
        return pa.nulls(n, kind)
    return pa.repeat(pa.scalar([] if default == {} else default, kind), n)


def _list(column: StringMap | RecordList, kind: pa.DataType, arrays: Arrays, kept: Int64s) -> pa.Array:
    begin = arrays.begins(column)
    # a broken record owns no entries: those of the others lie side by side
    offsets = np.append(begin[kept], begin[-1:]).astype(np.int32)
    valid = arrays.is_valid(column)[kept] if column.nullable else None
    used = slice(0, int(begin[-1]))
    if isinstance(column, StringMap):
        texts = []
        for text in (column.key_column, column.value_column):
            at = arrays.part(text, TEXTS, entry=True)
            texts.append(
                text_array(arrays.data, arrays.text_start[at][used], arrays.text_length[at][used], None, pa.utf8())
            )
        entries = pa.StructArray.from_arrays(texts, fields=[kind.key_field, kind.item_field])
    else:
        fields = list(kind.value_type)
        children = [_simple(i, f.type, arrays, used, entry=True) for i, f in zip(column.items, fields, strict=True)]
        entries = pa.StructArray.from_arrays(children, fields=fields)
    buffers = [None if valid is None else _bitmap(valid), pa.py_buffer(offsets)]
    return pa.Array.from_buffers(kind, len(kept), buffers, children=[entries])


def _bitmap(valid: Bools) -> pa.Buffer:
    return pa.py_buffer(np.packbits(valid, bitorder="little"))
