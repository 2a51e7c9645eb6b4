"""Scale: what a million events cost when several workers share them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.cli.bench.filling import Filled, fill
from pipelines.cli.bench.outputs import checked
from pipelines.cli.bench.process import MeasuredWorker, cpu_seconds, wait_until_shared
from pipelines.cli.bench.progress import Group, Steady, steady_part, wait_for_end
from pipelines.cli.bench.stand import PARTITIONS, Stand
from schemas.errors import SettingsError
from schemas.topics import INTERACTIONS, WAIT_PARTIALS


def scale(stand: Stand, *, workers: Sequence[int], events: int, customers: int, policy: Path) -> dict[str, Any]:
    """Process the same topic with each number of workers, from when each owns a share to the last commit.

    Raises:
        SettingsError: more workers than partitions.
        BenchFailed: it was over before each had a share, or an output is not what went in.
    """
    if not workers or max(workers) > PARTITIONS or min(workers) < 1:
        raise SettingsError(f"--workers: numbers from 1 to {PARTITIONS}, the partitions there are")
    filled = fill(stand, events=events, customers=customers)
    steady = {}
    for count in workers:
        steady[count] = _run(stand, filled, count, policy)
        stand.say(f"{count} workers: {steady[count].cpu_s_per_million:.2f} CPU s for a million")
    cost = {count: one.cpu_s_per_million for count, one in steady.items()}
    return {
        "cpu_s_per_million": {str(count): round(value, 3) for count, value in cost.items()},
        "events_per_s": {str(count): round(one.events_per_s) for count, one in steady.items()},
        "ratios": {f"{n}/{workers[0]}": round(cost[n] / cost[workers[0]], 3) for n in workers[1:]},
        "events": {str(count): one.events for count, one in steady.items()},
    }


def _run(stand: Stand, filled: Filled, count: int, policy: Path) -> Steady:
    stand.clear_outputs()
    app_id = f"{stand.names.prefix}scale-{count}"
    settings = {"policy_file": policy}
    workers = [MeasuredWorker(stand, app_id=app_id, name=f"worker-{n}", settings=settings) for n in range(count)]

    def check() -> None:
        for worker in workers:
            worker.must_run()

    try:
        for worker in workers:
            worker.start()
        wait_until_shared(workers)
        with Group(stand.kafka, app_id, stand.names.of(INTERACTIONS)) as group:
            steady = steady_part(
                group.done,
                lambda: sum(cpu_seconds(worker.pid) for worker in workers),
                until=filled.events,
                check=check,
            )
            wait_for_end(group, check=check)
        with Group(stand.kafka, app_id, stand.names.of(WAIT_PARTIALS)) as merged:
            wait_for_end(merged, check=check)
        for worker in workers:
            worker.stop()
    finally:
        for worker in workers:
            worker.kill()
    checked(stand.kafka, stand.names, filled)
    return steady
