"""Time from an interaction to its alert (`make bench BENCH=latency`)."""

from tests.bench.measuring import measured


def test_an_alert_is_readable_in_time_to_act() -> None:
    figures = measured("latency", "--rate", "10000", "--seconds", "60")
    assert figures["alerts"] > 5_000
    assert figures["p99_ms"] <= 120
