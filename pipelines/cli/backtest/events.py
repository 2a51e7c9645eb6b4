"""The whole input as columns: what is accepted, in the order in which it is to be told."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from connectors.files.rejects import RejectedRow
from connectors.files.shaping import EventRows
from pipelines.fold.facts import RATED, FactReader
from pipelines.fold.ties import Ties
from pipelines.intake.arrow_batches import interaction_batch
from pipelines.intake.interactions import InteractionBatch, joined, together
from pipelines.policy.policy import Policy
from schemas.acceptance import Bounds, off_scale, refuse_compiled
from schemas.arrays import Bools, Int64s

Judge = Callable[[InteractionBatch], dict[int, str]]
"""What a policy will not take: rows of a batch, and why."""

Order = Literal["event", "file", "appended"]

MAX_PLACE_BYTES = 512  # as the worker holds it

_MOST_MIXED = 6  # batches of the input that lie, on average, in one of the order: of more, all are joined before
_REFUSED = {
    1: "customer_id must have 1 to 512 bytes",
    2: "occurred_at is further before appended_at than acceptance.max_age of the policy allows",
    3: "occurred_at is further after appended_at than acceptance.max_ahead of the policy allows",
    4: "duration_ms must be at least 0, and at most 10 years",
    5: f"touchpoint and channel must have at most {MAX_PLACE_BYTES} bytes each",
    6: "sentiment must lie between -1 and 1",
}


@dataclass(slots=True)
class Gathered:
    """Accepted interactions. refused: those that are not. outside: those not in the time that was asked for.

    ties: the order of those of the same time; without it they stay in that of the file.
    """

    parts: list[tuple[Int64s, InteractionBatch]] = field(default_factory=list)
    read: int = 0
    refused: int = 0
    outside: int = 0
    ties: Ties | None = None

    def __len__(self) -> int:
        return sum(len(part) for _, part in self.parts)

    def in_order(self, at_once: int) -> Iterator[InteractionBatch]:
        """All of them, ``at_once`` or more at a time. The parts are gone then."""
        parts = [(key, batch) for key, batch in self.parts if len(batch)]
        self.parts.clear()
        if not parts:
            return
        keys = np.concatenate([key for key, _ in parts])
        order = np.argsort(keys, kind="stable")
        begin = np.append(0, np.cumsum([len(batch) for _, batch in parts]))
        if self.ties is not None:
            _break_ties(order, keys, [batch for _, batch in parts], begin, self.ties)
        of = np.searchsorted(begin, order, "right") - 1
        cuts = range(0, order.shape[0], at_once)
        mixed = [np.unique(of[at : at + at_once]).tolist() for at in cuts]
        if sum(map(len, mixed)) > _MOST_MIXED * len(mixed):
            whole = together([part for _, part in parts])
            parts.clear()
            for at in cuts:  # by pieces: their memory is used again
                yield whole.take(order[at : at + at_once])
            return
        for at, numbers in zip(cuts, mixed, strict=True):
            here, some = of[at : at + at_once], order[at : at + at_once]
            place = [np.flatnonzero(here == k) for k in numbers]
            taken = [parts[k][1].take(some[which] - begin[k]) for k, which in zip(numbers, place, strict=True)]
            yield joined(list(zip(place, taken, strict=True)))[0]


def gathered(
    rows: Iterable[EventRows],
    bounds: Bounds,
    reject: Callable[[RejectedRow], None],
    *,
    from_ms: int | None = None,
    to_ms: int | None = None,
    order: Order = "event",
    details: bool = False,
    judge: Judge = lambda _: {},
    ties: Ties | None = None,
    seen: Callable[[int], None] = lambda _: None,
) -> Gathered:
    """Take interactions that are acceptable and occurred from ``from_ms`` on, before ``to_ms``.

    A row that does not say when it was appended is judged as if that was when it occurred. details: whether the policy
    asks for them. ties: see Gathered, for the order of events. seen: told how many were read.
    """
    found = Gathered(ties=ties if order == "event" else None)
    for some in rows:
        offset = np.arange(found.read, found.read + some.batch.num_rows)
        batch = interaction_batch(some.batch, offset, some.appended_ms, details=details)
        found.read += len(batch)
        wanted = _within(batch.occurred_ms, from_ms, to_ms)
        found.outside += int((~wanted).sum())
        reasons = {**judge(batch), **_refused(batch, bounds)}
        good = wanted.copy()
        for i in sorted(reasons):
            if wanted[i]:
                good[i] = False
                found.refused += 1
                reject(some.rejected(i, reasons[i]))
        batch = batch if good.all() else batch.take(np.flatnonzero(good))
        key = {"event": batch.occurred_ms, "appended": batch.append_ms, "file": batch.offset}[order]
        found.parts.append((key, batch))
        seen(found.read)
    return found


def _break_ties(order: Int64s, keys: Int64s, parts: list[InteractionBatch], begin: Int64s, ties: Ties) -> None:
    """Bring what has the same key into the order of ``ties``. order: int64[n], the rows of all parts by their key."""
    same = keys[order[1:]] == keys[order[:-1]]
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    rows = order[tied]
    of = np.searchsorted(begin, rows, "right") - 1
    phase, id_hash = np.empty_like(rows), np.empty_like(rows)
    for k in np.unique(of).tolist():
        here = np.flatnonzero(of == k)
        phase[here], id_hash[here] = ties(parts[k].take(rows[here] - begin[k]))
    order[tied] = rows[np.lexsort((id_hash, phase, keys[rows]))]


def _within(occurred_ms: Int64s, from_ms: int | None, to_ms: int | None) -> Bools:
    within = np.ones(occurred_ms.shape[0], np.bool_)
    if from_ms is not None:
        within &= occurred_ms >= from_ms
    if to_ms is not None:
        within &= occurred_ms < to_ms
    return within


def _refused(batch: InteractionBatch, bounds: Bounds) -> dict[int, str]:
    refused = np.zeros(len(batch), np.uint8)
    refuse_compiled(
        batch.customer.length, batch.occurred_ms, batch.append_ms, batch.duration_ms, batch.duration_ms >= 0,
        bounds.max_age_ms, bounds.max_ahead_ms, refused,
    )  # fmt: skip
    place_bytes = np.maximum(batch.touchpoint.length, batch.channel.length)
    refused[(refused == 0) & (place_bytes > MAX_PLACE_BYTES)] = 5
    if batch.details is not None:
        refused[(refused == 0) & off_scale(batch.details.sentiment)] = 6
    return {i: _REFUSED[int(refused[i])] for i in np.flatnonzero(refused).tolist()}


def judged(policy: Policy) -> Judge:
    """What a policy says of ratings: one that is not on the scale of its question is refused."""
    if policy.file.feedback is None:
        return lambda _: {}
    reader = FactReader(policy.file, policy.compiled.attributes, policy.compiled.deadline)

    def judge(batch: InteractionBatch) -> dict[int, str]:
        if batch.details is None:
            return {}
        rated = np.flatnonzero(~np.isnan(batch.details.rating))
        off = rated[reader.read(batch.take(rated)).number[:, RATED] < 0]
        return {i: f"rating {batch.details.rating[i]:g} is not on the scale of its question" for i in off.tolist()}

    return judge
