import hashlib
import os
import subprocess
import sys
from collections import Counter
from itertools import accumulate, pairwise

import pytest

from connectors.simulator.day import HOUR_MS, BadSpell, live_times, span_end, span_spell, span_times
from connectors.simulator.simulation import crowd_interactions, interactions
from schemas.errors import SettingsError
from schemas.interactions import Interaction, InteractionEncoder

NOON_MS = 1_760_000_400_000  # 2025-10-09 12:00 in Istanbul
NIGHT_MS = NOON_MS - 10 * HOUR_MS


def told(
    total: int = 3_000,
    *,
    seed: int = 7,
    start_ms: int = NOON_MS,
    rate: float = 100.0,
    customers: int = 500,
    span_hours: float | None = None,
) -> list[Interaction]:
    return list(
        crowd_interactions(
            seed=seed, start_ms=start_ms, rate=rate, total=total, customers=customers, span_hours=span_hours
        )
    )


def digest(events: list[Interaction]) -> str:
    encoder = InteractionEncoder(1)
    return hashlib.sha256(b"".join(encoder.encode(event) for event in events)).hexdigest()


def failed_share(events: list[Interaction]) -> float:
    kinds = Counter(e.kind for e in events if e.touchpoint == "checkout/promo-form")
    return kinds["form.failed"] / (kinds["form.failed"] + kinds["form.submitted"])


@pytest.mark.parametrize("span_hours", [None, 24.0])
def test_the_same_run_tells_the_same_bytes(span_hours: float | None) -> None:
    assert digest(told(span_hours=span_hours)) == digest(told(span_hours=span_hours))


