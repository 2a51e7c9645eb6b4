"""Records that cannot be accepted, on their way to friction.dead_letters: original bytes, and headers that say why.

The names of the headers are Kafka Connect's (DeadLetterQueueReporter). A record that is larger than a dead letter may
be has been compressed by its producer; of such a one only the headers are kept, which say where it is.
"""

from dataclasses import dataclass
from enum import StrEnum

from connectors.kafka.transactions import OutgoingRecord

MAX_LETTER_BYTES = 2_097_152  # the largest that friction.dead_letters takes
_OURS_BYTES = 16_384  # room for our own headers, and for what compression may add
_MAX_SAID = 1_000  # characters of a message: some quote the record
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
    BAD_RATING = "BadRating"
    BAD_SENTIMENT = "BadSentiment"
    BAD_PLACE = "BadPlace"
    TOO_LARGE = "TooLarge"


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
    message = rejected.message if len(rejected.message) <= _MAX_SAID else f"{rejected.message[:_MAX_SAID]} ..."
    size = record_bytes(key, value, headers)
    if size > MAX_LETTER_BYTES - _OURS_BYTES:
        key, value, headers = None, None, []
        message += f" (the record has {size} bytes, too many for a dead letter: it is only in its topic)"
    said = {
        "topic": topic,
        "partition": str(partition),
        "offset": str(offset),
        "stage": "VALUE_CONVERTER",
        "exception.class.name": rejected.reason.value,
        "exception.message": message,
    }
    ours = [(_PREFIX + name, text.encode()) for name, text in said.items()]
    return OutgoingRecord(to_topic, partition, key, value, [*headers, *ours])


def record_bytes(key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]) -> int:
    """Bytes that a record holds, without those that the protocol adds."""
    texts = (len(name.encode()) + len(text or b"") for name, text in headers)
    return len(key or b"") + len(value or b"") + sum(texts)
