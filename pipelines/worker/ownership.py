"""One partition of a stage, from its acquisition to its loss.

    acquiring ──restored──> ready ──revoked, fenced, failed──> gone
        └──────voided (a rebalance, or a failure)──────────────^

A partition that is gone is never used again: it is acquired anew from the log, with a new producer.
"""

from asyncio import Future
from dataclasses import dataclass, field
from time import monotonic

from faust.types import TP

from connectors.kafka.transactions import CommitOutcome, TransactionalProducer
from pipelines.worker.stage import Stage, Work

Name = tuple[str, int]  # of the stage, number of the partition
Written = tuple[CommitOutcome, int]  # what became of a transaction, and how many records it had


@dataclass(eq=False, slots=True)
class Owned:
    """A restored partition and the producer that is its fence."""

    stage: Stage
    partition: int
    work: Work
    producer: TransactionalProducer
    committed: dict[str, int]
    """Next offset of each input topic, as of the last transaction that is known to be complete."""
    mirrored: bool = True
    """Whether the group has the offsets of the header, which is the truth: groups expire, headers do not."""
    ready: bool = False
    gone: bool = False
    reseeking: bool = False
    in_flight: "Future[Written] | None" = None
    late_s: float = 0.0
    """Age of the last record when it was processed, by its append time."""
    checkpoint_s: float = field(default_factory=monotonic)
    whole_s: float = field(default_factory=monotonic)
    """When the last checkpoint, and the last whole one, began."""
    rings: bool = False
    """Whether the event loop will look whether its alerts are due."""
    stuck_at: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By topic where the consumer stood and where we go on, when they last differed."""

    @property
    def name(self) -> Name:
        """Stage and number."""
        return self.stage.name, self.partition

    @property
    def tps(self) -> tuple[TP, ...]:
        """Its input partitions."""
        return tuple(TP(topic, self.partition) for topic in self.stage.inputs)

    @property
    def positions(self) -> dict[TP, int]:
        """Where each of them goes on."""
        return {TP(topic, self.partition): at for topic, at in self.work.next_offsets.items()}

    @property
    def clean(self) -> bool:
        """Whether all that has been processed is committed."""
        return self.in_flight is None and self.committed == self.work.next_offsets


def named(tps: frozenset[TP]) -> str:
    """Topics and numbers, for a log."""
    by_topic: dict[str, list[int]] = {}
    for tp in sorted(tps):
        by_topic.setdefault(tp.topic, []).append(tp.partition)
    return ", ".join(f"{topic} {numbers}" for topic, numbers in by_topic.items()) or "nothing"
