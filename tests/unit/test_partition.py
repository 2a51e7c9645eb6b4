"""A partition of customers gives what the model gives, however its interactions are cut and whenever it restarts."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import fastavro
import numpy as np
import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import partition
from pipelines.alerts.alert import Alert
from pipelines.cli.chaos.intake import Place, Waits
from pipelines.cli.chaos.model import BandAlert, Model
from pipelines.fold.scores import ScoreColumns
from pipelines.intake.interactions import NO_TIME
from pipelines.partition import CustomerPartition
from pipelines.policy.policy import Policy, parse_policy
from pipelines.state import room
from pipelines.state.layouts import RowColumns, signals_id, write_rows
from pipelines.windows import WindowState
from schemas.columnar.writer import ColumnarWriter
from schemas.topics import avro_schema
from tests.batches import BEGIN_MS, MINUTE_MS, POLICY, POLICY_TEXT, Event, Step, Tick, batch_of, event, journeys
from tests.plain import uncompiled
from tests.stored import restored

Cut = Literal["", "batch", "checkpoint", "restart"]
CUTS = st.lists(st.sampled_from(["", "", "batch", "checkpoint", "restart"]), max_size=40)

Row = tuple[int, int, int, bytes]  # time, interactions, band, heat bit by bit


@dataclass
class Log:
    """A worker's part: what it would write down at a checkpoint, and what it reads when it starts again."""

    policy: Policy = POLICY
    partition: CustomerPartition = field(init=False)
    rows: dict[bytes, bytes] = field(default_factory=dict)
    open: dict[Place, WindowState] = field(default_factory=dict)
    told: dict[Place, WindowState] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)
    watermark_ms: int = NO_TIME
    advanced_ms: int = NO_TIME
    late: int = 0
    unknown_kinds: int = 0

    def __post_init__(self) -> None:
        self.partition = CustomerPartition(0, 1, self.policy)

    def apply(self, events: Sequence[Event]) -> None:
        applied = self.partition.apply(batch_of(events))
        self.alerts += applied.alerts
        self.late += applied.rare.late
        self.unknown_kinds += applied.rare.unknown_kinds

    def checkpoint(self) -> None:
        changes = self.partition.take_changes()
        for customer in changes.forgotten:
            del self.rows[customer]
        assert isinstance(changes.rows, RowColumns), "nothing can be open under these policies"
        values = write_rows(changes.rows, 2, signals_id(self.policy.signal_names)).values()
        self.rows.update(zip(changes.scores.customers.raw(), values, strict=True))
        for window in changes.windows:
            place = window.touchpoint, window.channel, window.start_ms
            assert place not in self.told or not self.told[place].closed, "a closed window was told again"
            self.told[place] = self.open[place] = window
            if window.closed:
                del self.open[place]
        self.watermark_ms, self.advanced_ms = changes.watermark_ms, changes.advanced_ms

    def restart(self, policy: Policy | None = None) -> None:
        self.checkpoint()
        before = self.policy
        self.policy = policy or self.policy
        self.partition = CustomerPartition(0, 1, self.policy)
        names = list(before.signal_names)
        restored(self.partition.rows, {signals_id(names): names}, list(self.rows.items()))
        self.partition.windows.restore(list(self.open.values()))
        self.partition.restore_times(watermark_ms=self.watermark_ms, advanced_ms=self.advanced_ms)

    def run(self, steps: Sequence[Step], cuts: Sequence[str] = ()) -> "Log":
        """Take the steps; after step n cut what comes together, or more, as ``cuts[n]`` says."""
        together: list[Event] = []
        for n, step in enumerate(steps):
            cut = cuts[n] if n < len(cuts) else ""
            if isinstance(step, Event):
                together.append(step)
            if cut or isinstance(step, Tick):
                self.apply(together)
                together = []
            if isinstance(step, Tick):
                self.alerts += self.partition.advance(step.to_ms)
            if cut == "checkpoint":
                self.checkpoint()
            if cut == "restart":
                self.restart()
        self.apply(together)
        self.checkpoint()
        return self

    def customers(self) -> dict[str, Row]:
        rows = self.partition.rows
        return {
            rows.customers.text(r): (
                int(rows.updated_ms[r]),
                int(rows.interactions[r]),
                int(rows.band[r]),
                rows.heat[r].tobytes(),
            )
            for r in range(rows.numbers)
            if rows.interactions[r]
        }

    def heat(self, customer: str) -> dict[str, float]:
        heats = np.frombuffer(self.customers()[customer][3], np.float64)
        return dict(zip(self.policy.signal_names, heats.tolist(), strict=True))

    def waits(self) -> dict[Place, Waits]:
        return {place: Waits(*(getattr(w.counts, name) for name in Waits._fields)) for place, w in self.told.items()}


