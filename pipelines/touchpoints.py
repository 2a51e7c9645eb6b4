"""The second stage: partials of all source partitions become wait windows, exactly once each (design, section 6).

Partials are cumulative: of each source partition the one with the newest source offset is kept, and those of the
partitions are added. A window is final when every source partition's watermark has passed its end by the lateness.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pipelines.intake.interactions import NO_TIME
from pipelines.windows import NO_WAITS, WaitCounts

Place = tuple[str, str, int]  # touchpoint, channel, start of the window in ms


@dataclass(frozen=True, slots=True)
class Partial:
    """What one source partition knows of a window."""

    source_offset: int
    counts: WaitCounts


@dataclass(slots=True)
class Window:
    """A window that may still change. ``partials`` by source partition."""

    end_ms: int
    revision: int = 0
    partials: dict[int, Partial] = field(default_factory=dict)

    @property
    def counts(self) -> WaitCounts:
        """Those of all source partitions."""
        return sum((p.counts for p in self.partials.values()), NO_WAITS)


@dataclass(frozen=True, slots=True)
class Told:
    """A revision of a window to publish."""

    place: Place
    end_ms: int
    revision: int
    counts: WaitCounts
    final: bool
    source_partitions: int


class TouchpointPartition:
    """The windows of one partition of friction.wait_partials. Not thread-safe."""

    def __init__(self, sources: int, lateness_ms: int) -> None:
        self.windows: dict[Place, Window] = {}
        self.watermarks_ms = [NO_TIME] * sources
        self._lateness_ms = lateness_ms
        self._changed: set[Place] = set()

    def merge(self, place: Place, end_ms: int, source: int, partial: Partial) -> None:
        """Take a partial; an older one than is known, or one of a window that was final, changes nothing."""
        if place not in self.windows and self._is_final(end_ms):
            return
        window = self.windows.setdefault(place, Window(end_ms))
        known = window.partials.get(source)
        if known is None or partial.source_offset > known.source_offset:
            window.partials[source] = partial
            self._changed.add(place)

    def move_watermark(self, source: int, watermark_ms: int) -> None:
        """Source partition ``source`` has seen everything up to ``watermark_ms``."""
        self.watermarks_ms[source] = max(self.watermarks_ms[source], watermark_ms)

    def _is_final(self, end_ms: int) -> bool:
        return end_ms + self._lateness_ms <= min(self.watermarks_ms, default=NO_TIME)

    def take_changes(self) -> list[Told]:
        """Windows that changed or became final since the last call, in order; final ones are forgotten."""
        return list(self._take_changes())

    def _take_changes(self) -> Iterator[Told]:
        for place in sorted(self.windows):
            window = self.windows[place]
            final = self._is_final(window.end_ms)
            if not final and place not in self._changed:
                continue
            window.revision += 1
            yield Told(place, window.end_ms, window.revision, window.counts, final, len(window.partials))
            if final:
                del self.windows[place]
        self._changed.clear()
