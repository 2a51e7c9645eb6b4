"""Throughput against a bare consumer and the peers (`make bench BENCH=engine`)."""

from pathlib import Path

from tests.bench.measuring import measured

AT_LEAST = {"engine/faust": 60.0, "engine/quixstreams": 15.0, "engine/bytewax": 15.0, "engine/consume": 0.6}


def test_a_worker_with_checkpoints_is_as_fast_as_promised() -> None:
    installed = list(Path(".peers").glob("*/installed"))
    figures = measured("engine", *(["--peers"] if installed else []))
    assert {f"engine/{name}" for name in figures["missing"]} | figures["ratios"].keys() >= {"engine/consume"}
    slower = {what: ratio for what, ratio in figures["ratios"].items() if ratio < AT_LEAST[what]}
    assert slower == {}
