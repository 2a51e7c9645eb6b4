"""What is open of a customer is the fold of its interactions, however they come, are cut, and when it restarts."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.alerts.alert import Alert
from pipelines.fold.blocks import LIVE
from pipelines.fold.fold import MOST_OPEN
from pipelines.fold.items import AT, CLOCK, DUE, ENDS, PAUSED_AT, kind_of, number_of
from pipelines.fold.notes import MOST_LISTED
from pipelines.partition import CustomerPartition
from pipelines.policy.policy import parse_policy
from pipelines.state import room
from tests.batches import BEGIN_MS, MINUTE_MS, Event, batch_of, event
from tests.plain import uncompiled
from tests.stored import records_of, restored

FULL_TEXT = (Path(__file__).parents[2] / "schemas" / "policy" / "default.yaml").read_text("utf-8")
FULL = parse_policy(FULL_TEXT, "schemas/policy/default.yaml")
CUSTOMERS = ("ana", "çağla")
SPAN_MS = 12 * MINUTE_MS  # less than the 15 minutes in which what was told is put right
END_MS = BEGIN_MS + SPAN_MS + 1
DAY_MS = 24 * 60 * MINUTE_MS

Clock = tuple[str, int, int, bool]  # name, opened, due, whether it is paused


@dataclass
class Run:
    """A partition under the full policy, and what it has told."""

    partition: CustomerPartition = field(default_factory=lambda: CustomerPartition(0, 1, FULL))
    alerts: list[Alert] = field(default_factory=list)
    rows: dict[bytes, bytes | None] = field(default_factory=dict)

    def apply(self, events: Sequence[Event]) -> None:
        self.alerts += self.partition.apply(batch_of(events)).alerts

    def advance(self, to_ms: int) -> None:
        self.alerts += self.partition.advance(to_ms)

    def restart(self) -> None:
        """Begin again with nothing but what a checkpoint has written."""
        before = self.partition
        self.rows.update(records_of(before, before.rows.take_dirty()))
        self.partition = CustomerPartition(0, 1, FULL)
        restored(self.partition.rows, {}, list(self.rows.items()), form=self.partition.form)
        self.partition.restore_times(watermark_ms=before.windows.watermark_ms, advanced_ms=before.advanced_ms)

    def run(self, events: Sequence[Event], cuts: Sequence[str] = (), end_ms: int = END_MS) -> "Run":
        """Take the interactions; after the n-th cut the batch, or restart, as ``cuts[n]`` says; then time passes."""
        together: list[Event] = []
        for n, one in enumerate(events):
            together.append(one)
            cut = cuts[n] if n < len(cuts) else ""
            if cut:
                self.apply(together)
                together = []
            if cut == "restart":
                self.restart()
        self.apply(together)
        self.advance(end_ms)
        return self

    def stored(self) -> dict[str, bytes]:
        """Everything that is known of each customer, bit by bit."""
        rows = self.partition.rows
        numbers = np.flatnonzero(rows.interactions[: rows.numbers])
        names = [rows.customers.text(int(n)) for n in numbers]
        return dict(zip(names, rows.copied(numbers, self.partition.form).stored().values(), strict=True))

    def heat(self, customer: str) -> dict[str, float]:
        """What decays, as of now, and what open cases hold, of each signal."""
        rows = self.partition.rows
        numbers = np.array([n for n in range(rows.numbers) if rows.customers.text(n) == customer], np.int64)
        left = np.exp2(-(self.partition.advanced_ms - rows.updated_ms[numbers])[:, None] / FULL.half_life_ms)
        heats = (rows.heat[numbers] * left + rows.held(numbers))[0]
        return dict(zip(FULL.signal_names, heats.tolist(), strict=True))

    def band(self, customer: str) -> str:
        """The band that the customer is in."""
        rows = self.partition.rows
        names = [rows.customers.text(n) for n in range(rows.numbers)]
        return str(FULL.band_names[rows.band[names.index(customer)]])

    def open_clocks(self, customer: str) -> list[Clock]:
        """What the customer waits for."""
        rows = self.partition.rows
        found: list[Clock] = []
        for n in range(rows.numbers):
            if rows.customers.text(n) != customer:
                continue
            lists, _ = rows.contents(n)
            for item in lists[LIVE]:
                if kind_of(item) == CLOCK and item[ENDS] == 0:
                    name = tuple(FULL.file.clocks)[number_of(item)]
                    found.append((name, int(item[AT]), int(item[DUE]), bool(item[PAUSED_AT])))
        return sorted(found)

    def standing(self) -> dict[str, str]:
        """The last word on each alert but those of bands; what was retracted has never been told."""
        last = {a.alert_id: f"{a.type} {a.status} {a.clock}" for a in self.alerts if a.type != "band_entered"}
        return {about: said for about, said in last.items() if " retracted " not in said}


def by_customer(alerts: Sequence[Alert]) -> dict[str, list[Alert]]:
    """Time passes for customers in the order of their rows, and a restart may change that."""
    return {c: [a for a in alerts if a.customer_id == c] for c in CUSTOMERS}


_CASED = [
    ("contact.opened", {}),
    ("contact.opened", {"urgency": "critical"}),
    ("contact.replied", {"reply": "template"}),
    ("contact.replied", {"reply": "personal"}),
    ("contact.replied", {"reply": "automatic"}),
    ("contact.customer_replied", {}),
    ("contact.transferred", {}),
    ("case.pending", {}),
    ("case.resumed", {}),
    ("case.resolved", {}),
    ("case.reopened", {}),
]
_OTHERS = [
    ("wait.started", {}),
    ("wait.ended", {}),
    ("callback.promised", {}),
    ("callback.done", {}),
    ("callback.missed", {}),
    ("feedback.given", {"question": "csat"}),
    ("form.failed", {}),
    ("form.submitted", {}),
    ("order.placed", {}),
    ("search.no_result", {}),
    ("social.mentioned", {}),
]


@st.composite
def lives(draw: st.DrawFn, *, most: int = 25, span_ms: int = SPAN_MS) -> list[Event]:
    """Up to ``most`` interactions of two customers within ``span_ms``, in the order of their event time."""
    count = draw(st.integers(0, most))
    times = sorted(draw(st.lists(st.integers(0, span_ms), min_size=count, max_size=count)))
    found = []
    for n, after_ms in enumerate(times):
        kind, attributes = draw(st.sampled_from([*_CASED, *_OTHERS]))
        more = dict(attributes)
        if kind == "callback.promised" and draw(st.booleans()):
            more["deadline"] = str(BEGIN_MS + draw(st.integers(0, 30 * MINUTE_MS)))
        cased = (kind, attributes) in _CASED or draw(st.booleans())
        found.append(
            event(
                kind,
                BEGIN_MS + after_ms,
                event_id=f"e{n}",
                customer_id=draw(st.sampled_from(CUSTOMERS)),
                channel=draw(st.sampled_from(["web", "phone", ""])),
                touchpoint=draw(st.sampled_from(["shop", "mağaza"])),
                case_id=draw(st.sampled_from(["c1", "c2", ""])) if cased else "",
                session_id=draw(st.sampled_from(["s1", "s2", ""])),
                subject=draw(st.sampled_from(["payment", "iade", ""])),
                segment=draw(st.sampled_from(["", "", "", "loyal"])),
                rating=draw(st.sampled_from([0.0, 2.0, 5.0, 9.0])) if kind == "feedback.given" else None,
                sentiment=draw(st.sampled_from([-0.9, 0.0, 0.9, None])) if kind == "social.mentioned" else None,
                reach=draw(st.sampled_from([10, 5000])) if kind == "social.mentioned" else None,
                attributes=more,
            )
        )
    return found


CUTS = st.lists(st.sampled_from(["", "", "batch", "restart"]), max_size=25)


@settings(max_examples=40, deadline=None)
@given(lives(), CUTS)
def test_kernels_give_the_same_bits_compiled_and_not(events: list[Event], cuts: list[str]) -> None:
    fast = Run().run(events, cuts)
    with uncompiled():
        plain = Run().run(events, cuts)
        bits = plain.stored()
    assert bits == fast.stored()
    assert plain.alerts == fast.alerts


def assert_same_end(mixed: Run, straight: Run, events: Sequence[Event]) -> None:
    """What stands is the same; so is the band of who stayed in one segment: it is judged by the one known last."""
    for customer in {str(e.record["customer_id"]) for e in events}:
        assert mixed.heat(customer) == pytest.approx(straight.heat(customer), rel=1e-9, abs=1e-9)
        assert mixed.open_clocks(customer) == straight.open_clocks(customer)
        if len({e.record["segment"] for e in events if e.record["customer_id"] == customer}) == 1:
            assert mixed.band(customer) == straight.band(customer)
    assert mixed.standing() == straight.standing()


TIMES = st.lists(st.sampled_from(["", "", "newest", "end", "restart"]), max_size=25)


@settings(max_examples=300, deadline=None)
@given(st.data(), lives(), TIMES)
def test_any_order_of_arrival_leads_to_the_same(data: st.DataObject, events: list[Event], times: list[str]) -> None:
    """Also when time has passed, and what should not have happened has been told, before the late ones come."""
    straight, mixed, newest_ms = Run().run(events), Run(), 0
    for n, one in enumerate(data.draw(st.permutations(events))):
        mixed.apply([one])
        newest_ms = max(newest_ms, one.record["occurred_at"])
        passes = times[n] if n < len(times) else ""
        if passes == "restart":
            mixed.restart()
        elif passes:
            mixed.advance(newest_ms if passes == "newest" else END_MS - 1)
    mixed.advance(END_MS)
    assert_same_end(mixed, straight, events)


@settings(max_examples=200, deadline=None)
@given(st.data(), lives(span_ms=40 * 60 * MINUTE_MS))
def test_who_rests_and_comes_back_is_as_if_nothing_had_been_put_away(data: st.DataObject, events: list[Event]) -> None:
    """Of two days, with rests shorter and longer than REST_MS; each up to 14 minutes late, and time passes with it."""
    straight, mixed = Run(), Run()
    for one in events:
        straight.advance(one.record["occurred_at"] - 1)
        straight.apply([one])
    late = [replace(e, append_ms=e.append_ms + data.draw(st.integers(0, 14 * MINUTE_MS))) for e in events]
    for one in sorted(late, key=lambda e: e.append_ms):
        mixed.advance(one.append_ms - 1)
        mixed.apply([one])
        if data.draw(st.booleans()):
            mixed.restart()
    for run in (straight, mixed):
        run.advance(BEGIN_MS + 2 * DAY_MS)
    assert_same_end(mixed, straight, events)


@settings(max_examples=300, deadline=None)
@given(lives(), CUTS)
def test_batches_and_restarts_do_not_change_a_bit(events: list[Event], cuts: list[str]) -> None:
    whole, cut = Run().run(events), Run().run(events, cuts)
    assert cut.stored() == whole.stored()
    assert by_customer(cut.alerts) == by_customer(whole.alerts)


SPANS = st.sampled_from([2, 30, 240]).map(lambda hours: hours * 60 * MINUTE_MS)
LAGS = st.lists(st.integers(0, 14 * MINUTE_MS), min_size=25, max_size=25)


@settings(max_examples=100, deadline=None)
@given(
    SPANS.flatmap(lambda span_ms: lives(span_ms=span_ms)), LAGS, st.integers(0, 79), CUTS
)  # of 90 days on one who is quiet is forgotten
def test_over_days_it_is_the_same_when_all_come_within_the_correction_horizon(
    events: list[Event], lags: list[int], days: int, cuts: list[str]
) -> None:
    """Each comes up to 14 minutes late, time goes on with what comes, and in the end clocks run out."""
    end_ms = max((e.record["occurred_at"] for e in events), default=BEGIN_MS) + 20 * MINUTE_MS + days * DAY_MS
    straight, mixed = Run().run(events, end_ms=end_ms), Run()
    arrivals = [Event(e.record, e.record["occurred_at"] + lag) for e, lag in zip(events, lags, strict=False)]
    for n, one in enumerate(sorted(arrivals, key=lambda e: e.append_ms)):
        mixed.advance(one.append_ms)
        mixed.apply([one])
        if cuts[n : n + 1] == ["restart"]:
            mixed.restart()
    mixed.advance(end_ms)
    assert_same_end(mixed, straight, events)


def plain(kind: str, after_ms: int, **fields: Any) -> Event:
    return event(kind, BEGIN_MS + after_ms, event_id=f"{kind} {after_ms} {fields}", **fields)


def test_what_is_folded_again_for_lack_of_room_is_counted_once() -> None:
    pairs = [(plain("search.no_result", 2 * n), plain("contact.opened", 2 * n + 1, subject="iade")) for n in range(20)]
    events = [one for pair in pairs for one in pair]
    with patch.object(room, "_NOTES", 128):
        narrow = Run().run(events, end_ms=BEGIN_MS + MINUTE_MS)
    wide = Run().run(events, end_ms=BEGIN_MS + MINUTE_MS)
    assert len(wide.alerts) > 18
    assert narrow.alerts == wide.alerts
    assert narrow.partition.tally["failed"] == 20


def test_an_alert_tells_segment_and_band_of_its_moment_however_batches_are_cut() -> None:
    events = [plain("order.wrong", 0), plain("order.wrong", 1), plain("form.failed", 2, segment="loyal")]
    whole, cut = Run().run(events), Run().run(events, ["batch"] * 3)
    assert [a.score for a in cut.alerts] == [a.score for a in whole.alerts]
    assert cut.alerts == whole.alerts


def test_alerts_of_a_customer_come_in_the_same_order_however_batches_are_cut() -> None:
    events = [
        plain("wait.started", 0),
        *[plain("order.wrong", 3 * MINUTE_MS + n) for n in range(2)],
        plain("wait.ended", 4 * MINUTE_MS),
    ]
    whole, cut = Run().run(events), Run().run(events, ["batch"] * 4)
    assert [(a.type, a.status) for a in by_customer(cut.alerts)["ana"]] == [
        (a.type, a.status) for a in by_customer(whole.alerts)["ana"]
    ]


def test_what_was_resolved_by_an_early_end_and_stands_escalated_is_told_so() -> None:
    early, own, end = (
        plain("wait.started", 0),
        plain("wait.started", 0, session_id="s1"),
        plain("wait.ended", 5 * MINUTE_MS, session_id="s1"),
    )
    straight, mixed = Run().run([early, own, end]), Run().run([early, end, own])
    assert mixed.standing() == straight.standing()


def test_the_order_in_which_they_come_is_not_kept_when_they_happened_at_the_same_time() -> None:
    pair = [plain("contact.opened", 0, case_id="c1"), plain("case.resolved", 0, case_id="c1")]
    assert Run().run(pair).standing() == Run().run(pair[::-1]).standing()
    assert Run().run(pair).open_clocks("ana") == Run().run(pair[::-1]).open_clocks("ana")


def test_an_alert_lists_the_open_clocks_that_were_opened_first_and_not_all_of_very_many() -> None:
    run = Run().run([plain("order.promised", n, case_id=f"c{n}") for n in range(40)], end_ms=BEGIN_MS + 6 * DAY_MS)
    listed = [c.case_id for c in run.alerts[-1].open_clocks]
    assert listed == [f"c{n}" for n in range(MOST_LISTED)]


def test_who_still_waits_is_said_to_have_waited_since_the_beginning() -> None:
    told = Run().run([plain("wait.started", 0, session_id="s")], end_ms=BEGIN_MS + 6 * MINUTE_MS).alerts
    reasons = [a.reason for a in told if a.type == "still_waiting"]
    assert reasons == [f"waiting: the customer still waits, for {n} min now." for n in (2, 5)]


def test_an_id_that_many_share_has_no_more_open_than_it_may_and_what_ended_for_that_is_resolved() -> None:
    run, many = Run(), MOST_OPEN + 40
    told: list[Event] = []
    for n in range(3 * many):
        kind = "contact.opened" if n % 3 else "wait.started"
        about: dict[str, Any] = {"case_id" if n % 3 else "session_id": f"ş{n}"}
        told.append(event(kind, BEGIN_MS + 1000 * n, event_id=f"e{n}", customer_id="guest", **about))
    run.apply(told)
    opened = run.partition.opened(b"guest")
    assert len(opened.cases) == len(opened.clocks) == MOST_OPEN
    assert [case.case_id for case in opened.cases][-1] == f"ş{3 * many - 1}"
    assert run.partition.tally["given_up"] >= 2 * many - MOST_OPEN
    run.advance(BEGIN_MS + 3 * many * 1000 + 40 * MINUTE_MS)
    waiting = {clock.opened_by for clock in run.partition.opened(b"guest").clocks}
    assert len(waiting) <= MOST_OPEN
    stands = [said for said in run.standing().values() if said.startswith("still_waiting") and " resolved " not in said]
    assert 0 < len(stands) <= MOST_OPEN
    size = len(run.stored()["guest"])
    later = told[-1].append_ms + MINUTE_MS
    run.apply(
        [
            event("contact.opened", later + n, event_id=f"l{n}", customer_id="guest", case_id=f"l{n}")
            for n in range(2000)
        ]
    )
    assert len(run.stored()["guest"]) < 2 * size
