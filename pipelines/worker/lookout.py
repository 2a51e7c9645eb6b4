"""Where the consumer stands, held against where partitions go on: may time pass, is a batch lost."""

import logging
from collections.abc import Callable, Iterable

from faust.types import TP

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.restore import LogReader
from connectors.kafka.transport import Consumer
from pipelines.worker.background import Background
from pipelines.worker.ownership import Owned
from schemas.errors import StoreUnavailable

log = logging.getLogger(__name__)


class Lookout:
    """Lets time pass, and asks again for what was lost. ``renew`` drops a partition whose records are gone."""

    def __init__(
        self, *, kafka: KafkaConnection, group_id: str, background: Background, renew: Callable[[Owned, str], None]
    ) -> None:
        self._kafka = kafka
        self._group_id = group_id
        self._background = background
        self._renew = renew

    def advance(self, consumer: Consumer, partitions: Iterable[Owned]) -> None:
        """Let time pass for partitions that have processed everything that was there when time was read."""
        answers = consumer.fetch_answers()
        for owned in partitions:
            told = [(answers.get(tp), at) for tp, at in owned.positions.items()]
            times = [a.begun_ms for a, at in told if a is not None and at >= a.end]
            if owned.ready and len(times) == len(told):
                owned.work.advance(min(times))

    def watch(self, consumer: Consumer, partitions: Iterable[Owned]) -> None:
        """Find batches that were lost with nothing behind them: the consumer stands elsewhere, and stays there."""
        positions = consumer.fetch_positions()
        for owned in partitions:
            for tp, next_offset in owned.positions.items() if owned.ready else ():
                at = positions.get(tp)
                if at is None or at == next_offset:
                    owned.stuck_at.pop(tp.topic, None)
                elif owned.stuck_at.get(tp.topic) == (at, next_offset):
                    self.ask_again(consumer, owned, tp.topic)
                else:
                    owned.stuck_at[tp.topic] = at, next_offset

    def ask_again(self, consumer: Consumer, owned: Owned, topic: str) -> None:
        """Fetch a topic again from where the partition goes on."""
        if not owned.reseeking:
            owned.reseeking = True
            log.info("%s/%s asks for %s again", topic, owned.partition, owned.work.next_offsets[topic])
            self._background.spawn(self._seek(consumer, owned, TP(topic, owned.partition)))

    async def _seek(self, consumer: Consumer, owned: Owned, tp: TP) -> None:
        try:
            low, high = await self._background.in_thread(self._bounds, tp)
            if owned.gone:
                return
            if low <= owned.positions[tp] <= high:
                await consumer.go_on_at({tp: owned.positions[tp]})
            else:  # deleted before it was processed: whoever acquires the partition says what is to be done
                self._renew(owned, f"{tp.topic} has only {low} to {high}")
        except StoreUnavailable as error:  # the watch asks again
            log.warning("%s/%s: %s", tp.topic, tp.partition, error)
        finally:
            owned.reseeking = False

    def _bounds(self, tp: TP) -> tuple[int, int]:
        with LogReader(self._kafka, self._group_id) as reader:
            return reader.bounds(tp.topic, tp.partition)
