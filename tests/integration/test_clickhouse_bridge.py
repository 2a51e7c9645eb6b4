"""clickhouse-connect, its asyncio client and plain HTTP against the embedded engine."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from connectors.clickhouse.client import connect, connect_async, mapped_errors
from connectors.clickhouse.connection import ClickHouseConnection
from connectors.clickhouse.embedded import EmbeddedClickHouse
from schemas.errors import DataDirHeld, EmbeddedUnavailable, StatementRejected, StoreUnavailable

TURKISH = "Çağrı merkezi: İstanbul'da ığdır şöyle"
AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture
def database(clickhouse: ClickHouseConnection) -> ClickHouseConnection:
    """A database of the test's own, with one table."""
    connection = clickhouse.model_copy(update={"database": f"d{uuid.uuid4().hex[:10]}"})
    client = connect(connection, database="default")
    client.command(f"CREATE DATABASE {connection.database}")
    client.command(
        f"CREATE TABLE {connection.database}.t (a Int64, s Nullable(String), at DateTime64(3, 'UTC')) "
        "ENGINE = MergeTree ORDER BY a"
    )
    return connection


@pytest.fixture
def client(database: ClickHouseConnection) -> Client:
    return connect(database)


def test_rows_go_in_and_come_out_with_turkish_text_and_nulls(client: Client) -> None:
    rows = [(1, TURKISH, AT), (2, None, AT)]
    summary = client.insert("t", rows, column_names=["a", "s", "at"])
    assert summary.written_rows == 2
    assert client.query("SELECT * FROM t ORDER BY a").result_rows == rows


def test_arrow_goes_in_and_comes_out(client: Client) -> None:
    table = pa.table({"a": [1, 2], "s": ["ğ", None], "at": pa.array([AT, AT], pa.timestamp("ms", tz="UTC"))})
    client.insert_arrow("t", table)
    assert client.query_arrow("SELECT * FROM t ORDER BY a").to_pylist() == table.to_pylist()


def test_parameters_are_bound_by_the_engine(client: Client) -> None:
    hostile = "'); DROP TABLE t; --"
    client.insert("t", [(7, hostile, AT)], column_names=["a", "s", "at"])
    found = client.query("SELECT a FROM t WHERE s = {s:String}", parameters={"s": hostile})
    assert found.result_rows == [(7,)]
    many = {"ids": list(range(20_000))}  # too long for an address: sent as a form
    assert client.query("SELECT count() FROM t WHERE a IN {ids:Array(Int64)}", parameters=many).result_rows == [(1,)]


def test_a_result_without_rows_has_its_columns(client: Client) -> None:
    assert client.query("SELECT * FROM t WHERE a < 0").column_names == ("a", "s", "at")


def test_settings_are_of_one_statement_only(client: Client) -> None:
    limited = client.query("SELECT getSetting('max_threads')", settings={"max_threads": 1})
    assert limited.result_rows == [(1,)]
    assert client.query("SELECT getSetting('max_block_size')").result_rows != [(17,)]
    with pytest.raises(DatabaseError, match="Limit for result exceeded") as refused:
        client.query("SELECT number FROM numbers(100)", settings={"max_result_rows": 10})
    assert refused.value.code == 396


@pytest.mark.parametrize("codec", ["lz4", "zstd", "gzip"])
def test_bodies_are_compressed_both_ways(database: ClickHouseConnection, codec: str) -> None:
    client = clickhouse_connect.get_client(**database.client_arguments(), database=database.database, compress=codec)
    rows = [(i, "same " * 20, AT) for i in range(2000)]
    client.insert("t", rows, column_names=["a", "s", "at"])
    assert client.query("SELECT count(), uniqExact(s) FROM t").result_rows == [(2000, 1)]
    assert len(client.query("SELECT * FROM t").result_rows) == 2000


def test_a_refused_statement_has_the_code_and_words_of_the_engine(
    database: ClickHouseConnection, client: Client
) -> None:
    with pytest.raises(StatementRejected, match=r"Code: 60\. DB::Exception: .*nope"), mapped_errors(database):
        client.query("SELECT * FROM nope")
    with pytest.raises(DatabaseError) as refused:
        client.raw_insert("t", ["a"], "not a number\n", fmt="CSV")
    assert refused.value.code == 117
    assert client.query("SELECT count() FROM t").result_rows == [(0,)]


def test_an_unknown_database_is_refused_when_connecting(clickhouse: ClickHouseConnection) -> None:
    with pytest.raises(StatementRejected, match="nowhere"):
        connect(clickhouse, database="nowhere")


