"""Arrays that grow without a pause: by an eighth or a few MB, and by moving their pages instead of a copy."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=np.generic)

_MOST_BYTES = 8 << 20  # more than needed: they are cleared at once, and nothing else happens meanwhile


def grown(array: npt.NDArray[T], room: int) -> npt.NDArray[T]:
    """Return the array with at least ``room`` entries along its first axis; new ones are zero.

    The array that was given is gone, and so are views of it: realloc moves large blocks by their pages (mremap) instead
    of copying them, and only what is new is touched.
    """
    if room <= array.shape[0]:
        return array
    step = min(array.shape[0] // 8, _MOST_BYTES * array.shape[0] // max(array.nbytes, 1))
    array.resize((max(room, array.shape[0] + step), *array.shape[1:]), refcheck=False)
    return array
