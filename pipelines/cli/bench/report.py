"""Figures as one JSON object, or as a table for people."""

import json
import os
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Figures = Mapping[str, Any]


def machine() -> dict[str, Any]:
    """On what it was measured: without it a figure means nothing."""
    return {
        "machine": {
            "cpu": _cpu_model(),
            "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "version": version("friction-signals"),
            "load_before": round(os.getloadavg()[2], 1),  # of the last 15 minutes: was it ours alone?
        }
    }


def show(figures: Figures, *, as_json: bool, table: Callable[[Figures], Table]) -> None:
    """Print them on standard output."""
    if as_json:
        print(json.dumps(figures, indent=2, ensure_ascii=False))
    else:
        Console().print(table(figures))


def comparison(figures: Figures) -> Table:
    """One line for each that ran, the engine's factor over it, and those that could not run."""
    table = Table(
        "", "events/s", "CPU s/million", "engine is", "durability", title=_where(figures), title_justify="left"
    )
    for who, rate in figures["events_per_s"].items():
        ratio = figures["ratios"].get(f"engine/{who}")
        table.add_row(
            who,
            f"{rate:,}",
            f"{figures['cpu_s_per_million'][who]:.2f}",
            "" if ratio is None else f"{ratio:.2f}x",
            figures["durability"][who],
        )
    for who, why in figures["missing"].items():
        table.add_row(who, "-", "-", "", why)
    return table


def plain(figures: Figures) -> Table:
    """A line for each figure."""
    table = Table("", "", title=_where(figures), title_justify="left", show_header=False)
    for name, value in figures.items():
        if name == "machine":
            continue
        for key, one in value.items() if isinstance(value, dict) else [("", value)]:
            table.add_row(f"{name} {key}".strip(), f"{one:,}" if isinstance(one, int | float) else str(one))
    return table


def _where(figures: Figures) -> str:
    said = figures["machine"]
    return f"{said['cpu']}, {said['cores']} cores, Python {said['python']}, friction-signals {said['version']}"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
