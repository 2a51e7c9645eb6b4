"""The first stage of incidents: distinct customers of a lookback, whatever the order, the partition or the restart."""

import json
import random
from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.incidents import slots as incident_slots
from pipelines.incidents.kernel import observe, observe_compiled
from pipelines.incidents.slots import MOST_MEMBERS, SlotState
from pipelines.intake.interactions import NO_TIME
from schemas.errors import StateLost
from tests.incidents import INCIDENTS, NOON_MS, SLOT_MS, Act, Source

LATENESS_MS = INCIDENTS.lateness
LOOKBACKS = {name: rule.lookback // SLOT_MS for name, rule in INCIDENTS.rules.items()}

kinds = st.sampled_from(["form.started", "form.failed", "social.mentioned", "newsletter.read"])
acts = st.builds(
    Act,
    at_ms=st.integers(0, 40).map(lambda slot: NOON_MS + slot * SLOT_MS + 7),
    customer=st.sampled_from(["ana", "çağla", "İpek Şahin", "d", "e"]),
    kind=kinds,
    place=st.sampled_from(["form/promo", "ödeme", ""]),
    append_ms=st.integers(0, 60).map(lambda slot: NOON_MS + slot * SLOT_MS + 9),
)


class Seen(NamedTuple):
    """What a slow, obvious model knows of a slot of a place."""

    tried: tuple[int, ...]
    failed: tuple[int, ...]
    attempted: int
    members: tuple[str, ...]


def model(done: list[Act]) -> dict[tuple[str, str, int], Seen]:
    """Slots that are seen, by sets of customers."""
    tried = defaultdict[tuple[str, str, int], set[str]](set)
    failed = defaultdict[tuple[str, str, int], set[str]](set)
    attempted = defaultdict[tuple[str, str, int], set[str]](set)
    seen_ms = NO_TIME
    for act in done:
        at_ms = act.at_ms if act.append_ms is None else min(act.at_ms, act.append_ms)
        seen_ms = max(seen_ms, at_ms)
        if act.kind == "newsletter.read" or not act.place:
            continue
        slot = at_ms // SLOT_MS
        if (slot + 1) * SLOT_MS + LATENESS_MS <= seen_ms:
            continue
        rule = "mentions" if act.kind == "social.mentioned" else "form"
        tried[rule, act.place, slot].add(act.customer)
        (attempted if act.kind == "form.started" else failed)[rule, act.place, slot].add(act.customer)

    def longer(sets: dict[tuple[str, str, int], set[str]], key: tuple[str, str, int]) -> tuple[int, ...]:
        rule, place, slot = key
        before: set[str] = set()
        counts = []
        for k in range(LOOKBACKS[rule]):
            before |= sets.get((rule, place, slot - k), set()) if k else set()
            counts.append(len(sets.get(key, set()) - before))
        return tuple(counts)

    return {
        key: Seen(longer(tried, key), longer(failed, key), len(attempted[key]), tuple(sorted(failed[key])))
        for key in list(tried)
    }


def known(told: list[SlotState]) -> dict[tuple[str, str, int], Seen]:
    return {
        (t.rule, t.place, t.start_ms // SLOT_MS): Seen(t.tried, t.failed, t.attempted, tuple(sorted(t.members)))
        for t in told
    }


def told_by(source: Source) -> list[SlotState]:
    for key, value in source.chunks.take(source.slots, source.customers, source.slots.seen_ms):
        if value is None:
            del source.stored[key]
        else:
            source.stored[key] = value
    return source.slots.take_slots(source.names)


@given(st.lists(acts, max_size=40), st.lists(st.integers(1, 10), max_size=8), st.booleans())
@settings(deadline=None, max_examples=150)
def test_slots_are_those_of_the_model_wherever_batches_are_cut_and_workers_restart(
    done: list[Act], sizes: list[int], restart: bool
) -> None:
    source, told, at = Source(), dict[tuple[str, str, int], Seen](), 0
    for size in [*sizes, len(done)]:
        source.add(done[at : at + size])
        at += size
        told |= known(told_by(source))
        if restart:
            source = source.restarted()
    assert told == model(done)


@given(st.lists(acts.map(lambda a: a._replace(append_ms=None)), max_size=30), st.randoms())
@settings(deadline=None, max_examples=50)
def test_the_order_within_the_lateness_changes_nothing(done: list[Act], rng: random.Random) -> None:
    near = [a._replace(at_ms=NOON_MS + (a.at_ms - NOON_MS) % LATENESS_MS) for a in done]
    mixed = near.copy()
    rng.shuffle(mixed)
    one, other = Source(), Source()
    one.add(near)
    other.add(mixed)
    assert known(told_by(one)) == known(told_by(other))


@given(st.lists(acts, max_size=30))
@settings(deadline=None, max_examples=20)
def test_compiled_and_plain_are_the_same(done: list[Act]) -> None:
    fast, slow = Source(), Source()
    fast.add(done)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(incident_slots, "observe_compiled", observe)
        slow.add(done)
    assert observe_compiled is not observe
    assert told_by(fast) == told_by(slow)
    assert fast.slots.seen_ms == slow.slots.seen_ms
    assert fast.slots.late == slow.slots.late


def test_distinct_customers_of_a_lookback_are_the_sum_over_its_slots() -> None:
    rng, source = random.Random(1), Source()
    done = [Act(NOON_MS + rng.randrange(20 * SLOT_MS), f"c{rng.randrange(300)}", "form.started") for _ in range(2000)]
    source.add(done)
    slots = {t.start_ms // SLOT_MS: t for t in told_by(source)}
    last = max(slots)
    lookback = LOOKBACKS["form"]
    wanted = {a.customer for a in done if a.at_ms // SLOT_MS > last - lookback}
    assert sum(slots[last - lookback + 1 + k].tried[k] for k in range(lookback)) == len(wanted)


def test_what_is_later_than_the_lateness_is_counted_and_changes_nothing() -> None:
    source = Source()
    source.add([Act(NOON_MS + LATENESS_MS + SLOT_MS, "ana", "form.started")])
    source.add([Act(NOON_MS, "ana", "form.failed"), Act(NOON_MS + SLOT_MS, "ana", "form.failed")])
    assert source.slots.late == 1
    assert [(t.start_ms, t.failed[0]) for t in told_by(source)] == [
        (NOON_MS + SLOT_MS, 1),
        (NOON_MS + SLOT_MS + LATENESS_MS, 0),
    ]


def test_a_clock_ahead_cannot_close_everybodys_slots() -> None:
    source = Source()
    source.add([Act(NOON_MS + 10**9, "ana", "form.started", append_ms=NOON_MS)])
    assert source.slots.seen_ms == NOON_MS
    assert [t.start_ms for t in told_by(source)] == [NOON_MS]


def test_only_what_changed_is_told_and_in_order() -> None:
    source = Source()
    source.add([Act(NOON_MS, "ana", kind, place) for kind in ("form.failed", "social.mentioned") for place in "ba"])
    assert [(t.rule, t.place) for t in told_by(source)] == [
        ("form", "a"), ("form", "b"), ("mentions", "a"), ("mentions", "b"),
    ]  # fmt: skip
    source.add([Act(NOON_MS, "ana", "form.failed", "a"), Act(NOON_MS, "ana", "form.started", "b")])
    assert [(t.place, t.attempted) for t in told_by(source)] == [("b", 1)]
    assert told_by(source) == []


def test_members_are_named_up_to_a_bound_and_counted_beyond_it() -> None:
    source = Source()
    source.add([Act(NOON_MS, f"c{n}", "form.failed") for n in range(MOST_MEMBERS + 500)])
    (told,) = told_by(source)
    again = source.restarted()
    assert told_by(again) == []  # what was told is not told again
    again.add([Act(NOON_MS, "one more", "form.failed")])
    (more,) = told_by(again)
    assert (told.failed[0], len(told.members)) == (MOST_MEMBERS + 500, MOST_MEMBERS)
    assert (more.failed[0], more.members) == (MOST_MEMBERS + 501, told.members)


def test_what_is_stored_is_each_observation_once_and_goes_when_it_is_of_no_use() -> None:
    source = Source()
    for n in range(200):
        source.add([Act(NOON_MS + n * SLOT_MS // 2, f"c{n % 7}", "form.failed")] * 3)
        told_by(source)
    slots = {json.loads(key)[0] for key in source.stored}
    assert len(slots) == 30 + 20 + 1  # lateness, the longest lookback, and the present one
    assert len(source.stored) <= 2 * len(slots)
    assert sum(map(len, source.stored.values())) < 60 * len(source.stored)


def test_memory_does_not_grow_with_time() -> None:
    source = Source()
    for n in range(300):
        source.add([Act(NOON_MS + n * SLOT_MS, f"c{n}-{k}", "form.failed") for k in range(50)])
        told_by(source)
    assert source.slots._entries.shape[0] <= 65_536
    assert source.slots._key.shape[0] <= 32_768
    assert len(source.slots._members) <= 32


def test_a_stored_chunk_that_cannot_be_read_is_lost_state() -> None:
    source = Source()
    source.add([Act(NOON_MS, "ana", "form.failed")])
    told_by(source)
    source.stored = dict.fromkeys(source.stored, b"[1")
    with pytest.raises(StateLost):
        source.restarted()


def test_customers_that_are_not_known_any_more_and_rules_that_are_gone_are_left_out() -> None:
    source = Source()
    source.add([Act(NOON_MS, "ana", "form.failed"), Act(NOON_MS, "bo", "social.mentioned", "refund")])
    told_by(source)
    source.customers = type(source.customers)(["bo"])
    again = source.restarted()
    again.add([Act(NOON_MS, "cem", "social.mentioned", "refund")])
    assert [(t.rule, t.failed[0], t.members) for t in told_by(again)] == [("mentions", 2, ("bo", "cem"))]


def test_empty_batches_are_nothing() -> None:
    source = Source()
    source.add([])
    assert told_by(source) == []
    assert source.slots.seen_ms == NO_TIME
    assert not source.slots.changed
    assert np.array_equal(source.slots.take_observations().slot, np.zeros(0, np.int64))


def test_a_chunk_of_several_slots_comes_back_with_members_in_the_order_in_which_they_failed() -> None:
    source = Source()
    source.add([Act(NOON_MS + SLOT_MS, "zoe", "form.failed"), Act(NOON_MS, "ana", "form.failed")])
    told_by(source)
    source.add([Act(NOON_MS, "ada", "form.failed"), Act(NOON_MS + SLOT_MS, "İpek", "form.failed")])
    told_by(source)
    assert [json.loads(key) for key in source.stored] == [[NOON_MS + SLOT_MS, 0], [NOON_MS + SLOT_MS, 1]]
    again = source.restarted()
    again.add([Act(NOON_MS, "ben", "form.failed"), Act(NOON_MS + SLOT_MS, "ben", "form.failed")])
    assert [t.members for t in told_by(again)] == [("ana", "ada", "ben"), ("zoe", "İpek", "ben")]


def test_a_chunk_that_says_nothing_of_slots_is_of_that_of_its_key() -> None:
    source = Source()
    source.add([Act(NOON_MS, "ana", "form.failed")])
    told_by(source)
    ((key, value),) = source.stored.items()
    head, _, body = value.partition(b"\n")
    source.stored[key] = json.dumps(json.loads(head)[:2]).encode() + b"\n" + body
    again = source.restarted()
    again.add([Act(NOON_MS, "ben", "form.failed")])
    assert [t.members for t in told_by(again)] == [("ana", "ben")]
