"""What the engine asks of a stage: its topics, and how a partition of it is restored, fed and written down."""

from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

from connectors.kafka.fetched import FetchedBatch
from connectors.kafka.records import RecordColumns
from connectors.kafka.restore import LogReader
from connectors.kafka.transactions import Outgoing


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

    def snapshot(self, *, whole: bool) -> Snapshot:
        """Copy what has changed since the last call, to be written in one transaction.

        whole: with what others can do without until the next one that is; until then the state says that it is due.
        """


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

    def prepare(self, records: RecordColumns) -> object:
        """Read fetched records, in the consumer's thread, for ``process`` to find them read; None if it cannot."""

    def unresolved(self, batch: FetchedBatch) -> list[int]:
        """Schemas that the registry has to be asked for before the batch is processed."""

    def resolve(self, schema_id: int) -> None:
        """Ask for one; blocks, raises StoreUnavailable."""

    def restore(self, log: LogReader, partition: int, *, cancelled: Callable[[], bool]) -> Work:
        """Read a partition's state back; blocks."""
