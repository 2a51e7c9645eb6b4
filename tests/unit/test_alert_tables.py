"""Alerts as columns say what the objects say, in their order, whatever is taken of them."""

from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.alerts.alert import Alert, Contribution, Earlier, OpenClock, alert_columns
from pipelines.alerts.tables import Alerts, AlertTable
from schemas.columnar.writer import ColumnarWriter
from schemas.topics import avro_schema
from tests.batches import BEGIN_MS
from tests.desk import Run, mark, plain

T = TypeVar("T")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
TIMES = st.integers(BEGIN_MS, BEGIN_MS + 10**9)
CONTRIBUTIONS = st.builds(Contribution, TEXTS, st.floats(0, 100), st.floats(1, 9), st.floats(1, 99), st.floats(0, 9))
CLOCKS = st.builds(OpenClock, TEXTS, TIMES, st.none() | TIMES, st.none() | TEXTS)
CONTACTS = st.builds(Earlier, TIMES, TEXTS, TEXTS)


def tuples(entries: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(entries, max_size=3).map(tuple)


ALERTS = st.lists(
    st.builds(
        Alert,
        alert_id=TEXTS, revision=st.integers(1, 9), type=TEXTS, status=st.sampled_from(["opened", "resolved"]),
        customer_id=st.none() | TEXTS, raised_ms=TIMES, reason=TEXTS, policy=TEXTS, touchpoint=st.none() | TEXTS,
        score=st.none() | st.floats(0, 100), contributions=tuples(CONTRIBUTIONS), deadline_ms=st.none() | TIMES,
        open_clocks=tuples(CLOCKS), earlier=tuples(CONTACTS), customers=st.none() | st.integers(0, 9),
        members=tuples(TEXTS), mutes=tuples(TEXTS), handled_ms=st.none() | TIMES, do_not_contact=st.booleans(),
        held_back=st.booleans(), priority=st.integers(1, 5), not_before_ms=st.none() | TIMES,
        began_ms=st.none() | TIMES, share=st.none() | st.floats(0, 1),
    ),
    max_size=6,
)  # fmt: skip


@settings(deadline=None)
@given(ALERTS, st.data())
def test_a_table_gives_the_alerts_that_it_was_made_of(alerts: list[Alert], data: st.DataObject) -> None:
    table = AlertTable(len(alerts), alert_columns(alerts))
    assert table.alerts() == alerts
    rows = data.draw(st.lists(st.integers(0, len(alerts) - 1), max_size=6)) if alerts else []
    assert table.take(np.array(rows, np.int64)).alerts() == [alerts[row] for row in rows]


def test_what_is_written_is_what_is_read_and_in_its_order() -> None:
    """Some of the alerts are objects, because their customer wants not to be contacted, others are columns."""
    run = Run()
    waits = [
        plain("wait.started", n, customer_id=who, session_id=f"{who}{n}")
        for n, who in enumerate(["şule", "bob", "şule", "çağla", "bob"])
    ]
    run.apply(plain("customer.preferences", 0, customer_id="bob", attributes={"do_not_contact": "true"}), *waits)
    told = run.core.advance(BEGIN_MS + 3 * 60_000)
    assert [(a.customer_id, a.do_not_contact) for a in told] == [
        ("şule", False), ("bob", True), ("şule", False), ("çağla", False), ("bob", True),
    ]  # fmt: skip
    writer = ColumnarWriter(avro_schema("alert"), 7)
    assert list(told.written(writer, 5)) == list(Alerts.of(told).written(writer, 5))
    assert told.counts() == Alerts.of(told).counts() == {("still_waiting", "opened"): 5}


@pytest.mark.parametrize("said_first", [True, False])
def test_what_a_customer_says_counts_from_then_on_in_the_same_batch(said_first: bool) -> None:
    said = plain("customer.preferences", 5, attributes={"do_not_contact": "true"})
    wrong = [plain("order.wrong", 6 if said_first else 4), plain("order.wrong", 7 if said_first else 3)]
    run = Run().apply(*sorted([said, *wrong], key=lambda e: e.append_ms))
    assert {a.do_not_contact for a in run.alerts} == {said_first}


def test_a_mark_and_what_is_said_are_taken_in_turn() -> None:
    run = Run().apply(plain("order.wrong", 0), plain("order.wrong", 1))
    about = run.last("band_entered").alert_id
    said = plain("customer.preferences", 3, attributes={"do_not_contact": "true"})
    run.apply(mark("acknowledged", 2, about), said, mark("acknowledged", 4, about))
    assert [a.do_not_contact for a in run.alerts[-2:]] == [False, True]
