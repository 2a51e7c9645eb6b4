"""The last row of each customer, the forgotten ones too."""

from dataclasses import dataclass, field

import numpy as np

from pipelines.intake.index import TextIndex
from pipelines.partition import Changes
from pipelines.policy.policy import Policy
from schemas.arrays import Bytes, Float64s, Int64s
from schemas.growing import grown


@dataclass(slots=True)
class Standing:
    """Rows by customer: heat as of ``scored_ms``, ``last_heat`` as of the last event, which was at ``updated_ms``,
    with what open cases held.

    ``held`` is what open cases hold, and does not decay.
    """

    policy: Policy
    customers: TextIndex = field(default_factory=TextIndex)
    scored_ms: Int64s = field(default_factory=lambda: np.zeros(64, np.int64))
    updated_ms: Int64s = field(default_factory=lambda: np.zeros(64, np.int64))
    interactions: Int64s = field(default_factory=lambda: np.zeros(64, np.int64))
    band: Bytes = field(default_factory=lambda: np.zeros(64, np.uint8))
    segment: Int64s = field(default_factory=lambda: np.zeros(64, np.int64))
    heat: Float64s = field(init=False)
    held: Float64s = field(init=False)
    last_heat: Float64s = field(init=False)

    def __post_init__(self) -> None:
        self.heat = np.zeros((64, len(self.policy.signals)), np.float64)
        self.held = np.zeros((64, len(self.policy.signals)), np.float64)
        self.last_heat = np.zeros((64, len(self.policy.signals)), np.float64)

    def __len__(self) -> int:
        return len(self.customers)

    def take(self, changes: Changes) -> None:
        """Take the rows that have changed."""
        scores = changes.scores
        if not len(scores):
            return
        texts = scores.customers
        row = self.customers.add(texts.data, texts.start, texts.length)
        self._make_room(self.customers.numbers)
        at_event = scores.interactions != self.interactions[row]  # else it was time that changed it
        self.last_heat[row[at_event]] = scores.heat[at_event] + scores.held[at_event]
        self.scored_ms[row] = scores.scored_ms
        self.updated_ms[row] = changes.newest_ms
        self.interactions[row] = scores.interactions
        self.band[row] = scores.band
        self.segment[row] = scores.segment
        self.heat[row] = scores.heat
        self.held[row] = scores.held

    def _make_room(self, rows: int) -> None:
        self.scored_ms = grown(self.scored_ms, rows)
        self.updated_ms = grown(self.updated_ms, rows)
        self.interactions = grown(self.interactions, rows)
        self.band = grown(self.band, rows)
        self.segment = grown(self.segment, rows)
        self.heat = grown(self.heat, rows)
        self.held = grown(self.held, rows)
        self.last_heat = grown(self.last_heat, rows)
