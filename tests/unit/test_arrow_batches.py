"""Arrow batches become what the decoder of Kafka records gives, however they are cut."""

from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.files.fields import SCHEMA
from pipelines.intake.arrow_batches import interaction_batch
from pipelines.intake.interactions import OUTCOMES, Details, InteractionBatch, Texts, joined
from pipelines.worker.decoding import InteractionDecoder
from schemas.acceptance import MAX_DURATION_MS
from tests.unit.test_decoding import APPENDED_MS, BOUNDS, Record, Registry, decode, value

TEXTS = st.text(max_size=6)


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


RECORDS = st.fixed_dictionaries(
    {
        "event_id": TEXTS,
        "customer_id": st.text(min_size=1, max_size=20),
        "kind": TEXTS,
        "channel": TEXTS,
        "touchpoint": TEXTS,
        "occurred_at": st.integers(APPENDED_MS - BOUNDS.max_age_ms, APPENDED_MS + BOUNDS.max_ahead_ms),
        "session_id": optional(TEXTS),
        "case_id": optional(TEXTS),
        "subject": optional(TEXTS),
        "duration_ms": optional(st.integers(0, MAX_DURATION_MS)),
        "amount": optional(st.floats(allow_nan=False)),
        "currency": optional(TEXTS),
        "rating": optional(st.floats(allow_nan=False)),
        "sentiment": optional(st.floats(-1, 1)),
        "reach": optional(st.integers(0, 2**40)),
        "segment": optional(TEXTS),
        "source": optional(TEXTS),
        "attributes": st.dictionaries(
            st.sampled_from(["outcome", "outcomes", "stage", ""]),
            st.sampled_from([*OUTCOMES, "", "Answered"]),
            max_size=3,
        ),
    }
)


def arrow(records: list[dict[str, Any]]) -> pa.RecordBatch:
    rows = [{**r, "attributes": list(r["attributes"].items())} for r in records]
    return pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


def plain(batch: InteractionBatch | Details, data: Any = None) -> dict[str, Any]:
    """Every field as Python values; attributes as dictionaries."""
    data = batch.data if isinstance(batch, InteractionBatch) else data
    told: dict[str, Any] = {}
    for f in fields(batch):
        column = getattr(batch, f.name)
        if isinstance(column, Details):
            told |= plain(column, data)
        elif isinstance(column, Texts):
            told[f.name] = [column.text(data, i) for i in range(len(column.start))]
        elif f.name != "data" and column is not None:
            told[f.name] = [None if value != value else value for value in column.tolist()]  # noqa: PLR0124 - NaN
    if "entry_start" in told:
        keys, values, starts, counts = (told.pop(f"entry_{n}") for n in ("key", "value", "start", "count"))
        spans = [range(a, a + n) for a, n in zip(starts, counts, strict=True)]
        told["attributes"] = [[(keys[e], values[e]) for e in span] for span in spans]
    return told


@given(st.lists(RECORDS, min_size=1, max_size=12), st.data(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_batch_of_a_file_is_that_of_the_decoder(
    records: list[dict[str, Any]], data: st.DataObject, details: bool
) -> None:
    reader = InteractionDecoder(Registry(), BOUNDS, details=details)  # type: ignore[arg-type]  # it has what is used
    decoded = decode([Record(value(r), append_ms=APPENDED_MS) for r in records], reader)
    assert decoded.rejected == []
    offset = decoded.interactions.offset
    append_ms = np.full(len(records), APPENDED_MS)
    whole = arrow(records)
    assert plain(interaction_batch(whole, offset, append_ms, details=details)) == plain(decoded.interactions)
    cut = data.draw(st.integers(0, len(records)))
    parts = [
        (offset[a:b], interaction_batch(whole.slice(a, b - a), offset[a:b], append_ms[a:b], details=details))
        for a, b in ((0, cut), (cut, len(records)))
    ]
    assert plain(joined(parts)[0]) == plain(decoded.interactions)


def test_what_does_not_say_when_it_was_appended_was_when_it_occurred() -> None:
    batch = interaction_batch(arrow([_one(7)]), np.zeros(1, np.int64))
    assert batch.append_ms.tolist() == batch.occurred_ms.tolist() == [7]


def _one(occurred_ms: int) -> dict[str, Any]:
    needed = dict.fromkeys(("event_id", "customer_id", "kind", "channel", "touchpoint"), "x")
    return {**dict.fromkeys(SCHEMA.names), **needed, "occurred_at": occurred_ms, "attributes": {}}


def test_the_bytes_are_those_of_a_fetch_for_the_kernels() -> None:
    for records in ([], [_one(0)], [_one(0), {**_one(0), "subject": "s"}]):
        assert not interaction_batch(arrow(records), np.arange(len(records)), details=True).data.flags.writeable
