"""Answers as people read them: numbers, times, rows and what is said when there are none."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pipelines.page.board import Board, Row
from schemas.panels import (
    ALERTS,
    BANDS,
    FRESHNESS,
    HIGHEST_SCORES,
    INTERACTION_RATE,
    WAIT_WINDOWS,
)

SIGNS = {"breaking": "▲", "hot": "◆", "warm": "●", "calm": "○"}  # a band is told by shape and word, too
ABSENCE = {
    HIGHEST_SCORES: "Nobody carries any friction.",
    ALERTS: "Nothing to act on in the last 24 hours.",
    WAIT_WINDOWS: "Nobody has waited in the last 3 hours.",
}
OVER = ("resolved", "retracted")
LIVE_S = 5.0  # answers older than that are no longer called live
UNKNOWN = "\N{EN DASH}"


def short_duration(seconds: float) -> str:
    """Two words at most: 0.8 s, 12 s, 4 min, 1 h 5 min, 3 d 2 h."""
    if seconds < 0.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def ago(then: datetime, now_s: float) -> str:
    """How long before ``now_s`` (seconds since 1970) it was; the next seconds count as now."""
    seconds = now_s - then.timestamp()
    return "now" if seconds < 1 else f"{short_duration(seconds)} ago"


def per_second(rate: float) -> str:
    """0, 0.4, 12, 1,234."""
    return f"{rate:,.0f}" if rate >= 10 or rate == 0 else f"{rate:.1f}"


def spoken(word: str) -> str:
    """A word of the contract as a phrase: clock_breached is said as clock breached."""
    return word.replace("_", " ")


def score_rows(rows: Sequence[Row], now_s: float) -> list[dict[str, Any]]:
    """Rows of the table of scores: the panel's, with sign and detail in words."""
    return [
        {
            "customer_id": row["customer_id"],
            "score": row["score"],
            "band": row["band"],
            "sign": SIGNS.get(row["band"], ""),
            "why": row["why"].replace(" %", "\N{NO-BREAK SPACE}%"),
            "detail": " · ".join(
                part for part in (row["segment"], f"last interaction {ago(row['scored_at'], now_s)}") if part
            ),
        }
        for row in rows
    ]


def alert_rows(rows: Sequence[Row], now_s: float) -> list[dict[str, Any]]:
    """Rows of the table of alerts: the panel's, with the time as an age."""
    return [
        {
            "alert_id": row["alert_id"],
            "when": ago(row["raised_at"], now_s),
            "about": row["about"],
            "band": row["band"],
            "sign": SIGNS.get(row["band"], ""),
            "status": row["status"],
            "headline": " · ".join(
                part
                for part in (
                    spoken(row["type"]),
                    f"{'✓ ' if row['status'] in OVER else ''}{row['status']}",
                    row["team"],
                    row["handling"],
                    row["held"],
                )
                if part
            ),
            "reason": row["reason"],
            "action": row["action"],
        }
        for row in rows
    ]


def numbers(board: Board) -> Mapping[str, str]:
    """Texts of the tiles; UNKNOWN for what is not known."""
    bands = next(iter(board.rows.get(BANDS, [])), {})
    rates = board.rows.get(INTERACTION_RATE, [])
    ages = [row["behind_s"] for row in board.rows.get(FRESHNESS, []) if row["behind_s"] is not None]
    return {
        **{name: f"{bands[name]:,}" if name in bands else UNKNOWN for name in SIGNS},
        "rate": per_second(rates[-1]["per_s"]) if rates else UNKNOWN,
        "behind": short_duration(min(ages)) if ages else UNKNOWN,
    }


def absence_words(panel: str, board: Board) -> str:
    """What stands in the place of a panel's rows when there are none."""
    if panel not in board.rows:
        return "Not known yet."
    if not landed(board):
        return "Nothing yet. It fills as soon as the first interactions land."
    return ABSENCE[panel]


def landed(board: Board) -> bool:
    """Whether any table has a row."""
    return any(row["newest"] is not None for row in board.rows.get(FRESHNESS, []))


def status_words(board: Board, now_s: float) -> str:
    """How current the page is, in two or three words."""
    if board.trouble is not None:
        return "waiting for ClickHouse"
    if board.answered_s is None:
        return "asking ..."
    if not landed(board):
        return "nothing yet"
    age_s = now_s - board.answered_s
    return "live" if age_s <= LIVE_S else f"as of {short_duration(age_s)} ago"


def trouble_words(board: Board, now_s: float) -> str:
    """What the banner says; empty when all is well."""
    if board.trouble is None:
        return ""
    shown = (
        f"What you see was known {short_duration(now_s - board.answered_s)} ago."
        if board.answered_s is not None
        else "There is nothing to show until it does."
    )
    if board.trouble.refused:
        return f"ClickHouse refuses to answer, perhaps because its tables are not there yet; it is asked again. {shown}"
    return f"ClickHouse does not answer and is asked again every second. {shown}"


def held_back_words(rows: Sequence[Row]) -> str:
    """One line on the alerts that are held back by the budgets of their teams; empty when there are none."""
    teams: dict[str, int] = {}
    for row in rows:
        teams[row["team"]] = teams.get(row["team"], 0) + row["held_back"]
    told = ", ".join(f"{team} {count:,}" for team, count in sorted(teams.items()) if count)
    return f"{sum(teams.values()):,} alerts of the last 24 hours are held back by budgets: {told}" if told else ""


def dead_letter_words(rows: Sequence[Row]) -> str:
    """One line on the records that could not be accepted; empty when there are none."""
    if not rows:
        return ""
    total = sum(row["records"] for row in rows)
    reasons = ", ".join(f"{row['reason']} {row['records']:,}" for row in rows[:3])
    return f"{total:,} records of the last 24 hours could not be accepted (dead letters): {reasons}"
