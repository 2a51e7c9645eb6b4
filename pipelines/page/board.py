"""What ClickHouse says now: asked at most once a second, however many browsers look at the page."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.clickhouse.client import connect_async, mapped_errors
from connectors.clickhouse.connection import ClickHouseConnection
from schemas.errors import FrictionError, SettingsError, StatementRejected, StoreUnavailable
from schemas.panels import (
    ALERTS,
    BANDS,
    BUDGETS,
    DEAD_LETTERS,
    FRESHNESS,
    HIGHEST_SCORES,
    INTERACTION_RATE,
    WAIT_WINDOWS,
    Span,
    expanded,
    panels,
)

PAUSE_S = 1.0
PAUSE_PER_ASKING = 4.0  # ClickHouse rests at least four times as long as it worked for us
ANSWER_TIMEOUT_S = 10.0

Row = Mapping[str, Any]
Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Question:
    """A panel as the page asks it: over the last ``length_s``, in points of ``interval_s``, every ``every_s``.

    ``settle_s`` leaves out the newest seconds, of which some rows are still on their way.
    """

    panel: str
    length_s: int
    interval_s: int
    every_s: float
    settle_s: int = 0


QUESTIONS = (
    Question(HIGHEST_SCORES, length_s=60, interval_s=60, every_s=1),
    Question(BANDS, length_s=60, interval_s=60, every_s=1),
    Question(ALERTS, length_s=86_400, interval_s=60, every_s=1),
    Question(INTERACTION_RATE, length_s=300, interval_s=5, every_s=1, settle_s=3),
    Question(FRESHNESS, length_s=3_600, interval_s=60, every_s=1),
    Question(WAIT_WINDOWS, length_s=10_800, interval_s=60, every_s=5),
    Question(BUDGETS, length_s=86_400, interval_s=60, every_s=5),
    Question(DEAD_LETTERS, length_s=86_400, interval_s=60, every_s=5),
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why there is no newer answer: ClickHouse is away, or it ``refused`` a question; ``detail`` in its words."""

    refused: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Board:
    """The newest answers. ``rows`` by panel, empty before the first; ``trouble`` with a newer one, or None.

    ``answered_s`` and ``asked_s`` are seconds since 1970, of the last answer and of the last attempt.
    """

    rows: Mapping[str, Rows] = field(default_factory=dict)
    answered_s: float | None = None
    asked_s: float | None = None
    trouble: Trouble | None = None


class Poll:
    """Asks while somebody looks. ``board`` is always the newest; ``look`` is what a viewer calls now and then."""

    def __init__(self, clickhouse: ClickHouseConnection) -> None:
        self.board = Board()
        self._clickhouse = clickhouse
        self._wanted = asyncio.Event()
        self._told = asyncio.Condition()
        self._asked_at: dict[str, float] = {}

    def look(self) -> Board:
        """Newest board, and a wish for a newer one."""
        self._wanted.set()
        return self.board

    async def first_look(self, timeout_s: float) -> Board:
        """Board of the last two pauses, or the newest there is after ``timeout_s``."""
        since_s = time.time() - 2 * PAUSE_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._told:
                self._wanted.set()
                await self._told.wait_for(lambda: (self.board.asked_s or 0) >= since_s)
        return self.board

    async def run(self) -> None:
        """Ask until cancelled. ClickHouse away or refusing is said on the board, and asked again."""
        while True:
            try:
                async with self._client() as client:
                    while True:
                        await self._wanted.wait()
                        self._wanted.clear()
                        await self._ask(client)
            except (StoreUnavailable, StatementRejected, SettingsError) as caught:
                await self._tell(replace(self.board, trouble=_trouble(caught), asked_s=time.time()))
                await asyncio.sleep(PAUSE_S)

    @contextlib.asynccontextmanager
    async def _client(self) -> AsyncIterator[Any]:
        await self._wanted.wait()
        async with _in_time():
            client = await connect_async(self._clickhouse)
        try:
            yield client
        finally:
            await client.close()

    async def _ask(self, client: Any) -> None:
        asked_s, began = time.time(), time.monotonic()
        rows = dict(self.board.rows)
        for question in QUESTIONS:
            if began - self._asked_at.get(question.panel, float("-inf")) < question.every_s - PAUSE_S / 2:
                continue
            to_s = int(asked_s) + 1 - question.settle_s
            span = Span(to_s - question.length_s, to_s, question.interval_s)
            async with _in_time():
                with mapped_errors(self._clickhouse):
                    answer = await client.query(expanded(panels()[question.panel].sql, span))
            rows[question.panel] = list(answer.named_results())
            self._asked_at[question.panel] = began
        await self._tell(Board(rows=rows, answered_s=time.time(), asked_s=asked_s))
        await asyncio.sleep(max(PAUSE_S, PAUSE_PER_ASKING * (time.monotonic() - began)))

    async def _tell(self, board: Board) -> None:
        async with self._told:
            self.board = board
            self._told.notify_all()


@contextlib.asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            yield
    except TimeoutError as late:
        raise StoreUnavailable(f"ClickHouse has not answered within {ANSWER_TIMEOUT_S:.0f} s.") from late


def _trouble(caught: FrictionError) -> Trouble:
    text = " ".join(str(caught).split())
    return Trouble(not isinstance(caught, StoreUnavailable), text if len(text) <= 300 else f"{text[:300]} ...")
