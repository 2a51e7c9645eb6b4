"""How the C library keeps memory that is taken and given back with every batch, and when Python looks for garbage."""

import ctypes
import gc

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1  # glibc's malloc.h

KEPT_BYTES = 128 * 1024 * 1024
"""So much may be free at the end of the heap before it is given back to the kernel."""
LARGEST_BYTES = 32 * 1024 * 1024
"""What is larger is mapped for itself, and given back when it is freed; glibc allows no more."""


def keep_memory() -> None:
    """Let glibc have one heap, and use it again: with one for each thread a worker grew by a third.

    The kernel clears each page that it hands out anew, which took a tenth of a worker's time (docs/engine.md). Call it
    before there are threads. Another C library is left as it is.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    for parameter, value in ((_ARENA_MAX, 1), (_TRIM_THRESHOLD, KEPT_BYTES), (_MMAP_THRESHOLD, LARGEST_BYTES)):
        mallopt(parameter, value)


def collect_seldom() -> None:
    """Let the collector leave alone what has been loaded so far, and look for cycles seldom: batches leave few."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
