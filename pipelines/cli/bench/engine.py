"""Throughput: our worker, a bare consumer and, if asked for, the peers, on the same records in turn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pipelines.cli.bench.consuming import consume
from pipelines.cli.bench.filling import Filled, fill
from pipelines.cli.bench.outputs import Written, checked
from pipelines.cli.bench.process import WORKER, MeasuredWorker, cpu_seconds
from pipelines.cli.bench.progress import Group, Steady, steady_part, wait_for_end
from pipelines.cli.bench.stand import Stand
from schemas.topics import INTERACTIONS, WAIT_PARTIALS

ENGINE, CONSUME = "engine", "consume"
DURABILITY = {
    ENGINE: "exactly once: state, outputs and offset in one Kafka transaction, read_committed",
    CONSUME: "none: it reads and forgets",
}

Runner = Callable[[int], Steady]


@dataclass(frozen=True, slots=True)
class Compared:
    """Every run of everybody, in the order in which they ran; ``missing`` says why a peer has none."""

    runs: Mapping[str, Sequence[Steady]]
    durability: Mapping[str, str]
    missing: Mapping[str, str]

    def as_json(self) -> dict[str, object]:
        """Medians, and each run."""
        rate = {who: median(s.events_per_s for s in runs) for who, runs in self.runs.items()}
        cost = {who: median(s.cpu_s_per_million for s in runs) for who, runs in self.runs.items()}
        return {
            "events_per_s": {who: round(value) for who, value in rate.items()},
            "cpu_s_per_million": {who: round(value, 3) for who, value in cost.items()},
            "ratios": {f"{ENGINE}/{who}": round(rate[ENGINE] / rate[who], 3) for who in rate if who != ENGINE},
            "durability": {who: self.durability[who] for who in rate},
            "missing": dict(self.missing),
            "runs": {
                who: [{"events": s.events, "seconds": round(s.seconds, 3), "cpu_s": round(s.cpu_s, 2)} for s in runs]
                for who, runs in self.runs.items()
            },
        }


def compare(
    stand: Stand,
    *,
    events: int,
    customers: int,
    policy: Path,
    repeat: int,
    peers: Mapping[str, tuple[Runner, str]],
    missing: Mapping[str, str],
) -> tuple[Compared, Written]:
    """Fill the topic once, then let everybody run ``repeat`` times, taking turns.

    policy: file of what our worker does; the peers do three signals. peers: by name, how to run the n-th time and what
    its durability is. missing: why others are not among them.

    Raises:
        BenchFailed: an output is not what went in, or somebody ended before the measurement did.
    """
    filled = fill(stand, events=events, customers=customers)
    runs: dict[str, list[Steady]] = {}
    written: Written | None = None
    for turn in range(repeat):
        steady, written = process_all(stand, filled, app_id=f"{stand.names.prefix}engine-{turn}", policy=policy)
        _note(stand, runs, ENGINE, turn, steady)
        for name, (run, _) in peers.items():
            _note(stand, runs, name, turn, run(turn))
        alone = consume(stand.kafka, stand.names.of(INTERACTIONS), events=filled.events)
        _note(stand, runs, CONSUME, turn, alone)
    assert written is not None, "repeat is at least 1"  # noqa: S101 - for mypy
    durability = {**DURABILITY, **{name: how for name, (_, how) in peers.items()}}
    return Compared(runs, durability, missing), written


def process_all(
    stand: Stand,
    filled: Filled,
    *,
    app_id: str,
    policy: Path,
    main: tuple[str, ...] = WORKER,
    settings: Mapping[str, object] | None = None,
) -> tuple[Steady, Written]:
    """One worker, from the first committed progress to the commit of the last offset; then its outputs are checked.

    Raises:
        BenchFailed: the worker ended, or an output is not what went in.
    """
    stand.clear_outputs()
    worker = MeasuredWorker(stand, app_id=app_id, main=main, settings={"policy_file": policy, **(settings or {})})
    worker.start()
    try:
        with Group(stand.kafka, app_id, stand.names.of(INTERACTIONS)) as group:
            steady = steady_part(
                group.done, lambda: cpu_seconds(worker.pid), until=filled.events, check=worker.must_run
            )
            wait_for_end(group, check=worker.must_run)
        with Group(stand.kafka, app_id, stand.names.of(WAIT_PARTIALS)) as merged:
            wait_for_end(merged, check=worker.must_run)
        worker.stop()
    finally:
        worker.kill()
    return steady, checked(stand.kafka, stand.names, filled)


def _note(stand: Stand, runs: dict[str, list[Steady]], who: str, turn: int, steady: Steady) -> None:
    runs.setdefault(who, []).append(steady)
    stand.say(
        f"{turn + 1}. {who:<12} {steady.events_per_s:>12,.0f} events/s {steady.cpu_s_per_million:>9.2f} CPU s/million "
        f"({steady.events:,} events in {steady.seconds:.1f} s)"
    )
