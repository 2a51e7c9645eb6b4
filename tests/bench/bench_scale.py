"""What a second worker costs (`make bench BENCH=scale`)."""

from tests.bench.measuring import measured


def test_two_workers_cost_no_more_than_one_for_the_same_work() -> None:
    figures = measured("scale", "--workers", "1", "2")
    assert figures["ratios"]["2/1"] <= 1.1
