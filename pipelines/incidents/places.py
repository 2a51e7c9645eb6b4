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


_APART = 8  # slots that are judged again at most because less is kept


@dataclass(slots=True)
class Watched:
    """A place. points: how it was at the end of some slots, the settled one first; in between no incident stands.

    partials: by slot and source partition; newest: the last slot of them.
    sums: of the sources, but for the slots that are ``stale``. told: by kind and first slot of the incident.
    """

    points: list[tuple[int, State]]
    sums: SlotSums
    partials: dict[int, dict[int, Partial]] = field(default_factory=dict)
    stale: set[int] = field(default_factory=set)
    told: dict[str, Told] = field(default_factory=dict)
    is_stored: bool = False
    newest: int = NEVER

    @property
    def settled(self) -> int:
        """The slot before which nothing changes any more."""
        return self.points[0][0]

    @property
    def judged(self) -> int:
        """The last slot that was judged."""
        return self.points[-1][0]

    @property
    def state(self) -> State:
        """The place at the end of that slot."""
        return self.points[-1][1]

    def begin(self, slot: int, state: State) -> None:
        """Let ``state`` be all that is known, at the end of a slot."""
        self.points = [(slot, state)]

    def add(self, slot: int, state: State) -> None:
        """The place at the end of a later slot. Of neighbours at which nothing happened one is enough."""
        points = self.points
        if len(points) > 1 and slot - points[-2][0] < _APART and points[-1][1].is_plain and state.is_plain:
            points.pop()
        points.append((slot, state))

    def judge_from(self, slot: int) -> None:
        """Forget what was judged from a slot on."""
        while len(self.points) > 1 and self.judged >= slot:
            self.points.pop()

    def settle(self, slot: int) -> None:
        """Forget how it was before the last point up to a slot."""
        while len(self.points) > 1 and self.points[1][0] <= slot:
            del self.points[0]
        self.is_stored = True
