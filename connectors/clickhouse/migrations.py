"""Forward-only, numbered migrations: schemas/clickhouse/NNN_name.sql, applied in order, once.

A file holds statements that end with ``;`` at the end of a line, and each of them can be repeated (IF NOT
EXISTS): when we are killed in the middle of a file it is applied again. What has been applied is in the table
schema_migrations with a checksum, so that a file that is changed afterwards is an error instead of a surprise.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from clickhouse_connect.driver.client import Client

from connectors.clickhouse.client import connect, mapped_errors
from connectors.clickhouse.connection import ClickHouseConnection
from schemas.errors import SchemaIncompatible

_FILE_NAME = re.compile(r"(\d{3})_[a-z0-9_]+\.sql\Z")
_END_OF_STATEMENT = re.compile(r";[ \t]*$", re.MULTILINE)

_HISTORY = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    name       String,
    checksum   String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY name
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its name, SHA-256 of its text, its statements in order."""

    name: str
    checksum: str
    statements: tuple[str, ...]

    @classmethod
    def of(cls, name: str, text: str) -> "Migration":
        """Cut the text into statements; what is only comment is none."""
        pieces = (piece.strip() for piece in _END_OF_STATEMENT.split(text))
        statements = tuple(piece for piece in pieces if _without_comments(piece))
        return cls(name, hashlib.sha256(text.encode()).hexdigest(), statements)


def migrations() -> list[Migration]:
    """The migrations of this version, in order.

    Raises:
        SchemaIncompatible: a file is misnamed, or a number is missing or there twice.
    """
    found = sorted(
        (file.name, file.read_text("utf-8"))
        for file in files("schemas").joinpath("clickhouse").iterdir()
        if file.name.endswith(".sql")
    )
    for expected, (name, _text) in enumerate(found, start=1):
        named = _FILE_NAME.match(name)
        if named is None or int(named.group(1)) != expected:
            raise SchemaIncompatible(
                f"schemas/clickhouse/{name}: migrations are named NNN_name.sql and numbered without gaps, "
                f"expected {expected:03d}_..."
            )
    return [Migration.of(name, text) for name, text in found]


def pending(every: Sequence[Migration], applied: dict[str, str]) -> list[Migration]:
    """Which migrations are still to be applied. ``applied``: checksum by name, as the database has it.

    Raises:
        SchemaIncompatible: an applied file has changed since, or the database is ahead of this version.
    """
    known = {migration.name for migration in every}
    ahead = sorted(applied.keys() - known)
    if ahead:
        raise SchemaIncompatible(
            f"The database has migrations that this version does not know: {', '.join(ahead)}. "
            "Use the version that applied them, or a newer one."
        )
    for migration in every:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise SchemaIncompatible(
                f"schemas/clickhouse/{migration.name} has changed since it was applied "
                f"(sha256 {applied[migration.name][:12]} then, {migration.checksum[:12]} now). "
                "Restore it and put the change into a new migration."
            )
    return [migration for migration in every if migration.name not in applied]


def migrate(connection: ClickHouseConnection) -> list[str]:
    """Create the connection's database and apply what it lacks; return the names of the files applied now.

    A user who may only read and insert can call this when nothing is lacking.

    Raises:
        SchemaIncompatible: see ``pending``.
        StoreUnavailable, SettingsError, StatementRejected: see ``connect``.
    """
    every = migrations()
    with mapped_errors(connection):
        _create_database(connection)
        client = connect(connection)
        try:
            if not client.command("EXISTS TABLE schema_migrations"):
                client.command(_HISTORY)
            missing = pending(every, _applied(client))
            for migration in missing:
                for statement in migration.statements:
                    client.command(statement)
                client.insert(
                    "schema_migrations", [[migration.name, migration.checksum]], column_names=["name", "checksum"]
                )
        finally:
            client.close()
    return [migration.name for migration in missing]


def _create_database(connection: ClickHouseConnection) -> None:
    client = connect(connection, database="default")
    try:
        if not client.command(f"EXISTS DATABASE {connection.database}"):
            client.command(f"CREATE DATABASE IF NOT EXISTS {connection.database}")
    finally:
        client.close()


def _applied(client: Client) -> dict[str, str]:
    rows = client.query("SELECT name, checksum FROM schema_migrations FINAL").result_rows
    return {str(name): str(checksum) for name, checksum in rows}


def _without_comments(sql: str) -> str:
    return re.sub(r"--[^\n]*", "", sql).strip()
