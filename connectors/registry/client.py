"""What we ask of a schema registry: give an id to a schema, and the schema of an id."""

import base64
import http.client
import json
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from connectors.registry.connection import RegistryConnection
from connectors.tls import client_context
from schemas.errors import SchemaIncompatible, SettingsError, StoreUnavailable, UnknownSchema
from schemas.topics import TopicNames, avro_schema, topics

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_MAX_ANSWER_BYTES = 16 * 1024 * 1024
_MAX_SCHEMA_ID = 2**31 - 1  # registries count in Java's int and answer anything to a larger one
_SUBJECT_HAS_NO_LEVEL = 40408
_NO_SUCH_SCHEMA = 40403


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: Any

    @property
    def error_code(self) -> int | None:
        return self.body.get("error_code") if isinstance(self.body, dict) else None

    @property
    def message(self) -> str:
        said = self.body.get("message") if isinstance(self.body, dict) else None
        return f"HTTP {self.status}: {said or 'no message of a schema registry'}"


class SchemaRegistry:
    """Client of one registry; sync, and safe to share between threads.

    Every method raises StoreUnavailable when the registry does not answer as one within ``timeout_s`` (of
    each step of the connection), and SettingsError when it refuses our credentials or certificate.
    """

    def __init__(self, connection: RegistryConnection, *, timeout_s: float = 5.0) -> None:
        self._url = connection.url
        self._parts = urlsplit(connection.url)
        self._timeout_s = timeout_s
        self._headers = {"Accept": f"{_MEDIA_TYPE}, application/json", "Content-Type": _MEDIA_TYPE}
        if connection.user is not None and connection.password is not None:
            pair = f"{connection.user}:{connection.password.get_secret_value()}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        is_https = self._parts.scheme == "https"
        self._tls = client_context(connection.ca_file, setting="registry.ca_file") if is_https else None
        self._texts: dict[int, str] = {}

    def register(self, subject: str, schema_text: str) -> int:
        """Id of the Avro schema under ``subject``, registered if it is new there.

        Raises:
            SchemaIncompatible: an earlier version of the subject does not allow it, or it is no schema.
        """
        path = f"/subjects/{quote(subject, safe='')}/versions"
        answer = self._ask("POST", path, {"schema": schema_text})
        if answer.status in (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY):
            raise SchemaIncompatible(
                f"The schema registry at {self._url} refused the schema of {subject}: {answer.message}"
            )
        return int(self._field(answer, "id"))

    def schema(self, schema_id: int) -> str:
        """Text of a registered schema; found ones are remembered.

        Raises:
            UnknownSchema: the registry has no such id. Never remembered: it may be registered later.
        """
        text = self._texts.get(schema_id)
        if text is None:
            if not 0 < schema_id <= _MAX_SCHEMA_ID:
                raise UnknownSchema(f"{schema_id} cannot be the id of a schema")
            answer = self._ask("GET", f"/schemas/ids/{schema_id}")
            if answer.error_code == _NO_SUCH_SCHEMA:
                raise UnknownSchema(f"the schema registry at {self._url} has no schema {schema_id}")
            text = self._texts[schema_id] = str(self._field(answer, "schema"))
        return text

    def set_compatibility(self, subject: str, level: str) -> None:
        """Hold new versions of ``subject`` to ``level``, such as FULL_TRANSITIVE; writes only a change."""
        path = f"/config/{quote(subject, safe='')}"
        answer = self._ask("GET", path)
        if answer.error_code != _SUBJECT_HAS_NO_LEVEL and self._field(answer, "compatibilityLevel") == level:
            return
        self._field(self._ask("PUT", path, {"compatibility": level}), "compatibility")

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> _Answer:
        connection = self._connect()
        content = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, self._parts.path + path, content, self._headers)
            response = connection.getresponse()
            raw = response.read(_MAX_ANSWER_BYTES)
        except ssl.SSLCertVerificationError as err:
            raise SettingsError(
                f"The certificate of the schema registry at {self._url} is not trusted ({err.verify_message}): "
                "name the authority that signed it with registry.ca_file."
            ) from err
        except (OSError, http.client.HTTPException) as err:
            raise StoreUnavailable(
                f"The schema registry at {self._url} did not answer: "
                f"{getattr(err, 'strerror', None) or err or type(err).__name__}. "
                "Is it running, and is registry.url right?"
            ) from err
        finally:
            connection.close()
        try:
            answer = _Answer(response.status, json.loads(raw))
        except ValueError:
            answer = _Answer(response.status, None)
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise SettingsError(
                f"The schema registry at {self._url} does not let this user {method} {path}: {answer.message}. "
                "Check the registry's user and password (registry.user, registry.password)."
            )
        return answer

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)

    def _field(self, answer: _Answer, name: str) -> Any:
        """The named field of a good answer; any other answer is not one of a registry in order."""
        if answer.status != HTTPStatus.OK:
            raise StoreUnavailable(
                f"The schema registry at {self._url} could not answer: {answer.message}. Is registry.url right?"
            )
        if not isinstance(answer.body, dict) or name not in answer.body:
            raise StoreUnavailable(
                f"{self._url} answered without {name!r}: it does not speak as a schema registry. Check the URL."
            )
        return answer.body[name]


def register_contract(registry: SchemaRegistry, names: TopicNames) -> dict[str, int]:
    """Register the schema of every topic that has one, with its compatibility; the same again changes nothing.

    Returns:
        Schema id by declared topic name.

    Raises:
        SchemaIncompatible: the registry holds a version that does not allow ours.
    """
    ids: dict[str, int] = {}
    for topic in topics().values():
        if topic.schema_name is not None and topic.compatibility is not None:
            subject = names.subject(topic.name)
            registry.set_compatibility(subject, topic.compatibility)
            ids[topic.name] = registry.register(subject, avro_schema(topic.schema_name))
    return ids
