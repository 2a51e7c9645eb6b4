"""The parts of friction bench that need no Kafka; what they measure with is in tests/integration/test_bench.py."""

import importlib.util
import io
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.simulator.simulation import crowd_interactions
from pipelines.cli.bench.engine import Compared
from pipelines.cli.bench.filling import SPAN_MS, spells
from pipelines.cli.bench.latency import _short_memory
from pipelines.cli.bench.live import template, zigzag
from pipelines.cli.bench.policies import POLICIES, THREE
from pipelines.cli.bench.process import cpu_seconds, resident_bytes
from pipelines.cli.bench.profile import STEPS, Step
from pipelines.cli.bench.progress import Steady, steady_part
from pipelines.cli.bench.report import comparison, machine
from pipelines.cli.bench.stand import BenchFailed
from pipelines.cli.chaos.model import Model
from pipelines.cli.exits import ExitCode
from pipelines.cli.main import exit_code
from pipelines.policy.policy import parse_policy
from schemas.interactions import Interaction, InteractionEncoder, avro_record
from schemas.topics import avro_schema

ROOT = Path(__file__).parents[2]
PEERS = ("bytewax", "faust", "quixstreams")


def crowd(total: int, customers: int = 100) -> list[Interaction]:
    start_ms = 1_790_000_000_000
    return list(crowd_interactions(seed=5, start_ms=start_ms, rate=0.5, total=total, customers=customers))


# -- the input --------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**62))
def test_a_long_is_written_as_avro_writes_it(number: int) -> None:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "long", number)
    assert zigzag(number) == out.getvalue()


def test_a_template_with_another_id_and_time_is_what_the_encoder_writes() -> None:
    encoder = InteractionEncoder(70_000)
    for told in crowd(500):
        again = replace(told, event_id="another", occurred_ms=1_795_000_000_123)
        assert template(encoder, told).at(b"another", 1_795_000_000_123) == encoder.encode(again)


def test_the_input_is_the_crowds_day_before_now() -> None:
    now_ms = time.time_ns() // 1_000_000
    (spell,) = spells(7, events=2_000, customers=300, seed=1)
    assert len(spell.records) == 2_000
    schema = fastavro.parse_schema(json.loads(avro_schema("interaction")))
    told = [fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None) for _, value in spell.records]
    assert all(isinstance(one, dict) for one in told)
    fields: list[Any] = told
    assert [key.decode() for key, _ in spell.records] == [one["customer_id"] for one in fields]
    assert len({one["event_id"] for one in fields}) == 2_000
    assert spell.waits == sum(one["kind"] == "wait.measured" for one in fields) > 0
    times_ms = [one["occurred_at"].timestamp() * 1000 for one in fields]
    assert now_ms - SPAN_MS - 3_600_000 < min(times_ms) < now_ms - SPAN_MS * 0.9
    assert now_ms - SPAN_MS * 0.1 < max(times_ms) <= now_ms + 60_000


@pytest.mark.parametrize("file", POLICIES.values(), ids=POLICIES)
def test_waits_are_forgotten_fast_where_latency_is_measured(file: Path) -> None:
    policy, usual = (
        parse_policy(t, "p.yaml") for t in (_short_memory(file, half_life_ms=833), file.read_text("utf-8"))
    )
    lives = zip(policy.signal_names, usual.half_life_ms, policy.half_life_ms, strict=True)
    assert [(name, now) for name, was, now in lives if was != now] == [("wait", 833)]


# -- the steady part --------------------------------------------------------------------------------------------


def watched(counts: list[int], **options: Any) -> Steady:
    """What is measured of a run that is seen with these counts, using a CPU second a look."""
    looks, cpu = iter(counts), iter(float(n) for n in range(100))
    return steady_part(lambda: next(looks), lambda: next(cpu), check=lambda: None, **options)


def test_the_steady_part_begins_with_the_first_progress_and_ends_with_the_last_event() -> None:
    steady = watched([0, 0, 10, 50, 100, 100], until=100)
    assert (steady.events, steady.cpu_s) == (90, 1.0)
    assert 0.03 < steady.seconds < 5.0


def test_a_warm_up_does_not_count() -> None:
    assert watched([0, 10, 50, 80, 100], until=100, warm=50).events == 50


def test_a_run_that_is_over_at_the_first_look_gives_no_figure() -> None:
    with pytest.raises(BenchFailed, match="no steady part"):
        watched([0, 0, 100], until=100)


def test_a_run_that_does_not_get_on_gives_no_figure() -> None:
    with pytest.raises(BenchFailed, match="Only 10 of 100 events"):
        steady_part(lambda: 10, lambda: 0.0, until=100, check=lambda: None, within_s=0.1)


def test_a_process_that_ends_is_noticed() -> None:
    def check() -> None:
        raise BenchFailed("it has ended")

    with pytest.raises(BenchFailed, match="it has ended"):
        steady_part(lambda: 10, lambda: 0.0, until=100, check=check)


