import dataclasses
import io
import json

import fastavro
import numpy as np

from schemas.interactions import Interaction, InteractionEncoder, avro_record
from schemas.topics import avro_schema
from schemas.wire import split_frame
from tests.batches import BEGIN_MS, batch_of, event

SCHEMA = json.loads(avro_schema("interaction"))

FULL = Interaction(
    event_id="e-1",
    customer_id="şule.öztürk.7",
    kind="wait.measured",
    channel="phone",
    touchpoint="call/support",
    occurred_ms=1_760_000_000_123,
    session_id="s-1",
    case_id="c-1",
    subject="返品",
    duration_ms=61_000,
    amount=12.5,
    currency="TRY",
    rating=7.0,
    sentiment=-0.25,
    reach=5_000,
    segment="loyal",
    source="test",
    attributes={"stage": "queue", "outcome": "answered"},
)
BARE = Interaction("e-2", "c", "form.failed", "web", "checkout/promo-form", 0)


def decoded(value: bytes) -> tuple[int, dict[str, object]]:
    schema_id, body = split_frame(value)
    stream = io.BytesIO(body)
    record = fastavro.schemaless_reader(stream, SCHEMA, None)
    assert stream.read() == b""
    return schema_id, record


def test_an_interaction_has_the_fields_of_the_schema_in_its_order() -> None:
    ours = [f.name for f in dataclasses.fields(Interaction)]
    ours[ours.index("occurred_ms")] = "occurred_at"
    assert ours == [f["name"] for f in SCHEMA["fields"]]


def test_what_the_schema_lets_be_absent_may_be_left_out() -> None:
    optional = {f["name"]: f["default"] for f in SCHEMA["fields"] if "default" in f}
    record = avro_record(BARE)
    assert {name: record[name] for name in optional} == optional


def test_every_field_reaches_the_reader_of_the_bytes() -> None:
    schema_id, record = decoded(InteractionEncoder(70_000).encode(FULL))
    occurred_at = record.pop("occurred_at")
    expected = dataclasses.asdict(FULL)
    occurred_ms = expected.pop("occurred_ms")
    assert schema_id == 70_000
    assert record == expected
    assert occurred_at.timestamp() * 1000 == occurred_ms  # type: ignore[attr-defined]  # fastavro gives a datetime


def test_an_interaction_with_nothing_optional_can_be_read_back() -> None:
    _, record = decoded(InteractionEncoder(1).encode(BARE))
    assert {name for name, value in record.items() if value not in (None, {})} == {
        "event_id",
        "customer_id",
        "kind",
        "channel",
        "touchpoint",
        "occurred_at",
    }


def test_some_rows_are_taken_with_the_attributes_of_these_alone() -> None:
    """Else whoever reads the attributes of a part reads those of the whole."""
    said = [{"reply": "personal", "stage": "one"}, {}, {"reply": "template"}, {"stage": "two"}]
    events = [event("contact.replied", BEGIN_MS + n, attributes=one) for n, one in enumerate(said)]
    whole = batch_of(events)
    part = whole.take(np.array([3, 1, 0]))
    assert part.details is not None
    assert part.details.entry_key.start.shape[0] == 3
    assert [part.details.attributes(part.data, i) for i in range(3)] == [said[3], said[1], said[0]]