def modelled(steps: Sequence[Step]) -> Model:
    model = Model(POLICY_TEXT)
    for step in steps:
        if isinstance(step, Tick):
            model.advance(step.to_ms)
        else:
            model.feed(step.record, step.append_ms)
    assert not model.rejected
    return model


DAY_MS = 24 * 60 * MINUTE_MS


def test_who_was_quiet_for_long_is_forgotten_and_begins_anew() -> None:
    log = Log()
    log.apply([event("return.requested", BEGIN_MS + n) for n in range(5)])
    log.apply([event("form.failed", BEGIN_MS, customer_id="çağla")])
    log.run([Tick(BEGIN_MS + DAY_MS)])
    log.run([Tick(BEGIN_MS + 3 * DAY_MS)])
    assert set(log.customers()) == set(map(bytes.decode, log.rows)) == {"ana", "çağla"}, "a late interaction may come"
    log.run([Tick(BEGIN_MS + 4 * DAY_MS)])
    assert not log.customers()
    assert not log.rows
    assert len(log.partition.rows.episodes) == 0
    again = Log().run([event("return.requested", BEGIN_MS + 4 * DAY_MS)])
    log.run([event("return.requested", BEGIN_MS + 4 * DAY_MS)])
    assert (log.rows, log.customers()) == (again.rows, again.customers())


def test_who_comes_back_before_being_removed_begins_anew_all_the_same() -> None:
    first = [event("return.requested", BEGIN_MS + n) for n in range(5)]
    back = event("return.requested", BEGIN_MS + 4 * DAY_MS)
    assert Log().run([*first, back]).customers() == Log().run([back]).customers()
    again = Log()
    again.run([*first, Tick(BEGIN_MS + DAY_MS), back])
    assert again.partition.rows.columns(np.zeros(1, np.int64)).episode.tolist() == [(0, 0, 0)]
    soon = event("return.requested", BEGIN_MS + DAY_MS)
    assert Log().run([*first, soon]).customers()["ana"][1] == 6


def test_a_standing_alert_and_what_has_to_be_written_are_not_forgotten() -> None:
    slow = POLICY_TEXT.replace("cooldown: 5m", "cooldown: 59h")
    log = Log(parse_policy(slow, "slow.yaml"))
    log.run([event("return.requested", BEGIN_MS + n) for n in range(5)])
    unwritten = Log().run([event("return.requested", BEGIN_MS + n) for n in range(5)])
    unwritten.run([Tick(BEGIN_MS + 10 * DAY_MS)])
    assert set(unwritten.customers()) == {"ana"}, "its alert was resolved a moment ago"
    for days, there in ((1, {"ana"}), (3.6, {"ana"}), (4, set())):  # it may go on until it is 2.7 days and one old
        log.run([Tick(BEGIN_MS + int(days * DAY_MS))])
        assert set(log.customers()) == there


