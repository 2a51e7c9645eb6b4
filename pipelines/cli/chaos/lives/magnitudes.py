"""How much an interaction counts for a signal, by itself (docs/policy.md, Magnitudes)."""

from collections.abc import Mapping
from math import log2, log10
from typing import Any

from pipelines.cli.chaos.intake import milliseconds
from pipelines.cli.chaos.lives.terms import Record, Terms

_STAGES = ("queue", "counter", "hold", "page", "callback")


def of_wait(signal: Mapping[str, Any], record: Record, ran_ms: int | None) -> float:
    """How often the wait doubles the tolerated one. ran_ms: how long the clock ran that it closes."""
    duration_ms = record.get("duration_ms")
    waited_ms = ran_ms if duration_ms is None else duration_ms
    tolerated = signal["tolerated"]
    if isinstance(tolerated, dict):
        stage = (record.get("attributes") or {}).get("stage")
        tolerated = tolerated.get(stage if stage in _STAGES else "other", tolerated["other"])
    tolerated_ms = milliseconds(tolerated)
    return log2(waited_ms / tolerated_ms) if waited_ms is not None and waited_ms > tolerated_ms else 0.0


def of_amount(signal: Mapping[str, Any], record: Record) -> float:
    """How the amount compares with the reference."""
    amount = record.get("amount")
    return log2(1 + amount / signal["reference"]) if amount is not None and amount > 0 else 0.0


def of_rating(signal: Mapping[str, Any], record: Record, terms: Terms) -> float:
    """How bad, or how good, the answer is."""
    x, said = terms.place_of_rating(record), terms.said.get("feedback")
    if x is None or said is None:
        return 0.0
    bad, good = float(said["bad"]), float(said["good"])
    far = (x - good) / (1 - good) if signal.get("relief") else (bad - x) / bad
    return min(max(1 + far, 0.0), 2.0)


def of_reach(signal: Mapping[str, Any], record: Record) -> float:
    """How many read it, and how it sounds."""
    sentiment = record.get("sentiment")
    tone = 0.5 if sentiment is None else sentiment if signal.get("relief") else -sentiment
    return max(log10(10 + max(record.get("reach") or 0, 0)) * tone, 0.0)


def of_cost(signal: Mapping[str, Any], record: Record, estimated: float) -> float:
    """How much more the delivery costs than was shown, as a share of the price. estimated: the highest that was."""
    price, shipping = record.get("amount"), number(record, "shipping")
    if price is None or price <= 0 or shipping is None:
        return 0.0
    share: float = max(shipping - estimated, 0.0) / price
    return min(share, float(signal["most"])) if share >= float(signal["least"]) else 0.0


def number(record: Record, attribute: str) -> float | None:
    """An attribute that is a number."""
    text = (record.get("attributes") or {}).get(attribute)
    return None if text is None else float(text)
