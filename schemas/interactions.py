"""An interaction as a typed value, and as the bytes that a producer sends."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import fastavro
import fastavro.schema

from schemas.topics import avro_schema
from schemas.wire import frame_header


@dataclass(frozen=True, slots=True)
class Interaction:
    """One thing that happened to a customer; schemas/avro/interaction.avsc says what each field means.

    occurred_ms: event time in epoch milliseconds UTC, ``occurred_at`` on the wire. It is the only name that
    differs. Nothing is checked here: whoever reads the topic judges.
    """

    event_id: str
    customer_id: str
    kind: str
    channel: str
    touchpoint: str
    occurred_ms: int
    session_id: str | None = None
    case_id: str | None = None
    subject: str | None = None
    duration_ms: int | None = None
    amount: float | None = None
    currency: str | None = None
    rating: float | None = None
    sentiment: float | None = None
    reach: int | None = None
    segment: str | None = None
    source: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


def avro_record(interaction: Interaction) -> dict[str, object]:
    """Fields of the Avro record by name, in the schema's order; ``occurred_at`` stays an int of milliseconds."""
    return {
        "event_id": interaction.event_id,
        "customer_id": interaction.customer_id,
        "kind": interaction.kind,
        "channel": interaction.channel,
        "touchpoint": interaction.touchpoint,
        "occurred_at": interaction.occurred_ms,
        "session_id": interaction.session_id,
        "case_id": interaction.case_id,
        "subject": interaction.subject,
        "duration_ms": interaction.duration_ms,
        "amount": interaction.amount,
        "currency": interaction.currency,
        "rating": interaction.rating,
        "sentiment": interaction.sentiment,
        "reach": interaction.reach,
        "segment": interaction.segment,
        "source": interaction.source,
        "attributes": dict(interaction.attributes),
    }


class InteractionEncoder:
    """Values of friction.interactions in Confluent wire format, under one registered schema id."""

    def __init__(self, schema_id: int) -> None:
        self._header = frame_header(schema_id)
        self._schema = fastavro.schema.parse_schema(json.loads(avro_schema("interaction")))

    def encode(self, interaction: Interaction) -> bytes:
        """Header and Avro body of one interaction, as our own schema writes it."""
        body = io.BytesIO()
        body.write(self._header)
        fastavro.schemaless_writer(body, self._schema, avro_record(interaction))
        return body.getvalue()
