"""One ``friction up`` from its start to its summary."""

import json
import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType

from pipelines.cli.counts import Counts, Probe
from pipelines.cli.exits import ExitCode
from pipelines.cli.sources import Loaded
from pipelines.cli.supervisor.directory import DataDirectory, RunRecord, write_whole
from pipelines.cli.supervisor.pulse import Pulse
from pipelines.cli.supervisor.screen import Screen
from pipelines.cli.supervisor.system import Simulation, System
from pipelines.worker.logs import configure_logs
from schemas.errors import FrictionError, StoreUnavailable
from schemas.topics import TopicNames

_WATCH_S = 0.2
_LINE_S = 1.0
DRAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to do. for_s: stop the simulator after this, drain and end; None: until it is interrupted."""

    workers: int
    page: bool
    simulation: Simulation | None
    for_s: float | None


class Session:
    """Runs a plan on a data directory."""

    def __init__(self, loaded: Loaded, plan: Plan, *, began_s: float) -> None:
        """began_s: monotonic time at which the command began."""
        self._loaded = loaded
        self._plan = plan
        self._began_s = began_s
        self._directory = DataDirectory(loaded.settings.data)
        self._screen = Screen()
        self._final: Counts | None = None

    def run(self) -> ExitCode:
        """Run to the end.

        Returns:
            DONE when everything produced was processed and landed, or when a run without an end was stopped;
            FAILED when something is missing; INTERRUPTED when a run with an end was stopped before.
        """
        record = RunRecord(
            pid=os.getpid(),
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            topic_prefix=self._loaded.settings.topic_prefix,
        )
        interrupted = False
        with self._directory.held(record), self._screen, _signals():
            self._screen.say(f"friction up in {self._directory.path}  (Ctrl-C stops it in order)")
            try:
                self._work(record)
            except KeyboardInterrupt:
                interrupted = True
        if interrupted:
            return ExitCode.DONE if self._plan.for_s is None and self._final else ExitCode.INTERRUPTED
        return ExitCode.DONE if self._final is not None and self._final.complete else ExitCode.FAILED

    def _work(self, record: RunRecord) -> None:
        with ExitStack() as stops:
            stops.enter_context(self._logs())
            system = System(self._loaded, self._directory, record, stops=stops, say=self._screen.say)
            system.start_stores(page=self._plan.page)
            settings = system.loaded.settings
            names = TopicNames(settings.topic_prefix)
            kafka, clickhouse, app_id = settings.kafka, settings.clickhouse, settings.app_id
            probe, pulses_own = (stops.enter_context(Probe(kafka, clickhouse, names, app_id=app_id)) for _ in range(2))
            pulse = Pulse(pulses_own, began_s=self._began_s)
            self._directory.summary_file.unlink(missing_ok=True)  # it no longer tells how the last run ended
            stops.callback(self._summarise, system, probe, pulse)
            pulse.start()
            stops.callback(self._screen.freeze)
            system.start_children(workers=self._plan.workers, page=self._plan.page, simulation=self._plan.simulation)
            self._screen.say(f"Running{f', the page is {system.record.page}' if system.record.page else ''}")
            ends_s = math.inf if self._plan.for_s is None else time.monotonic() + self._plan.for_s
            for _ in self._seconds(system, pulse, ends_s=ends_s):
                pass
            system.stop_simulator()
            self._drain(system, pulse, probe)

    @contextmanager
    def _logs(self) -> Iterator[None]:
        """Send what the parts in this process log to a file like those of the children."""
        with self._directory.opened_log("up") as file:
            configure_logs(self._loaded.settings.log, stream=file)
            try:
                yield
            finally:
                configure_logs(self._loaded.settings.log)

    def _seconds(self, system: System, pulse: Pulse, *, ends_s: float) -> Iterator[None]:
        """Look after the parts until ``ends_s``; yield after each line of a second."""
        line_s = time.monotonic() + _LINE_S
        while (now_s := time.monotonic()) < ends_s:
            system.watch()
            if now_s >= line_s:
                self._screen.beat(now_s - self._began_s, pulse.latest, pulse.trouble, system.record.page)
                line_s = max(line_s + _LINE_S, now_s)
                yield
            time.sleep(_WATCH_S)

    def _drain(self, system: System, pulse: Pulse, probe: Probe) -> None:
        """Wait until everything is processed and landed and nothing moves any more, for at most DRAIN_S."""
        self._screen.say("Waiting until everything is processed and landed")
        before: Counts | None = None
        for _ in self._seconds(system, pulse, ends_s=time.monotonic() + DRAIN_S):
            try:
                counts = probe.counts()
            except StoreUnavailable as error:
                self._screen.say(str(error))
                continue
            if counts.complete and before is not None and before.landed == counts.landed:
                return
            before = counts
        self._screen.say(f"Not everything was processed and landed within {DRAIN_S:.0f} s")

    def _summarise(self, system: System, probe: Probe, pulse: Pulse) -> None:
        """Count once more when the children have stopped and the stores still run."""
        pulse.stop()
        try:
            counts = self._final = probe.counts()
        except FrictionError as error:
            self._screen.say(f"No summary: {error}")
            return
        seconds = time.monotonic() - self._began_s
        said = {
            **counts.as_json(),
            "running": False,
            "complete": counts.complete,
            "seconds": round(seconds, 3),
            "first_landed_s": None if pulse.first_row_s is None else round(pulse.first_row_s, 3),
            "restarts": {part.name: part.restarts for part in system.parts if part.restarts},
        }
        write_whole(self._directory.summary_file, json.dumps(said, indent=2))
        self._screen.summary(counts, seconds=seconds, first_row_s=pulse.first_row_s)


@contextmanager
def _signals() -> Iterator[None]:
    """SIGINT and SIGTERM interrupt what is being done; the second of them ends the process, and so its children."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, lambda *_: os._exit(ExitCode.INTERRUPTED))
        raise KeyboardInterrupt

    before = {one: signal.signal(one, interrupt) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
