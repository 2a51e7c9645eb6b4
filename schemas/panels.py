"""The questions that dashboards ask of ClickHouse, one SQL file each: one source for the page and for Grafana.

A file of schemas/panels begins with a comment in YAML (title, what it answers, shape, label and unit of each column)
and goes on with one SELECT that uses the macros of Grafana's ClickHouse data source. Grafana expands them
itself; ``expanded`` does the same for everybody else.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import InvariantBroken

HIGHEST_SCORES = "highest_scores"
ALERTS = "alerts"
BUDGETS = "budgets"
BANDS = "bands"
WAIT_WINDOWS = "wait_windows"
INTERACTION_RATE = "interaction_rate"
FRESHNESS = "freshness"
DEAD_LETTERS = "dead_letters"

Unit = Literal["text", "time", "s", "per_s", "count", "index"]
"""text; time: a DateTime in UTC; s: seconds; per_s: per second; count: a whole number; index: 0 to 100."""

Shape = Literal["table", "series"]
"""table: rows to be listed. series: a time column, at most one text column that names the series, and values."""

_MACRO = re.compile(r"\$__([A-Za-z_]+)(?:\((\w+)\))?")


class Column(BaseModel):
    """What a reader sees above a column, and what its numbers are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = Field(min_length=1)
    unit: Unit


class Panel(BaseModel):
    """One question. ``columns`` are those that ``sql`` returns, in that order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str = Field(min_length=1)
    answers: str = Field(min_length=1)
    shape: Shape
    columns: Mapping[str, Column] = Field(min_length=1)
    note: str = ""
    sql: str = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Span:
    """The time that is looked at, seconds since 1970, both ends included, and the width of one point in it."""

    from_s: int
    to_s: int
    interval_s: int


@cache
def panels() -> Mapping[str, Panel]:
    """Every panel by name, in the order of the names.

    Raises:
        InvariantBroken: a file of schemas/panels has no header, or one that says too little or too much.
    """
    texts = {
        file.name.removesuffix(".sql"): file.read_text("utf-8")
        for file in files("schemas").joinpath("panels").iterdir()
        if file.name.endswith(".sql")
    }
    return MappingProxyType({name: panel_of(name, texts[name]) for name in sorted(texts)})


def panel_of(name: str, text: str) -> Panel:
    """Panel of a file's text: the comment lines that it begins with are its header, the rest is its SQL.

    Raises:
        InvariantBroken: the header is missing or wrong.
    """
    lines = text.splitlines()
    length = next((n for n, line in enumerate(lines) if not line.startswith("--")), len(lines))
    header = "\n".join(line.removeprefix("--").removeprefix(" ") for line in lines[:length])
    try:
        said = yaml.safe_load(header)
        if not isinstance(said, dict):
            raise InvariantBroken(f"schemas/panels/{name}.sql must begin with a header: -- title: ...")
        return Panel(name=name, sql="\n".join(lines[length:]).strip(), **said)
    except (yaml.YAMLError, ValidationError, TypeError) as broken:
        raise InvariantBroken(f"schemas/panels/{name}.sql has a header that cannot be read: {broken}") from broken


def expanded(sql: str, span: Span) -> str:
    """``sql`` with Grafana's macros replaced as its ClickHouse data source replaces them.

    Raises:
        InvariantBroken: a macro that is not in this list.
    """

    def replacement(macro: re.Match[str]) -> str:
        match macro.group(1), macro.group(2):
            case "fromTime", None:
                return f"toDateTime({span.from_s})"
            case "toTime", None:
                return f"toDateTime({span.to_s})"
            case "interval_s", None:
                return str(span.interval_s)
            case "timeFilter", str(column):
                return f"{column} >= toDateTime({span.from_s}) AND {column} <= toDateTime({span.to_s})"
            case "timeInterval", str(column):
                return f"toStartOfInterval(toDateTime({column}), INTERVAL {span.interval_s} second)"
            case _:
                raise InvariantBroken(f"{macro.group(0)} is no macro that we know how to expand")

    return _MACRO.sub(replacement, sql)
