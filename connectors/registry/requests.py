"""Requests of the Confluent Schema Registry API: what they bring, and how they are refused."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.registry.compatibility import LEVELS, AvroSchema, InvalidSchema, parse_avro


class Refused(Exception):
    """An answer that is an error in Confluent's form; its code begins with the HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Query:
    """Parameters of the URL, the last value of each."""

    parameters: Mapping[str, str]

    def flag(self, name: str) -> bool:
        return self.text(name).lower() == "true"  # Python clients say True

    def count(self, name: str) -> int | None:
        said = self.text(name)
        return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else None

    def text(self, name: str) -> str:
        return self.parameters.get(name, "")


@dataclass(frozen=True, slots=True)
class GivenSchema:
    """A schema in a request: its text without white space, and what it means."""

    text: str
    avro: AvroSchema


def schema_in(body: Any) -> GivenSchema:
    """Schema of a decoded body; Refused if it is none that this registry keeps."""
    if not isinstance(body, dict) or not isinstance(body.get("schema"), str):
        raise Refused(42201, 'The body must be {"schema": "<text of an Avro schema>"}')
    kind = body.get("schemaType") or "AVRO"
    if kind != "AVRO":
        raise Refused(42201, f"This registry keeps AVRO schemas only, not {kind}")
    for unsupported in ("references", "metadata", "ruleSet"):
        if body.get(unsupported):
            raise Refused(42201, f"This registry does not keep {unsupported}: give one complete schema")
    if any(body.get(name) not in (None, -1, 0) for name in ("id", "version")):
        raise Refused(42205, "This registry gives ids and versions itself: it has no mode IMPORT")
    try:
        avro = parse_avro(body["schema"])
    except InvalidSchema as err:
        raise Refused(42201, f"Invalid schema: {err}") from err
    text = json.dumps(json.loads(body["schema"]), separators=(",", ":"), ensure_ascii=False)
    return GivenSchema(text, avro)


def level_in(body: Any) -> str:
    """Compatibility level of a decoded body; Refused if it is none."""
    level = body.get("compatibility") if isinstance(body, dict) else None
    if level not in LEVELS:
        raise Refused(42203, f"Invalid compatibility level {level}. Valid values are {', '.join(LEVELS)}")
    others = sorted(name for name, value in body.items() if value and name != "compatibility")
    if others:
        raise Refused(42203, f"This registry knows only the setting compatibility, not {', '.join(others)}")
    return str(level)


def positive(text: str, code: int, message: str) -> int:
    """Number of a path segment, 1 to 2**31 - 1; Refused with ``code`` and ``message`` if it is none."""
    if not (text.isascii() and text.isdigit() and 0 < int(text[:12]) < 2**31):
        raise Refused(code, message)
    return int(text)
