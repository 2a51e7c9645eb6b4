"""Errors of ClickHouse and of the way to it become ours, by what can be done about them."""

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from connectors.clickhouse.client import mapped_errors
from connectors.clickhouse.connection import ClickHouseConnection
from schemas.errors import FrictionError, SettingsError, StatementRejected, StoreUnavailable

CONNECTION = ClickHouseConnection(url="http://ch.example:8123", user="ada")


@pytest.mark.parametrize(
    ("raised", "ours"),
    [
        (OperationalError("Error Connection refused executing HTTP request"), StoreUnavailable),
        (DatabaseError("HTTP driver received HTTP status 503, server response: <html>"), StoreUnavailable),
        (DatabaseError("too many parts", code=252, name="TOO_MANY_PARTS"), StoreUnavailable),
        (DatabaseError("memory limit", code=241), StoreUnavailable),
        (TimeoutError("timed out"), StoreUnavailable),
        (DatabaseError("unknown table", code=60), StatementRejected),
        (DatabaseError("HTTP driver received HTTP status 404"), StatementRejected),
        (DatabaseError("authentication failed", code=516), SettingsError),
    ],
)
def test_an_error_says_whether_to_wait_to_give_up_or_to_change_a_setting(
    raised: Exception, ours: type[FrictionError]
) -> None:
    with pytest.raises(ours, match=r"http://ch\.example:8123"), mapped_errors(CONNECTION):
        raise raised


def test_refused_credentials_name_the_user_and_what_to_set() -> None:
    with pytest.raises(SettingsError, match=r"'ada'.*clickhouse\.password"), mapped_errors(CONNECTION):
        raise DatabaseError("Authentication failed", code=516)


def test_a_page_of_html_from_something_else_at_the_address_is_cut_to_its_words() -> None:
    page = "<html><head><style>p {color: red}</style></head><body><h1>Sorry</h1>\n<p>no</p></body></html>"
    with pytest.raises(StoreUnavailable, match=r"503 : Sorry no\. Is it running"), mapped_errors(CONNECTION):
        raise DatabaseError(f"HTTP driver received HTTP status 503 : {page}")


@pytest.mark.parametrize("code", [60, 81])
def test_a_missing_table_or_database_says_who_makes_it(code: int) -> None:
    with pytest.raises(StatementRejected, match=r"is not there `friction land` makes the"), mapped_errors(CONNECTION):
        raise DatabaseError("is not there", code=code)
