"""What each request of the Confluent Schema Registry API means here: Avro, without references or contexts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from connectors.registry.catalogue import Catalogue, Version, identity, level_record
from connectors.registry.compatibility import AvroSchema, incompatibilities, parse_avro
from connectors.registry.requests import GivenSchema, Query, Refused, level_in, positive, schema_in
from connectors.registry.store import SchemaStore
from schemas.errors import StoreUnavailable, TopicMismatch

_MODE = {"mode": "READWRITE"}


class RegistryApi:
    """Answers requests from the catalogue; writes go through the store, which applies them to it."""

    def __init__(self, catalogue: Catalogue, store: SchemaStore) -> None:
        self._catalogue = catalogue
        self._store = store

    def answer(self, method: str, path: Sequence[str], query: Mapping[str, str], body: Any) -> Any:
        """JSON value to answer with.

        Args:
            method: GET, POST, PUT or DELETE.
            path: its decoded segments.
            query: the last value of each parameter.
            body: the decoded JSON of a POST or PUT, else None.

        Raises:
            Refused: with Confluent's error code.
        """
        try:
            return self._route(method, path, Query(query), body)
        except (StoreUnavailable, TopicMismatch) as err:
            raise Refused(50001, str(err)) from err

    def _route(self, method: str, path: Sequence[str], query: Query, body: Any) -> Any:
        match method, *path:
            case ["GET"]:
                return {}
            case ["GET", "subjects"]:
                return self._subjects(query)
            case ["POST", "subjects", subject]:
                return self._look_up(subject, schema_in(body), deleted=query.flag("deleted"))
            case ["DELETE", "subjects", subject]:
                return self._delete_subject(subject, permanent=query.flag("permanent"))
            case ["GET", "subjects", subject, "versions"]:
                return [v.number for v in self._versions(subject, deleted=query.flag("deleted"))]
            case ["POST", "subjects", subject, "versions"]:
                return self._register(subject, schema_in(body))
            case ["GET", "subjects", subject, "versions", number]:
                return _told(self._version(subject, number, deleted=query.flag("deleted")))
            case ["GET", "subjects", subject, "versions", number, "schema"]:
                return json.loads(self._version(subject, number, deleted=query.flag("deleted")).text or "null")
            case ["GET", "subjects", subject, "versions", number, "referencedby"]:
                self._version(subject, number)
                return []
            case ["DELETE", "subjects", subject, "versions", number]:
                return self._delete_version(subject, number, permanent=query.flag("permanent"))
            case ["GET", "schemas", "types"]:
                return ["AVRO"]
            case ["GET", "schemas", "ids", number, *what]:
                return self._by_id(number, what, query)
            case ["POST", "compatibility", "subjects", subject, "versions", *numbers]:
                return self._compatible(subject, numbers, schema_in(body), verbose=query.flag("verbose"))
            case [_, "config", *names] if len(names) < 2:
                return self._config(method, names[0] if names else None, query, body)
            case ["GET", "mode"] | ["GET", "mode", _]:
                return _MODE
            case ["GET", "contexts"]:
                return ["."]
            case _:
                raise Refused(404, f"HTTP 404 Not Found: {method} /{'/'.join(path)}")

    def _subjects(self, query: Query) -> list[str]:
        names = self._catalogue.subjects(deleted=query.flag("deleted") or query.flag("deleted_only"))
        if query.flag("deleted_only"):
            live = set(self._catalogue.subjects())
            names = [name for name in names if name not in live]
        names = [name for name in names if name.startswith(query.text("subjectPrefix"))]
        first, most = query.count("offset") or 0, query.count("limit")
        return names[first:] if most is None else names[first : first + most]

    def _register(self, subject: str, schema: GivenSchema) -> dict[str, int]:
        known = self._same(subject, schema.text)
        if known is None:
            with self._store.writing():
                known = self._same(subject, schema.text)  # somebody may just have registered it
                if known is None:
                    earlier = self._versions(subject, deleted=None)
                    self._hold_to_level(subject, schema.avro, earlier)
                    known = Version(
                        subject,
                        self._catalogue.next_version(subject),
                        self._catalogue.id_of(schema.text),
                        schema.text,
                    )
                    self._store.append([known.record()])
        return {"id": known.schema_id}

    def _hold_to_level(self, subject: str, schema: AvroSchema, earlier: Sequence[Version]) -> None:
        level = self._catalogue.effective_level(subject)
        reasons = _reasons(level, schema, earlier)
        if reasons:
            raise Refused(
                409,
                "Schema being registered is incompatible with an earlier schema for subject "
                f'"{subject}" (compatibility {level}): {"; ".join(reasons)}',
            )

    def _look_up(self, subject: str, schema: GivenSchema, *, deleted: bool) -> dict[str, Any]:
        self._versions(subject, deleted=deleted)
        found = self._same(subject, schema.text, deleted=deleted)
        if found is None:
            raise Refused(40403, "Schema not found")
        return _told(found)

    def _by_id(self, number: str, what: Sequence[str], query: Query) -> Any:
        schema_id = positive(number, 40403, "Schema not found")
        text = self._catalogue.text(schema_id)
        if text is None:
            self._store.catch_up()  # a 404 is final for whoever asks
            text = self._catalogue.text(schema_id)
        if text is None:
            raise Refused(40403, f"Schema {schema_id} not found")
        holders = [
            version
            for subject in self._catalogue.subjects(deleted=query.flag("deleted"))
            for version in self._catalogue.versions(subject, deleted=query.flag("deleted"))
            if version.schema_id == schema_id
        ]
        match what:
            case []:
                answer: dict[str, Any] = {"schema": text}
                return answer | ({"maxId": self._catalogue.last_id} if query.flag("fetchMaxId") else {})
            case ["schema"]:
                return json.loads(text)
            case ["subjects"]:
                return sorted({version.subject for version in holders})
            case ["versions"]:
                return [{"subject": version.subject, "version": version.number} for version in holders]
            case _:
                raise Refused(404, f"HTTP 404 Not Found: /schemas/ids/{number}/{'/'.join(what)}")

    def _compatible(
        self, subject: str, numbers: Sequence[str], schema: GivenSchema, *, verbose: bool
    ) -> dict[str, Any]:
        level = self._catalogue.effective_level(subject)
        match numbers:
            case []:
                earlier = self._versions(subject, deleted=None)
            case ["latest" | "-1"]:
                earlier = self._versions(subject, deleted=None)[-1:]
            case [number]:
                earlier = [self._version(subject, number)]
            case _:
                raise Refused(404, "HTTP 404 Not Found")
        reasons = _reasons(level, schema.avro, earlier)
        return {"is_compatible": not reasons} | ({"messages": reasons} if verbose else {})

    def _delete_subject(self, subject: str, *, permanent: bool) -> list[int]:
        with self._store.writing():
            live = self._catalogue.versions(subject)
            gone = self._versions(subject, deleted=True)
            if permanent and live:
                raise Refused(40405, f"Subject '{subject}' was not deleted first before being permanently deleted")
            if not permanent and not live:
                raise Refused(40404, f"Subject '{subject}' was soft deleted.")
            chosen = gone if permanent else live
            level = [level_record(subject, None)] if self._catalogue.level(subject) else []
            self._store.append([*(_without(v, permanent=permanent).record() for v in chosen), *level])
        return [version.number for version in chosen]

    def _delete_version(self, subject: str, number: str, *, permanent: bool) -> int:
        with self._store.writing():
            version = self._version(subject, number, deleted=True)
            if permanent and not version.deleted:
                raise Refused(40407, f"Subject '{subject}' Version {number} was not deleted first")
            if not permanent and version.deleted:
                raise Refused(40406, f"Subject '{subject}' Version {number} was soft deleted.")
            self._store.append([_without(version, permanent=permanent).record()])
        return version.number

    def _config(self, method: str, subject: str | None, query: Query, body: Any) -> dict[str, str]:
        own = self._catalogue.level(subject)
        match method:
            case "GET" if own or subject is None or query.flag("defaultToGlobal"):
                return {"compatibilityLevel": self._catalogue.effective_level(subject or "")}
            case "PUT":
                level = level_in(body)
                with self._store.writing():
                    if self._catalogue.level(subject) != level:
                        self._store.append([level_record(subject, level)])
                return {"compatibility": level}
            case "DELETE" if own or subject is None:
                before = self._catalogue.effective_level(subject or "")
                with self._store.writing():
                    self._store.append([level_record(subject, None)])
                return {"compatibilityLevel": before}
            case "GET" | "DELETE":
                raise Refused(40408, f"Subject '{subject}' does not have subject-level compatibility configured")
            case _:
                raise Refused(405, f"HTTP 405 Method Not Allowed: {method} /config")

    def _versions(self, subject: str, *, deleted: bool | None) -> list[Version]:
        """Versions of a subject that must exist; with None, the live ones of one that need not."""
        found = self._catalogue.versions(subject, deleted=bool(deleted))
        if not found and deleted is not None:
            self._store.catch_up()
            found = self._catalogue.versions(subject, deleted=deleted)
            if not found:
                raise Refused(40401, f"Subject '{subject}' not found.")
        return found

    def _version(self, subject: str, number: str, *, deleted: bool = False) -> Version:
        versions = self._versions(subject, deleted=deleted)
        if number in ("latest", "-1"):
            return versions[-1]
        wanted = positive(number, 42202, f"The specified version '{number}' is not a valid version id")
        for version in versions:
            if version.number == wanted:
                return version
        raise Refused(40402, f"Version {wanted} not found.")

    def _same(self, subject: str, text: str, *, deleted: bool = False) -> Version | None:
        wanted = identity(text)
        versions = self._catalogue.versions(subject, deleted=deleted)
        return next((v for v in reversed(versions) if v.text and identity(v.text) == wanted), None)


def _reasons(level: str, schema: AvroSchema, earlier: Sequence[Version]) -> list[str]:
    labelled = [(f"version {v.number}", parse_avro(v.text)) for v in earlier if v.text is not None]
    return incompatibilities(level, schema, labelled)


def _told(version: Version) -> dict[str, Any]:
    return {
        "subject": version.subject,
        "version": version.number,
        "id": version.schema_id,
        "schema": version.text,
    }


def _without(version: Version, *, permanent: bool) -> Version:
    return replace(version, deleted=True, text=None if permanent else version.text)
