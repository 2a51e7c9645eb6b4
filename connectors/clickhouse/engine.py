"""The embedded ClickHouse engine (chDB): one directory, owned by the process that opens it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from connectors.clickhouse.statements import Command, Insert, Read, Statement

_CODE = re.compile(r"Code: (\d+)\.")
_SETTING_NAME = re.compile(r"[A-Za-z_]\w*\Z")
_UNKNOWN_SETTING = 115


class Refused(Exception):
    """The engine refused a statement: its code and its words, from ``Code: `` on."""

    def __init__(self, said: str) -> None:
        text = said[max(said.find("Code: "), 0) :].strip()
        super().__init__(text)
        found = _CODE.match(text)
        self.code = int(found.group(1)) if found else 1001  # STD_EXCEPTION


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave. ``format`` is None when it has no result; ``summary`` speaks as the server does."""

    body: bytes
    format: str | None
    summary: Mapping[str, str]


class Engine:
    """Runs statements for many threads at once.

    Each runs on a connection of its own (1 ms): its database and settings reach nobody else, and a read does
    not wait for an insert. Connections are thread-safe, but take one statement at a time.
    """

    def __init__(self, directory: Path) -> None:
        """Open or create the directory.

        Raises:
            Refused: another process has it open, or it cannot be written.
            ImportError: chdb is not installed.
        """
        import chdb  # noqa: PLC0415 - 200 MB that only the process that owns the engine needs

        self._connect = chdb.connect
        self._path = str(directory)
        try:
            self._home = chdb.connect(self._path)  # the engine lives as long as one connection
        except RuntimeError as e:
            raise Refused(str(e)) from e
        version, self.timezone, self.host = (
            self._home.query("SELECT version(), timezone(), hostName()", "TSV").bytes().decode().split()
        )
        self.version: str = version

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._home.close()

    def run(
        self,
        statement: Statement,
        *,
        database: str | None = None,
        settings: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        default_format: str = "TabSeparated",
    ) -> Answer:
        """Run one statement. Blocks; the interpreter is free meanwhile.

        Raises:
            Refused: the engine refused it, its database or a setting.
        """
        connection = self._connect(self._path)
        try:
            if database:
                connection.query(f"USE `{_escaped(database, '`')}`")
            if settings:
                connection.query(_set_statement(settings))
            return _run(connection, statement, dict(params or {}), default_format)
        except RuntimeError as e:  # chdb's own error is one too
            raise Refused(str(e)) from e
        finally:
            connection.close()


def _run(connection: Any, statement: Statement, params: dict[str, str], default_format: str) -> Answer:
    match statement:
        case Insert(head, form, data):
            if params:  # a streamed insert takes none
                result = connection.query(head + b"FORMAT " + form.encode() + b"\n" + data, params=params)
                return Answer(b"", None, _written(result))
            inserter = connection.send_insert(head.decode(), form)
            try:
                if data:
                    inserter.append(data)
                return Answer(b"", None, _written(inserter.finish()))
            finally:
                inserter.close()
        case Read(bare, form):
            chosen = form or default_format
            result = connection.query(bare, chosen, params=params)
            body = result.bytes() or b""
            if not body and chosen == "Native":
                body = _empty_block(connection, bare, params)
            return Answer(body, chosen, _read(result))
        case Command(text):
            result = connection.query(text, default_format, params=params)
            return Answer(result.bytes() or b"", None, _written(result))


def _empty_block(connection: Any, bare: bytes, params: dict[str, str]) -> bytes:
    """A Native block of no rows that names the columns, as a server sends; the engine sends nothing."""
    meta = json.loads(connection.query(bare, "JSONCompact", params=params).bytes())["meta"]
    words = [word.encode() for column in meta for word in (column["name"], column["type"])]
    return _varint(len(meta)) + _varint(0) + b"".join(_varint(len(word)) + word for word in words)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _set_statement(settings: Mapping[str, str]) -> str:
    for name in settings:
        if not _SETTING_NAME.match(name):
            raise Refused(f"Code: {_UNKNOWN_SETTING}. DB::Exception: Unknown setting {name!r}. (UNKNOWN_SETTING)")
    return "SET " + ", ".join(f"{name} = '{_escaped(value, chr(39))}'" for name, value in settings.items())


def _escaped(text: str, quote: str) -> str:
    return text.replace("\\", "\\\\").replace(quote, "\\" + quote)


def _read(result: Any) -> dict[str, str]:
    return {
        "read_rows": str(result.storage_rows_read()),
        "read_bytes": str(result.storage_bytes_read()),
        "result_rows": str(result.rows_read()),
        "elapsed_ns": str(int(result.elapsed() * 1e9)),
    }


def _written(result: Any) -> dict[str, str]:
    """Of a query's result, where these are methods, or of a finished insert, where they are numbers."""
    rows, size = result.rows_written, result.bytes_written
    return {
        "written_rows": str(rows() if callable(rows) else rows),
        "written_bytes": str(size() if callable(size) else size),
    }
