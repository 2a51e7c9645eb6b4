"""Options of the page's two ECharts charts, from the rows of their panels."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

WaitMeasure = Literal["mean_s", "longest_s"]

MOST_LINES = 6
# after Okabe and Ito's palette: told apart by most colour-blind readers, on light and on dark ground
COLOURS = ("#2b8cc4", "#e69f00", "#009e73", "#cc79a7", "#7a5cc0", "#d55e00")
_MUTED = "#8a919c"
_FAINT = "rgba(138, 145, 156, 0.22)"


def wait_chart(rows: Sequence[Mapping[str, Any]], measure: WaitMeasure) -> dict[str, Any]:
    """Lines over time, one for each touchpoint; of more than six, those with the longest wait."""
    lines: dict[str, list[tuple[int, float]]] = defaultdict(list)
    longest: dict[str, float] = defaultdict(float)
    for row in rows:
        lines[row["touchpoint"]].append((_epoch_ms(row["time"]), round(row[measure], 1)))
        longest[row["touchpoint"]] = max(longest[row["touchpoint"]], row["longest_s"])
    shown = sorted(sorted(longest, key=lambda touchpoint: -longest[touchpoint])[:MOST_LINES])
    return {
        **_frame(unit="s"),
        "legend": {
            "type": "scroll",
            "bottom": 0,
            "icon": "roundRect",
            "itemHeight": 4,
            "itemWidth": 16,
            "textStyle": {"color": _MUTED},
            "pageTextStyle": {"color": _MUTED},
        },
        "grid": {"left": 8, "right": 16, "top": 28, "bottom": 36, "containLabel": True},
        "series": [
            {
                "name": touchpoint,
                "type": "line",
                "data": lines[touchpoint],
                "showSymbol": len(lines[touchpoint]) < 3,  # a line of one point is not seen
                "symbolSize": 6,
                "lineStyle": {"width": 2},
                "color": COLOURS[number],
            }
            for number, touchpoint in enumerate(shown)
        ],
    }


def rate_chart(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One filled line: interactions per second over the last minutes."""
    return {
        **_frame(unit="per s"),
        "grid": {"left": 8, "right": 16, "top": 28, "bottom": 4, "containLabel": True},
        "series": [
            {
                "name": "interactions per second",
                "type": "line",
                "data": [(_epoch_ms(row["time"]), round(row["per_s"], 1)) for row in rows],
                "showSymbol": False,
                "lineStyle": {"width": 2},
                "areaStyle": {"opacity": 0.12},
                "color": COLOURS[0],
            }
        ],
    }


def _frame(unit: str) -> dict[str, Any]:
    label = {"color": _MUTED, "hideOverlap": True}
    return {
        "animation": False,
        "tooltip": {"trigger": "axis", "confine": True, "order": "valueDesc"},
        "xAxis": {
            "type": "time",
            "axisLabel": label,
            "axisLine": {"lineStyle": {"color": _FAINT}},
            "axisTick": {"show": False},
        },
        "yAxis": {
            "type": "value",
            "min": 0,
            "name": unit,
            "nameTextStyle": {"color": _MUTED, "align": "right"},
            "axisLabel": label,
            "splitNumber": 4,
            "splitLine": {"lineStyle": {"color": _FAINT}},
        },
    }


def _epoch_ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)
