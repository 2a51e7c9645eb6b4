"""Records of our topics as framed Avro."""

import io
import json
from collections.abc import Iterable
from typing import Any

import fastavro

from schemas.topics import avro_schema
from schemas.wire import frame_header


class Encoder:
    """Writes records of one schema with the id that the registry gave it."""

    def __init__(self, schema_name: str, schema_id: int) -> None:
        self._schema: Any = fastavro.parse_schema(json.loads(avro_schema(schema_name)))
        self._header = frame_header(schema_id)

    def encode(self, records: Iterable[dict[str, Any]]) -> list[bytes]:
        """Framed bytes of each record."""
        encoded = []
        for record in records:
            out = io.BytesIO()
            out.write(self._header)
            fastavro.schemaless_writer(out, self._schema, record)
            encoded.append(out.getvalue())
        return encoded
