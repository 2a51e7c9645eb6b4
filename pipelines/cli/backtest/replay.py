"""The core on interactions that are all there: the same steps as a worker's, with event time for a clock."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from pipelines.alerts.alert import Alert
from pipelines.alerts.open_clocks import OpenClocks, Opened
from pipelines.alerts.tables import Alerts
from pipelines.applied import NOTHING_RARE, RareCounts
from pipelines.cli.backtest.events import Order
from pipelines.cli.backtest.standing import Standing
from pipelines.incidents.alerts import Labels
from pipelines.incidents.replay import OneSource
from pipelines.intake.interactions import NO_TIME, InteractionBatch
from pipelines.partition import CustomerPartition
from pipelines.policy.policy import Policy
from schemas.arrays import Int64s
from schemas.columnar.writer import TextColumn

BATCH_EVENTS = 65_536
"""At most so many interactions between two looks at the clocks."""
_BUDGETED_MS = 60_000  # so much of time, where alerts have budgets


@dataclass(slots=True)
class Replay:
    """One run of the core over interactions in the order in which they are given.

    tell: is given the alerts of a stretch. accepted: how many interactions were counted, with those that were sent
    again. order: in which the interactions are. In ``file`` and ``appended`` one that is late finds that time has
    passed for its customer, to the newest event time before it or to the newest append time, as with a worker that has
    caught up.
    """

    policy: Policy
    tell: Callable[[Alerts], object]
    seen: Callable[[int], None] = lambda _: None
    order: Order = "event"
    accepted: int = 0
    rare: RareCounts = NOTHING_RARE
    last_ms: int | None = None
    standing: Standing = field(init=False)
    _core: CustomerPartition = field(init=False)
    _watch: OneSource | None = None

    def __post_init__(self) -> None:
        if self.policy.file.incidents is not None:
            self._watch = OneSource(self.policy.file.incidents, Labels.of(self.policy))
        self.standing = Standing(self.policy)
        self._core = CustomerPartition(0, 1, self.policy)

    def run(self, batch: InteractionBatch, *, batch_events: int = BATCH_EVENTS) -> None:
        """Apply interactions, and let time pass to the newest of them after each part."""
        budgeted = self.policy.file.budgets is not None  # then which alerts pass depends on what was told before
        for at in range(0, len(batch), batch_events):
            stop = min(at + batch_events, len(batch))
            newest_ms = self._newest_ms(batch.part(at, stop))
            ends = [stop - at]
            if budgeted:
                ends = [*(np.flatnonzero(np.diff(newest_ms // _BUDGETED_MS)) + 1).tolist(), *ends]
            for first, end in pairwise([0, *ends]):
                if budgeted:
                    self._advance(newest_ms.item(first) - 1)
                # the core takes interactions in the order of their offsets
                part = replace(batch.part(at + first, at + end), offset=np.arange(at + first, at + end))
                self._apply(part, newest_ms[first:end])

    def _apply(self, part: InteractionBatch, newest_ms: Int64s) -> None:
        applied = self._core.apply(part, self._passed_ms(part, newest_ms))
        self.last_ms = newest_ms.item(-1)
        self.accepted += len(part)
        self.rare = self.rare.plus(applied.rare)
        # copied before time passes: advance may forget a customer who has cooled down
        incidents = self._take()
        self._tell(applied.alerts, incidents, self._core.advance(newest_ms.item(-1)))
        self.seen(self.accepted)

    def _advance(self, to_ms: int) -> None:
        if self.last_ms is not None and to_ms > self.last_ms:
            self._tell(self._core.advance(to_ms), self._take())

    def listed_clocks(self) -> tuple[OpenClocks, TextColumn]:
        """The clocks that are open where time stands, and whose each is."""
        return self._core.listed_clocks()

    def opened(self, customer: bytes) -> Opened:
        """What is open of a customer where time stands."""
        return self._core.opened(customer)

    def take_left_out(self) -> int:
        """How many slots of places were not watched for incidents, because there are too many of them."""
        return 0 if self._watch is None else self._watch.watch.take_left_out()

    @property
    def next_due_ms(self) -> int | None:
        """The earliest time at which a clock or a case may have something to say without an interaction."""
        return self._core.next_due_ms

    def run_on(self, until_ms: int | None) -> int | None:
        """Let the clock run to ``until_ms``, None for the last interaction, and return where it stands."""
        if until_ms is not None:
            self.last_ms = until_ms if self.last_ms is None else max(until_ms, self.last_ms)
        if self.last_ms is not None:
            alerts = self._core.advance(self.last_ms)
            self._tell(alerts, self._take())
        return self.last_ms

    @property
    def tally(self) -> dict[str, int]:
        """What has been counted of searches and of closings without an opening."""
        return self._core.tally

    def _newest_ms(self, part: InteractionBatch) -> Int64s:
        """int64[n]: how far time has come with each interaction of a part."""
        seen_ms = part.append_ms if self.order == "appended" else np.minimum(part.occurred_ms, part.append_ms)
        newest_ms: Int64s = np.maximum.accumulate(seen_ms)
        return newest_ms if self.last_ms is None else np.maximum(newest_ms, self.last_ms)

    def _passed_ms(self, part: InteractionBatch, newest_ms: Int64s) -> Int64s | None:
        """int64[n]: how far time has passed before each interaction that is older than that, NO_TIME for others."""
        late = np.minimum(part.occurred_ms, part.append_ms) < newest_ms
        return None if self.order == "event" else np.where(late, newest_ms, NO_TIME)

    def _tell(self, *alerts: Alerts | list[Alert]) -> None:
        told = Alerts()
        for some in alerts:
            told.add(some)
        self.tell(told)

    def _take(self) -> list[Alert]:
        """Take what has changed, and give the incidents that it leads to."""
        changes = self._core.take_changes(stored=False)
        self.standing.take(changes)
        return [] if self._watch is None or changes.incidents is None else self._watch.take(changes.incidents)
