"""Whether time may pass is read from the brokers' answers."""

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka.structs import TopicPartition

from connectors.kafka.fetched import _AnswerKeeper


class FetchRequest:
    """Known by its name, for aiokafka has one for each version."""


class FakeClient:
    def __init__(self, *partitions: tuple[Any, ...]) -> None:
        self._topics = [("topic", list(partitions))]

    async def send(self, node_id: int, request: object) -> Any:
        return SimpleNamespace(topics=self._topics)


def test_a_transaction_that_is_still_open_holds_time_back() -> None:
    """Its records bear the time at which they were appended, and become visible later."""
    high_watermark, last_stable_offset = 20, 12
    keeper = _AnswerKeeper(FakeClient((0, 0, high_watermark, last_stable_offset, [], b"records")))
    asyncio.run(keeper.send(1, FetchRequest()))
    assert keeper.answers[TopicPartition("topic", 0)].end == high_watermark
    assert keeper.record_sets == {TopicPartition("topic", 0): b"records"}


def test_an_answer_that_is_an_error_says_nothing_about_the_end() -> None:
    keeper = _AnswerKeeper(FakeClient((0, 1, -1, -1, [], b"")))
    asyncio.run(keeper.send(1, FetchRequest()))
    assert keeper.answers == {}