def test_some_rows_are_looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "_LOOKED_AT", 10)
    log = Log().run([event("form.failed", BEGIN_MS, customer_id=f"c{n}") for n in range(35)])
    monkeypatch.setattr(partition, "_FORGOTTEN", 8)
    left = [len(log.run([Tick(BEGIN_MS + 5 * DAY_MS + n)]).customers()) for n in range(9)]
    assert left == [35, 27, 19, 14, 6, 4, 2, 2, 0], "the first time, that they have cooled down is to be written"


def in_short(alerts: Sequence[Alert]) -> list[BandAlert]:
    return [BandAlert(a.alert_id, a.revision, a.status, str(a.customer_id), str(a.band), a.raised_ms) for a in alerts]


def by_customer(alerts: Sequence[Alert]) -> dict[str | None, list[Alert]]:
    """Time passes for customers in the order of their rows, and a restart may change that."""
    return {c: [a for a in alerts if a.customer_id == c] for c in sorted({str(a.customer_id) for a in alerts})}


@settings(max_examples=300, deadline=None)
@given(journeys())
def test_a_partition_gives_what_the_model_gives(steps: list[Step]) -> None:
    log, model = Log().run(steps), modelled(steps)
    assert {n for n in model.customers if not model.may_be_gone(n)} <= log.customers().keys() <= model.customers.keys()
    for name, (updated_ms, interactions, band, _) in log.customers().items():
        wanted = model.customers[name]
        assert (updated_ms, interactions) == (wanted.updated_ms, wanted.interactions)
        assert POLICY.band_names[band] == wanted.band
        nothing = dict.fromkeys(POLICY.signal_names, 0.0)
        assert log.heat(name) == pytest.approx({**nothing, **wanted.heat}, rel=1e-9, abs=1e-9)
    assert in_short(log.alerts) == model.alerts
    assert log.waits() == model.windows
    assert (log.late, log.unknown_kinds) == (model.late, model.unknown_kinds)
    assert log.partition.windows.watermark_ms == (NO_TIME if model.watermark_ms is None else model.watermark_ms)


@settings(max_examples=200, deadline=None)
@given(journeys(), CUTS)
def test_batches_checkpoints_and_restarts_do_not_change_a_bit(steps: list[Step], cuts: list[str]) -> None:
    whole, cut, model = Log().run(steps), Log().run(steps, cuts), modelled(steps)
    # who is removed when depends on checkpoints: what has to be written is removed later
    there = {name for name in model.customers if not model.may_be_gone(name)}
    assert {n: row for n, row in cut.customers().items() if n in there} == {
        n: row for n, row in whole.customers().items() if n in there
    }
    assert by_customer(cut.alerts) == by_customer(whole.alerts)
    assert cut.waits() == whole.waits()
    assert (cut.late, cut.unknown_kinds) == (whole.late, whole.unknown_kinds)


