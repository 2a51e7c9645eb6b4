"""Confluent wire format: a zero byte, the schema id as four bytes big-endian, then the Avro body."""

import struct

HEADER_BYTES = 5
_HEADER = struct.Struct(">bI")


class NotFramed(ValueError):
    """The value does not begin with the magic byte and a schema id."""


def frame_header(schema_id: int) -> bytes:
    """Return the five bytes that precede an Avro body."""
    return _HEADER.pack(0, schema_id)


def split_frame(value: bytes) -> tuple[int, bytes]:
    """Return schema id and Avro body of a framed value.

    Raises:
        NotFramed: the value is shorter than a header or begins with another byte.
    """
    if len(value) < HEADER_BYTES or value[0] != 0:
        raise NotFramed(
            f"a value must begin with byte 00 and a schema id, this one with {value[:8].hex() or 'nothing'}"
        )
    return int.from_bytes(value[1:HEADER_BYTES], "big"), value[HEADER_BYTES:]
