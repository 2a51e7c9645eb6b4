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


def keeper_of(*partitions: tuple[Any, ...]) -> _AnswerKeeper:
    return _AnswerKeeper(FakeClient(*partitions), SimpleNamespace(_fetch_max_wait_ms=25, _fetch_min_bytes=800))


def test_a_transaction_that_is_still_open_holds_time_back() -> None:
    """Its records bear the time at which they were appended, and become visible later."""
    high_watermark, last_stable_offset = 20, 12
    keeper = keeper_of((0, 0, high_watermark, last_stable_offset, [], b"records"))
    asyncio.run(keeper.send(1, FetchRequest()))
    assert keeper.answers[TopicPartition("topic", 0)].end == high_watermark
    assert keeper.record_sets == {TopicPartition("topic", 0): b"records"}


def test_an_answer_that_is_an_error_says_nothing_about_the_end() -> None:
    keeper = keeper_of((0, 1, -1, -1, [], b""))
    asyncio.run(keeper.send(1, FetchRequest()))
    assert keeper.answers == {}


def test_while_little_comes_fetches_wait_longer_and_go_on_doing_so() -> None:
    keeper = keeper_of((0, 0, 20, 20, [], b"r" * 199))  # of 800 bytes in 25 ms
    asyncio.run(keeper.send(1, FetchRequest()))
    assert keeper._fetcher._fetch_max_wait_ms == 85
    keeper._client = FakeClient((0, 0, 20, 20, [], b"r" * 300), (1, 0, 20, 20, [], b"r" * 379))
    asyncio.run(keeper.send(1, FetchRequest()))
    assert keeper._fetcher._fetch_max_wait_ms == 85, "at the same rate there is as much more"
    keeper._client = FakeClient((0, 0, 20, 20, [], b"r" * 300), (1, 0, 20, 20, [], b"r" * 380))
    asyncio.run(keeper.send(1, FetchRequest()))
    assert keeper._fetcher._fetch_max_wait_ms == 25
