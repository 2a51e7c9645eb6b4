"""Child processes that never outlive us, not even when we are killed with SIGKILL.

``start_child`` runs the program through this module, which asks the Linux kernel to kill it when its
parent dies (prctl PR_SET_PDEATHSIG) and then becomes the program by exec.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def start_child(
    argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start ``argv`` in the folder ``cwd`` with its output appended to ``log``; it dies with us.

    The kernel watches the thread that calls this: call it from one that lives as long as the process.
    """
    # By its path and isolated: `-m` would look in the working directory first, which may have its own `connectors`.
    shim = [sys.executable, "-I", "-S", __file__, str(os.getpid()), *argv]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return subprocess.Popen(
            shim,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,  # Ctrl-C reaches the parent alone, which stops us in order
        )


def stop_child(child: subprocess.Popen[bytes], *, timeout_s: float) -> int:
    """Ask with SIGTERM, wait, and kill after ``timeout_s``; return the exit code."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait()


def _become(parent: int, argv: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(1)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and a program would inherit that
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - a shell is what we do not want
    except OSError as error:
        sys.stderr.write(f"{argv[0]} could not be started: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
