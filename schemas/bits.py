"""Floats kept in words of int64: kernels that pass one array instead of two are compiled and called faster."""

import numpy as np

from schemas.compiled import step


@step
def as_float(word: int) -> float:
    """The float64 whose bits a word has."""
    return np.int64(word).view(np.float64)


@step
def as_word(value: float) -> int:
    """The bits of a float64 as int64."""
    word: int = np.float64(value).view(np.int64)  # type: ignore[assignment]  # compiled, it is one
    return word
