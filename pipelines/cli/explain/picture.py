"""The story as a picture, PNG or SVG: the score over its bands, and below it heat, interactions, clocks and alerts."""

import warnings
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from pipelines.cli.explain.heats import draw_heat
from pipelines.cli.explain.lanes import Label, bar_rows, bars, labels, lines
from pipelines.cli.explain.panels import (
    FAINT,
    GRID,
    INK,
    LEGEND,
    SMALL,
    band_colours,
    day_of,
    draw_alerts,
    draw_clocks,
    draw_interactions,
    draw_score,
    note_more,
)
from pipelines.cli.explain.story import Story
from pipelines.cli.explain.timeline import score_text
from pipelines.cli.explain.times import Zone
from schemas.errors import SettingsError

_WIDTH, _SCORE, _HEAT, _ROW, _GAP = 13.0, 3.2, 1.5, 0.235, 0.34  # inches
_HEAD, _FOOT = 1.0, 0.85
_MOST_ROWS = 9  # of labels of interactions
_MOST_LANES = 24  # of clocks, and of alerts
_RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, and has the letters of Turkish
    "font.size": 9.5,
    "text.parse_math": False,  # a $ in the name of a customer is one
    "svg.fonttype": "path",  # looks the same where the font is not installed
    "svg.hashsalt": "friction",
    "axes.edgecolor": GRID,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def draw(story: Story, zone: Zone, path: Path) -> None:
    """Draw the story to a file whose name ends with .png or .svg.

    Raises:
        SettingsError: it cannot be written.
    """
    with rc_context(_RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a script that the font has not: boxes
        figure = _figure(story, zone)
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else {"Software": None}
        try:
            figure.savefig(path, metadata=metadata)
        except OSError as error:
            raise SettingsError(f"--out: {path} cannot be written: {error.strerror}") from error


class _Sheet:
    """The figure and its measures: panels stand below each other and share their times."""

    def __init__(self, height: float, left: float, right: float) -> None:
        self.figure = Figure(figsize=(_WIDTH, height), dpi=120, facecolor="white")
        self.height, self.left, self.width = height, left, _WIDTH - left - right
        self._top = height - _HEAD

    def panel(self, height: float, shared: Axes | None) -> Axes:
        """The next panel below, of some inches."""
        self._top -= height
        axes = self.figure.add_axes(
            (self.left / _WIDTH, self._top / self.height, self.width / _WIDTH, height / self.height), sharex=shared
        )
        self._top -= _GAP
        axes.tick_params(length=0, labelsize=SMALL)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        return axes


def _figure(story: Story, zone: Zone) -> Figure:
    all_clocks, all_alerts = bar_rows(bars(story), story.shown_ms), lines(story)
    clocks, alerts = all_clocks[-_MOST_LANES:], all_alerts[-_MOST_LANES:]
    left = max([0.95, *(_inches(name) + 0.2 for name, _ in (*clocks, *alerts))])
    right = max(_inches(name) for name in story.policy.band_names) + 0.3
    begin, end = day_of(story.begins_ms), day_of(story.shown_ms)
    pad = 0.015 * (end - begin) or 0.5 / 24
    begin, end = begin - pad, end + pad
    per_inch = (end - begin) / (_WIDTH - left - right)

    def span(at_ms: int, text: str) -> tuple[float, float]:
        """From where to where a label reaches: it stands right of its time, or left where there is no room."""
        at, width = day_of(at_ms), (_inches(text) + 0.16) * per_inch
        return (at - width, at + 0.1 * per_inch) if at + width > end else (at, at + width)

    def is_left(label: Label) -> bool:
        return span(label.at_ms, label.text)[0] < day_of(label.at_ms)

    placed, without = labels(story, span, _MOST_ROWS)
    rows = max((label.row for label in placed), default=0) + 1
    heights = [rows * _ROW + 0.08, len(clocks) * _ROW, len(alerts) * _ROW]
    total = _HEAD + _SCORE + _HEAT + _GAP + sum(height + _GAP for height in heights if height) + _FOOT
    sheet = _Sheet(total, left, right)

    score = sheet.panel(_SCORE, None)
    score.set_xlim(begin, end)
    handles = draw_score(score, story, begin, end)
    heat = sheet.panel(_HEAT, score)
    draw_heat(heat, story)
    below = sheet.panel(heights[0], score)
    draw_interactions(
        below, placed, without, lambda label: span(label.at_ms, label.text)[0] < day_of(label.at_ms), rows
    )
    panels = [score, heat, below]
    if clocks:
        panels.append(sheet.panel(heights[1], score))
        if len(all_clocks) > len(clocks):
            note_more(panels[-1], f"and {len(all_clocks) - len(clocks)} more rows of clocks")
        handles |= draw_clocks(panels[-1], clocks, story.shown_ms, zone.full)
    if alerts:
        panels.append(sheet.panel(heights[2], score))
        if len(all_alerts) > len(alerts):
            note_more(panels[-1], f"and {len(all_alerts) - len(alerts)} more rows of alerts")
        handles |= draw_alerts(panels[-1], alerts, story.shown_ms)
    titles = ["score", "heat", "interactions", *(["clocks"] if clocks else []), *(["alerts"] if alerts else [])]
    _time_axis(panels, zone)
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, loc="left", fontsize=SMALL, color=FAINT, pad=4)
    _title(sheet, story, zone)
    names = [name for name in LEGEND if name in handles]
    in_one_row = sum(_inches(name) + 0.5 for name in names) < _WIDTH - 0.5
    sheet.figure.legend(
        handles=[handles[name] for name in names], labels=names, loc="lower left", frameon=False, fontsize=SMALL,
        ncols=len(names) if in_one_row else -(-len(names) // 2), bbox_to_anchor=(0.15 / _WIDTH, 0.02 / total),
        handlelength=1.6, columnspacing=1.4,
    )  # fmt: skip
    return sheet.figure


def _time_axis(panels: list[Axes], zone: Zone) -> None:
    last = panels[-1]
    tz = zone.zone
    locator = AutoDateLocator(tz=tz, minticks=5, maxticks=11)
    last.xaxis.set_major_locator(locator)
    last.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=tz))
    last.xaxis.get_offset_text().set_fontsize(SMALL)
    for axes in panels:
        axes.grid(axis="x", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(axis="x", labelbottom=axes is last)


def _title(sheet: _Sheet, story: Story, zone: Zone) -> None:
    last, policy = story.last, story.policy
    colour = band_colours(policy)[last.band][1]
    title = sheet.figure.text(
        0.15 / _WIDTH, 1 - 0.42 / sheet.height, f"{story.customer}   ", fontsize=15, weight="bold"
    )
    box = title.get_window_extent(FigureCanvasAgg(sheet.figure).get_renderer())
    sheet.figure.text(
        box.x1 / (sheet.figure.dpi * _WIDTH), 1 - 0.42 / sheet.height,
        f"score {score_text(story)} of 100, {last.band_name}", fontsize=15, color=colour,
    )  # fmt: skip
    told = sum(len(moment.happenings) for moment in story.moments)
    standing = ", ".join(dict.fromkeys(alert.type for alert in story.standing)) or "none"
    sheet.figure.text(
        0.15 / _WIDTH, 1 - 0.53 / sheet.height,
        f"{told} interaction{'s' * (told != 1)}, {zone.full(story.begins_ms)} to "
        f"{zone.full(story.until_ms)} ({zone.name}) · alerts that stand: {standing} · policy {policy.digest}",
        fontsize=SMALL, color=FAINT, va="top",
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _inches(text: str) -> float:
    """How wide a small text is."""
    width, _, _ = _ruler().get_text_width_height_descent(text, FontProperties(size=SMALL), ismath=False)
    return float(width) / 100


@cache
def _ruler() -> RendererAgg:
    return FigureCanvasAgg(Figure(dpi=100)).get_renderer()
