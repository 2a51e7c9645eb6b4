"""What alerts of bands list: the clocks that are open, and the contacts that there were, when the band was entered."""

import pytest

from pipelines.alerts.alert import Alert
from pipelines.state import room
from tests.batches import MINUTE_MS, Event
from tests.clocks import clocks_by_customer
from tests.desk import Run, plain


def passed_around(customer: str) -> list[Event]:
    """Two open cases, one of a contact about a subject; then orders are wrong until a higher band is entered."""
    who = {"customer_id": customer, "channel": "phone"}
    return [
        plain("contact.opened", 0, case_id="P-1", subject="fatura", **who),
        plain("contact.opened", MINUTE_MS, case_id="P-2", **who),
        *[plain("contact.repeated_explanation", (2 + n) * MINUTE_MS, case_id="P-1", **who) for n in range(5)],
        *[plain("order.wrong", (10 + n) * MINUTE_MS, **who) for n in range(5)],  # of no case: it is not folded
    ]


def bands(run: Run) -> list[Alert]:
    return [a for a in run.alerts if a.type == "band_entered"]


def test_a_band_lists_open_clocks_and_earlier_contacts_also_when_nothing_is_folded() -> None:
    opened, *others = bands(Run().apply(*passed_around("Ömer")))
    assert {(c.clock, c.case_id) for c in opened.open_clocks} >= {("first_response", "P-1"), ("resolution", "P-1")}
    assert "P-2" in {c.case_id for c in opened.open_clocks}
    assert [(e.channel, e.tried) for e in opened.earlier] == [("phone", "")]
    assert others[-1].status == "escalated"
    assert others[-1].open_clocks == opened.open_clocks


def test_what_is_listed_depends_neither_on_batches_nor_on_restarts_nor_on_other_customers() -> None:
    events = [e for pair in zip(passed_around("Ömer"), passed_around("Şükrü"), strict=True) for e in pair]
    together, one_by_one = bands(Run().apply(*events)), Run()
    for one in events:
        one_by_one.apply(one).restart()
    assert bands(one_by_one) == together
    assert len({a.customer_id for a in together}) == 2


def test_a_clock_that_is_closed_in_the_same_batch_is_still_listed_by_what_came_before() -> None:
    answered = plain("contact.answered", 30 * MINUTE_MS, customer_id="Ömer", channel="phone", case_id="P-1")
    events = passed_around("Ömer")
    assert bands(Run().apply(*events, answered)) == bands(Run().apply(*events))


def test_lists_that_do_not_fit_are_made_in_more_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [e for n in range(30) for e in passed_around(f"c{n}")]
    wide = Run().apply(*events).alerts
    monkeypatch.setattr(room, "_NOTES", 16)
    assert Run().apply(*events).alerts == wide


def test_a_marked_band_lists_what_is_open_now() -> None:
    run = Run().apply(*passed_around("Ömer"))
    opened = bands(run)[0]
    run.apply(plain("alert.acknowledged", 20 * MINUTE_MS, customer_id="Ömer", attributes={"alert_id": opened.alert_id}))
    again = bands(run)[-1]
    assert (again.handling, again.open_clocks, again.earlier) == ("acknowledged", opened.open_clocks, opened.earlier)


def test_a_band_that_is_left_lists_nothing() -> None:
    run = Run().apply(*[plain("form.failed", n) for n in range(12)]).advance(3 * 86_400_000)
    assert bands(run)[-1].status == "resolved"
    assert bands(run)[-1].open_clocks == ()


def test_a_clock_that_stands_still_is_listed_without_the_deadline_that_moves() -> None:
    pending = plain("case.pending", 8 * MINUTE_MS, customer_id="Ömer", case_id="P-1")
    run = Run().apply(*sorted([*passed_around("Ömer"), pending], key=lambda one: one.append_ms))
    deadlines = {(c.clock, c.case_id): c.deadline_ms for c in bands(run)[-1].open_clocks}
    assert deadlines["resolution", "P-1"] is None
    assert deadlines["first_response", "P-1"] is not None
    (listed,) = clocks_by_customer(run.core).values()
    assert [(c.clock, c.case_id) for c in listed if c.deadline_ms is None] == [("resolution", "P-1")]
