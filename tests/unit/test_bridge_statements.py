"""The bridge tells reads, inserts with data and commands apart, wherever the text and the data are."""

import pytest

from connectors.clickhouse.statements import Command, Insert, Read, Statement, parsed


@pytest.mark.parametrize(
    ("query", "body", "meant"),
    [
        (b"", b"SELECT 1", Read(b"SELECT 1", None)),
        (b"SELECT 1;", b"", Read(b"SELECT 1", None)),
        (b"", b"-- why\n WITH 1 AS x SELECT x\n FORMAT Native", Read(b"-- why\n WITH 1 AS x SELECT x", "Native")),
        (b"", b"select 'a FORMAT b' format JSON ;", Read(b"select 'a FORMAT b'", "JSON")),
        (b"", b"SELECT 1 FORMAT CSV SETTINGS max_threads = 1", Read(b"SELECT 1  SETTINGS max_threads = 1", "CSV")),
        (b"(SELECT 1)", b"", Read(b"(SELECT 1)", None)),
        (b"", b"INSERT INTO t (a, `format`) FORMAT Native\n\x01\x00SELECT",
         Insert(b"INSERT INTO t (a, `format`) ", "Native", b"\x01\x00SELECT")),
        (b"INSERT INTO t FORMAT CSV", b"1,2\n", Insert(b"INSERT INTO t ", "CSV", b"1,2\n")),
        (b"INSERT INTO t FORMAT CSV 1\n", b"2\n", Insert(b"INSERT INTO t ", "CSV", b"1\n2\n")),
        (b"INSERT INTO FUNCTION f('x FORMAT y', (SELECT 1)) FORMAT TSV", b"",
         Insert(b"INSERT INTO FUNCTION f('x FORMAT y', (SELECT 1)) ", "TSV", b"")),
        (b"INSERT INTO t VALUES", b"(1),(2)", Command(b"INSERT INTO t VALUES\n(1),(2)")),
        (b"", b"INSERT INTO t SELECT 1 FORMAT Null", Command(b"INSERT INTO t SELECT 1 FORMAT Null")),
        (b"DROP TABLE t", b"", Command(b"DROP TABLE t")),
        (b"", b"", Command(b"")),
    ],
)  # fmt: skip
def test_a_request_is_what_the_engine_would_make_of_it(query: bytes, body: bytes, meant: Statement) -> None:
    assert parsed(query, body) == meant
