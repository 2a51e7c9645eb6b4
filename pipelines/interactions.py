"""A batch of interactions of one partition, as columns: what the core takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from schemas.arrays import Bytes, Int8s, Int32s, Int64s

UNKNOWN_MS = -1  # a duration that was not told

OUTCOMES = ("answered", "abandoned", "callback", "rerouted", "system_drop", "closed")
ANSWERED, ABANDONED = 0, 1


@dataclass(frozen=True, slots=True)
class Texts:
    """n texts that lie in a batch's ``data``: start int64[n], length int32[n]."""

    start: Int64s
    length: Int32s

    def take(self, rows: Int64s) -> "Texts":
        """The texts of some rows."""
        return Texts(self.start[rows], self.length[rows])

    def text(self, data: Bytes, i: int) -> str:
        """Text i."""
        return data[self.start[i] : self.start[i] + self.length[i]].tobytes().decode()


@dataclass(frozen=True, slots=True)
class InteractionBatch:
    """n accepted interactions in offset order; texts lie in ``data`` (uint8[b]).

    offset, append_ms, occurred_ms: int64[n], the source offset, the broker's append time, the event time.
    duration_ms: int64[n], UNKNOWN_MS when not told. outcome: int8[n], index in OUTCOMES, -1 when not told.
    """

    data: Bytes
    offset: Int64s
    append_ms: Int64s
    occurred_ms: Int64s
    duration_ms: Int64s
    outcome: Int8s
    customer: Texts
    kind: Texts
    channel: Texts
    touchpoint: Texts

    def __len__(self) -> int:
        return int(self.offset.shape[0])

    def take(self, rows: Int64s) -> "InteractionBatch":
        """The batch of some rows, int64[k], in their order."""
        return InteractionBatch(
            data=self.data,
            offset=self.offset[rows],
            append_ms=self.append_ms[rows],
            occurred_ms=self.occurred_ms[rows],
            duration_ms=self.duration_ms[rows],
            outcome=self.outcome[rows],
            customer=self.customer.take(rows),
            kind=self.kind.take(rows),
            channel=self.channel.take(rows),
            touchpoint=self.touchpoint.take(rows),
        )


def joined(parts: Sequence[tuple[Int64s, InteractionBatch]]) -> tuple[InteractionBatch, Int64s]:
    """Bring the parts of a batch, one for each writer, into one in offset order."""
    if len(parts) == 1:
        return parts[0][1], parts[0][0]
    if not parts:
        none = np.zeros(0, np.int64)
        texts = Texts(none, none.astype(np.int32))
        data = np.frombuffer(b"", np.uint8)  # not writable, as the bytes of a fetch: kernels are compiled for that
        empty = InteractionBatch(data, none, none, none, none, none.astype(np.int8), *[texts] * 4)
        return empty, none
    base = np.cumsum([0, *(b.data.shape[0] for _, b in parts)])
    batches = [b for _, b in parts]
    index = np.concatenate([i for i, _ in parts])

    def texts_of(name: str) -> Texts:
        found: list[Texts] = [getattr(b, name) for b in batches]
        start = np.concatenate([t.start + at for t, at in zip(found, base, strict=False)])
        return Texts(start, np.concatenate([t.length for t in found]))

    def whole(name: str) -> Any:
        return np.concatenate([getattr(b, name) for b in batches])

    data = whole("data")
    data.flags.writeable = False  # as above
    together = InteractionBatch(
        data=data,
        offset=whole("offset"),
        append_ms=whole("append_ms"),
        occurred_ms=whole("occurred_ms"),
        duration_ms=whole("duration_ms"),
        outcome=whole("outcome"),
        customer=texts_of("customer"),
        kind=texts_of("kind"),
        channel=texts_of("channel"),
        touchpoint=texts_of("touchpoint"),
    )
    order = np.argsort(index, kind="stable")
    return together.take(order), index[order]
