"""The embedded ClickHouse: the engine in a child process behind its bridge, on a directory of ours."""

import http.client
import importlib.util
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

from connectors.child import start_child, stop_child
from connectors.clickhouse.bridge import EXIT_DIRECTORY_HELD, EXIT_PORT_TAKEN, PID_HEADER
from connectors.clickhouse.connection import ClickHouseConnection
from schemas.errors import DataDirHeld, EmbeddedUnavailable

_START_WITHIN_S = 60.0
_STOP_WITHIN_S = 20.0


class EmbeddedClickHouse:
    """Starts and stops the child process that owns ``directory``; rows that it acknowledged survive both.

    The port is the one given, or the one that served this directory before, or a free one.
    """

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        self._directory = directory
        self._port = port
        self._child: subprocess.Popen[bytes] | None = None
        self._log = directory / "bridge.log"
        self._log_begins = 0
        self._last = directory / "bridge.json"

    @property
    def pid(self) -> int | None:
        """Process id of the child, None when it was not started."""
        return self._child.pid if self._child else None

    def start(self) -> ClickHouseConnection:
        """Start the child and return when it answers. Call it from a thread that lives as long as we do.

        Raises:
            EmbeddedUnavailable: chdb is missing, the port is taken, or the engine does not start.
            DataDirHeld: another process has the directory open.
        """
        if importlib.util.find_spec("chdb") is None:
            raise EmbeddedUnavailable(
                "The embedded ClickHouse needs chdb, which is not installed: "
                'pip install "friction-signals[embedded]", or name a server (clickhouse.url).'
            )
        self._directory.mkdir(parents=True, exist_ok=True)
        port = self._port or self._remembered().get("port") or _free_port()
        code = self._start_on(port)
        if code == EXIT_PORT_TAKEN and self._port is None:  # somebody else took it since last time
            port = _free_port()
            code = self._start_on(port)
        if code is not None:
            raise self._why(code, port)
        child = self._child
        self._last.write_text(json.dumps({"port": port, "pid": child.pid if child else None}), "utf-8")
        return ClickHouseConnection(url=f"http://127.0.0.1:{port}")

    def stop(self) -> None:
        """Let running statements end, close the engine; kill it when that takes too long."""
        if self._child is not None:
            stop_child(self._child, timeout_s=_STOP_WITHIN_S)
            self._child = None

    def _start_on(self, port: int) -> int | None:
        """Start the child: None once it answers, or the exit code with which it gave up."""
        engine = str(self._directory / "engine")
        argv = [sys.executable, "-m", "connectors.clickhouse.bridge", "--path", engine, "--port", str(port)]
        self._log_begins = self._log.stat().st_size if self._log.exists() else 0
        child = start_child(argv, log=self._log)
        deadline = time.monotonic() + _START_WITHIN_S
        while (code := child.poll()) is None:
            if _answering_pid(port) == child.pid:
                self._child = child
                return None
            if time.monotonic() > deadline:
                stop_child(child, timeout_s=1.0)
                raise EmbeddedUnavailable(
                    f"The embedded ClickHouse did not answer within {_START_WITHIN_S:.0f} s; see {self._log}."
                )
            time.sleep(0.05)
        return code

    def _why(self, code: int, port: int) -> DataDirHeld | EmbeddedUnavailable:
        words = self._log.read_bytes()[self._log_begins :].decode(errors="replace").strip()
        last = words.splitlines()[-1] if words else f"exit code {code}"
        if code == EXIT_DIRECTORY_HELD and "Another server instance" in words:  # the engine's words
            holder = self._remembered().get("pid")
            return DataDirHeld(
                f"Another process{f' (pid {holder})' if holder else ''} has the embedded ClickHouse in "
                f"{self._directory} open. Stop it, or choose another directory."
            )
        if code == EXIT_PORT_TAKEN:
            return EmbeddedUnavailable(
                f"The embedded ClickHouse cannot listen on port {port} of 127.0.0.1: somebody else does. "
                "Free it, choose another port, or give none and a free one is taken."
            )
        return EmbeddedUnavailable(f"The embedded ClickHouse did not start: {last} (log: {self._log})")

    def _remembered(self) -> dict[str, int]:
        try:
            said = json.loads(self._last.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answering_pid(port: int) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
    try:
        connection.request("GET", "/ping")
        return int(connection.getresponse().headers.get(PID_HEADER, "0"))
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
