"""What the agents that merge partials of source partitions share: whose schema they are, and those that are none."""

from collections.abc import Container

from connectors.kafka.dead_letters import Rejected, RejectReason, dead_letter
from connectors.kafka.fetched import FetchedBatch
from connectors.kafka.records import RecordColumns
from connectors.kafka.transactions import OutgoingRecord
from pipelines.worker import metrics
from schemas.columnar.frames import schema_ids
from schemas.errors import TopicMismatch

HEADER = b"h"
"""Key of a partition's header in the state of such an agent."""
MOST = 2**53
"""Above every number of a partial: those of all source partitions are added."""


def unresolved(records: RecordColumns, known: Container[int]) -> list[int]:
    """Schemas of the records that are not known."""
    found = schema_ids(records.data, records.value_start, records.value_length)[1]
    return [i for i in found if i not in known]


def rejected(batch: FetchedBatch, i: int, reason: str, *, to_topic: str, sources: int) -> OutgoingRecord:
    """The dead letter of record i, counted. sources: partitions of the dead letters, those of the source."""
    records = batch.records
    metrics.DEAD_LETTERS.labels(RejectReason.NOT_AVRO.value).inc()
    return dead_letter(
        to_topic=to_topic,
        topic=batch.topic,
        partition=batch.partition % sources,
        offset=int(records.offset[i]),
        key=records.key(i),
        value=records.value(i),
        headers=records.headers(i),
        rejected=Rejected(i, RejectReason.NOT_AVRO, reason),
    )


def same_sources(topic: str, partition: int, before: int, now: int) -> None:
    """See to it that there are as many source partitions as when the state was written.

    Raises:
        TopicMismatch: there are not.
    """
    if before != now:
        raise TopicMismatch(
            f"{topic}/{partition} was written when there were {before} source partitions, now "
            f"there are {now}. Partitions cannot be added to topics that hold state; make new topics, "
            "with another prefix, and send interactions there."
        )
