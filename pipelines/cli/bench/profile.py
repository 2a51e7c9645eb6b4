"""Where the time of a million events goes: the worker's own steps, and its threads."""

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.cli.bench.engine import process_all
from pipelines.cli.bench.filling import fill
from pipelines.cli.bench.stand import Stand


@dataclass(frozen=True, slots=True)
class Step:
    """A function of ours that is timed. path: module:Class.method, or module:function where it is called from."""

    name: str
    path: str

    def place(self) -> tuple[Any, str]:
        """Who holds it, and its name there."""
        module, _, path = self.path.partition(":")
        *above, name = path.split(".")
        owner: Any = importlib.import_module(module)
        for one in above:
            owner = getattr(owner, one)
        return owner, name


STEPS = (
    Step("read record sets", "connectors.kafka.fetched:read_record_set"),
    Step("decode", "pipelines.worker.decoding:InteractionDecoder.decode"),
    Step("apply (index, score, windows)", "pipelines.partition:CustomerPartition.apply"),
    Step("  of it windows", "pipelines.windows:WaitWindows.add"),
    Step("snapshot", "pipelines.worker.customers:CustomerWork.snapshot"),
    Step("make records", "pipelines.worker.customer_records:CustomerSnapshot.outgoing"),
    Step("commit", "connectors.kafka.transactions:TransactionalProducer.commit"),
    Step("merge windows", "pipelines.worker.touchpoints:TouchpointWork.process"),
)


def profile(stand: Stand, *, events: int, customers: int, policy: Path) -> dict[str, Any]:
    """Process a topic once with a worker that times its steps.

    steps: wall and CPU seconds for a million events. Wall seconds of steps overlap: commits run in threads, and wait.
    threads: CPU seconds for a million events, without the start of the process.
    """
    filled = fill(stand, events=events, customers=customers)
    file = stand.directory / "profile.json"
    main = ("pipelines.cli.bench.profiled", str(file))
    steady, _ = process_all(stand, filled, app_id=f"{stand.names.prefix}profile", policy=policy, main=main)
    said = json.loads(file.read_text("utf-8"))
    million = filled.events / 1e6
    order = [step.name for step in STEPS if step.name in said["steps"]]
    return {
        "events_per_s": round(steady.events_per_s),
        "cpu_s_per_million": round(steady.cpu_s_per_million, 3),
        "steps": {
            name: {
                "calls": said["steps"][name][0],
                "wall_s_per_million": round(said["steps"][name][1] / million, 3),
                "cpu_s_per_million": round(said["steps"][name][2] / million, 3),
            }
            for name in order
        },
        "threads": {
            name: round(seconds / million, 3)
            for name, seconds in sorted(said["threads"].items(), key=lambda one: -one[1])
        },
    }
