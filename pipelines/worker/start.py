"""Where a partition goes on, held against what its topics still are and still have."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from connectors.kafka.restore import LogReader
from pipelines.worker import metrics
from schemas.errors import InvariantBroken, StateLost, TopicMismatch
from schemas.topics import TopicNames

log = logging.getLogger(__name__)

_ACCEPT = "set worker.accept_loss (`--set worker.accept_loss=true`)"


@dataclass(frozen=True, slots=True)
class Start:
    """What the header of a partition says; nothing if there is none.

    offsets: where each input topic goes on; a topic without one begins at its first record. ids: Kafka's ids of the
    input topics and of the state's own one when the header was written. All by their names on the cluster.
    """

    state_topic: str
    partition: int
    offsets: Mapping[str, int]
    ids: Mapping[str, str]

    @classmethod
    def of(cls, header: Mapping[str, Any], names: TopicNames, state_topic: str, partition: int) -> Self:
        """Take it from a header, whose topics bear their declared names."""
        offsets, ids = (
            {names.of(t): said for t, said in header.get(key, {}).items()} for key in ("offsets", "topic_ids")
        )
        return cls(state_topic, partition, offsets, ids)

    def checked(
        self, reader: LogReader, topics: tuple[str, ...], ids: Mapping[str, str], *, accept_loss: bool
    ) -> dict[str, int]:
        """Next offset of each input topic. ids: of the topics as they are now.

        Raises:
            StateLost: the state, or records that were never processed, are gone, unless ``accept_loss``.
            TopicMismatch: an input topic was made anew, unless ``accept_loss``.
            InvariantBroken: an input topic ends before the place where we were.
        """
        for loss in (self._another_topic(ids), self._state_is_gone(reader, topics)):
            if loss is not None and not accept_loss:
                raise loss
            if loss is not None:
                log.warning("worker.accept_loss is set, so this is accepted: %s", loss)
        found: dict[str, int] = {}
        for topic in topics:
            low, high = reader.bounds(topic, self.partition)
            at = self.offsets.get(topic, low)
            if at > high:
                raise InvariantBroken(
                    f"{topic}/{self.partition} ends at {high}, but {at} has been processed: the topic was made anew. "
                    "Give the workers state topics that are new too (friction topics list), or the old topic back."
                )
            if at < low:
                self._accept_lost_records(topic, at, low, accept_loss=accept_loss)
                at = low
            found[topic] = at
        return found

    def _another_topic(self, ids: Mapping[str, str]) -> StateLost | TopicMismatch | None:
        for topic, was in self.ids.items():
            if ids[topic] == was:
                continue
            if topic == self.state_topic:
                return StateLost(
                    f"{topic} was deleted and made anew while workers ran: of the state of partition {self.partition} "
                    f"only what they wrote since then is there. Give them the old topic back; or {_ACCEPT} to go on "
                    "with what is there. Customers that it does not have begin anew."
                )
            if at := self.offsets.get(topic, 0):
                return TopicMismatch(
                    f"{topic} was deleted and made anew: up to offset {at}, {self.state_topic}/{self.partition} has "
                    "counted records of the topic before, not of this one. Give the workers another topic_prefix, or "
                    "delete the state topics too and run `friction topics apply`. If the new topic has the same "
                    f"records at the same offsets, {_ACCEPT}."
                )
        return None

    def _state_is_gone(self, reader: LogReader, topics: tuple[str, ...]) -> StateLost | None:
        """Whether the group remembers more than the state: both are written in one transaction."""
        told = {} if self.offsets else reader.committed([(topic, self.partition) for topic in topics])
        for (topic, partition), at in told.items():
            if at > 0:
                return StateLost(
                    f"{self.state_topic}/{partition} is empty, but the group {reader.group_id} has committed offset "
                    f"{at} of {topic}/{partition}: the state of what was processed is gone. Give the workers the old "
                    f"topic back; or {_ACCEPT} to build the state anew from the records that are still there: "
                    "what they lead to is then told again. If no worker has run here, and somebody set these offsets, "
                    "delete them (kafka-consumer-groups --delete-offsets): workers begin at the first record."
                )
        return None

    def _accept_lost_records(self, topic: str, at: int, low: int, *, accept_loss: bool) -> None:
        what = f"records {at} to {low - 1} of {topic}/{self.partition} were deleted before they were processed"
        if not accept_loss:
            raise StateLost(f"{what}. Set worker.accept_loss (`--set worker.accept_loss=true`) to go on without them.")
        metrics.LOST_RECORDS.labels(topic).inc(low - at)
        log.warning("worker.accept_loss is set, so it goes on without %s records: %s", low - at, what)
