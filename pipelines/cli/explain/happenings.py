"""What an interaction says, for people: its kind, where it was, and what else was told of it."""

from typing import NamedTuple

import numpy as np

from pipelines.intake.interactions import OUTCOMES, Details, InteractionBatch


class Happening(NamedTuple):
    """An interaction. says: what was told of it besides, by name, in the order in which it is read."""

    kind: str
    channel: str
    touchpoint: str
    says: dict[str, str | int | float]


def happening(batch: InteractionBatch, i: int) -> Happening:
    """Interaction i of a batch."""
    data, details = batch.data, batch.details
    says: dict[str, str | int | float] = {}
    if details is not None:
        texts = {"case_id": details.case_id, "subject": details.subject, "segment": details.segment}
        says = {name: column.text(data, i) for name, column in texts.items() if column.length[i]}
        numbers = {"rating": details.rating, "amount": details.amount, "sentiment": details.sentiment}
        says |= {name: float(column[i]) for name, column in numbers.items() if not np.isnan(column[i])}
        if details.reach[i] >= 0:
            says["reach"] = int(details.reach[i])
    if batch.duration_ms[i] >= 0:
        says["duration_ms"] = int(batch.duration_ms[i])
    if details is not None:
        says |= _attributes(batch, details, i)
    elif batch.outcome[i] >= 0:
        says["outcome"] = OUTCOMES[batch.outcome[i]]
    return Happening(batch.kind.text(data, i), batch.channel.text(data, i), batch.touchpoint.text(data, i), says)


def _attributes(batch: InteractionBatch, details: Details, i: int) -> dict[str, str]:
    first = int(details.entry_start[i])
    return {
        details.entry_key.text(batch.data, e): details.entry_value.text(batch.data, e)
        for e in range(first, first + int(details.entry_count[i]))
    }
