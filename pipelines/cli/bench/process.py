"""A worker under measurement, and what any process has cost so far."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.request import urlopen

from connectors.child import start_child, stop_child
from pipelines.cli.bench.policies import THREE
from pipelines.cli.bench.stand import PARTITIONS, BenchFailed, Stand

WORKER = ("pipelines.cli.main", "worker")
START_S = 180.0  # kernels may have to be compiled, on a machine that does other things too
STOP_S = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")
_GOES_ON = "goes on at"


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads, to a hundredth of a second.

    Raises:
        BenchFailed: it has ended.
    """
    try:
        said = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError as error:
        raise BenchFailed(f"process {pid} has ended while it was measured") from error
    fields = said.rpartition(")")[2].split()  # its name may hold spaces
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM now."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Said:
    """A line of a worker's log, and when it was written, in epoch seconds."""

    event: str
    at_s: float


class MeasuredWorker:
    """``friction worker`` on the topics of a stand, with our policy. It may be started again after it has ended.

    app_id: a new one begins from nothing. main: the module that is run, and its arguments. settings: by key, with __
    for dots.
    """

    def __init__(
        self,
        stand: Stand,
        *,
        app_id: str,
        name: str = "worker",
        main: tuple[str, ...] = WORKER,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self._metrics_port = _free_port()
        given = {"policy_file": THREE, "log__format": "json", "worker__app_id": app_id, **(settings or {})}
        self._env = stand.environment(**given, metrics__port=self._metrics_port)
        self._argv = (sys.executable, "-P", "-m", *main)
        self._log = stand.directory / f"{app_id}-{name}.log"
        self._read_from = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id; it must have been started."""
        assert self._process is not None, "start it first"  # noqa: S101 - a bug of ours, and for mypy
        return self._process.pid

    def start(self) -> None:
        """Start it, and do not wait."""
        self._read_from = self._log.stat().st_size if self._log.exists() else 0
        self._process = start_child(self._argv, log=self._log, env=self._env)

    def must_run(self) -> None:
        """See that it still runs.

        Raises:
            BenchFailed: it has ended; with the end of its log.
        """
        if self._process is None or self._process.poll() is not None:
            raise BenchFailed(f"The worker ended while it was measured. It last said:\n{self._last_words()}")

    def wait_until_ready(self, partitions: int = PARTITIONS) -> dict[str, float]:
        """Wait until so many source partitions go on; return when each did, in epoch seconds, by "stage/number".

        Raises:
            BenchFailed: it has ended, or is not ready after a while.
        """
        end_s = time.monotonic() + START_S
        while True:
            self.must_run()
            ready = self.went_on()
            if sum(name.startswith("customers/") for name in ready) >= partitions:
                return ready
            if time.monotonic() > end_s:
                raise BenchFailed(f"The worker was not ready after {START_S:g} s. It last said:\n{self._last_words()}")
            time.sleep(0.02)

    def went_on(self) -> dict[str, float]:
        """When each partition went on since the last start, in epoch seconds."""
        return {said.event.split()[0]: said.at_s for said in self.said(_GOES_ON)}

    def said(self, words: str) -> list[Said]:
        """Lines of its log since the last start that hold ``words``."""
        found = [line for line in self._text().splitlines() if words in line and line.startswith("{")]
        entries = [json.loads(line) for line in found]
        return [Said(e["event"], datetime.fromisoformat(e["timestamp"]).timestamp()) for e in entries]

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples of a metric with these labels."""
        with urlopen(f"http://127.0.0.1:{self._metrics_port}/metrics", timeout=5.0) as answer:
            samples = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", answer.read().decode(), re.MULTILINE)
        wanted = {f'{label}="{value}"' for label, value in labels.items()}
        return sum(float(value) for said, value in samples if wanted <= set(said.split(",")))

    def kill(self) -> None:
        """As a machine that loses its power."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        """Ask it to end.

        Raises:
            BenchFailed: it did not end well.
        """
        if self._process is None:
            return
        code = stop_child(self._process, timeout_s=STOP_S)
        if code != 0:
            raise BenchFailed(f"The worker ended with code {code}. It last said:\n{self._last_words()}")

    def _last_words(self) -> str:
        return "\n".join(self._text().splitlines()[-6:])

    def _text(self) -> str:
        if not self._log.exists():
            return ""
        with self._log.open("rb") as file:
            file.seek(self._read_from)
            return file.read().decode("utf-8", "replace")


def owned_partitions(worker: MeasuredWorker) -> int:
    """Source partitions that a worker has restored; 0 while it does not answer yet."""
    worker.must_run()
    try:
        return int(worker.metric("friction_worker_partitions", stage="customers"))
    except OSError:
        return 0


def wait_until_shared(workers: Sequence[MeasuredWorker]) -> None:
    """Wait until the workers own all source partitions, and each some.

    Raises:
        BenchFailed: a worker ended, or it takes too long.
    """
    end_s = time.monotonic() + START_S
    while True:
        owned = [owned_partitions(worker) for worker in workers]
        if sum(owned) == PARTITIONS and all(owned):
            return
        if time.monotonic() > end_s:
            raise BenchFailed(f"After {START_S:g} s the workers own {owned} of {PARTITIONS} partitions")
        time.sleep(0.05)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
