"""What the page says, from what it knows."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.page.board import Board, Trouble
from pipelines.page.charts import MOST_LINES, wait_chart
from pipelines.page.wording import (
    UNKNOWN,
    absence_words,
    ago,
    dead_letter_words,
    held_back_words,
    numbers,
    per_second,
    short_duration,
    status_words,
    trouble_words,
)
from schemas.panels import ALERTS, BANDS, FRESHNESS, INTERACTION_RATE

NOW_S = 1_800_000_000.0
NOTHING_LANDED: dict[str, Any] = {FRESHNESS: [{"landed": "interactions", "newest": None, "behind_s": None}]}
LANDED: dict[str, Any] = {
    FRESHNESS: [
        {"landed": "interactions", "newest": datetime.fromtimestamp(NOW_S, UTC), "behind_s": 0.4},
        {"landed": "wait_windows", "newest": datetime.fromtimestamp(NOW_S, UTC), "behind_s": 90.0},
    ]
}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0.0 s"),
        (0.84, "0.8 s"),
        (0.97, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3_569, "59 min"),
        (3_571, "1 h"),
        (3_900, "1 h 5 min"),
        (86_400, "1 d"),
        (270_000, "3 d 3 h"),
    ],
)
def test_a_duration_is_two_words_at_most(seconds: float, words: str) -> None:
    assert short_duration(seconds) == words


def test_what_a_fast_clock_reports_is_now() -> None:
    assert ago(datetime.fromtimestamp(NOW_S + 5, UTC), NOW_S) == "now"


@pytest.mark.parametrize(("rate", "words"), [(0.0, "0"), (0.42, "0.4"), (9.96, "10.0"), (1234.5, "1,234")])
def test_a_rate_has_a_decimal_only_when_it_is_small(rate: float, words: str) -> None:
    assert per_second(rate) == words


def test_numbers_that_are_not_known_are_no_zeros() -> None:
    assert set(numbers(Board()).values()) == {UNKNOWN}


def test_the_tiles_show_the_last_rate_and_the_newest_row() -> None:
    bands = {"breaking": 1, "hot": 20, "warm": 300, "calm": 4000}
    rates = [{"per_s": 7.0}, {"per_s": 12.0}]
    shown = numbers(Board({**LANDED, BANDS: [bands], INTERACTION_RATE: rates}))
    assert shown == {"breaking": "1", "hot": "20", "warm": "300", "calm": "4,000", "rate": "12", "behind": "0.4 s"}


def test_an_empty_panel_says_whether_it_is_unknown_or_early_or_good_news() -> None:
    assert absence_words(ALERTS, Board()) == "Not known yet."
    assert absence_words(ALERTS, Board({**NOTHING_LANDED, ALERTS: []})).startswith("Nothing yet.")
    assert absence_words(ALERTS, Board({**LANDED, ALERTS: []})) == "Nothing to act on in the last 24 hours."


@pytest.mark.parametrize(
    ("board", "words"),
    [
        (Board(), "asking ..."),
        (Board(NOTHING_LANDED, answered_s=NOW_S), "nothing yet"),
        (Board(LANDED, answered_s=NOW_S - 4), "live"),
        (Board(LANDED, answered_s=NOW_S - 40), "as of 40 s ago"),
        (Board(LANDED, answered_s=NOW_S, trouble=Trouble(refused=False, detail="")), "waiting for ClickHouse"),
    ],
)
def test_the_status_says_how_current_the_page_is(board: Board, words: str) -> None:
    assert status_words(board, NOW_S) == words


def test_trouble_says_how_old_the_page_is() -> None:
    assert trouble_words(Board(), NOW_S) == ""
    away = Board(answered_s=NOW_S - 300, trouble=Trouble(refused=False, detail="connection refused"))
    assert trouble_words(away, NOW_S).endswith("What you see was known 5 min ago.")


def test_dead_letters_are_counted_with_the_most_frequent_reasons() -> None:
    rows = [{"reason": reason, "records": records} for reason, records in zip("abcd", (5000, 3, 2, 1), strict=True)]
    words = dead_letter_words(rows)
    assert words.startswith("5,006 records")
    assert words.endswith("a 5,000, b 3, c 2")
    assert dead_letter_words([]) == ""


def test_the_chart_keeps_the_touchpoints_with_the_longest_waits() -> None:
    time = datetime.fromtimestamp(NOW_S, UTC)
    rows = [{"time": time, "touchpoint": f"t{n}", "mean_s": 1.0, "longest_s": float(n)} for n in range(9)]
    drawn = wait_chart(rows, "longest_s")["series"]
    assert [line["name"] for line in drawn] == [f"t{n}" for n in range(9 - MOST_LINES, 9)]
    assert drawn[-1]["data"] == [(NOW_S * 1000, 8.0)]


def test_what_is_held_back_is_said_by_team_and_not_when_nothing_is() -> None:
    rows = [{"team": "iade", "held_back": 2}, {"team": "kargo", "held_back": 0}, {"team": "iade", "held_back": 1_000}]
    words = "1,002 alerts of the last 24 hours are held back by budgets: iade 1,002"
    assert held_back_words(rows) == words
    assert held_back_words(rows[1:2]) == held_back_words([]) == ""
