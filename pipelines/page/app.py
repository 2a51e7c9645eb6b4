"""Serves the live page over HTTP."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from nicegui import ui

from connectors.clickhouse.connection import ClickHouseConnection
from pipelines.page.board import Poll
from pipelines.page.view import View
from schemas.errors import SettingsError

FIRST_LOOK_S = 2.0
REFRESH_S = 1.0
GOODBYE_S = 2  # how long open browsers may hold up a stop

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<rect width="32" height="32" rx="8" fill="#b3261e"/><path d="M6 22l7-9 5 5 8-11" fill="none" '
    'stroke="#fff" stroke-width="3.5" stroke-linecap="round" stroke-linejoin="round"/></svg>'
)


def serve(clickhouse: ClickHouseConnection, *, host: str, port: int) -> None:
    """Serve the page on ``host`` and ``port`` (0: a free one) until SIGTERM or SIGINT; prints its address.

    There is no login: whoever reaches the port reads the page. ClickHouse may be away, now or later.

    Raises:
        SettingsError: the address cannot be used.
    """
    listening = _listen(host, port)
    server = uvicorn.Server(
        uvicorn.Config(page(clickhouse), log_level="warning", ws="wsproto", timeout_graceful_shutdown=GOODBYE_S)
    )
    shown_host = f"[{host}]" if ":" in host else host
    print(f"page: http://{shown_host}:{listening.getsockname()[1]}", flush=True)  # noqa: T201 - who started us reads it
    server.run(sockets=[listening])


def page(clickhouse: ClickHouseConnection) -> FastAPI:
    """The page as an ASGI application; one for each process, since NiceGUI has one app."""
    poll = Poll(clickhouse)

    @contextlib.asynccontextmanager
    async def polling(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(poll.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    @ui.page("/")
    async def index() -> None:
        ui.add_css(Path(__file__).with_name("page.css").read_text("utf-8"))
        view = View()
        view.show(await poll.first_look(FIRST_LOOK_S))
        ui.timer(REFRESH_S, lambda: view.show(poll.look()))

    app = FastAPI(lifespan=polling, docs_url=None, redoc_url=None, openapi_url=None)
    ui.run_with(
        app,
        title="Friction",
        favicon=_ICON,
        dark=None,  # as the browser prefers
        tailwind=False,
        language="en-US",
        show_welcome_message=False,
    )
    return app


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as refused:
        why = "is taken by another program" if refused.errno == errno.EADDRINUSE else f"cannot be used: {refused}"
        raise SettingsError(f"{host} port {port} {why}; name another with --port, or 0 for a free one") from refused
