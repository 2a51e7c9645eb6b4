import hashlib
import math
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import pytest

from connectors.simulator.simulation import crowd_interactions, interactions
from schemas.errors import SettingsError
from schemas.interactions import Interaction

NOON_MS = 1_760_000_400_000
SHARE = 0.05
TOTAL = 40_000
MEAN_DELAY_MS = 125_000  # of what is late; (600 s - 5 s) / ln(600 / 5)
STEP_MS = 100  # the run is over an hour: what is held at its end is little


def sent(total: int = TOTAL, *, late: float = 0.0, repeated: float = 0.0, step_ms: int = STEP_MS) -> list[Interaction]:
    times = range(NOON_MS, NOON_MS + total * step_ms, step_ms)
    return list(interactions(times, seed=7, start_ms=NOON_MS, customers=500, late=late, repeated=repeated))


def delays_ms(events: list[Interaction], step_ms: int = STEP_MS) -> list[int]:
    """How long after it was over each was sent, the second time left out."""
    sent_ms: dict[str, tuple[int, int]] = {}
    for number, event in enumerate(events):
        over_ms = event.occurred_ms + (event.duration_ms or 0)
        sent_ms.setdefault(event.event_id, (NOON_MS + number * step_ms, over_ms))
    return [moment - over_ms for moment, over_ms in sent_ms.values()]


def likely(share: float, n: int) -> tuple[float, float]:
    """Five standard deviations about the expected number, and what is held at the end."""
    deviation = 5 * math.sqrt(n * share * (1 - share))
    return n * share - deviation - n * share * MEAN_DELAY_MS / (TOTAL * STEP_MS), n * share + deviation


def test_in_order_nothing_is_late_and_no_id_comes_twice() -> None:
    events = sent(5_000)
    assert set(delays_ms(events)) == {0}
    assert len({e.event_id for e in events}) == 5_000


def test_a_share_is_sent_5_s_to_10_min_late_and_the_rest_at_once() -> None:
    events = sent(late=SHARE)
    assert len({e.event_id for e in events}) == len(events) == TOTAL
    late = [delay for delay in delays_ms(events) if delay]
    least, most = likely(SHARE, TOTAL)
    assert least < len(late) < most
    assert min(late) >= 5_000
    assert max(late) <= 600_000 + STEP_MS
    assert sorted(late)[len(late) // 2] < 60_000
    assert max(late) > 300_000


def test_what_is_late_was_told_like_everything_else_and_others_overtake_it() -> None:
    events = sent(5_000, late=SHARE)
    overtaken = 0
    for before, after in pairwise(events):
        overtaken += after.occurred_ms + (after.duration_ms or 0) < before.occurred_ms + (before.duration_ms or 0)
    late = sum(delay > 0 for delay in delays_ms(events))
    assert late * 0.9 <= overtaken <= late
    assert all(e.event_id.startswith(f"7-{NOON_MS:x}-") for e in events)


def test_a_share_is_sent_twice_the_very_same_within_a_minute() -> None:
    events = sent(repeated=SHARE)
    first: dict[str, int] = {}
    later_ms = []
    for number, event in enumerate(events):
        if event.event_id in first:
            assert event == events[first[event.event_id]]
            later_ms.append((number - first[event.event_id]) * STEP_MS)
        else:
            first[event.event_id] = number
    assert max(Counter(e.event_id for e in events).values()) == 2
    least, most = likely(SHARE, len(first))
    assert least < len(later_ms) < most
    assert min(later_ms) >= 1_000
    assert max(later_ms) <= 60_000 + STEP_MS


def test_what_is_late_can_come_twice_too() -> None:
    events = sent(late=0.3, repeated=0.3)
    counts = Counter(e.event_id for e in events)
    late = {e.event_id for n, e in enumerate(events) if NOON_MS + n * STEP_MS > e.occurred_ms + (e.duration_ms or 0)}
    assert len(events) == TOTAL
    assert max(counts.values()) == 2
    assert sum(counts[event_id] == 2 for event_id in late) / len(late) > 0.1


@pytest.mark.parametrize("span_hours", [None, 24.0])
def test_no_event_is_sent_before_it_happened(span_hours: float | None) -> None:
    crowd = crowd_interactions(
        seed=1, start_ms=NOON_MS, rate=100.0, total=5_000, span_hours=span_hours, late=0.2, repeated=0.2
    )
    for number, event in enumerate(crowd):
        assert event.occurred_ms + (event.duration_ms or 0) <= NOON_MS + number * 10


def test_the_same_seed_sends_the_same_in_another_process_and_another_seed_does_not() -> None:
    program = (
        "import hashlib, sys\n"
        "from connectors.simulator.simulation import crowd_interactions\n"
        f"crowd = crowd_interactions(seed=int(sys.argv[1]), start_ms={NOON_MS}, rate=20.0, total=2000,\n"
        "    customers=500, late=0.05, repeated=0.05)\n"
        "print(hashlib.sha256(repr(list(crowd)).encode()).hexdigest())\n"
    )

    def digest(seed: str, hash_seed: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", program, seed],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    here = crowd_interactions(seed=7, start_ms=NOON_MS, rate=20.0, total=2_000, customers=500, late=0.05, repeated=0.05)
    assert digest("7", "1") == digest("7", "2") == hashlib.sha256(repr(list(here)).encode()).hexdigest()
    assert digest("7", "1") != digest("8", "1")


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.simulator.disorder._HELD", 10)
    events = sent(5_000, late=0.5, step_ms=1)
    assert max(delays_ms(events, 1)) < 5_000
    assert len({e.event_id for e in events}) == 5_000


@pytest.mark.parametrize("share", [-0.1, 0.91, 1.0, math.nan])
def test_a_share_out_of_range_is_refused_before_anything_is_told(share: float) -> None:
    with pytest.raises(SettingsError, match=r"late of the simulator must be from 0 to 0\.9, got"):
        interactions([], seed=1, start_ms=NOON_MS, late=share)
    with pytest.raises(SettingsError, match=r"repeated of the simulator must be from 0 to 0\.9, got"):
        interactions([], seed=1, start_ms=NOON_MS, repeated=share)
