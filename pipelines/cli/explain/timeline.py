"""The story as text: a paragraph of how it stands, then a line for each thing that happened, by day."""

import re
import textwrap
from collections.abc import Iterable, Iterator

import numpy as np

from pipelines.alerts.alert import Alert, Contribution
from pipelines.alerts.bands import contributions
from pipelines.alerts.open_clocks import WaitingClock
from pipelines.cli.explain.changes import CaseChange, ClockChange
from pipelines.cli.explain.happenings import Happening
from pipelines.cli.explain.story import Moment, State, Story
from pipelines.cli.explain.times import Zone, span_text
from pipelines.policy.policy import Policy

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # blanks and ends of lines become blanks
_UNITS = {"case_id": "case", "duration_ms": "for"}


def timeline(story: Story, zone: Zone, width: int) -> Iterator[str]:
    """The lines of the text, at most ``width`` characters where that can be."""
    yield from _wrapped(_head(story, zone), "", "    ", width)
    day, band_width = "", max(len(name) for name in story.policy.band_names)
    margin = " " * (2 + 8 + 2 + 6 + 2 + 5 + 2 + band_width + 2)
    yield f"\n  {'time':<10}{'heat':>6}  {'score':>5}  {'band':<{band_width}}  what happened"
    for moment in story.moments:
        if (today := zone.day(moment.at_ms) + zone.told_apart(moment.at_ms)) != day:
            day = today
            yield f"\n{day}"
        after = moment.after
        heat, score = after.capped_at(moment.at_ms), after.score(moment.at_ms)
        first = f"  {zone.at(moment.at_ms):%H:%M:%S}  {heat:>6.1f}  {score:>5.1f}  {after.band_name:<{band_width}}  "
        said = [*_happened(moment), *_changed(moment, zone)]
        yield from _wrapped(said[:1], first, margin + "  ", width)
        yield from _wrapped(said[1:], margin, margin + "    ", width)


def made_of(state: State, at_ms: int) -> tuple[Contribution, ...]:
    """What the score is made of at a time, in descending heat."""
    return contributions(state.heats(np.array([at_ms])), state.policy)[0][1]


def score_text(story: Story) -> str:
    """The score at the end, to one digit."""
    return f"{story.last.score(story.until_ms):.1f}"


def interaction_text(said: Happening) -> str:
    """An interaction in one line."""
    place = [one for one in (said.channel, said.touchpoint) if one and one != "unknown"]
    return " · ".join([said.kind, *place, *(_said(name, value) for name, value in said.says.items())])


