"""What the engine asks of a stage: its topics, and how a partition of it is restored, fed and written down."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from connectors.kafka.fetched import FetchedBatch
from connectors.kafka.restore import LogReader
from connectors.kafka.transactions import Outgoing
from schemas.errors import InvariantBroken, StateLost


class Urgency(IntEnum):
    """How soon a partition wants to be written down."""

    NOTHING = 0
    CHANGES = 1
    ALERTS = 2
    MANY = 3  # so much has changed that memory, and the time of a checkpoint, would grow


class Snapshot(Protocol):
    """A copy of what has changed, which shares nothing with the partition."""

    def outgoing(self) -> Outgoing:
        """Make the records of the transaction; in any thread."""


class Work(Protocol):
    """A restored partition of a stage. Used by one task at a time."""

    next_offsets: dict[str, int]
    """Where each input topic goes on; the engine moves it."""

    def process(self, batch: FetchedBatch) -> None:
        """Count a batch that begins where the topic goes on."""

    def advance(self, to_ms: int) -> None:
        """Let time pass: everything that was appended before ``to_ms`` has been processed."""

    def urgency(self) -> Urgency:
        """How soon it wants to be written down."""

    def snapshot(self) -> Snapshot:
        """Copy what has changed since the last call, to be written in one transaction."""


class Stage(Protocol):
    """One agent's kind of partitions."""

    @property
    def name(self) -> str:
        """What it is called in logs and metrics."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input topics on the cluster."""

    def transactional_id(self, partition: int) -> str:
        """The fence of a partition."""

    def unresolved(self, batch: FetchedBatch) -> list[int]:
        """Schemas that the registry has to be asked for before the batch is processed."""

    def resolve(self, schema_id: int) -> None:
        """Ask for one; blocks, raises StoreUnavailable."""

    def restore(self, log: LogReader, partition: int, *, cancelled: Callable[[], bool]) -> Work:
        """Read a partition's state back; blocks."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a partition goes on, as its header says; a topic without one begins at its first record."""

    offsets: dict[str, int]

    def checked(self, log: LogReader, topics: tuple[str, ...], partition: int, *, accept_loss: bool) -> dict[str, int]:
        """Next offset of each input topic, held against what the topic still has.

        Raises:
            StateLost: records that were never processed are gone, unless ``accept_loss``.
            InvariantBroken: the topic ends before the place where we were: it is another one.
        """
        found: dict[str, int] = {}
        for topic in topics:
            low, high = log.bounds(topic, partition)
            at = self.offsets.get(topic, low)
            if at > high:
                raise InvariantBroken(
                    f"{topic}/{partition} ends at {high}, but {at} has been processed: the topic was made anew. Give "
                    "the workers state topics that are new too (friction topics list), or the old topic back."
                )
            if at < low:
                if not accept_loss:
                    raise StateLost(
                        f"records {at} to {low - 1} of {topic}/{partition} were deleted before they were processed. "
                        "Set worker.accept_loss (`--set worker.accept_loss=true`) to go on without them."
                    )
                at = low
            found[topic] = at
        return found
