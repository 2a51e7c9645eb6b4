"""Recovery: from kill -9 of one of two workers until all that was there at that moment is committed."""

import time
from itertools import cycle
from pathlib import Path
from typing import Any

from pipelines.cli.bench.live import Live, crowd_templates
from pipelines.cli.bench.process import MeasuredWorker, wait_until_shared
from pipelines.cli.bench.progress import Group
from pipelines.cli.bench.stand import BenchFailed, Stand
from schemas.topics import INTERACTIONS

SESSION_TIMEOUT_S = 6.0
SPELL = 100_000
_WITHIN_S = 90.0


def recover(stand: Stand, *, rate: float, customers: int, policy: Path) -> dict[str, Any]:
    """Kill one of two workers, twice, while interactions come at a rate.

    survivor_s: the other one takes its partitions over. restart_s: it is started again at once, as the same static
    member; one that starts for longer than the session timeout finds that the other one was faster. Each from the
    kill until every partition has committed what it held then.

    Raises:
        BenchFailed: the workers did not share the partitions, or what was there was never committed.
    """
    told = cycle(crowd_templates(stand, events=SPELL, customers=customers))
    app_id = f"{stand.names.prefix}recover"
    settings = {"policy_file": policy, "worker__session_timeout_s": SESSION_TIMEOUT_S}
    first, second = (
        MeasuredWorker(stand, app_id=app_id, name=name, settings={**settings, "worker__instance_id": name})
        for name in ("first", "second")
    )
    try:
        first.start()
        first.wait_until_ready()
        with Group(stand.kafka, app_id, stand.names.of(INTERACTIONS)) as group, Live(stand, told, rate):
            second.start()
            wait_until_shared((first, second))
            _wait_until_current(group, rate)
            survivor_s = _killed(first, group)
            stand.say(f"The survivor has committed everything after {survivor_s:.1f} s")
            first.start()
            wait_until_shared((first, second))
            _wait_until_current(group, rate)
            restart_s = _killed(first, group, restart=True)
            stand.say(f"The one that was started again has committed everything after {restart_s:.1f} s")
            wait_until_shared((first, second))
        first.stop()
        second.stop()
    finally:
        first.kill()
        second.kill()
    return {
        "survivor_s": round(survivor_s, 2),
        "restart_s": round(restart_s, 2),
        "session_timeout_s": SESSION_TIMEOUT_S,
        "rate_per_s": rate,
    }


def _killed(worker: MeasuredWorker, group: Group, *, restart: bool = False) -> float:
    worker.kill()
    begun_s = time.monotonic()
    if restart:
        worker.start()
    there = group.ends()
    while True:
        committed = group.committed()
        if all(committed[p] >= end for p, end in there.items()):
            return time.monotonic() - begun_s
        if time.monotonic() - begun_s > _WITHIN_S:
            raise BenchFailed(f"{_WITHIN_S:g} s after the kill, {committed} of {there} are committed")
        time.sleep(0.02)


def _wait_until_current(group: Group, rate: float) -> None:
    end_s = time.monotonic() + _WITHIN_S
    while group.produced() - group.done() > 2 * rate + 1000:
        if time.monotonic() > end_s:
            raise BenchFailed(f"The workers are behind at {rate:,.0f} interactions a second: ask for a lower --rate")
        time.sleep(0.1)
