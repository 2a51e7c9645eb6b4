"""A million customers (`make bench BENCH=restore`)."""

from tests.bench.measuring import measured


def test_a_million_customers_are_back_within_seconds_and_cost_little() -> None:
    figures = measured("restore", "--customers", "1000000")
    assert figures["seconds"] <= 5.0
    assert figures["bytes_per_customer"] <= 600
