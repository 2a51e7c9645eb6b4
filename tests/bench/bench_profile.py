"""Where the time goes (`make bench BENCH=profile`)."""

from tests.bench.measuring import measured


def test_every_step_is_timed_and_they_explain_what_the_worker_costs() -> None:
    figures = measured("profile")
    steps = figures["steps"]
    assert {"decode", "snapshot", "commit"} <= steps.keys()
    assert all(step["calls"] > 0 for step in steps.values())
