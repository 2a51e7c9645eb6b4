"""Restore: how long a worker needs to have a large state again, and what a customer costs in memory."""

import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

from connectors.kafka.producing import Sender
from pipelines.cli.bench.filling import BULK
from pipelines.cli.bench.live import Template, template
from pipelines.cli.bench.process import MeasuredWorker, resident_bytes
from pipelines.cli.bench.progress import Group, wait_for_end
from pipelines.cli.bench.stand import BenchFailed, Stand
from schemas.interactions import Interaction, InteractionEncoder
from schemas.topics import INTERACTIONS, STATE

ONE_IN = 10  # customers, with an open alert; the others are quiet
_HOUR_MS = 3_600_000
_QUIET_MS = 12 * _HOUR_MS  # before now: of what was then, nothing is open or can be put right any more
_ROUNDS_MS = 6 * 24 * _HOUR_MS  # how long all rounds take; what is older than a week is not accepted
_LONG_WAIT_MS = 64 * 60_000
_SETTLED_S = 1.0
_RESTED_S = 3.0
_FEW = 100  # of so many customers one row may be written meanwhile


def restore(stand: Stand, *, customers: int, updates: int, policy: Path) -> dict[str, Any]:
    """Let a worker take ``updates`` interactions of each customer, round after round; then start another one.

    seconds: from the assignment of the partitions to the last of them that goes on. start_seconds: the same from the
    start of the process. bytes_per_customer: by memory in RAM, less that of a worker without customers, divided; index
    and key included. state_offsets: how long the log of the state was after compaction had its chance.

    Raises:
        BenchFailed: a worker ended or did not come to the end.
    """
    app_id = f"{stand.names.prefix}restore"
    worker = MeasuredWorker(stand, app_id=app_id, settings={"policy_file": policy})
    worker.start()
    with Group(stand.kafka, f"{app_id}-seen", stand.names.of(STATE)) as state:
        try:
            worker.wait_until_ready()
            time.sleep(_SETTLED_S)
            empty_bytes = resident_bytes(worker.pid)
            begun_s = time.monotonic()
            _tell(stand, customers, updates)
            with Group(stand.kafka, app_id, stand.names.of(INTERACTIONS)) as group:
                wait_for_end(group, check=worker.must_run, within_s=1800.0)
            took_s = time.monotonic() - begun_s
            _wait_until_rested(state, customers, check=worker.must_run)
            worker.stop()
            stand.say(f"{customers * updates:,} interactions were processed after {took_s:.0f} s; now the restore")
            started_s = time.time()
            worker.start()
            ready = worker.wait_until_ready()
            at_s = max(when for name, when in ready.items() if name.startswith("customers/"))
            time.sleep(_SETTLED_S)
            full_bytes = resident_bytes(worker.pid)
            assigned = worker.said(" in generation ")
            worker.stop()
        finally:
            worker.kill()
        offsets = state.produced()
    if not assigned:
        raise BenchFailed("The worker's log does not say when it was assigned its partitions")
    return {
        "customers": customers,
        "updates": updates,
        "seconds": round(at_s - assigned[0].at_s, 2),
        "start_seconds": round(at_s - started_s, 2),
        "bytes_per_customer": round((full_bytes - empty_bytes) / customers),
        "resident_bytes": full_bytes,
        "state_offsets": offsets,
    }


def _wait_until_rested(state: Group, customers: int, *, check: Callable[[], None]) -> None:
    """Wait until the worker writes hardly any rows: of customers who are quiet nothing is kept open then."""
    before = -customers
    while (now := state.produced()) - before > customers // _FEW:
        check()
        before = now
        time.sleep(_RESTED_S)


def _tell(stand: Stand, customers: int, updates: int) -> None:
    """Every customer once in each round, the last one half a day ago; in that a tenth waits too long, now."""
    stand.say(f"Telling {updates} interactions of each of {customers:,} customers")
    encoder = InteractionEncoder(stand.schema_ids[INTERACTIONS])
    told = [_quiet(encoder, n) for n in range(customers)]
    sender, topic = Sender(stand.kafka, **BULK), stand.names.of(INTERACTIONS)
    now_ms = time.time_ns() // 1_000_000
    for turn in range(updates):
        left = updates - 1 - turn
        then_ms, last = now_ms - _QUIET_MS - left * _ROUNDS_MS // updates, left == 0
        waits = ((now_ms, _waiting(encoder, n)) for n in range(0, customers, ONE_IN)) if last else ()
        quiet = ((then_ms, one) for n, one in enumerate(told) if not last or n % ONE_IN)
        for n, (at_ms, one) in enumerate(chain(waits, quiet)):
            sender.send(topic, one.key, one.at(b"%x-%x" % (turn, n), at_ms))
    sender.flush(timeout_s=300.0)


def _quiet(encoder: InteractionEncoder, number: int) -> Template:
    return template(encoder, _interaction(number, kind="form.failed", channel="web", touchpoint="checkout/payment"))


def _waiting(encoder: InteractionEncoder, number: int) -> Template:
    wait = _interaction(
        number, kind="wait.measured", channel="phone", touchpoint="support/line", duration_ms=_LONG_WAIT_MS
    )
    return template(encoder, wait)


def _interaction(number: int, **told: Any) -> Interaction:
    now_ms = time.time_ns() // 1_000_000
    return Interaction(event_id="-", customer_id=f"customer-{number:012d}", occurred_ms=now_ms, **told)
