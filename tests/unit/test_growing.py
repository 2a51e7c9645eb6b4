"""Arrays that grow in steps that are short enough for an event loop."""

import numpy as np
import pytest

from schemas.growing import grown


@pytest.mark.parametrize(("rows", "columns"), [(1 << 24, 1), (1 << 21, 8)])
def test_a_large_array_grows_by_a_few_megabytes_more_than_is_needed(rows: int, columns: int) -> None:
    array = grown(np.zeros((rows, columns), np.int64), rows + 5)  # 128 MiB
    assert rows + 5 <= array.shape[0]
    assert array.nbytes <= (rows + 5) * columns * 8 + (8 << 20)
    assert not array[rows:].any()


def test_a_small_array_grows_by_an_eighth_and_keeps_what_it_had() -> None:
    array = grown(np.arange(800), 801)
    assert array.shape == (900,)
    assert array[:800].tolist() == list(range(800))
    assert grown(array, 900) is array


def test_an_empty_array_grows_to_what_is_needed() -> None:
    assert grown(np.zeros((0, 3), np.int64), 7).shape == (7, 3)
