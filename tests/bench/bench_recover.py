"""A worker that is killed (`make bench BENCH=recover`)."""

from tests.bench.measuring import measured


def test_a_killed_worker_is_replaced_soon_after_the_group_notices() -> None:
    figures = measured("recover")
    assert figures["survivor_s"] <= figures["session_timeout_s"] + 2.0
    assert figures["restart_s"] <= figures["session_timeout_s"] + 2.0
