"""Records of writers that only fastavro understands, one by one."""

import io
from typing import Any

import fastavro

from schemas.columnar.kernel import LEFT_OVER, REASONS, TRUNCATED
from schemas.errors import SchemaIncompatible


class NotAvro(ValueError):
    """The bytes are no record of the writer's schema; the text says why."""


class _Body(io.BytesIO):
    """A record that ends where it ends: fastavro does not look when it skips a field that we do not need."""

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        if size is None or len(found) != size:
            raise EOFError(REASONS[TRUNCATED])
        return found


def read_foreign(raw: bytes, writer: Any, reader: Any) -> dict[str, Any]:
    """Read one Avro body with parsed schemas of fastavro.

    Raises:
        NotAvro: the bytes are cut off, left over, or otherwise no such record.
        SchemaIncompatible: no such record can be read as ours.
    """
    body = _Body(raw)
    try:
        record = fastavro.schemaless_reader(body, writer, reader)
    except fastavro.read.SchemaResolutionError as error:
        raise SchemaIncompatible(f"the writer's schema cannot be read with ours: {error}") from error
    except Exception as error:
        # fastavro raises whatever its C code meets
        raise NotAvro(f"{type(error).__name__}: {error}") from error
    if body.tell() != len(raw):
        raise NotAvro(REASONS[LEFT_OVER])
    if not isinstance(record, dict):
        raise NotAvro("the value is not a record")
    return record
