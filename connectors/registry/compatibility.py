"""Whether what one Avro schema wrote can be read with another, and where not.

Follows the schema resolution of the Avro 1.12 specification. Where implementations choose differently (the
branch of a union, two aliases for one field) every choice must be readable, and three things that the
specification lets pass are refused: bytes read as a string (they may be no text), a logical type read as
another one (milliseconds as microseconds), and names that collide within a record. So "compatible" is never
"cannot be read". The `avro` package has such a check too, but tells positions, not fields; a test compares.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fastavro

LEVELS = (
    "NONE",
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
)

_NAMED = ("record", "error", "enum", "fixed")
_PROMOTIONS = {
    "int": ("long", "float", "double"),
    "long": ("float", "double"),
    "float": ("double",),
    "string": ("bytes",),
}
_LOGICAL_KEYS = ("logicalType", "precision", "scale")


class InvalidSchema(ValueError):
    """The text is no Avro schema that every implementation reads alike."""


@dataclass(frozen=True, slots=True)
class AvroSchema:
    """A schema with its full names: ``root`` as fastavro parses it, ``names`` what its names stand for."""

    root: Any
    names: Mapping[str, Mapping[str, Any]]


def parse_avro(text: str) -> AvroSchema:
    """Schema of an .avsc text.

    Raises:
        InvalidSchema: it is not JSON, not Avro, or ambiguous; the text says what and where.
    """
    try:
        text.encode()
        names: dict[str, Any] = {}
        root = fastavro.parse_schema(json.loads(text), names)
    except RecursionError as err:
        raise InvalidSchema("nested too deeply") from err
    except (KeyError, TypeError, AttributeError) as err:
        raise InvalidSchema(f"an attribute is missing or has the wrong type: {err}") from err
    except (ValueError, fastavro.schema.SchemaParseException, fastavro.schema.UnknownType) as err:
        raise InvalidSchema(str(err) or type(err).__name__) from err
    for ambiguity in _ambiguities(root, ""):
        raise InvalidSchema(ambiguity)
    return AvroSchema(root, names)


def unreadable(reader: AvroSchema, writer: AvroSchema) -> list[str]:
    """Why ``reader`` cannot read all that ``writer`` may have written, naming each field; empty if it can."""
    return list(_Resolution(reader.names, writer.names, set()).problems(reader.root, writer.root, ""))


def incompatibilities(level: str, new: AvroSchema, earlier: Sequence[tuple[str, AvroSchema]]) -> list[str]:
    """Why ``new`` may not follow the ``earlier`` versions (label and schema, oldest first) at ``level``."""
    if level not in LEVELS:
        raise ValueError(f"unknown compatibility level {level}, it must be one of {', '.join(LEVELS)}")
    compared = earlier if level.endswith("_TRANSITIVE") else earlier[-1:]
    reasons = []
    for label, old in compared:
        if level.startswith(("BACKWARD", "FULL")):
            reasons += [f"the new schema cannot read what {label} wrote: {why}" for why in unreadable(new, old)]
        if level.startswith(("FORWARD", "FULL")):
            reasons += [f"{label} cannot read what the new schema writes: {why}" for why in unreadable(old, new)]
    return reasons


@dataclass(frozen=True, slots=True)
class _Resolution:
    reader_names: Mapping[str, Mapping[str, Any]]
    writer_names: Mapping[str, Mapping[str, Any]]
    compared: set[tuple[str, str]]  # pairs of named types: recursive schemas end here

    def problems(self, reader: Any, writer: Any, path: str) -> Iterator[str]:
        reader, writer = _definition(reader, self.reader_names), _definition(writer, self.writer_names)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.problems(reader, branch, path)
        elif isinstance(reader, list):
            yield from self._branch_problems(reader, writer, path)
        elif not _matches(reader, writer):
            yield f"{_at(path, reader)} is read as {_words(reader)}, but {_words(writer)} was written"
        else:
            yield from self._meaning_problems(reader, writer, path)
            yield from self._part_problems(reader, writer, path)

    def _branch_problems(self, reader: list[Any], writer: Any, path: str) -> Iterator[str]:
        """A reader's union: the branch of the first match (fastavro) and of the exact one (Java)."""
        branches = [_definition(branch, self.reader_names) for branch in reader]
        matching = [branch for branch in branches if _matches(branch, writer, any_kind=True)]
        exact = [branch for branch in matching if _identity(branch) == _identity(writer)]
        if not matching:
            choice = " or ".join(_words(branch) for branch in branches) or "nothing"
            yield f"{_at(path, writer)} is read as {choice}, but {_words(writer)} was written"
        for branch in matching[:1] + [b for b in exact[:1] if b is not matching[0]]:
            yield from self.problems(branch, writer, path)

    def _meaning_problems(self, reader: Any, writer: Any, path: str) -> Iterator[str]:
        read, written = _logical(reader), _logical(writer)
        if read and written and read != written:
            yield f"{_at(path, reader)} is read as {read}, but {written} was written"

    def _part_problems(self, reader: Any, writer: Any, path: str) -> Iterator[str]:
        match _kind(reader):
            case "array":
                yield from self.problems(reader["items"], writer["items"], f"{path}[]")
            case "map":
                yield from self.problems(reader["values"], writer["values"], f"{path}{{}}")
            case "enum":
                missing = [s for s in writer["symbols"] if s not in reader["symbols"]]
                if missing and reader.get("default") not in reader["symbols"]:
                    yield f"{_at(path, reader)} does not know the symbols {', '.join(missing)} and has no default"
            case "fixed":
                if reader["size"] != writer["size"]:
                    yield f"{_at(path, reader)} has {reader['size']} bytes, but {writer['size']} were written"
            case "record" | "error":
                pair = (reader["name"], writer["name"])
                if pair not in self.compared:
                    self.compared.add(pair)
                    yield from self._field_problems(reader, writer, path or _short(reader["name"]))

    def _field_problems(self, reader: Any, writer: Any, path: str) -> Iterator[str]:
        for field in reader["fields"]:
            where = f"{path}.{field['name']}"
            accepted = (field["name"], *field.get("aliases", ()))
            written = [w for w in writer["fields"] if w["name"] in accepted]
            if len(written) > 1:
                yield f"{where} could be any of the written fields {', '.join(w['name'] for w in written)}"
            elif written:
                yield from self.problems(field["type"], written[0]["type"], where)
            elif "default" not in field:
                yield f"{where} has no default, and it was not written: give it one"


