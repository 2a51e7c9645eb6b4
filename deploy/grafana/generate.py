"""Writes dashboards/friction.json from schemas/panels: ``python deploy/grafana/generate.py``.

What a panel asks stands in schemas/panels and nowhere else; where it stands on the dashboard and how it is
drawn stands here.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.panels import (
    ALERTS,
    BANDS,
    BUDGETS,
    DEAD_LETTERS,
    FRESHNESS,
    HIGHEST_SCORES,
    INTERACTION_RATE,
    WAIT_WINDOWS,
    Column,
    Panel,
    Unit,
    panels,
)

DASHBOARD = Path(__file__).with_name("dashboards") / "friction.json"
DATASOURCE = {"type": "grafana-clickhouse-datasource", "uid": "friction-clickhouse"}
PLUGIN_VERSION = "4.20.0"
COLOURS = {"breaking": "red", "hot": "orange", "warm": "yellow", "calm": "green"}
UNITS: dict[Unit, str | None] = {
    "text": None,
    "time": None,  # Grafana knows a time by its type
    "s": "s",
    "per_s": "cps",
    "count": "locale",
    "index": "none",
}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a panel stands (of 24 columns) and Grafana's kind of drawing for it."""

    panel: str
    kind: str
    x: int
    y: int
    w: int
    h: int
    interval: str | None = None  # the narrowest point of a curve
    options: Json = field(default_factory=dict)


_CURVES: Json = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
_TABLE: Json = {"cellHeight": "sm", "showHeader": True}
_LAST_VALUES: Json = {
    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    "textMode": "value_and_name",
    "colorMode": "value",
    "graphMode": "none",
}

PLACES = (
    Place(BANDS, "stat", 0, 0, 12, 4, options=_LAST_VALUES),
    Place(FRESHNESS, "table", 12, 0, 12, 6, options=_TABLE),
    Place(HIGHEST_SCORES, "table", 0, 4, 12, 12, options=_TABLE),
    Place(ALERTS, "table", 12, 6, 12, 10, options=_TABLE),
    Place(WAIT_WINDOWS, "timeseries", 0, 16, 14, 10, interval="1m", options=_CURVES),
    Place(INTERACTION_RATE, "timeseries", 14, 16, 10, 10, interval="5s", options=_CURVES),
    Place(DEAD_LETTERS, "table", 0, 26, 14, 6, options=_TABLE),
    Place(BUDGETS, "table", 14, 26, 10, 6, options=_TABLE),
)


def dashboard() -> Json:
    """The dashboard as Grafana reads it."""
    return {
        "uid": "friction",
        "title": "Friction",
        "description": "Who is losing patience, why, and who waits. Generated from schemas/panels.",
        "tags": ["friction"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "timezone": "browser",
        "refresh": "5s",
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {"refresh_intervals": ["5s", "15s", "1m", "5m"]},
        "graphTooltip": 1,
        "templating": {"list": []},
        "annotations": {"list": []},
        "panels": [_panel(number, place, panels()[place.panel]) for number, place in enumerate(PLACES, start=1)],
    }


def text() -> str:
    """The dashboard as the file has it."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


def _panel(number: int, place: Place, asked: Panel) -> Json:
    curves = asked.shape == "series"
    target = {
        "refId": "A",
        "datasource": DATASOURCE,
        "editorType": "sql",
        "pluginVersion": PLUGIN_VERSION,
        "queryType": "timeseries" if curves else "table",
        "format": 0 if curves else 1,
        "rawSql": asked.sql,
    }
    return {
        "id": number,
        "type": place.kind,
        "title": asked.title,
        "description": f"{asked.answers} {asked.note}".strip(),
        "datasource": DATASOURCE,
        "gridPos": {"x": place.x, "y": place.y, "w": place.w, "h": place.h},
        **({"interval": place.interval} if place.interval else {}),
        "targets": [target],
        "options": place.options,
        "fieldConfig": {
            "defaults": {"custom": {"lineWidth": 2, "spanNulls": False}} if curves else {},
            "overrides": _curve_overrides(asked) if curves else _column_overrides(asked),
        },
    }


def _column_overrides(asked: Panel) -> list[Json]:
    """A label and a unit for each column; bands in their colours, beside their names."""
    return [
        {
            "matcher": {"id": "byName", "options": name},
            "properties": [_property("displayName", column.label), *_unit(column), *_colours(asked.name, name)],
        }
        for name, column in asked.columns.items()
    ]


def _curve_overrides(asked: Panel) -> list[Json]:
    """A unit for each value, and a label that names the series, for there is one curve for each of its texts."""
    names = [name for name, column in asked.columns.items() if column.unit == "text"]
    values = [name for name, column in asked.columns.items() if column.unit not in ("text", "time")]
    overrides = []
    for number, name in enumerate(values):
        column = asked.columns[name]
        label = " ".join([*(f"${{__field.labels.{text}}}" for text in names), column.label])
        properties = [_property("displayName", label), *_unit(column)]
        if number > 0:
            properties.append(_property("custom.lineStyle", {"fill": "dash", "dash": [6, 6]}))
        overrides.append({"matcher": {"id": "byRegexp", "options": f"/^{name}\\b/"}, "properties": properties})
    return overrides


def _unit(column: Column) -> list[Json]:
    unit = UNITS[column.unit]
    if unit is None:
        return []
    bounds = [_property("min", 0), _property("max", 100)] if column.unit == "index" else []
    return [_property("unit", unit), *bounds]


def _colours(panel: str, column: str) -> list[Json]:
    if panel == BANDS:
        return [_property("color", {"mode": "fixed", "fixedColor": COLOURS[column]})]
    if column != "band":
        return []
    colours = {band: {"color": colour, "index": index} for index, (band, colour) in enumerate(COLOURS.items())}
    return [
        _property("mappings", [{"type": "value", "options": colours}]),
        _property("custom.cellOptions", {"type": "color-text"}),
    ]


def _property(name: str, value: object) -> Json:
    return {"id": name, "value": value}


if __name__ == "__main__":
    DASHBOARD.write_text(text(), "utf-8")
