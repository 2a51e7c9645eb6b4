"""The page as a browser gets it, from a process of its own, with the real engine behind it."""

import asyncio
import html
import re
import signal
import socket
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.child import start_child, stop_child
from connectors.clickhouse.client import connect
from connectors.clickhouse.connection import ClickHouseConnection
from connectors.clickhouse.embedded import EmbeddedClickHouse
from connectors.clickhouse.migrations import migrate
from pipelines.page.board import Board, Poll
from tests.polling import wait_until

TURK = "Çağrı Işık"
SCRIPT = "<script>alert(1)</script>"

Page = tuple[subprocess.Popen[bytes], str]
StartPage = Callable[..., Page]


@pytest.fixture
def start_page(tmp_path: Path) -> Iterator[StartPage]:
    """Starts a page on a free port for a connection; process and address. All are stopped at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(clickhouse: ClickHouseConnection) -> Page:
        log = tmp_path / f"page{len(started)}.log"
        argv = [sys.executable, "-m", "pipelines.page", "--port", "0"]
        argv += ["--clickhouse", clickhouse.url, "--database", clickhouse.database]
        child = start_child(argv, log=log)
        started.append(child)

        def address() -> str | None:
            assert child.poll() is None, log.read_text("utf-8")
            said = re.search(r"page: (http://\S+)", log.read_text("utf-8"))
            return said.group(1) if said else None

        return child, wait_until(address) or ""

    yield start
    for child in started:
        stop_child(child, timeout_s=10)


@pytest.fixture
def own(clickhouse: ClickHouseConnection) -> ClickHouseConnection:
    """A database of this test; it does not exist yet."""
    return clickhouse.model_copy(update={"database": f"page_{uuid.uuid4().hex[:8]}"})


def get(address: str) -> str:
    """The page's HTML, with what is quoted in it as a reader would see it."""
    with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - our own address
        text: str = answer.read().decode("utf-8")
    return text


def seen(address: str) -> str:
    return html.unescape(get(address))


def seen_with(words: str, address: str) -> str:
    """The page once it says ``words``."""
    return wait_until(lambda: page if words in (page := seen(address)) else "")


def insert_score(clickhouse: ClickHouseConnection, customer_id: str, **more: Any) -> None:
    row = {
        "customer_id": customer_id,
        "scored_at": datetime.now(UTC),
        "score": 91.8,
        "band": "breaking",
        "heat": 100.0,
        "scale": 40.0,
        "contributions": [("form_failure", 75.0, 86_400.0, 200.0, 0.0), ("wait", 25.0, 86_400.0, 200.0, 0.0)],
        "segment": "loyal",
        "_offset": 0,
        "_appended_at": datetime.now(UTC),
        **more,
    }
    client = connect(clickhouse)
    client.insert("friction_scores", [list(row.values())], column_names=list(row))
    client.close()


def insert_alert(clickhouse: ClickHouseConnection, reason: str) -> None:
    now = datetime.now(UTC)
    row = {
        "alert_id": "a",
        "revision": 1,
        "type": "touchpoint_incident",
        "status": "opened",
        "touchpoint": "checkout/promo-form",
        "raised_at": now - timedelta(minutes=5),
        "reason": reason,
        "_appended_at": now,
    }
    client = connect(clickhouse)
    client.insert("friction_alerts", [list(row.values())], column_names=list(row))
    client.close()


def test_the_page_shows_who_carries_friction_why_and_what_to_act_on(
    own: ClickHouseConnection, start_page: StartPage
) -> None:
    migrate(own)
    insert_score(own, TURK)
    insert_alert(own, "Kampanya formu 60 müşteride çalışmıyor.")
    _, address = start_page(own)
    page = seen(address)
    for words in (TURK, "form failure 75", "breaking", "loyal", "touchpoint incident", "5 min ago", "çalışmıyor"):
        assert words in page, words


def test_the_page_follows_what_lands_while_it_runs(own: ClickHouseConnection, start_page: StartPage) -> None:
    migrate(own)
    _, address = start_page(own)
    assert "Nothing yet. It fills as soon as the first interactions land." in seen(address)
    insert_score(own, "late-comer")
    page = seen_with("late-comer", address)
    assert "Nothing to act on in the last 24 hours." in page
    assert "Nothing yet" not in page


def test_what_customers_are_called_is_text_and_never_markup(own: ClickHouseConnection, start_page: StartPage) -> None:
    migrate(own)
    insert_score(own, SCRIPT)
    insert_alert(own, SCRIPT)
    _, address = start_page(own)
    raw = get(address)
    assert SCRIPT not in raw
    assert "alert(1)" in raw, "the text itself is shown"


def test_the_page_says_calmly_that_its_tables_are_missing_and_goes_on_when_they_come(
    own: ClickHouseConnection, start_page: StartPage
) -> None:
    _, address = start_page(own)
    page = seen(address)
    assert "ClickHouse refuses to answer, perhaps because its tables are not there yet" in page
    assert "Not known yet." in page
    migrate(own)
    seen_with("nothing yet", address)


def test_the_page_waits_for_clickhouse_and_recovers(tmp_path: Path, start_page: StartPage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    _, address = start_page(ClickHouseConnection(url=f"http://127.0.0.1:{port}"))
    seen_with("ClickHouse does not answer and is asked again every second.", address)

    engine = EmbeddedClickHouse(tmp_path / "engine", port=port)
    clickhouse = engine.start()
    try:
        migrate(clickhouse)
        insert_score(clickhouse, "back-again")
        seen_with("back-again", address)
    finally:
        engine.stop()
    page = seen_with("does not answer", address)
    assert "back-again" in page, "what was known stays on the page"
    assert re.search(r"What you see was known [\d.]+ (s|min) ago\.", page)


def test_the_page_loads_nothing_from_elsewhere(own: ClickHouseConnection, start_page: StartPage) -> None:
    migrate(own)
    _, address = start_page(own)
    loaded = re.findall(r"""(?:src|href|import|url)\s*[=(]?\s*["'(]+([^"')]+)""", get(address))
    assert loaded
    assert [where for where in loaded if "//" in where and not where.startswith("data:")] == []


def test_all_browsers_share_one_asking(own: ClickHouseConnection) -> None:
    migrate(own)

    async def fifty_looks() -> list[Board]:
        poll = Poll(own)
        asking = asyncio.create_task(poll.run())
        boards = await asyncio.gather(*(poll.first_look(30) for _ in range(50)))
        asking.cancel()
        return boards

    boards = asyncio.run(fifty_looks())
    assert boards[0].answered_s is not None
    assert len({id(board) for board in boards}) == 1


def test_the_page_stops_cleanly_when_asked(own: ClickHouseConnection, start_page: StartPage) -> None:
    migrate(own)
    page, address = start_page(own)
    get(address)
    page.send_signal(signal.SIGTERM)
    assert page.wait(10) == 0
    with pytest.raises(OSError, match="refused"):
        get(address)


def test_a_port_that_is_taken_is_said_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = subprocess.run(
            [sys.executable, "-m", "pipelines.page", "--port", port],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert said.returncode == 2
    assert f"127.0.0.1 port {port} is taken by another program" in said.stderr
    assert "Traceback" not in said.stderr
