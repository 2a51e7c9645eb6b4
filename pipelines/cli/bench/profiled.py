"""A worker that times its own steps: ``python -m pipelines.cli.bench.profiled FILE``, settings as ``friction worker``.

The steps are wrapped in the process that is measured, nothing else changes; a wrapped call costs about a microsecond,
and there are some thousand of them in a million events. What is written to FILE at the end is JSON: by step the number
of calls, wall and CPU seconds, and by thread the CPU seconds without those of the start.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from pipelines.cli.bench.profile import STEPS

_TICKS = os.sysconf("SC_CLK_TCK")
_LOOK_S = 0.05


class Times:
    """What each step has taken, of all threads together."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self.steps: dict[str, list[float]] = {}
        self._used: dict[str, float] = {}
        self._before: dict[str, float] = {}

    @property
    def threads(self) -> dict[str, float]:
        """CPU seconds by name of the thread, since the first step or a moment before it."""
        return {name: used - self._before.get(name, 0.0) for name, used in self._used.items()}

    def wrap(self, owner: Any, name: str, step: str) -> None:
        """Time every call of ``owner.name``."""
        timed = getattr(owner, name)

        @wraps(timed)
        def call(*args: Any, **kwargs: Any) -> Any:
            wall_s, cpu_s = time.perf_counter(), time.thread_time()
            try:
                return timed(*args, **kwargs)
            finally:
                self._add(step, time.perf_counter() - wall_s, time.thread_time() - cpu_s)

        setattr(owner, name, call)

    def _add(self, step: str, wall_s: float, cpu_s: float) -> None:
        with self._guard:
            total = self.steps.setdefault(step, [0, 0.0, 0.0])
            total[0] += 1
            total[1] += wall_s
            total[2] += cpu_s

    def look_at_threads(self) -> None:
        """Note what each thread has used; those of librdkafka and of numba have no name of ours."""
        ours = {thread.native_id: thread.name for thread in threading.enumerate()}
        used: dict[str, float] = {}
        for task in Path("/proc/self/task").iterdir():
            try:
                fields = (task / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
            except OSError:
                continue  # it has ended meanwhile
            name = ours.get(int(task.name), "libraries (librdkafka)")
            name = name.rstrip("0123456789").rstrip("_-")  # of a pool one line
            used[name] = used.get(name, 0.0) + (int(fields[11]) + int(fields[12])) / _TICKS
        for name, seconds in used.items():
            self._used[name] = max(self._used.get(name, 0.0), seconds)
        if not self.steps:
            self._before = dict(self._used)


def _run(file: Path, worker: Callable[[], int]) -> int:
    times = Times()
    for step in STEPS:
        owner, name = step.place()
        times.wrap(owner, name, step.name)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_LOOK_S):
            times.look_at_threads()

    watching = threading.Thread(target=watch, name="watching", daemon=True)
    watching.start()
    try:
        return worker()
    finally:
        ended.set()
        watching.join()
        file.write_text(json.dumps({"steps": times.steps, "threads": times.threads}), "utf-8")


if __name__ == "__main__":
    from pipelines.cli.main import exit_code

    sys.exit(_run(Path(sys.argv[1]), lambda: exit_code(["worker"])))
