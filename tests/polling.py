"""Waiting for what other threads, processes and servers do: looked for often, never slept for."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T | None], timeout_s: float = 30.0, *, every_s: float = 0.05) -> T:
    """Return the first true value of ``condition``; fail with its last value after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s; last seen: {value!r}")
        time.sleep(every_s)
    return value