def test_the_asyncio_client_works_too(database: ClickHouseConnection) -> None:
    async def rows() -> object:
        client = await connect_async(database)
        try:
            await client.insert("t", [(1, TURKISH, AT)], column_names=["a", "s", "at"])
            results = await asyncio.gather(*(client.query("SELECT a, s FROM t") for _ in range(20)))
            return [result.result_rows for result in results]
        finally:
            await client.close()

    assert asyncio.run(rows()) == [[(1, TURKISH)]] * 20


def ask(
    connection: ClickHouseConnection, query: str = "", body: bytes | None = None, headers: dict[str, str] | None = None
) -> str:
    """The answer of plain HTTP, as curl would have it."""
    address = f"{connection.url}/?query={quote(query)}&database={connection.database}"
    with urllib.request.urlopen(urllib.request.Request(address, data=body, headers=headers or {})) as answer:  # noqa: S310 - http of our own
        text: str = answer.read().decode()
        return text


def test_plain_http_works_as_with_curl(database: ClickHouseConnection) -> None:
    assert ask(database, "INSERT INTO t (a, s) FORMAT CSV", b'1,"x"\n2,"y"\n') == ""
    assert ask(database, body=b"SELECT a, s FROM t ORDER BY a") == "1\tx\n2\ty\n"
    assert ask(database, "SELECT a FROM t ORDER BY a FORMAT JSONEachRow") == '{"a":1}\n{"a":2}\n'


def test_a_get_changes_nothing(database: ClickHouseConnection) -> None:
    with pytest.raises(HTTPError) as refused:
        ask(database, "DROP TABLE t")
    assert refused.value.code == 403
    assert refused.value.headers["X-ClickHouse-Exception-Code"] == "164"
    refused.value.close()


@pytest.mark.parametrize("header", [{"Origin": "https://elsewhere.example"}, {"Host": "elsewhere.example"}])
def test_a_web_page_cannot_ask(database: ClickHouseConnection, header: dict[str, str]) -> None:
    with pytest.raises(HTTPError) as refused:
        ask(database, body=b"SELECT 1", headers=header)
    assert refused.value.code == 403
    refused.value.close()


def test_reads_do_not_wait_for_a_long_statement(database: ClickHouseConnection, client: Client) -> None:
    asleep = threading.Thread(
        target=connect(database).query,
        args=("SELECT sum(sleepEachRow(1)) FROM numbers(3) SETTINGS max_block_size = 1",),
    )
    asleep.start()
    began = time.monotonic()
    for _ in range(5):
        client.query("SELECT count() FROM t")
    assert asleep.is_alive()
    assert time.monotonic() - began < 2.0
    asleep.join()


def test_acknowledged_rows_are_there_after_a_kill_and_the_port_is_the_same(tmp_path: Path) -> None:
    engine = EmbeddedClickHouse(tmp_path)
    first = engine.start()
    client = connect(first, database="default")
    client.command("CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a")
    for i in range(20):
        client.insert("t", [[i]], column_names=["a"])
    pid = engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    engine.stop()
    with pytest.raises(StoreUnavailable, match="does not answer"), mapped_errors(first):
        client.query("SELECT 1")
    again = EmbeddedClickHouse(tmp_path)
    try:
        assert again.start() == first
        assert client.query("SELECT count(), uniqExact(a) FROM t").result_rows == [(20, 20)]
    finally:
        again.stop()


def test_a_held_directory_a_taken_port_and_a_clean_stop_are_told_clearly(tmp_path: Path) -> None:
    engine = EmbeddedClickHouse(tmp_path / "one")
    port = int(engine.start().url.rsplit(":", 1)[1])
    pid = engine.pid
    with pytest.raises(EmbeddedUnavailable, match=f"port {port} of 127"):
        EmbeddedClickHouse(tmp_path / "two", port=port).start()
    with pytest.raises(DataDirHeld, match=rf"pid {pid}.*another directory"):
        EmbeddedClickHouse(tmp_path / "one").start()
    engine.stop()
    assert engine.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid or 0, 0)


def test_the_engine_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys, time; from connectors.clickhouse.embedded import EmbeddedClickHouse\n"
        "engine = EmbeddedClickHouse(pathlib.Path(sys.argv[1])); engine.start()\n"
        "print(engine.pid, flush=True); time.sleep(120)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline()) > 0
        parent.kill()
    engine = EmbeddedClickHouse(tmp_path)
    deadline = time.monotonic() + 20
    while True:
        try:
            engine.start()
            break
        except DataDirHeld:  # the kernel is still taking it down
            assert time.monotonic() < deadline
    engine.stop()
