"""What aiokafka has fetched of a partition, as one columnar batch (or as it came) instead of an object per record.

The fetcher of a started consumer is changed as an instance, no class or module of aiokafka is patched: its client is
replaced by one that keeps the bytes of each answer, its buffer by one that reads those bytes as columns.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.structs import TopicPartition

from connectors.kafka.records import RecordColumns, batch_heads, read_in_pieces, read_record_set

LITTLE = 4  # less than a fourth of the bytes that a fetch may wait for, in the time that it may wait
PATIENCE = 3.4  # so many times as long a fetch waits while little comes
PREFETCH_BACKOFF_S = 0.02  # how long data of one partition may wait before the others are fetched again


Prepare = Callable[[str, RecordColumns], object]
"""What the consumer's thread does with the records of a topic before others have them; it must not raise."""


def prepare_nothing(_topic: str, _records: RecordColumns) -> object:
    """Leave them as they are."""
    return None


@dataclass(frozen=True, slots=True)
class FetchedBatch:
    """The visible records between two fetch positions of a partition.

    Batches of a partition are contiguous: the next one's ``position`` is this one's ``next_position``, across
    markers, aborted batches and what compaction has removed.
    """

    topic: str
    partition: int
    position: int
    next_position: int
    records: RecordColumns
    prepared: object = None
    """What the consumer's thread has made of the records already (``Prepare``); None if nothing."""

    def since(self, position: int) -> "FetchedBatch":
        """The part from ``position`` on, of which nothing is prepared."""
        return FetchedBatch(self.topic, self.partition, position, self.next_position, self.records.since(position))


@dataclass(frozen=True, slots=True)
class Answer:
    """The last answer of a broker about a partition.

    begun_ms: wall clock before the broker was asked. end: offset at which the partition ended then, with the records
    of transactions that were still open: they bear the time at which they were appended, and become visible later.
    """

    begun_ms: int
    end: int


@dataclass(frozen=True, slots=True)
class FetchedSet:
    """What a broker has answered about a partition, as it came.

    aborted: (producer id, first offset) of the aborted transactions in it. position: from where on it counts.
    """

    topic: str
    partition: int
    position: int
    aborted: Sequence[tuple[int, int]]
    raw: bytes

    @property
    def next_position(self) -> int:
        """Behind its last whole batch.

        Raises:
            CorruptBatch: the bytes are not batches.
        """
        return max((self.position, *(head.next_offset for head in batch_heads(self.raw))))

    def batch(self, *, check_crc: bool, prepare: Prepare) -> FetchedBatch:
        """Read it as columns.

        Raises:
            CorruptBatch: the bytes are not what the protocol says.
        """
        columns, following = read_record_set(self.raw, self.aborted, self.position, check_crc=check_crc)
        prepared = prepare(self.topic, columns)
        return FetchedBatch(self.topic, self.partition, self.position, following, columns, prepared)

    def pieces(self) -> Iterator[RecordColumns]:
        """Read it piece by piece (``read_in_pieces``), its checksums too.

        Raises:
            CorruptBatch: the bytes are not what the protocol says.
        """
        return read_in_pieces(self.raw, self.aborted, self.position)


_Read = Callable[[FetchedSet], "FetchedBatch | FetchedSet"]


class _Batches:
    """Stands where aiokafka has its PartitionRecords: an iterator of one batch, and the next fetch offset."""

    def __init__(self, partition: TopicPartition, fetched: Any, raw: bytes, read: _Read) -> None:
        self.next_fetch_offset: int = fetched.next_fetch_offset
        topic, number = partition
        aborted = list(fetched._aborted_transactions)
        self._set: FetchedSet | None = FetchedSet(topic, number, self.next_fetch_offset, aborted, raw)
        self._read = read

    def __iter__(self) -> Iterator[FetchedBatch | FetchedSet]:
        return self

    def __next__(self) -> FetchedBatch | FetchedSet:
        fetched, self._set = self._set, None
        if fetched is None:
            raise StopIteration
        read = self._read(fetched)
        self.next_fetch_offset = read.next_position
        return read


class _AnswerKeeper:
    """A client that keeps the record sets of the last answer, by partition, until the fetcher asks for them.

    While little comes, it lets the next fetch wait longer: small batches cost more than they hold, and an alert that
    comes alone does not wait for the gap between checkpoints.
    """

    def __init__(self, client: Any, fetcher: Any) -> None:
        self._client = client
        self._fetcher = fetcher
        self._wait_ms: int = fetcher._fetch_max_wait_ms
        self._little_bytes: int = fetcher._fetch_min_bytes // LITTLE
        self.record_sets: dict[TopicPartition, bytes] = {}
        self.answers: dict[TopicPartition, Answer] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        begun_ms = time.time_ns() // 1_000_000
        answer = await self._client.send(node_id, request, **options)
        if not _is_fetch(request):
            return answer
        size = 0
        for topic, partitions in answer.topics:
            for partition, error, high, *_, record_set in partitions:
                tp = TopicPartition(topic, partition)
                if error == 0:
                    size += len(record_set)
                    self.record_sets[tp] = record_set
                    self.answers[tp] = Answer(begun_ms, high)
        most = self._little_bytes * self._fetcher._fetch_max_wait_ms // self._wait_ms  # it may have waited so long
        self._fetcher._fetch_max_wait_ms = int(self._wait_ms * (PATIENCE if size < most else 1))
        return answer


def _is_fetch(request: Any) -> bool:
    return type(request).__name__.startswith("FetchRequest")


class _Buffer(OrderedDict[TopicPartition, Any]):
    """The fetcher's buffer: what is put in comes out as ``read`` gives it."""

    def __init__(self, answers: _AnswerKeeper, read: _Read) -> None:
        super().__init__()
        self._answers = answers
        self._read = read

    def __setitem__(self, partition: TopicPartition, result: Any) -> None:
        if type(result) is FetchResult:
            raw = self._answers.record_sets.pop(partition)
            result._partition_records = _Batches(partition, result._partition_records, raw, self._read)
        super().__setitem__(partition, result)


def read_as_columns(
    consumer: AIOKafkaConsumer, *, check_crc: bool, prepare: Prepare = prepare_nothing
) -> dict[TopicPartition, Answer]:
    """Make a consumer that has been started, and has no subscription yet, give FetchedBatch objects.

    Returns the brokers' last answers by partition, which go on to change.
    """
    return _give(consumer, lambda fetched: fetched.batch(check_crc=check_crc, prepare=prepare))


def read_as_sets(consumer: AIOKafkaConsumer) -> None:
    """Make a consumer that has been started, and has no assignment yet, give FetchedSet objects."""
    _give(consumer, lambda fetched: fetched)


def _give(consumer: AIOKafkaConsumer, read: _Read) -> dict[TopicPartition, Answer]:
    fetcher = consumer._fetcher
    answers = _AnswerKeeper(fetcher._client, fetcher)
    fetcher._client = answers
    fetcher._records = _Buffer(answers, read)
    fetcher._prefetch_backoff = PREFETCH_BACKOFF_S
    return answers.answers
