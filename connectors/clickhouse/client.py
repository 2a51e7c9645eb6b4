"""clickhouse-connect clients for a ClickHouseConnection, and its errors in our words.

Errors come from every call of a client, not only from making one: put the calls under ``mapped_errors``.
"""

import ipaddress
import logging
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from connectors.clickhouse.connection import ClickHouseConnection
from schemas.errors import SettingsError, StatementRejected, StoreUnavailable

_CONNECT_TIMEOUT_S = 5
_ANSWER_TIMEOUT_S = 60

# Codes of ClickHouse that pass: too busy, too many parts, out of memory or disk, a replica or keeper away.
_PASSING = frozenset(
    (159, 173, 202, 203, 209, 210, 225, 236, 241, 242, 243, 252, 279, 285, 286, 319, 394, 439, 745, 999)
)
_WRONG_CREDENTIALS = frozenset((192, 193, 194, 516))
_NOT_THERE = frozenset((60, 81))  # a table, the database
_TAG = re.compile(r"<style.*?</style>|<[^>]*>", re.DOTALL)
_LONGEST_REASON = 200
_REFUSED = re.compile(r"received HTTP status (401|403|407)\b")  # by something that stands before ClickHouse


@contextmanager
def mapped_errors(connection: ClickHouseConnection) -> Iterator[None]:
    """Raise what clickhouse-connect raises as StoreUnavailable, StatementRejected or SettingsError."""
    try:
        yield
    except ClickHouseError as e:
        raise _mapped(e, connection) from e
    except (OSError, TimeoutError) as e:
        raise StoreUnavailable(f"ClickHouse at {connection.url} does not answer: {e}") from e


def connect(connection: ClickHouseConnection, *, database: str | None = None) -> Client:
    """A client that many threads may share. ``database`` is the connection's unless given; it must exist.

    UTC columns come back as aware datetimes.

    Raises:
        StoreUnavailable: ClickHouse does not answer, or is overloaded.
        SettingsError: user or password are wrong, or the certificate is not trusted.
        StatementRejected: the database does not exist.
    """
    with mapped_errors(connection):
        return clickhouse_connect.get_client(**_arguments(connection, database))


async def connect_async(connection: ClickHouseConnection, *, database: str | None = None) -> AsyncClient:
    """As ``connect``, for asyncio."""
    with mapped_errors(connection):
        return await clickhouse_connect.get_async_client(**_arguments(connection, database))


def _arguments(connection: ClickHouseConnection, database: str | None) -> dict[str, Any]:
    said = connection.client_arguments()
    for name in ("clickhouse_connect.driver", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they warn of what they then raise
    return {
        **said,
        "database": database or connection.database,
        "connect_timeout": _CONNECT_TIMEOUT_S,
        "send_receive_timeout": _ANSWER_TIMEOUT_S,
        "autogenerate_session_id": False,  # a session takes one statement at a time
        "compress": not _is_loopback(said["host"]),
        "tz_mode": "aware",
    }


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _mapped(
    error: ClickHouseError, connection: ClickHouseConnection
) -> StoreUnavailable | StatementRejected | SettingsError:
    code: int | None = getattr(error, "code", None)
    untrusted = _untrusted(error)
    if untrusted is not None:
        said = getattr(untrusted, "verify_message", untrusted)  # aiohttp's subclass has it in its text alone
        return SettingsError(
            f"The certificate of ClickHouse at {connection.url} is not trusted: {said}. Name the authority that signed "
            "it with clickhouse.ca_file, and the server as its certificate does."
        )
    if code in _WRONG_CREDENTIALS or (code is None and _REFUSED.search(str(error))):
        return SettingsError(
            f"ClickHouse at {connection.url} refuses user {connection.user!r}: the name or the password is wrong. "
            "Set clickhouse.user and clickhouse.password."
        )
    if code in _PASSING:
        return StoreUnavailable(f"ClickHouse at {connection.url} cannot take it now: {error}")
    if code is None and _is_of_the_transport(error):
        return StoreUnavailable(
            f"ClickHouse at {connection.url} does not answer: {_reason(error)}. "
            "Is it running, and is clickhouse.url right?"
        )
    remedy = " `friction land` makes the database and its tables." if code in _NOT_THERE else ""
    return StatementRejected(f"ClickHouse at {connection.url} refused a statement: {error}{remedy}")


def _untrusted(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error


def _is_of_the_transport(error: ClickHouseError) -> bool:
    """Without a code of ClickHouse: nobody answered, or something between us did, with a 5xx of its own."""
    return isinstance(error, OperationalError) or "received HTTP status 5" in str(error)


def _reason(error: ClickHouseError) -> str:
    """The network's own words, without the address and its settings around them, nor a page of HTML."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
    said = " ".join(_TAG.sub(" ", str(error)).split())
    return said if len(said) <= _LONGEST_REASON else f"{said[:_LONGEST_REASON]} ..."
