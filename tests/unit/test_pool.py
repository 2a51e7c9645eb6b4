"""The side store gives records of zeros, and takes them back."""

import numpy as np

from pipelines.state.pool import NONE, Pool

DTYPE = np.dtype([("a", "<i8")])


def test_a_record_that_was_given_back_is_zero_when_it_is_taken_again() -> None:
    pool = Pool(DTYPE)
    first, second = pool.take(), pool.take()
    assert NONE not in {first, second}
    assert first != second
    pool.records["a"][[first, second]] = 7
    pool.give_back(np.array([NONE, first]))
    assert len(pool) == 1
    assert pool.take() == first
    assert pool.records["a"][[first, second]].tolist() == [0, 7]


def test_many_records_find_room_and_nobodys_stays_zero() -> None:
    pool = Pool(DTYPE)
    places = pool.take_many(1_000)
    assert len(set(places.tolist())) == len(pool) == 1_000
    pool.records["a"][places] = 1
    assert pool.records["a"][NONE] == 0
    pool.give_back(places)
    assert len(pool) == 0