def test_cost_and_memory_of_a_process_are_read() -> None:
    import os

    before_s, end_s = cpu_seconds(os.getpid()), time.monotonic() + 5.0
    while cpu_seconds(os.getpid()) < before_s + 0.02:
        assert time.monotonic() < end_s
    assert 10e6 < resident_bytes(os.getpid()) < 100e9
    with pytest.raises(BenchFailed, match="has ended"):
        cpu_seconds(2**22 + 1)  # above the kernel's highest


# -- figures ----------------------------------------------------------------------------------------------------


def test_medians_of_the_runs_are_compared() -> None:
    runs = {
        "engine": [Steady(1000, 1.0, 1.0), Steady(1000, 2.0, 2.0), Steady(1000, 4.0, 4.0)],
        "consume": [Steady(1000, 0.5, 0.1), Steady(1000, 1.0, 0.2), Steady(1000, 0.25, 0.3)],
    }
    compared = Compared(runs, {"engine": "exactly once", "consume": "none"}, {"faust": "not installed"})
    figures = compared.as_json()
    assert figures["events_per_s"] == {"engine": 500, "consume": 2000}
    assert figures["cpu_s_per_million"] == {"engine": 2000.0, "consume": 200.0}
    assert figures["ratios"] == {"engine/consume": 0.25}
    assert figures["missing"] == {"faust": "not installed"}
    table = comparison({**figures, **machine()})
    assert table.row_count == 3


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name.strip())
def test_a_step_that_is_timed_exists(step: Step) -> None:
    owner, name = step.place()
    assert callable(getattr(owner, name))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("bench engine --policy four", "--policy must be three or full"),
        ("bench scale --workers two", "valid integer"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    command: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    assert exit_code(command.split()) == ExitCode.USAGE
    assert said in capsys.readouterr().err


# -- the peers --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def job() -> ModuleType:
    spec = importlib.util.spec_from_file_location("peers_job", ROOT / "peers" / "job.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def avro(schema_name: str, value: bytes) -> dict[str, Any]:
    text = avro_schema(schema_name).replace('{"type":"long","logicalType":"timestamp-millis"}', '"long"')
    record = fastavro.schemaless_reader(io.BytesIO(value[5:]), fastavro.parse_schema(json.loads(text)), None)
    assert isinstance(record, dict)
    return record


def done_by_peers(job: ModuleType, told: list[Interaction]) -> Iterator[tuple[str, dict[str, Any], list[bytes]]]:
    schemas = {name: str(ROOT / "schemas" / "avro" / f"{name}.avsc") for name in ("interaction", "score", "alert")}
    work = job.Job({"schemas": schemas, "schema_ids": {"score": 3, "alert": 4}})
    encoder, known = InteractionEncoder(1), dict[str, list[Any]]()
    for one in told:
        read = work.read(encoder.encode(one))
        row, score, alerts = work.apply(known.get(one.customer_id), read)
        known[one.customer_id] = row
        yield one.customer_id, avro("score", score), alerts


def test_the_peers_do_the_job_of_the_model(job: ModuleType) -> None:
    told = crowd(4_000, customers=40)
    model = Model(THREE.read_text("utf-8"))
    raised = 0
    for one, (name, score, alerts) in zip(told, done_by_peers(job, told), strict=True):
        model.feed({**avro_record(one), "occurred_at": one.occurred_ms}, one.occurred_ms)
        customer = model.customers[name]
        assert score["score"] == pytest.approx(model.score(name), rel=1e-9, abs=1e-9)
        assert score["band"] == customer.band
        assert score["interactions"] == customer.interactions
        raised += len(alerts)
        for alert in alerts:
            assert avro("alert", alert)["customer_id"] == name
    assert raised == len(model.alerts) > 10


@pytest.mark.parametrize("peer", PEERS)
def test_a_peers_lock_has_exact_versions_with_hashes_and_no_index(peer: str) -> None:
    lock = (ROOT / "peers" / peer / "requirements.lock").read_text("utf-8")
    requirements = [line.removesuffix(" \\") for line in lock.splitlines() if not line.startswith(" ")]
    assert len(requirements) > 5
    assert [one for one in requirements if not re.fullmatch(r"[a-z0-9-]+==[\w.!+-]+( ; .+)?", one)] == []
    hashes = re.findall(r"^    --hash=sha256:[0-9a-f]{64}", lock, re.MULTILINE)
    assert len(hashes) >= len(requirements)
    wanted = (ROOT / "peers" / peer / "requirements.in").read_text("utf-8").split()[0].partition("==")
    assert f"{wanted[0].partition('[')[0]}=={wanted[2]}" in requirements


def test_plain_faust_is_of_the_version_that_we_use() -> None:
    ours = re.search(r"^faust-streaming==\S+", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    assert ours is not None
    assert ours[0] in (ROOT / "peers" / "faust" / "requirements.lock").read_text("utf-8")