def _wrapped(lines: Iterable[str], first: str, following: str, width: int) -> Iterator[str]:
    for line in lines:
        yield from textwrap.wrap(
            _CONTROL.sub(_escaped, line), width, initial_indent=first, subsequent_indent=following,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip


def _escaped(control: re.Match[str]) -> str:
    """A character that a terminal would obey, as text."""
    return f"\\x{ord(control[0]):02x}"


def _head(story: Story, zone: Zone) -> Iterator[str]:
    last, until_ms, policy = story.last, story.until_ms, story.policy
    segment = f", segment {policy.segment_names[last.segment]}" if last.segment else ""
    yield (
        f"{story.customer}: score {score_text(story)} of 100, {last.band_name}, "
        f"at {zone.full(until_ms)} ({zone.name}){segment}"
    )
    told = sum(len(moment.happenings) for moment in story.moments)
    yield (
        f"  {told} interaction{'s' * (told != 1)} from {zone.full(story.begins_ms)} on, "
        f"{len(story.alerts)} alert revisions; policy {policy.digest}"
    )
    parts = [_part_text(part, policy) for part in made_of(last, until_ms) if abs(part.heat) >= 0.05]
    yield f"  made of: {', '.join(parts) or 'nothing'}"
    for clock in last.opened.clocks:
        yield f"  waits for: {_clock_name(clock)} since {zone.full(clock.opened_ms)}{_standing(clock, until_ms, zone)}"
    for alert in story.standing:
        yield f"  alert stands: {_alert_name(alert)}: {alert.reason}"


def _happened(moment: Moment) -> Iterator[str]:
    yield from (interaction_text(one) for one in moment.happenings)
    if not moment.happenings:
        yield "time alone"
    if moment.repeated:
        yield f"{_number(moment.repeated)} sent before, with the same event_id: not counted again"
    if moment.unknown:
        yield f"{_number(moment.unknown)} of a kind that the policy does not know: adds nothing"


def _changed(moment: Moment, zone: Zone) -> Iterator[str]:
    yield from (_gained_text(name, points, moment.after.policy) for name, points in moment.gained.items())
    yield from (_case_text(change, moment.at_ms) for change in moment.cases)
    yield from (_clock_text(change, moment.at_ms, zone) for change in moment.clocks)
    if moment.before.band != moment.after.band:
        verb = "enters" if moment.after.band > moment.before.band else "falls to"
        yield f"band {verb} {moment.after.band_name} (from {moment.before.band_name})"
    yield from (_alert_text(alert, moment.at_ms, zone) for alert in moment.alerts)


def _said(name: str, value: str | float) -> str:
    if name == "duration_ms":
        return f"for {span_text(int(value))}"
    return f"{_UNITS.get(name, name)} {value:g}" if isinstance(value, float) else f"{_UNITS.get(name, name)} {value}"


def _number(count: int) -> str:
    return "it was" if count == 1 else f"{count} of them were"


def _part_text(part: Contribution, policy: Policy) -> str:
    if policy.factor[policy.signal_names.index(part.signal)] < 0:
        return f"{part.signal} {part.heat:.1f}"
    return f"{part.signal} {min(part.heat, part.cap):.1f}" + (" (its cap)" if part.heat > part.cap else "")


def _gained_text(name: str, points: float, policy: Policy) -> str:
    factor = float(policy.factor[policy.signal_names.index(name)])
    if factor < 0:
        return f"{points * factor:+.1f} {name} (relief)"
    return f"{points:+.1f} {name}"


def _case_text(change: CaseChange, at_ms: int) -> str:
    if change.what == "opened":
        return f"case {change.case_id} opened: its friction does not decay"
    return f"case {change.case_id} closed after {span_text(at_ms - change.opened_ms)}: its friction decays again"


def _clock_name(clock: WaitingClock) -> str:
    return f"{clock.clock} ({clock.case_id})" if clock.case_id else clock.clock


def _standing(clock: WaitingClock, at_ms: int, zone: Zone) -> str:
    if clock.paused_at_ms is not None:
        return f", stands still since {zone.full(clock.paused_at_ms)}"
    if clock.deadline_ms is None:
        return ", no deadline"
    if clock.breached:
        return f", deadline {zone.full(clock.deadline_ms)}, broken for {span_text(at_ms - clock.deadline_ms)}"
    return f", deadline {zone.full(clock.deadline_ms)}, {span_text(clock.deadline_ms - at_ms)} left"


def _clock_text(change: ClockChange, at_ms: int, zone: Zone) -> str:
    clock = change.clock
    due = "no deadline" if clock.deadline_ms is None else f"deadline {zone.near(clock.deadline_ms, at_ms)}"
    match change.what:
        case "opened":
            said = f"opened, {due}"
        case "paused":
            said = "paused: it stands still"
        case "resumed":
            said = f"goes on, {due}, was paused for {span_text(clock.paused_ms)} in all"
        case "moved":
            said = f"has another deadline: {due.removeprefix('deadline ')}"
        case "breached":
            said = f"broken: the promise was {due.removeprefix('deadline ')}"
        case "closed":
            said = f"closed after {span_text(at_ms - clock.opened_ms)}" + _paused(clock, at_ms)
    return f"clock {_clock_name(clock)} {said}"


def _paused(clock: WaitingClock, at_ms: int) -> str:
    still_ms = 0 if clock.paused_at_ms is None else at_ms - clock.paused_at_ms
    paused_ms = clock.paused_ms + still_ms
    return f", {span_text(paused_ms)} of it paused" if paused_ms else ""


def _alert_name(alert: Alert) -> str:
    about = [one for one in (alert.clock, alert.band if alert.type == "band_entered" else None, alert.case_id) if one]
    return " ".join([alert.type, *([f"({', '.join(about)})"] if about else []), alert.status])


def _alert_text(alert: Alert, at_ms: int, zone: Zone) -> str:
    raised = "" if alert.raised_ms == at_ms else f", raised {zone.near(alert.raised_ms, at_ms)}"
    advice = f" -> {alert.suggested_action}" if alert.suggested_action else ""
    earlier = "; ".join(
        f"{zone.full(one.occurred_ms)} {one.channel}{f': {one.tried}' if one.tried else ''}" for one in alert.earlier
    )
    return (
        f"ALERT {_alert_name(alert)} [revision {alert.revision}, priority {alert.priority}{raised}]: "
        f"{alert.reason}{f' Earlier: {earlier}.' if earlier else ''}{advice}"
    )
