"""What a chaos run shall do, and the report of what it did and compared."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pipelines.cli.chaos.schedule import Action
from pipelines.worker.faults import Bug, Faults

Meaning = Literal["three", "full"]

_CUSTOMERS = 4_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does.

    customers: how many different ones, under the policy three. faults: those that must do no harm, in every worker.
    policy: what the interactions mean: three signals and bands, or the full meaning.
    """

    seed: int
    seconds: float
    rate: float
    workers: int
    actions: Sequence[Action]
    plant: Bug | None = None
    faults: Faults = field(default_factory=lambda: Faults(throw_away=0.03, rewind=0.02, time_out=0.01))
    customers: int = _CUSTOMERS
    policy: Meaning = "three"


@dataclass(slots=True)
class Report:
    """What was done and compared. ok: nothing was found. planted: what the bug did, as it was committed."""

    seed: int
    sent: int = 0
    deeds: list[tuple[float, str]] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    checkpoints: int = 0
    drain_s: float = 0.0
    compare_s: float = 0.0
    told: Counter[str] = field(default_factory=Counter)
    counts: dict[str, int] = field(default_factory=dict)
    planted: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything was as it should be."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """One object, for --json."""
        return {
            "ok": self.ok,
            "seed": self.seed,
            "sent": self.sent,
            "done": dict(self.done),
            "faults": dict(self.faults),
            "checkpoints": self.checkpoints,
            "drain_s": round(self.drain_s, 1),
            "compare_s": round(self.compare_s, 1),
            "told": dict(self.told),
            "compared": self.counts,
            "planted": self.planted,
            "problems": self.problems,
            "actions": [{"at_s": round(at_s, 2), "what": what} for at_s, what in self.deeds],
        }
