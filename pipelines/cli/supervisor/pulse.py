"""A thread that asks once a second how fast everything flows, so that a slow answer never holds up the watch."""

import threading
import time
from dataclasses import dataclass

from pipelines.cli.counts import Pace, Probe
from schemas.errors import FrictionError

_EVERY_S = 1.0
_EVERY_S_UNTIL_FIRST_ROW = 0.2
_GOODBYE_S = 15.0


@dataclass(frozen=True, slots=True)
class Beat:
    """The newest answer. events_per_s: what came in between the last two answers."""

    pace: Pace
    events_per_s: float
    at_s: float


class Pulse:
    """Asks ``probe`` from its own thread between ``start`` and ``stop``; the probe belongs to it meanwhile.

    began_s: monotonic time to which ``first_row_s`` is relative.
    """

    def __init__(self, probe: Probe, *, began_s: float) -> None:
        self._probe = probe
        self._began_s = began_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self._landed_before: int | None = None
        self.latest: Beat | None = None
        self.trouble: str | None = None
        self.first_row_s: float | None = None

    def start(self) -> None:
        """Begin. What is landed at the first answer is not counted as this run's."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more, and return when the thread has ended; without effect the second time."""
        self._stop.set()
        self._thread.join(_GOODBYE_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._note(self._probe.pace(), time.monotonic())
            except FrictionError as error:
                self.trouble = str(error)
            self._stop.wait(_EVERY_S if self.first_row_s is not None else _EVERY_S_UNTIL_FIRST_ROW)

    def _note(self, pace: Pace, now_s: float) -> None:
        self.trouble = None
        if self._landed_before is None:
            self._landed_before = pace.landed
        elif self.first_row_s is None and pace.landed > self._landed_before:
            self.first_row_s = now_s - self._began_s
        last = self.latest
        if last is None:
            self.latest = Beat(pace, 0.0, now_s)
        elif now_s - last.at_s >= _EVERY_S / 2:
            self.latest = Beat(pace, (pace.produced - last.pace.produced) / (now_s - last.at_s), now_s)
