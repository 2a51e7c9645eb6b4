"""Records that cannot be accepted, on their way to friction.dead_letters: original bytes, and headers that say why.

The names of the headers are Kafka Connect's (DeadLetterQueueReporter).
"""

from dataclasses import dataclass
from enum import StrEnum

from connectors.kafka.transactions import OutgoingRecord

_PREFIX = "__connect.errors."


class RejectReason(StrEnum):
    """Why a record is not accepted; stands where Connect has the class of the exception."""

    NULL_VALUE = "NullValue"
    NOT_FRAMED = "NotFramed"
    UNKNOWN_SCHEMA = "UnknownSchema"
    SCHEMA_INCOMPATIBLE = "SchemaIncompatible"
    NOT_AVRO = "NotAvro"
    BAD_CUSTOMER = "BadCustomer"
    TOO_OLD = "TooOld"
    TOO_FAR_AHEAD = "TooFarAhead"
    BAD_DURATION = "BadDuration"


@dataclass(frozen=True, slots=True)
class Rejected:
    """Record ``index`` of a fetched batch is not accepted."""

    index: int
    reason: RejectReason
    message: str


def dead_letter(
    *,
    to_topic: str,
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    headers: list[tuple[str, bytes | None]],
    rejected: Rejected,
) -> OutgoingRecord:
    """Return the record for the dead letters: in the same partition, its bytes and headers untouched, ours added."""
    said = {
        "topic": topic,
        "partition": str(partition),
        "offset": str(offset),
        "stage": "VALUE_CONVERTER",
        "exception.class.name": rejected.reason.value,
        "exception.message": rejected.message,
    }
    ours = [(_PREFIX + name, text.encode()) for name, text in said.items()]
    return OutgoingRecord(to_topic, partition, key, value, [*headers, *ours])
