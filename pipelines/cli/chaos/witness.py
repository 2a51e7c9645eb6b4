"""When workers let time pass, as each transaction told it: the one thing that the input topic does not say.

A band is left by time alone, and a late interaction may come before or after that: alerts depend on it. So a model
that shall tell every revision of every alert is told at which offsets time was let pass to when. What counts comes
from the input topic alone, and that time was not let pass too far is checked against its append times.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from confluent_kafka import Message

CLOCK_MS = 250  # clocks are read one after another, and a record is shown a moment after its append time

Advances = list[tuple[int, int]]  # offset before which time passed, and to when, ascending


@dataclass(slots=True)
class Way:
    """How a source partition was processed. problems, planted: in words."""

    advances: Advances = field(default_factory=list)
    end: int = 0
    checkpoints: int = 0
    problems: list[str] = field(default_factory=list)
    planted: list[str] = field(default_factory=list)


def ways(messages: Iterable[Message]) -> dict[int, Way]:
    """The way of each source partition, from the records of its transactions in order."""
    found: dict[int, Way] = {}
    for message in messages:
        way = found.setdefault(message.partition() or 0, Way())
        told = json.loads(message.value() or b"")
        if told["from"] != way.end:
            way.problems.append(
                f"partition {message.partition()}: a checkpoint goes on at {told['from']}, the one before at {way.end}"
            )
        written_ms = message.timestamp()[1]
        if any(to_ms > written_ms + CLOCK_MS for _, to_ms in told["advances"]):
            way.problems.append(
                f"partition {message.partition()}: time passed to {max(told['advances'])[1]}, which is later than "
                f"{written_ms}, when it was written down"
            )
        way.end = told["to"]
        way.checkpoints += 1
        way.advances += [(at, to_ms) for at, to_ms in told["advances"]]
        way.planted += told["planted"]
    return found
