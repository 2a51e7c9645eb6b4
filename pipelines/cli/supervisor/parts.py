"""Parts that are started again when they die: child processes, and services that run as one."""

import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from connectors.child import start_child, stop_child
from schemas.errors import EmbeddedUnavailable, FrictionError

SETTLED_S = 30.0  # who lived so long starts with a clean slate
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 15.0
ATTEMPTS = 6
_DO_NOT_START = 2  # exit code of a command whose settings are wrong: the same again fails again
_LAST_LINES = 6
_LOG_BYTES = 10 * 1024 * 1024


class Process(Protocol):
    """Something that runs in a process of its own."""

    def start(self) -> object:
        """Start it, or raise a FrictionError."""

    def stop(self) -> None:
        """Stop it in order, within bounds; without effect when it does not run."""

    def death(self) -> str | None:
        """Why it does not run any more, in words; None while it runs."""

    @property
    def hopeless(self) -> bool:
        """Whether it ended in a way that a new start cannot change."""


class ChildProcess:
    """A command of ours as a child process, its output in a log file."""

    hopeless = False

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str],
        stop_s: float = 15.0,
        spawn: Callable[..., "subprocess.Popen[bytes]"] = start_child,
    ) -> None:
        self._argv = argv
        self._log = log
        self._env = env
        self._stop_s = stop_s
        self._spawn = spawn
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def start(self) -> None:
        """Start it; call from the main thread, whose death the kernel watches for the child."""
        if self._log.exists() and self._log.stat().st_size > _LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.old"))
        self._child = self._spawn(self._argv, log=self._log, env=self._env)

    def stop(self) -> None:
        """Ask with SIGTERM, and kill after ``stop_s``."""
        if self._child is not None:
            stop_child(self._child, timeout_s=self._stop_s)
            self._child = None

    def death(self) -> str | None:
        """Return how it ended and the end of its log, or None while it runs."""
        code = self._child.poll() if self._child is not None else None
        if code is None:
            return None
        self.hopeless = code == _DO_NOT_START
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"{how}; its log is {self._log}"

    def last_words(self) -> str:
        """Return the last lines of its log."""
        try:
            with self._log.open("rb") as file:
                file.seek(max(0, self._log.stat().st_size - 8192))
                lines = deque(file.read().decode("utf-8", "replace").splitlines(), maxlen=_LAST_LINES)
        except OSError:
            return ""
        return "\n".join(lines)


@dataclass(slots=True)
class Part:
    """A process and how often it died lately. Time is an argument, in monotonic seconds."""

    name: str
    process: Process
    needed: bool = True
    restarts: int = 0
    stopped: bool = False
    _failures: int = 0
    _started_s: float = 0.0
    _again_s: float | None = None

    def start(self, now_s: float) -> None:
        """Start it for the first time; what it raises is the caller's."""
        self.process.start()
        self._started_s = now_s

    def stop(self) -> None:
        """Stop it, and do not start it again."""
        self.stopped = True
        self.process.stop()

    def watch(self, now_s: float) -> str | None:
        """See whether it lives, and start it again when its time has come. Return what happened, in words.

        Raises:
            EmbeddedUnavailable: it is needed, and died too often or in a way that a new start does not change.
        """
        if self.stopped:
            return None
        if self._again_s is None:
            death = self.process.death()
            return None if death is None else self._died(death, now_s)
        if now_s < self._again_s:
            return None
        self._again_s = None
        try:
            self.start(now_s)
        except FrictionError as error:
            return self._died(f"could not be started: {error}", now_s)
        self.restarts += 1
        return f"{self.name} is running again"

    def _died(self, death: str, now_s: float) -> str:
        if now_s - self._started_s > SETTLED_S:
            self._failures = 0
        self._failures += 1
        if self.process.hopeless or self._failures >= ATTEMPTS:
            self.stopped = True
            if self.needed:
                words = self.process.last_words() if isinstance(self.process, ChildProcess) else ""
                raise EmbeddedUnavailable(
                    f"The {self.name} {death}.{' It last said:' if words else ''}\n{words}".rstrip()
                )
            return f"{self.name} {death}; going on without it"
        wait_s = min(FIRST_WAIT_S * 2 ** (self._failures - 1), LONGEST_WAIT_S)
        self._again_s = now_s + wait_s
        return f"{self.name} {death}; starting it again in {wait_s:g} s"
