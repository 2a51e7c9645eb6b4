"""A batch of interactions of one partition, as columns: what the core takes."""

from dataclasses import dataclass

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
