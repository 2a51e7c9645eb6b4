"""ClickHouse's HTTP interface in front of the embedded engine, as far as clients of ours and curl need it.

``python -m connectors.clickhouse.bridge --path DIR --port N`` owns DIR and listens on 127.0.0.1. Statements are
in the address (``query``) or in the body, settings and ``param_x`` in the address or a multipart form; bodies
may be compressed both ways. There are no users, no sessions and no streaming: an answer is sent when it is whole.

Only programs may ask: a request that a web page makes (it has Origin or names another host) is refused, because
statements can read and write files of the user.
"""

import argparse
import asyncio
import gzip
import json
import os
import signal
import socket
import sys
import uuid
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cramjam
from aiohttp import web
from aiohttp.typedefs import Handler

from connectors.clickhouse.engine import Answer, Engine, Refused
from connectors.clickhouse.statements import parsed

EXIT_PORT_TAKEN = 4
EXIT_DIRECTORY_HELD = 5
EXIT_NO_ENGINE = 6
PID_HEADER = "X-Friction-Pid"  # of /ping: whether it is the child that one has started, or an older one

_MOST_STATEMENTS_AT_ONCE = 16
_MOST_BODY_BYTES = 2**31
_SMALLEST_COMPRESSED_BYTES = 4096
_STOP_WITHIN_S = 10.0

# What the HTTP interface itself takes from the address; everything else there is a setting.
_OF_THE_TRANSPORT = frozenset(
    (
        *("query", "query_id", "database", "default_format", "client_protocol_version", "wait_end_of_query"),
        *("session_id", "session_timeout", "session_check", "user", "password", "role", "quota_key"),
        *("enable_http_compression", "http_zlib_compression_level", "compress", "decompress", "buffer_size"),
        *("send_progress_in_http_headers", "http_headers_progress_interval_ms"),
        "cancel_http_readonly_queries_on_client_close",
    )
)
_DECODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "lz4": lambda data: bytes(cramjam.lz4.decompress(data)),
    "zstd": lambda data: bytes(cramjam.zstd.decompress(data)),
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "br": lambda data: bytes(cramjam.brotli.decompress(data)),
}
_ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "lz4": lambda data: bytes(cramjam.lz4.compress(data)),
    "zstd": lambda data: bytes(cramjam.zstd.compress(data, level=1)),
    "gzip": lambda data: gzip.compress(data, compresslevel=1),
    "deflate": lambda data: zlib.compress(data, 1),
}
_CONTENT_TYPES = {
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
}
# As the server maps its codes: what does not exist, what cannot be read, what is forbidden.
_STATUS_OF_CODE = {
    **dict.fromkeys((46, 47, 50, 56, 60, 73, 81, 115), 404),
    **dict.fromkeys((6, 26, 27, 36, 38, 41, 42, 43, 44, 53, 62, 69, 70, 72), 400),
    **dict.fromkeys((164, 497), 403),
    241: 503,  # MEMORY_LIMIT_EXCEEDED
}


