"""The panels of the picture: what is drawn in each, and what its marks mean."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pipelines.cli.explain.lanes import Bar, Label, Line
from pipelines.cli.explain.story import State, Story
from pipelines.policy.policy import Policy
from schemas.arrays import Float64s, Int64s

INK, FAINT, GRID = "#1f2a37", "#6b7280", "#e5e7eb"
_RUNS, _LATE, _STILL = "#8db4dd", "#e07a72", "#f3f4f6"
_TINTS = LinearSegmentedColormap.from_list("tints", ["#eaf5ee", "#fdf6d9", "#fde3c8", "#f9ccc9"])
_STRONG = LinearSegmentedColormap.from_list("strong", ["#4f9d69", "#c99a1b", "#dd7420", "#c5332b"])
_MARKS = {
    "opened": ("^", "#dd7420"),
    "escalated": ("^", "#b3261e"),
    "resolved": ("o", "#4f9d69"),
    "retracted": ("X", "#6b7280"),
}
SMALL = 8.5  # points
_SAMPLES = 700
DAY_MS = 86_400_000.0

LEGEND = (
    "score", "interaction", "band is left below", "clock runs", "paused", "after its deadline", "deadline",
    "deadline that was met, or moved", "alert opened", "alert escalated", "alert resolved", "alert retracted",
)  # fmt: skip
"""What may have to be explained, in the order in which it is."""

Handles = dict[str, Line2D | Patch]


def day_of(at_ms: int) -> float:
    """A time as matplotlib has it: days since 1970."""
    return at_ms / DAY_MS


def band_colours(policy: Policy) -> list[tuple[str, str]]:
    """By band a tint for areas, and a strong colour for what stands on them."""
    places = np.linspace(0.0, 1.0, len(policy.band_names)).tolist()
    return [(to_hex(_TINTS(place)), to_hex(_STRONG(place))) for place in places]


def draw_score(axes: Axes, story: Story, begin: float, end: float) -> Handles:
    """The score over the bands, filled with the colour of the band in which the customer is."""
    policy, colours = story.policy, band_colours(story.policy)
    enters = [0.0, *(level.enter for level in policy.file.bands.levels), 100.0]
    for n, name in enumerate(policy.band_names):
        tint, strong = colours[n]
        axes.axhspan(enters[n], enters[n + 1], color=tint, linewidth=0, zorder=0)
        axes.text(
            1.008, (enters[n] + enters[n + 1]) / 2, name, transform=axes.get_yaxis_transform(), color=strong,
            va="center", fontsize=SMALL, weight="bold",
        )  # fmt: skip
    for n, level in enumerate(policy.file.bands.levels, 1):
        axes.plot([begin, end], [level.leave] * 2, color=colours[n][1], linewidth=0.8, linestyle=(0, (1, 3)), zorder=1)
    at_ms, scores, band = curve(story)
    days = at_ms / DAY_MS
    for n, (_, strong) in enumerate(colours):
        is_in = band == n
        axes.fill_between(days, 0, scores, where=is_in, color=strong, alpha=0.13, linewidth=0, zorder=2)
        axes.fill_between(days, -7.5, -3.0, where=is_in, color=strong, linewidth=0, zorder=2)
    axes.plot(days, scores, color=INK, linewidth=1.5, zorder=3, solid_joinstyle="round")
    told = [moment for moment in story.moments if moment.happenings]
    axes.plot(
        [day_of(m.at_ms) for m in told], [m.after.score(m.at_ms) for m in told], linestyle="none", marker="o",
        markersize=5, markerfacecolor="white", markeredgecolor=INK, markeredgewidth=1.2, zorder=4, clip_on=False,
    )  # fmt: skip
    axes.set_ylim(-7.5, 100)
    axes.set_yticks([-5.5, *enters], ["band", *(f"{enter:g}" for enter in enters)])
    return {
        "score": Line2D([], [], color=INK, linewidth=1.5),
        "interaction": Line2D([], [], linestyle="none", marker="o", markerfacecolor="white", markeredgecolor=INK),
        "band is left below": Line2D([], [], color=FAINT, linewidth=0.9, linestyle=(0, (1, 2))),
    }


def samples(story: Story) -> Iterator[tuple[State, Int64s]]:
    """How the customer stands from each moment on, and times from it up to the next, both included."""
    step_ms = max(1, (story.shown_ms - story.begins_ms) // _SAMPLES)
    ends = [*(moment.at_ms for moment in story.moments[1:]), story.shown_ms]
    for moment, end_ms in zip(story.moments, ends, strict=True):
        yield moment.after, np.unique(np.append(np.arange(moment.at_ms, end_ms, step_ms), [moment.at_ms, end_ms]))


def curve(story: Story) -> tuple[Int64s, Float64s, Int64s]:
    """Times in epoch ms, scores, and numbers of bands: what decay does between moments, and a step at each."""
    first, told = story.moments[0], list(samples(story))
    return (
        np.concatenate([[first.at_ms], *(at_ms for _, at_ms in told)]),
        np.concatenate([[first.before.score(first.at_ms)], *(state.scores(at_ms) for state, at_ms in told)]),
        np.concatenate([[first.after.band], *(np.full(at_ms.shape[0], state.band) for state, at_ms in told)]),
    )


def draw_interactions(
    axes: Axes, placed: Sequence[Label], without: int, is_left: Callable[[Label], bool], rows: int
) -> None:
    """Labels of the interactions, each with a line up to its time. is_left: which stand left of it."""
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_yticks([])
    for label in placed:
        x = day_of(label.at_ms)
        axes.plot([x, x], [-0.6, label.row], color="#cbd0d8", linewidth=0.7, zorder=1)
        axes.plot(x, label.row, marker="o", markersize=3, color=INK, zorder=3, clip_on=False)
        axes.annotate(
            label.text, (x, label.row), xytext=(-4 if is_left(label) else 4, 0), textcoords="offset points",
            ha="right" if is_left(label) else "left", va="center", fontsize=SMALL, zorder=2, annotation_clip=False,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip
    if without:
        note_more(axes, f"and {without} more")


def draw_clocks(axes: Axes, rows: Sequence[tuple[str, list[Bar]]], until_ms: int, say: Callable[[int], str]) -> Handles:
    """A bar for each clock, red when its promise is broken, hatched while it stands still; a mark at its deadline.

    say: a time in words, for deadlines that come after the end of the picture, whose limits are set.
    """
    handles: Handles = {}
    for row, (_, members) in enumerate(rows):
        for bar in members:
            end_ms = until_ms if bar.ended_ms is None else bar.ended_ms
            late_ms = end_ms if bar.breached_ms is None else bar.breached_ms
            handles |= _span(axes, row, bar.opened_ms, late_ms, _RUNS, "clock runs")
            if bar.breached_ms is not None:
                handles |= _span(axes, row, late_ms, end_ms, _LATE, "after its deadline")
            for from_ms, to_ms in bar.pauses:
                handles |= _span(axes, row, from_ms, end_ms if to_ms is None else to_ms, _STILL, "paused", hatch="////")
            for deadline_ms in bar.deadlines:
                stands = deadline_ms == bar.deadlines[-1] and (bar.ended_ms is None or bar.breached_ms is not None)
                open_end_ms = until_ms if bar.ended_ms is None else None
                handles |= _deadline(axes, row, deadline_ms, stands, open_end_ms, say)
    _rows(axes, [name for name, _ in rows])
    return handles


def draw_alerts(axes: Axes, rows: Sequence[tuple[str, list[Line]]], until_ms: int) -> Handles:
    """A line for each alert while it stands, with a mark for each revision."""
    handles: Handles = {}
    for row, (_, members) in enumerate(rows):
        for line in members:
            ends = [*(at_ms for at_ms, _ in line.told[1:]), until_ms]
            for (at_ms, status), end_ms in zip(line.told, ends, strict=True):
                marker, colour = _MARKS[status]
                stands = status in {"opened", "escalated"}
                if stands:
                    axes.plot([day_of(at_ms), day_of(end_ms)], [row, row], color="#c9a38f", linewidth=2.2, zorder=1)
                size = 7.5 if stands else 6.5
                axes.plot(
                    day_of(at_ms), row, marker=marker, markersize=size, color=colour, markeredgecolor="white",
                    markeredgewidth=0.7, zorder=3, clip_on=False,
                )  # fmt: skip
                handles[f"alert {status}"] = Line2D(
                    [], [], linestyle="none", marker=marker, markersize=size, color=colour
                )
    _rows(axes, [name for name, _ in rows])
    return handles


def note_more(axes: Axes, said: str) -> None:
    """Say at the upper right of a panel what is not in it."""
    axes.text(
        1.0, 1.0, f"{said}: the text has them", transform=axes.transAxes, ha="right", va="bottom", fontsize=SMALL,
        color=FAINT,
    )  # fmt: skip


def _span(axes: Axes, row: int, from_ms: int, to_ms: int, colour: str, name: str, hatch: str | None = None) -> Handles:
    edge = "#9ca3af" if hatch else colour
    axes.barh(
        row, day_of(to_ms) - day_of(from_ms), left=day_of(from_ms), height=0.56, color=colour, edgecolor=edge,
        hatch=hatch, linewidth=0.8, zorder=3 if hatch else 2,
    )  # fmt: skip
    return {name: Patch(facecolor=colour, edgecolor=edge, hatch=hatch)}


def _deadline(
    axes: Axes, row: int, deadline_ms: int, stands: bool, end_ms: int | None, say: Callable[[int], str]
) -> Handles:
    """A mark at a deadline, filled if it ``stands``; in words at the end of an open bar when it comes later.

    end_ms: where the bar of an open clock ends; None of one that is closed.
    """
    if day_of(deadline_ms) > axes.get_xlim()[1]:
        if stands and end_ms is not None:
            axes.text(
                day_of(end_ms), row, f"due {say(deadline_ms)} ", ha="right", va="center", fontsize=SMALL - 1,
                color=INK, zorder=5,
            )  # fmt: skip
        return {}
    edge, face = (INK, INK) if stands else (FAINT, "white")
    mark = Line2D(
        [day_of(deadline_ms)], [row], linestyle="none", marker="D", markersize=4.5, markeredgecolor=edge,
        markerfacecolor=face, zorder=4,
    )  # fmt: skip
    axes.add_line(mark)
    return {"deadline" if stands else "deadline that was met, or moved": mark}


def _rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
