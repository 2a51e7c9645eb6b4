"""Page and Grafana ask the same questions, from one place."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from pipelines.page.board import QUESTIONS
from schemas.errors import InvariantBroken
from schemas.panels import Panel, Span, expanded, panel_of, panels

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
SPAN = Span(from_s=1_000, to_s=2_000, interval_s=20)
HEADER = "-- title: T\n-- answers: A.\n-- shape: table\n-- columns:\n--   n: {label: N, unit: count}\n"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("grafana_generate", GRAFANA / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    said: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "friction.json").read_text("utf-8"))
    return said


def test_the_dashboard_is_what_its_generator_writes(generator: ModuleType) -> None:
    on_disk = (GRAFANA / "dashboards" / "friction.json").read_text("utf-8")
    assert on_disk == generator.text(), "run python deploy/grafana/generate.py"


def test_every_panel_is_on_the_dashboard_and_on_the_page(dashboard: dict[str, Any]) -> None:
    asked = {target["rawSql"] for panel in dashboard["panels"] for target in panel["targets"]}
    assert asked == {panel.sql for panel in panels().values()}
    assert {question.panel for question in QUESTIONS} == set(panels())


def test_the_panels_of_the_dashboard_do_not_overlap(dashboard: dict[str, Any]) -> None:
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_dashboard_asks_the_provisioned_data_source(dashboard: dict[str, Any]) -> None:
    provisioned = yaml.safe_load((GRAFANA / "provisioning/datasources/clickhouse.yaml").read_text("utf-8"))
    known = {(source["type"], source["uid"]) for source in provisioned["datasources"]}
    asked = [panel["datasource"] for panel in dashboard["panels"]]
    asked += [target["datasource"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert {(source["type"], source["uid"]) for source in asked} == known


@pytest.mark.parametrize("panel", panels().values(), ids=lambda panel: str(panel.name))
def test_a_series_is_drawn_as_curves_and_a_table_is_not(panel: Panel, dashboard: dict[str, Any]) -> None:
    (drawn,) = [p for p in dashboard["panels"] if p["targets"][0]["rawSql"] == panel.sql]
    units = [column.unit for column in panel.columns.values()]
    if panel.shape == "series":
        assert (drawn["type"], drawn["targets"][0]["queryType"]) == ("timeseries", "timeseries")
        assert units[0] == "time", "Grafana takes the first time column"
        assert units.count("text") <= 1
    else:
        assert drawn["targets"][0]["queryType"] == "table"


@pytest.mark.parametrize(
    ("macro", "sql"),
    [
        ("$__fromTime", "toDateTime(1000)"),
        ("$__toTime", "toDateTime(2000)"),
        ("$__interval_s", "20"),
        ("$__timeFilter(raised_at)", "raised_at >= toDateTime(1000) AND raised_at <= toDateTime(2000)"),
        ("$__timeInterval(_appended_at)", "toStartOfInterval(toDateTime(_appended_at), INTERVAL 20 second)"),
    ],
)
def test_a_macro_is_expanded_as_grafana_does(macro: str, sql: str) -> None:
    assert expanded(f"SELECT {macro}, 1", SPAN) == f"SELECT {sql}, 1"


@pytest.mark.parametrize("macro", ["$__rate", "$__timeFilter", "$__fromTime(x)"])
def test_a_macro_that_nobody_knows_is_an_error(macro: str) -> None:
    with pytest.raises(InvariantBroken, match=re.escape(macro)):
        expanded(f"SELECT {macro}", SPAN)


def test_a_header_says_what_a_panel_is() -> None:
    panel = panel_of("example", HEADER + "SELECT 1 AS n\n-- a comment of the statement\n")
    assert (panel.title, panel.shape, panel.columns["n"].unit) == ("T", "table", "count")
    assert panel.sql == "SELECT 1 AS n\n-- a comment of the statement"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "-- just words\nSELECT 1",
        HEADER.replace("unit: count", "unit: furlongs") + "SELECT 1",
        HEADER.replace("answers", "ansers") + "SELECT 1",
        HEADER,
    ],
)
def test_a_panel_without_a_whole_header_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvariantBroken, match=r"schemas/panels/example\.sql"):
        panel_of("example", text)
