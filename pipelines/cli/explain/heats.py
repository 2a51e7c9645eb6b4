"""The panel of the picture that shows what the heat is made of: the strongest signals, one on the other."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pipelines.cli.explain.panels import DAY_MS, FAINT, INK, SMALL, samples
from pipelines.cli.explain.story import Story
from schemas.arrays import Float64s, Int64s

_COLOURS = ("#5b8ec7", "#e39a4e", "#6fae75", "#c9656b", "#8f7bb8", "#a58260")
_OTHERS, _RELIEF = "#b8bfc9", "#cfe6d6"


def draw_heat(axes: Axes, story: Story) -> None:
    """What each signal counts, up to its cap, over time; relief stands below the axis."""
    at_ms, counted = heat_curve(story)
    days, friction = at_ms / DAY_MS, np.maximum(counted, 0.0)
    relief, names = np.minimum(counted, 0.0).sum(axis=1), story.policy.signal_names
    strongest = np.argsort(-friction.max(axis=0), kind="stable")[: len(_COLOURS)]
    shown = [int(s) for s in strongest if friction[:, s].max() > 0.05]
    parts = [(names[s].replace("_", " "), friction[:, s], _COLOURS[n]) for n, s in enumerate(shown)]
    rest = np.delete(friction, shown, axis=1).sum(axis=1)
    if rest.max(initial=0.0) > 0.05:
        parts.append(("others", rest, _OTHERS))
    floor = np.zeros(days.shape[0])
    for name, heat, colour in parts:
        axes.fill_between(days, floor, floor + heat, color=colour, linewidth=0, label=name, zorder=2)
        floor = floor + heat
    if relief.min(initial=0.0) < -0.05:
        axes.fill_between(days, 0, relief, color=_RELIEF, linewidth=0, label="relief", zorder=2)
    axes.plot(days, np.maximum(floor + relief, 0.0), color=INK, linewidth=1.0, zorder=3)
    low, high = float(relief.min(initial=0.0)), float(floor.max(initial=0.0))
    axes.set_ylim(1.05 * low, max(1.35 * high, 1.0))  # room for the names
    axes.yaxis.set_major_locator(MaxNLocator(4))
    if parts or low < 0:
        axes.legend(
            loc="upper left", ncols=8, frameon=False, fontsize=SMALL, labelcolor=FAINT, handlelength=1.0,
            columnspacing=1.2, borderaxespad=0.2,
        )  # fmt: skip


def heat_curve(story: Story) -> tuple[Int64s, Float64s]:
    """Times in epoch ms, int64[n], and what each signal counts then, float64[n, s]: up to its cap, relief below 0."""
    policy, first = story.policy, story.moments[0]
    counted = [first.before.heats(np.array([first.at_ms]))[:, 0]]
    told = list(samples(story))
    counted += [state.heats(at_ms)[:, 0] for state, at_ms in told]
    times = np.concatenate([[first.at_ms], *(at_ms for _, at_ms in told)])
    return times, np.minimum(np.concatenate(counted), policy.cap) * policy.factor