@settings(max_examples=100, deadline=None)
@given(st.data(), journeys(ticks=False, leaps=False))
def test_the_order_of_arrival_does_not_change_heat(data: st.DataObject, steps: list[Step]) -> None:
    straight, mixed = Log().run(steps), Log().run(data.draw(st.permutations(steps)))
    assert straight.customers().keys() == mixed.customers().keys()
    for name, (updated_ms, interactions, *_) in straight.customers().items():
        assert mixed.customers()[name][:2] == (updated_ms, interactions)
        assert mixed.heat(name) == pytest.approx(straight.heat(name), rel=1e-9, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(journeys(most=25), CUTS)
def test_kernels_give_the_same_bits_compiled_and_not(steps: list[Step], cuts: list[str]) -> None:
    fast = Log().run(steps, cuts)
    with uncompiled():
        plain = Log().run(steps, cuts)
    assert plain.rows == fast.rows
    assert plain.told == fast.told
    assert plain.alerts == fast.alerts
    assert (plain.late, plain.unknown_kinds) == (fast.late, fast.unknown_kinds)


@settings(max_examples=100, deadline=None)
@given(journeys(), st.integers(16, 19))
def test_crossings_that_do_not_fit_are_made_in_more_calls(steps: list[Step], most: int) -> None:
    wide = Log().run(steps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "_CROSSINGS", most)  # what one interaction may lead to: four times the bands, and some
        narrow = Log().run(steps)
    assert narrow.alerts == wide.alerts
    assert narrow.customers() == wide.customers()


def test_many_customers_cool_down_in_more_calls_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_CROSSINGS", 16)
    log = Log()
    log.apply([event("return.requested", BEGIN_MS, customer_id=f"c{n % 40}") for n in range(200)])
    log.alerts.clear()
    log.run([Tick(BEGIN_MS + 86_400_000)])
    assert [a.status for a in log.alerts] == ["resolved"] * 40
    assert {row[2] for row in log.customers().values()} == {0}


def test_nothing_at_all_is_a_batch_and_a_checkpoint_too() -> None:
    log = Log()
    log.run([])
    changes = log.partition.take_changes()
    assert not changes
    assert len(changes.scores) == 0
    log.restart()
    assert log.customers() == {}


def test_between_whole_checkpoints_the_second_stage_hears_of_closed_windows_only() -> None:
    core = CustomerPartition(0, 1, POLICY)

    def counts(*, whole: bool) -> tuple[list[int], list[int], bool]:
        changes = core.take_changes(whole=whole)
        offered = ([w.counts.offered for w in windows] for windows in (changes.windows, changes.told))
        return next(offered), next(offered), changes.untold

    core.apply(batch_of([event("wait.measured", BEGIN_MS, duration_ms=1000)]))
    assert counts(whole=False) == ([1], [], True)
    core.apply(batch_of([event("wait.measured", BEGIN_MS, duration_ms=1000)]))
    assert counts(whole=True) == ([2], [2], False)
    core.apply(batch_of([event("wait.measured", BEGIN_MS, duration_ms=1000)]))
    assert counts(whole=False) == ([3], [], True)
    core.advance(BEGIN_MS + 86_400_000)
    assert counts(whole=False) == ([3], [3], False)


def test_a_batch_that_is_given_back_unchanged_leaves_nothing_to_write() -> None:
    log = Log().run([event("form.failed", BEGIN_MS)])
    assert not log.partition.take_changes()


def test_a_customer_of_another_partition_is_left_out_and_told() -> None:
    names = [f"müşteri-{n}" for n in range(30)]
    core = CustomerPartition(1, 3, POLICY)
    applied = core.apply(batch_of([event("wait.measured", BEGIN_MS, customer_id=n, duration_ms=60_000) for n in names]))
    elsewhere = [i for i, n in enumerate(names) if (murmur2(n.encode()) & 0x7FFFFFFF) % 3 != 1]
    assert applied.misrouted.tolist() == elsewhere
    changes = core.take_changes()
    assert {c.decode() for c in changes.scores.customers.raw()} == {
        n for i, n in enumerate(names) if i not in elsewhere
    }
    assert sum(w.counts.answered + w.counts.other_ends for w in changes.windows) == 30 - len(elsewhere)


def published(scores: ScoreColumns) -> dict[str, Any]:
    """The one record that is written of a score."""
    (raw,) = ColumnarWriter(avro_schema("score"), 1).write(1, scores.columns(POLICY))
    record = fastavro.schemaless_reader(
        io.BytesIO(raw[5:]), fastavro.parse_schema(json.loads(avro_schema("score"))), None
    )
    assert isinstance(record, dict)
    return record


def test_a_score_is_published_as_of_the_newest_event_or_of_the_cooling_that_changed_its_band() -> None:
    log = Log()
    log.apply([event("return.requested", BEGIN_MS + n) for n in range(3)])
    before = log.partition.take_changes().scores
    assert before.scored_ms.tolist() == [BEGIN_MS + 2]
    (resolved,) = log.partition.advance(BEGIN_MS + 20 * 3_600_000)
    after = log.partition.take_changes().scores
    assert resolved.status == "resolved"
    assert after.scored_ms[0] > resolved.raised_ms  # it has cooled to calm since
    assert after.heat[0, 2] < before.heat[0, 2] / 2
    record = published(after)
    assert record["band"] == "calm"
    assert record["score"] == pytest.approx(15, abs=0.01)  # where warm is left


def test_time_does_not_go_back() -> None:
    log = Log()
    log.apply([event("return.requested", BEGIN_MS + n) for n in range(4)])
    log.alerts += log.partition.advance(BEGIN_MS + 86_400_000)
    rows = log.customers()
    assert log.partition.advance(BEGIN_MS) == []
    assert log.partition.advance(BEGIN_MS + 86_400_000) == []
    assert log.customers() == rows
    assert log.partition.advanced_ms == BEGIN_MS + 86_400_000


def test_a_quiet_partition_closes_its_windows_at_twice_the_lateness() -> None:
    log = Log()
    start_ms = BEGIN_MS // MINUTE_MS * MINUTE_MS
    log.apply([event("wait.measured", BEGIN_MS, duration_ms=1)])
    end_ms = start_ms + MINUTE_MS
    log.run([Tick(end_ms + 6 * MINUTE_MS - 1)])
    assert not log.partition.windows.closing()
    log.partition.advance(end_ms + 6 * MINUTE_MS)
    assert log.partition.windows.closing()
    log.checkpoint()
    assert [w.closed for w in log.told.values()] == [True]


FEWER_BANDS = POLICY_TEXT.replace(
    "    - {name: breaking, enter: 75, leave: 60, priority: 1, action: Call the customer now.}\n", ""
)
WARM_ALERTS = POLICY_TEXT.replace("leave: 15}", "leave: 15, action: Look.}")


def test_a_row_in_a_band_that_the_policy_no_longer_has_comes_to_the_highest_that_it_has() -> None:
    log = Log()
    log.apply([event("return.requested", BEGIN_MS + n) for n in range(4)])
    log.restart(parse_policy(FEWER_BANDS, "fewer.yaml"))
    assert log.customers()["ana"][2] == 2
    log.alerts.clear()
    log.run([Tick(BEGIN_MS + 86_400_000)])
    assert [(a.status, a.revision) for a in log.alerts] == [("resolved", 3)]


def test_a_policy_that_begins_to_alert_in_a_band_resolves_nothing_that_was_never_opened() -> None:
    log = Log()
    log.apply([event("return.requested", BEGIN_MS)])
    assert log.customers()["ana"][2] == 1
    log.restart(parse_policy(WARM_ALERTS, "warm.yaml"))
    log.run([Tick(BEGIN_MS + 86_400_000)])
    assert log.alerts == []


def test_a_customer_who_rises_after_such_a_change_has_an_alert_that_is_opened() -> None:
    log = Log()
    log.apply([event("return.requested", BEGIN_MS)])
    log.restart(parse_policy(WARM_ALERTS, "warm.yaml"))
    log.run([event("return.requested", BEGIN_MS + 1)])
    assert [(a.status, a.revision, a.band) for a in log.alerts] == [("opened", 1, "hot")]


def test_a_signal_that_the_policy_gains_or_loses_leaves_the_others_as_they_were() -> None:
    log = Log().run([event("return.requested", BEGIN_MS), event("form.failed", BEGIN_MS)])
    before = log.heat("ana")
    text = POLICY_TEXT.replace(
        "  form_failure:", "  late: {kinds: [delivery.late], weight: 1, half_life: 1h, cap: 9}\n  gone:"
    )
    log.restart(parse_policy(text, "other.yaml"))
    assert log.heat("ana") == {"wait": 0.0, "late": 0.0, "gone": 0.0, "return": before["return"]}