def test_another_process_tells_the_same_bytes_whatever_its_hash_seed() -> None:
    program = (
        "import hashlib\n"
        "from connectors.simulator.simulation import crowd_interactions\n"
        "from schemas.interactions import InteractionEncoder\n"
        f"crowd = crowd_interactions(seed=7, start_ms={NOON_MS}, rate=100.0, total=3000, customers=500)\n"
        "encoder = InteractionEncoder(1)\n"
        "print(hashlib.sha256(b''.join(encoder.encode(e) for e in crowd)).hexdigest())\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }
    assert digests == {digest(told())}


def test_another_seed_tells_something_else() -> None:
    assert digest(told(seed=7)) != digest(told(seed=8))


def test_a_second_start_goes_on_with_new_events_of_the_same_customers() -> None:
    first, second = told(start_ms=NOON_MS), told(start_ms=NOON_MS + 1)
    ids = [e.event_id for e in first + second]
    assert len(set(ids)) == len(ids)
    segments = {e.customer_id: e.segment for e in first}
    again = [e for e in second if e.customer_id in segments]
    assert len(again) > len(second) // 2
    assert all(e.segment == segments[e.customer_id] for e in again)


def test_a_case_and_a_session_of_one_run_are_not_those_of_another() -> None:
    first, second = told(start_ms=NOON_MS), told(start_ms=NOON_MS + 1)
    assert not {e.session_id for e in first} & {e.session_id for e in second}
    assert not {e.case_id for e in first if e.case_id} & {e.case_id for e in second if e.case_id}


@pytest.mark.parametrize("rate", [0.5, 100.0, 10_000.0])
def test_in_real_time_an_event_ends_at_the_moment_at_which_it_is_told(rate: float) -> None:
    events = told(rate=rate)
    ends = [e.occurred_ms + (e.duration_ms or 0) for e in events]
    assert ends == [NOON_MS + int(i * 1000 / rate) for i in range(len(events))]


@pytest.mark.parametrize(
    ("rate", "total", "span_hours"), [(100.0, 3_000, 24.0), (0.1, 50, 0.15), (7.0, 1, 24.0), (9.0, 2, 1.0)]
)
def test_a_span_ends_with_its_run_and_tells_no_future_event(rate: float, total: int, span_hours: float) -> None:
    events = told(total, rate=rate, span_hours=span_hours)
    ends = [e.occurred_ms + (e.duration_ms or 0) for e in events]
    sent_ms = [NOON_MS + int(i * 1000 / rate) for i in range(total)]
    assert len(events) == total
    assert all(end <= sent for end, sent in zip(ends, sent_ms, strict=True))
    assert all(earlier <= later for earlier, later in pairwise(ends))
    assert ends[-1] == sent_ms[-1]
    assert ends[0] > sent_ms[-1] - span_hours * HOUR_MS


def test_a_compressed_day_is_quiet_at_night_and_busy_at_noon_and_in_the_evening() -> None:
    times = span_times(NIGHT_MS, 1_000.0, 24_000, 24 * HOUR_MS)
    by_hour = Counter((at_ms + 3 * HOUR_MS) // HOUR_MS % 24 for at_ms in times)
    assert by_hour[3] * 5 < by_hour[9] < by_hour[12]
    assert by_hour[15] < by_hour[12] < by_hour[20]


def test_a_span_without_an_end_of_the_run_is_refused() -> None:
    with pytest.raises(SettingsError, match="needs a limit"):
        crowd_interactions(seed=1, start_ms=NOON_MS, rate=1.0, span_hours=24.0)


def test_a_span_that_is_shorter_than_its_run_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"0\.5 hours for a run of 3599 s"):
        crowd_interactions(seed=1, start_ms=NOON_MS, rate=1.0, total=3_600, span_hours=0.5)


def test_the_promotion_form_fails_for_most_in_the_bad_hour_and_for_few_otherwise() -> None:
    total, rate = 30_000, 1_000.0
    to_ms = span_end(NOON_MS, rate, total)
    spell = span_spell(to_ms, 24 * HOUR_MS)
    inside: list[Interaction] = []
    outside: list[Interaction] = []
    for event in told(total, rate=rate, span_hours=24.0):
        (inside if spell.covers(event.occurred_ms) else outside).append(event)
    assert spell.length_ms == HOUR_MS
    assert failed_share(inside) > 0.6
    assert failed_share(outside) < 0.06


def test_queues_are_long_and_given_up_in_a_bad_spell() -> None:
    def waits(spell: BadSpell | None) -> list[Interaction]:
        times = [NOON_MS + i * 50 for i in range(8_000)]
        crowd = interactions(times, seed=3, start_ms=NOON_MS, spell=spell)
        return [e for e in crowd if e.kind == "wait.measured" and e.attributes["stage"] == "queue"]

    def given_up(events: list[Interaction]) -> float:
        return sum(e.attributes["outcome"] == "abandoned" for e in events) / len(events)

    def mean_ms(events: list[Interaction]) -> float:
        return sum(e.duration_ms or 0 for e in events) / len(events)

    bad, good = waits(BadSpell(first_ms=NOON_MS, length_ms=HOUR_MS)), waits(None)
    assert mean_ms(bad) > 3 * mean_ms(good)
    assert given_up(bad) > 2 * given_up(good)


def test_a_spell_comes_again_and_its_end_is_exclusive() -> None:
    spell = BadSpell(first_ms=100, length_ms=10, every_ms=50)
    assert [at for at in range(220) if spell.covers(at)] == [*range(100, 110), *range(150, 160), *range(200, 210)]
    once = BadSpell(first_ms=100, length_ms=10)
    assert [at for at in range(220) if once.covers(at)] == [*range(100, 110)]


def test_few_customers_come_often() -> None:
    events = told(20_000, customers=2_000, rate=2.0)
    visits = Counter(who for who, _ in {(e.customer_id, e.session_id) for e in events})
    busiest = sum(n for _, n in visits.most_common(20))
    assert len(visits) > 500
    assert 0.05 < busiest / visits.total() < 0.2


def test_a_customer_is_on_one_journey_at_a_time() -> None:
    events = told(20_000, customers=2_000, rate=2.0)
    places: dict[str, list[str | None]] = {}
    for event in events:
        places.setdefault(event.customer_id, []).append(event.session_id)
    for sessions in places.values():
        assert len([s for s, before in pairwise([None, *sessions]) if s != before]) == len(set(sessions))


def test_the_crowd_speaks_the_vocabulary_and_every_wait_names_stage_and_outcome() -> None:
    events = told(20_000)
    kinds = {e.kind for e in events}
    assert kinds >= {
        "wait.measured", "form.started", "form.failed", "form.submitted", "form.abandoned", "order.placed",
        "return.requested", "contact.opened", "contact.replied", "case.resolved",
    }  # fmt: skip
    assert {e.touchpoint for e in events} >= {
        "call/support", "store/desk", "checkout/promo-form", "returns/label", "help/search",
    }  # fmt: skip
    waits = [e for e in events if e.kind == "wait.measured"]
    assert {e.attributes["stage"] for e in waits} == {"queue", "counter", "hold", "page", "callback"}
    assert {e.attributes["outcome"] for e in waits} == {
        "answered", "abandoned", "callback", "rerouted", "system_drop", "closed",
    }  # fmt: skip
    assert all((e.duration_ms is not None) == (e.kind == "wait.measured") for e in events)
    assert all(e.duration_ms is None or e.duration_ms >= 0 for e in events)
    assert all(e.subject and e.case_id for e in events if e.kind == "contact.opened")
    assert all(e.amount and e.currency == "TRY" for e in events if e.kind in ("order.placed", "return.requested"))
    assert {e.segment for e in events} == {None, "new", "loyal", "vulnerable"}


def test_within_a_journey_a_wait_begins_after_what_came_before() -> None:
    last_ms: dict[str | None, int] = {}
    for event in told(20_000):
        assert event.occurred_ms >= last_ms.get(event.session_id, 0)
        last_ms[event.session_id] = event.occurred_ms + (event.duration_ms or 0)


def test_a_case_is_answered_and_resolved_only_after_it_was_opened() -> None:
    opened = set()
    for event in told(20_000):
        if event.kind == "contact.opened":
            opened.add(event.case_id)
        elif event.kind in ("contact.replied", "case.resolved"):
            assert event.case_id in opened


def test_the_number_of_journeys_at_a_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.simulator.simulation._UNDERWAY", 50)
    events = list(interactions(range(NOON_MS, NOON_MS + 20_000), seed=1, start_ms=NOON_MS))
    last = {event.session_id: at for at, event in enumerate(events)}
    first = {event.session_id: len(events) - 1 - at for at, event in enumerate(reversed(events))}
    changes = Counter(first.values())
    changes.subtract(Counter(last.values()))
    assert len(first) > 500
    assert max(accumulate(changes[at] for at in range(len(events)))) <= 50


def test_real_time_has_no_end() -> None:
    times = live_times(NOON_MS, 2.0)
    assert [next(times) for _ in range(3)] == [NOON_MS, NOON_MS + 500, NOON_MS + 1_000]
