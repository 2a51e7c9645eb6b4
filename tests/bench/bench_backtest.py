"""Interactions a second of `friction backtest` from Parquet, on one core (`make bench BENCH=backtest`)."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.files.fields import SCHEMA
from connectors.simulator.simulation import crowd_interactions
from schemas.interactions import avro_record

LEAST_EVENTS_PER_S = 300_000
EVENTS = 2_000_000
_RATE = 50  # interactions a second: eleven hours
_AT_ONCE = 200_000


def tables(customers: int, total: int) -> Iterator[pa.Table]:
    """Simulated interactions of a crowd, in parts."""
    told = crowd_interactions(seed=1, start_ms=1_790_000_000_000, rate=_RATE, total=total, customers=customers)
    for _ in range(0, total, _AT_ONCE):
        records = [avro_record(one) for one in islice(told, _AT_ONCE)]
        rows = [{**r, "attributes": list(dict(r["attributes"]).items())} for r in records]  # type: ignore[call-overload]
        yield pa.Table.from_pylist(rows, schema=SCHEMA)


def written_seldom(path: Path) -> None:
    """Customers who come as often as those of the simulator do."""
    with pq.ParquetWriter(path, SCHEMA) as file:
        for table in tables(1_000_000, EVENTS):
            file.write_table(table)


def written_often(path: Path) -> None:
    """The same interactions again and again, each time later and with other ids: ever more is known of a customer."""
    (table,) = tables(50_000, _AT_ONCE)
    at_ms = table["occurred_at"].cast(pa.int64()).to_numpy()
    span_ms = int(at_ms.max() - at_ms.min())
    with pq.ParquetWriter(path, SCHEMA) as file:
        for n in range(EVENTS // _AT_ONCE):
            ids = pa.array([f"{n}-{k}" for k in range(_AT_ONCE)])
            later = pa.array(np.asarray(at_ms) + n * span_ms).cast(SCHEMA.field("occurred_at").type)
            file.write_table(table.set_column(0, SCHEMA.field(0), ids).set_column(5, SCHEMA.field(5), later))


def backtest(path: Path, out: Path) -> dict[str, float]:
    """Figures of a run that has one core. cpu_s: of the whole process, from its start on."""
    core = min(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "pipelines.cli.main", "backtest", str(path), "--out", str(out)]
    before = os.times()
    subprocess.run(command, check=True, preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    return {
        "events_per_s": summary["events_per_second"],
        "cpu_s": round(cpu_s, 2),
        "events_per_cpu_s": round(summary["events"] / cpu_s),
    }


@pytest.mark.parametrize("written", [written_seldom, written_often])
def test_parquet_is_scored_at_the_promised_rate_on_one_core(written: Callable[[Path], None], tmp_path: Path) -> None:
    written(tmp_path / "events.parquet")
    backtest(tmp_path / "events.parquet", tmp_path / "first")  # compiles what is not compiled yet
    runs = [backtest(tmp_path / "events.parquet", tmp_path / f"{n}") for n in range(3)]
    figures = {"bench": "backtest", "file": written.__name__, "events": EVENTS, "runs": runs, "load": os.getloadavg()}
    sys.stdout.write(json.dumps(figures) + "\n")
    # by CPU: what else runs on the machine takes the core away
    assert sorted(run["events_per_cpu_s"] for run in runs)[1] >= LEAST_EVENTS_PER_S
