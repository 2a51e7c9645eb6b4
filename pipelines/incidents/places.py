"""A place that is watched for incidents: what is known of its slots, what they led to, and what was told."""

from dataclasses import dataclass, field
from typing import NamedTuple

from pipelines.alerts.alert import Status
from pipelines.incidents.judge import NEVER, Standing, State
from pipelines.incidents.sums import SlotSums


class Partial(NamedTuple):
    """What one source partition knows of a slot."""

    source_offset: int
    tried: tuple[int, ...]
    failed: tuple[int, ...]
    attempted: int
    members: tuple[str, ...]


class Told(NamedTuple):
    """The last revision of an alert: its status, the incident as it was told, and the slot of its id."""

    revision: int
    status: Status
    standing: Standing
    about: int


@dataclass(slots=True)
class Watched:
    """A place. settled: the slot at the end of which it was ``states[0]``; the others follow, a slot each.

    partials: by slot and source partition; newest: the last slot of them.
    sums: of the sources, but for the slots that are ``stale``. told: by kind and first slot of the incident.
    """

    settled: int
    states: list[State]
    sums: SlotSums
    partials: dict[int, dict[int, Partial]] = field(default_factory=dict)
    stale: set[int] = field(default_factory=set)
    told: dict[str, Told] = field(default_factory=dict)
    is_stored: bool = False
    newest: int = NEVER

    @property
    def judged(self) -> int:
        """The last slot that was judged."""
        return self.settled + len(self.states) - 1
