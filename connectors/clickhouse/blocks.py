"""Records that wait to be landed, and how they are cut into the blocks that are inserted as one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import Message


@dataclass(frozen=True, slots=True)
class BlockLimits:
    """A block is inserted when it has so many rows or bytes, or when its first record has waited so long."""

    rows: int = 100_000
    size_bytes: int = 64 * 1024 * 1024
    age_s: float = 0.5

    def is_reached(self, *, rows: int, size_bytes: int, age_s: float) -> bool:
        """Whether records of so many rows and bytes, the first of them so old, must be inserted now."""
        return rows > 0 and (rows >= self.rows or size_bytes >= self.size_bytes or age_s >= self.age_s)


def cut(records: Sequence[Message], limits: BlockLimits) -> list[list[Message]]:
    """Cut the records of one topic into blocks of at most ``limits.rows``, all in order, none left out.

    This alone decides what is in a block: a function of the records and nothing else.
    """
    return [list(records[i : i + limits.rows]) for i in range(0, len(records), limits.rows)]


@dataclass(slots=True)
class _Waiting:
    records: list[Message] = field(default_factory=list)
    size_bytes: int = 0
    since_s: float = 0.0


class Backlog:
    """What was read and is not landed yet, by topic, and up to where each partition may be committed."""

    def __init__(self, limits: BlockLimits) -> None:
        self._limits = limits
        self._waiting: dict[str, _Waiting] = {}
        self._positions: dict[str, dict[int, int]] = {}
        self._committed: dict[str, dict[int, int]] = {}
        self._in_hand: set[str] = set()

    def add(self, records: Iterable[Message], now_s: float) -> None:
        """Take records in the order in which they were read. now_s: a monotonic clock."""
        arrived: dict[tuple[str, int], list[Message]] = {}
        for record in records:
            arrived.setdefault((record.topic(), record.partition()), []).append(record)
        for (topic, partition), its in arrived.items():
            waiting = self._waiting.setdefault(topic, _Waiting())
            if not waiting.records:
                waiting.since_s = now_s
            waiting.records.extend(its)
            waiting.size_bytes += sum(map(len, its))
            self.reach(topic, partition, its[-1].offset() + 1)

    def reach(self, topic: str, partition: int, next_offset: int) -> None:
        """Note that everything below ``next_offset`` was read; transaction markers are no records."""
        self._positions.setdefault(topic, {})[partition] = next_offset

    def forget(self, topic: str, partition: int) -> None:
        """Drop what waits of a partition that is no longer ours; its next owner reads it again."""
        self._positions.get(topic, {}).pop(partition, None)
        self._committed.get(topic, {}).pop(partition, None)
        if topic in self._waiting:
            waiting = self._waiting[topic]
            waiting.records = [r for r in waiting.records if r.partition() != partition]
            waiting.size_bytes = sum(len(r) for r in waiting.records)

    def due(self, now_s: float) -> list[str]:
        """Topics of which a block must be inserted now, or of which only the position has moved."""
        return [topic for topic in self._positions if self._is_due(topic, now_s)]

    def _is_due(self, topic: str, now_s: float) -> bool:
        waiting = self._waiting.get(topic)
        if waiting is None or not waiting.records:
            return bool(self.uncommitted(topic))
        return self._limits.is_reached(
            rows=len(waiting.records), size_bytes=waiting.size_bytes, age_s=now_s - waiting.since_s
        )

    def take(self, topic: str) -> list[list[Message]]:
        """Everything of the topic that waits, cut into blocks.

        Until ``landed`` says that all of them are inserted, nothing of the topic is given or committed any more.
        """
        waiting = None if topic in self._in_hand else self._waiting.pop(topic, None)
        if waiting is None:
            return []
        self._in_hand.add(topic)
        return cut(waiting.records, self._limits)

    def landed(self, topic: str) -> None:
        """Note that what was taken is in its table."""
        self._in_hand.discard(topic)

    def uncommitted(self, topic: str) -> Mapping[int, int]:
        """Offset to commit by partition, where it has moved: all below it is in its table."""
        if topic in self._in_hand:
            return {}
        waiting = self._waiting.get(topic)
        first: dict[int, int] = {}
        for record in waiting.records if waiting else ():
            first.setdefault(record.partition(), record.offset())
        committed = self._committed.get(topic, {})
        landed = {p: first.get(p, position) for p, position in self._positions.get(topic, {}).items()}
        return {p: offset for p, offset in landed.items() if committed.get(p) != offset}

    def commit(self, topic: str, offsets: Mapping[int, int]) -> None:
        """Note that these offsets are committed."""
        self._committed.setdefault(topic, {}).update(offsets)

    def topics(self) -> list[str]:
        """Topics of which something was read."""
        return list(self._positions)
