"""What stands in the lanes of the picture below the score: labels of interactions, bars of clocks, lines of alerts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pipelines.cli.explain.changes import ClockChange, clock_key
from pipelines.cli.explain.happenings import Happening
from pipelines.cli.explain.story import Story
from pipelines.cli.explain.times import span_text


@dataclass(frozen=True, slots=True)
class Label:
    """A text that begins at ``at_ms``, in a row of its lane."""

    at_ms: int
    text: str
    row: int = 0


@dataclass(slots=True)
class Bar:
    """A clock from its opening to its end, None while it is open. deadlines: all that it had, the last one counts."""

    clock: str
    case_id: str | None
    opened_ms: int
    ended_ms: int | None = None
    breached_ms: int | None = None
    deadlines: list[int] = field(default_factory=list)
    pauses: list[tuple[int, int | None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Line:
    """An alert: when each of its revisions was told, and its status."""

    alert_type: str
    about: str
    told: list[tuple[int, str]]


def fitted(spans: Sequence[tuple[float, float]], most: int) -> list[int | None]:
    """The first of at most ``most`` rows in which each span is free of those before it; None where there is none."""
    ends: list[float] = []
    rows: list[int | None] = []
    for begin, end in spans:
        row = next((n for n, until in enumerate(ends) if until <= begin), len(ends))
        if row == most:
            rows.append(None)
            continue
        ends[row : row + 1] = [end]
        rows.append(row)
    return rows


def labels(story: Story, span: Callable[[int, str], tuple[float, float]], most: int) -> tuple[list[Label], int]:
    """Labels of the interactions that do not overlap, in at most ``most`` rows, and how many found no place.

    span: from where to where a text reaches that stands at a time. When there is no place for all, those that say the
    same one after the other share one.
    """
    told = [(moment.at_ms, label_text(one)) for moment in story.moments for one in moment.happenings]
    for entries in (_alike(told, together=False), _alike(told, together=True)):
        rows = fitted([span(at_ms, text) for at_ms, text in entries], most)
        if None not in rows:
            break
    placed = [Label(*one, row) for one, row in zip(entries, rows, strict=True) if row is not None]
    return placed, len(entries) - len(placed)


def label_text(said: Happening) -> str:
    """An interaction in a few characters: its kind, and the one thing that tells most."""
    for name in ("rating", "reply", "outcome", "stage"):
        if name in said.says:
            value = said.says[name]
            return f"{said.kind} {value:g}" if isinstance(value, float) else f"{said.kind} {value}"
    return f"{said.kind} {span_text(int(said.says['duration_ms']))}" if "duration_ms" in said.says else said.kind


def bars(story: Story) -> list[Bar]:
    """The clocks, in the order in which they were opened."""
    found: dict[tuple[str, int, int], Bar] = {}
    for moment in story.moments:
        for change in moment.clocks:
            _change(found, change, moment.at_ms)
    return list(found.values())


def bar_rows(made: Sequence[Bar], until_ms: int) -> list[tuple[str, list[Bar]]]:
    """Rows with their names: clocks of one name stand in one row as long as they do not overlap."""
    rows: list[tuple[str, list[Bar]]] = []
    for name in dict.fromkeys(bar.clock for bar in made):
        own = [bar for bar in made if bar.clock == name]
        spans = [(float(bar.opened_ms), float(until_ms if bar.ended_ms is None else bar.ended_ms)) for bar in own]
        places = fitted(spans, len(own))
        for row in range(1 + max(place or 0 for place in places)):
            members = [bar for bar, place in zip(own, places, strict=True) if place == row]
            cases = {bar.case_id for bar in members}
            case = next(iter(cases)) if len(cases) == 1 else None
            rows.append((f"{name} · {case}" if case else name, members))
    return rows


def lines(story: Story) -> list[tuple[str, list[Line]]]:
    """The alerts, by what they are about, in the order in which they were first told."""
    by_id: dict[str, Line] = {}
    for moment in story.moments:
        for alert in moment.alerts:
            about = alert.clock or (alert.subject if alert.type in {"repeat_contact", "social_risk"} else None) or ""
            line = by_id.setdefault(alert.alert_id, Line(alert.type, about, []))
            line.told.append((moment.at_ms, alert.status))
    rows: dict[str, list[Line]] = {}
    for line in by_id.values():
        rows.setdefault(f"{line.alert_type} · {line.about}" if line.about else line.alert_type, []).append(line)
    return list(rows.items())


def _alike(told: Sequence[tuple[int, str]], *, together: bool) -> list[tuple[int, str]]:
    """The entries, those of the same time, or all that say the same one after the other, as one with their number."""
    return [(at_ms, text if count == 1 else f"{count} x {text}") for at_ms, text, count in _counted(told, together)]


def _counted(told: Sequence[tuple[int, str]], together: bool) -> Iterator[tuple[int, str, int]]:
    first, count = 0, 0
    for n in range(len(told) + 1):
        same = n < len(told) and told[n][1] == told[first][1] and (together or told[n][0] == told[first][0])
        if same:
            count += 1
            continue
        yield told[first][0], told[first][1], count
        first, count = n, 1


def _change(found: dict[tuple[str, int, int], Bar], change: ClockChange, at_ms: int) -> None:
    clock = change.clock
    bar = found.setdefault(clock_key(clock), Bar(clock.clock, clock.case_id, clock.opened_ms))
    if clock.deadline_ms is not None and clock.deadline_ms not in bar.deadlines[-1:]:
        bar.deadlines.append(clock.deadline_ms)
    match change.what:
        case "paused":
            bar.pauses.append((at_ms, None))
        case "resumed":
            bar.pauses[-1] = (bar.pauses[-1][0], at_ms)
        case "breached":
            bar.breached_ms = at_ms
        case "closed":
            bar.ended_ms = at_ms
            if bar.pauses and bar.pauses[-1][1] is None:
                bar.pauses[-1] = (bar.pauses[-1][0], at_ms)
        case "opened" | "moved":
            pass
