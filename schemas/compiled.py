"""The one home of the flags with which numba compiles our kernels.

A kernel is plain Python over arrays: the readable specification and the fast path at once. ``compiled``
gives its fast twin, ``step`` marks a part that a kernel calls. No fastmath, so that a replay gives the same
bits. numba's disk cache watches only the file of a kernel: ours watches those of the steps that it may call, too.
"""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
import numba.extending

P = ParamSpec("P")
R = TypeVar("R")


_steps: set[str] = set()  # names of the modules that have some


def compiled(kernel: Callable[P, R], *, allocates: bool = True) -> Callable[P, R]:
    """Return the kernel compiled for the types it is called with, kept on disk, running without the GIL.

    allocates: whether it makes arrays. One that does not, nor its steps, needs no counts of who has an array: with them
    each step that is called costs some 15 ns for each array that it is handed.
    """
    more = {} if allocates else {"_nrt": False}
    fast: Any = numba.njit(cache=True, nogil=True, error_model="numpy", **more)(kernel)
    index = getattr(getattr(fast, "_cache", None), "_cache_file", None)  # none where nothing is compiled
    if index is not None:
        index._source_stamp = (index._source_stamp, _stamp_of_steps(kernel.__module__))  # noqa: SLF001 - numba has no public name for it
        _forget_unreadable(index)
    made: Callable[P, R] = fast
    return made


def _forget_unreadable(index: Any) -> None:
    """Remove a cache that speaks of classes which have moved since: numba reads it before it looks at the stamp."""
    try:
        index._load_index()  # noqa: SLF001 - as above
    except (AttributeError, ImportError, EOFError, pickle.UnpicklingError):
        Path(index._index_path).unlink(missing_ok=True)  # noqa: SLF001 - as above


def _stamp_of_steps(module: str) -> tuple[tuple[str, float, int], ...]:
    """Name, time and size of the files of the steps that a module has imported, and of those that they have."""
    found, waiting = set[str](), [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [m for v in vars(sys.modules[name]).values() if (m := getattr(v, "__module__", "")) in _steps]
    files = [Path(sys.modules[name].__file__ or "") for name in sorted(found)]
    return tuple((f.name, f.stat().st_mtime, f.stat().st_size) for f in files)


def step(function: Callable[P, R]) -> Callable[P, R]:
    """Let kernels call ``function``; called from Python it stays plain."""
    _steps.add(function.__module__)
    callable_by_kernels: Callable[P, R] = numba.extending.register_jitable(function)
    return callable_by_kernels