def _definition(schema: Any, names: Mapping[str, Mapping[str, Any]]) -> Any:
    return names.get(schema, schema) if isinstance(schema, str) else schema


def _kind(schema: Any) -> str:
    return str(schema["type"]) if isinstance(schema, dict) else str(schema)


def _identity(schema: Any) -> str:
    return str(schema["name"]) if _kind(schema) in _NAMED else _kind(schema)


def _logical(schema: Any) -> str:
    if not isinstance(schema, dict) or "logicalType" not in schema:
        return ""
    return " ".join(f"{key} {schema[key]}" for key in _LOGICAL_KEYS if key in schema)


def _matches(reader: Any, writer: Any, *, any_kind: bool = False) -> bool:
    """Whether the types match, their parts aside.

    ``any_kind`` is for choosing a branch, as fastavro does: a name alone, and bytes as a string too.
    """
    read, written = _kind(reader), _kind(writer)
    if read in _NAMED and written in _NAMED:
        return (any_kind or read == written) and _same_name(reader, writer)
    if any_kind and (read, written) == ("string", "bytes"):
        return True
    return read == written or read in _PROMOTIONS.get(written, ())


def _same_name(reader: Any, writer: Any) -> bool:
    namespace = reader["name"].rpartition(".")[0]
    aliases = [a if "." in a or not namespace else f"{namespace}.{a}" for a in reader.get("aliases", ())]
    return _short(reader["name"]) == _short(writer["name"]) or writer["name"] in aliases


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _words(schema: Any) -> str:
    return f"{_kind(schema)} {schema['name']}" if _kind(schema) in _NAMED else _kind(schema)


def _at(path: str, schema: Any) -> str:
    return path or _words(schema)


def _ambiguities(schema: Any, path: str) -> Iterator[str]:
    """What fastavro lets pass and others refuse or read otherwise."""
    if isinstance(schema, list):
        kinds = [_identity(branch) for branch in schema]
        if any(isinstance(branch, list) for branch in schema):
            yield f"{path or 'the union'} holds a union within a union"
        elif len(set(kinds)) < len(kinds):
            yield f"{path or 'the union'} has the same type twice: {', '.join(kinds)}"
        for branch in schema:
            yield from _ambiguities(branch, path)
    elif isinstance(schema, dict):
        for part in ("items", "values"):
            if part in schema:
                yield from _ambiguities(schema[part], f"{path}[]")
        here = path or _short(str(schema.get("name", "")))
        names = [name for field in schema.get("fields", ()) for name in (field["name"], *field.get("aliases", ()))]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            yield f"{here} has more than one field with the name or alias {', '.join(twice)}"
        for field in schema.get("fields", ()):
            yield from _ambiguities(field["type"], f"{here}.{field['name']}")