class Bridge:
    """The HTTP handlers over one engine."""

    def __init__(self, engine: Engine, threads: ThreadPoolExecutor) -> None:
        self._engine = engine
        self._threads = threads

    def application(self) -> web.Application:
        """The aiohttp application: /ping and /."""
        app = web.Application(client_max_size=_MOST_BODY_BYTES, middlewares=[programs_only])
        app.router.add_get("/ping", self.ping)
        app.router.add_get("/", self.statement)
        app.router.add_post("/", self.statement)
        return app

    async def ping(self, _request: web.Request) -> web.Response:
        return web.Response(text="Ok.\n", headers={PID_HEADER: str(os.getpid())})

    async def statement(self, request: web.Request) -> web.Response:
        said, body = await _read_request(request)
        query_id = said.get("query_id") or str(uuid.uuid4())
        headers = {
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Server-Display-Name": self._engine.host,
            "X-ClickHouse-Timezone": self._engine.timezone,
        }
        encoding = request.headers.get("Content-Encoding", "").lower()
        if encoding and encoding not in _DECODERS:
            return web.Response(status=415, headers=headers, text=f"Content-Encoding {encoding} is not known\n")
        accepted = request.headers.get("Accept-Encoding", "") if said.get("enable_http_compression") == "1" else ""
        work = partial(self._work, said, body, encoding, request.method == "GET", _encoding(accepted))
        try:
            answer, applied = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except Refused as e:
            headers["X-ClickHouse-Exception-Code"] = str(e.code)
            return web.Response(status=_STATUS_OF_CODE.get(e.code, 500), headers=headers, text=f"{e}\n")
        headers["X-ClickHouse-Summary"] = json.dumps(dict(answer.summary))
        headers["Content-Type"] = _CONTENT_TYPES.get(answer.format or "TabSeparated", "application/octet-stream")
        if answer.format is not None:
            headers["X-ClickHouse-Format"] = answer.format
        if applied:
            headers["Content-Encoding"] = applied
        return web.Response(body=answer.body, headers=headers)

    def _work(
        self, said: Mapping[str, str], body: bytes, encoding: str, is_get: bool, reply_encoding: str
    ) -> tuple[Answer, str]:
        """What takes time, in a thread: decompress, run, compress. Returns the encoding that was applied."""
        if encoding and body:
            try:
                body = _DECODERS[encoding](body)
            except Exception as e:  # each decoder has an error class of its own
                raise Refused(f"Code: 354. DB::Exception: The body is no {encoding}: {e}. (INFLATE_FAILED)") from e
        settings = {k: v for k, v in said.items() if k not in _OF_THE_TRANSPORT and not k.startswith("param_")}
        if is_get:
            settings["readonly"] = "2"  # as the server does: an address that is only looked at changes nothing
        answer = self._engine.run(
            parsed(said.get("query", "").encode(), body),
            database=said.get("database"),
            settings=settings,
            params={k.removeprefix("param_"): v for k, v in said.items() if k.startswith("param_")},
            default_format=said.get("default_format", "TabSeparated"),
        )
        if reply_encoding and len(answer.body) >= _SMALLEST_COMPRESSED_BYTES:
            compressed = _ENCODERS[reply_encoding](answer.body)
            return Answer(compressed, answer.format, answer.summary), reply_encoding
        return answer, ""


@web.middleware
async def programs_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a browser sends on behalf of a page, directly or through a name that it rebound to loopback."""
    host = request.headers.get("Host", "").rsplit(":", 1)[0]
    if "Origin" in request.headers or host not in ("127.0.0.1", "localhost", "[::1]"):
        return web.Response(status=403, text="The embedded engine answers programs on this machine, not web pages.\n")
    return await handler(request)


async def _read_request(request: web.Request) -> tuple[dict[str, str], bytes]:
    said = dict(request.query)
    if "X-ClickHouse-Database" in request.headers:
        said.setdefault("database", request.headers["X-ClickHouse-Database"])
    if "X-ClickHouse-Format" in request.headers:
        said.setdefault("default_format", request.headers["X-ClickHouse-Format"])
    if request.content_type == "multipart/form-data":  # long parameters come as a form
        form = await request.post()
        said.update({k: v for k, v in form.items() if isinstance(v, str)})
        return said, b""
    return said, await request.read()


def _encoding(accepted: str) -> str:
    names = [name.split(";")[0].strip().lower() for name in accepted.split(",")]
    return next((name for name in names if name in _ENCODERS), "")


async def serve(directory: Path, port: int) -> int:
    """Own ``directory`` and serve it on 127.0.0.1:``port`` until SIGTERM or SIGINT; return the exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()  # a second bridge is refused from now on; those who ask wait until the engine is open
    except OSError as e:
        return _leave(EXIT_PORT_TAKEN, f"port {port} of 127.0.0.1 cannot be used: {e.strerror}")
    try:
        engine = Engine(directory)
    except ImportError:
        return _leave(EXIT_NO_ENGINE, 'chdb is missing: pip install "friction-signals[embedded]"')
    except Refused as e:
        return _leave(EXIT_DIRECTORY_HELD, f"{directory} cannot be opened: {e}")
    with engine, ThreadPoolExecutor(_MOST_STATEMENTS_AT_ONCE) as threads:
        runner = web.AppRunner(
            Bridge(engine, threads).application(),
            access_log=None,
            shutdown_timeout=_STOP_WITHIN_S,
            auto_decompress=False,
        )
        await runner.setup()
        await web.SockSite(runner, listener).start()
        await stop.wait()
        await runner.cleanup()
    return 0


def _leave(code: int, why: str) -> int:
    print(why, file=sys.stderr, flush=True)  # noqa: T201 - the log of the process that started us
    return code


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m connectors.clickhouse.bridge", description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="directory of the engine, created when missing")
    parser.add_argument("--port", type=int, required=True, help="TCP port on 127.0.0.1")
    said = parser.parse_args()
    said.path.mkdir(parents=True, exist_ok=True)
    sys.exit(asyncio.run(serve(said.path, said.port)))


if __name__ == "__main__":
    main()
