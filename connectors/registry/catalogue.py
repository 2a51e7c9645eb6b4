"""The registry's memory: subjects, versions, ids and levels, as the records of its topic tell them."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.errors import TopicMismatch

_MAGIC = {"SCHEMA": 1, "CONFIG": 0}
DEFAULT_LEVEL = "BACKWARD"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a subject. Purged is deleted for good: only its number and id stay taken."""

    subject: str
    number: int
    schema_id: int
    text: str | None  # None when purged
    deleted: bool = False

    def record(self) -> tuple[bytes, bytes]:
        """Key and value in the topic, in the layout of Confluent's registry."""
        value = {
            "subject": self.subject,
            "version": self.number,
            "id": self.schema_id,
            "schema": self.text,
            "deleted": self.deleted,
        }
        return _key("SCHEMA", subject=self.subject, version=self.number), _json(value)


def level_record(subject: str | None, level: str | None) -> tuple[bytes, bytes | None]:
    """Key and value in the topic of a compatibility level; no subject is all of them, no level removes it."""
    return _key("CONFIG", subject=subject), None if level is None else _json({"compatibilityLevel": level})


def identity(text: str) -> str:
    """The same for texts that differ in white space and the order of attributes only."""
    return json.dumps(_plain(json.loads(text)), sort_keys=True, separators=(",", ":"))


class Catalogue:
    """What the records say so far. Any thread may read while one applies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subjects: dict[str, dict[int, Version]] = {}
        self._levels: dict[str | None, str] = {}
        self._ids: dict[str, int] = {}
        self._texts: dict[int, str] = {}
        self._last_id = 0

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take in one record; a later one with the same key replaces it.

        Raises:
            TopicMismatch: the record is none of ours: the topic belongs to something else.
        """
        said = _record(key)
        with self._lock:
            match said:
                case {"keytype": "CONFIG", "subject": subject}:
                    self._levels.pop(subject, None)
                    if value is not None:
                        self._levels[subject] = _record(value)["compatibilityLevel"]
                case {"keytype": "SCHEMA", "subject": str(subject), "version": int(number)} if value is not None:
                    self._take(_version(subject, number, _record(value)))
                case {"keytype": "NOOP"}:
                    pass
                case _:
                    raise TopicMismatch(
                        f"The registry's topic holds a record that this registry does not write: key {said}. "
                        "Name the registry that owns the topic by its URL, or give this one another topic."
                    )

    def versions(self, subject: str, *, deleted: bool = False) -> list[Version]:
        """Versions of a subject in order, the deleted ones too if asked for; empty if it has none."""
        with self._lock:
            every = sorted(self._subjects.get(subject, {}).values(), key=lambda version: version.number)
        return [v for v in every if v.text is not None and (deleted or not v.deleted)]

    def subjects(self, *, deleted: bool = False) -> list[str]:
        """Names of the subjects that have a version, in alphabetical order."""
        with self._lock:
            names = sorted(self._subjects)
        return [name for name in names if self.versions(name, deleted=deleted)]

    def next_version(self, subject: str) -> int:
        """Number that no version of the subject ever had."""
        with self._lock:
            return max(self._subjects.get(subject, {}), default=0) + 1

    def text(self, schema_id: int) -> str | None:
        """Schema of an id, of deleted versions too; None if there is none."""
        with self._lock:
            return self._texts.get(schema_id)

    def id_of(self, text: str) -> int:
        """Id of the same schema under whatever subject, or else one that was never given."""
        with self._lock:
            return self._ids.get(identity(text), self._last_id + 1)

    @property
    def last_id(self) -> int:
        """The highest id ever given."""
        with self._lock:
            return self._last_id

    def level(self, subject: str | None) -> str | None:
        """Compatibility level that was set for the subject, or for all with None."""
        with self._lock:
            return self._levels.get(subject)

    def effective_level(self, subject: str) -> str:
        """Level that new versions of the subject are held to."""
        return self.level(subject) or self.level(None) or DEFAULT_LEVEL

    def _take(self, version: Version) -> None:
        self._subjects.setdefault(version.subject, {})[version.number] = version
        self._last_id = max(self._last_id, version.schema_id)
        if version.text is not None:
            self._texts[version.schema_id] = version.text
            self._ids[identity(version.text)] = version.schema_id
        elif not any(
            v.schema_id == version.schema_id and v.text is not None
            for versions in self._subjects.values()
            for v in versions.values()
        ):
            text = self._texts.pop(version.schema_id, None)
            if text is not None:
                del self._ids[identity(text)]


def _version(subject: str, number: int, value: Mapping[str, Any]) -> Version:
    if value.get("schemaType", "AVRO") != "AVRO" or value.get("references"):
        raise TopicMismatch(
            f"Version {number} of {subject} in the registry's topic is {value.get('schemaType', 'AVRO')} "
            "with or without references; this registry keeps Avro without references only."
        )
    match value:
        case {"id": int(schema_id), "schema": str() | None as text}:
            return Version(subject, number, schema_id, text, bool(value.get("deleted")))
    raise TopicMismatch(f"Version {number} of {subject} in the registry's topic has no id or no schema.")


def _key(keytype: str, **fields: str | int | None) -> bytes:
    return _json({"keytype": keytype, **fields, "magic": _MAGIC[keytype]})


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _record(raw: bytes) -> dict[str, Any]:
    try:
        said = json.loads(raw)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise TopicMismatch(f"The registry's topic holds a record that is no JSON object: {raw[:80]!r}.")
    return said


def _plain(schema: Any) -> Any:
    """The schema with {"type": "string"} written as "string"."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if isinstance(schema, dict):
        if schema.keys() == {"type"} and isinstance(schema["type"], str):
            return schema["type"]
        return {name: _plain(part) for name, part in schema.items()}
    return schema
