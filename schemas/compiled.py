"""The one home of the flags with which numba compiles our kernels.

A kernel is plain Python over arrays: the readable specification and the fast path at once. ``compiled``
gives its fast twin, ``step`` marks a part that a kernel calls. No fastmath, so that a replay gives the same
bits. A step lives in the file of its kernel: numba's disk cache watches only that file.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba
import numba.extending

P = ParamSpec("P")
R = TypeVar("R")


def compiled(kernel: Callable[P, R]) -> Callable[P, R]:
    """Return the kernel compiled for the types it is called with, kept on disk, running without the GIL."""
    fast: Callable[P, R] = numba.njit(cache=True, nogil=True, error_model="numpy")(kernel)
    return fast


def step(function: Callable[P, R]) -> Callable[P, R]:
    """Let kernels call ``function``; called from Python it stays plain."""
    callable_by_kernels: Callable[P, R] = numba.extending.register_jitable(function)
    return callable_by_kernels
