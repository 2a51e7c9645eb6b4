"""Imports go one way: what is said (schemas) knows nobody, what it means (pipelines) knows no client library."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("schemas", "connectors", "pipelines")
SHELL = ("pipelines.worker", "pipelines.cli", "pipelines.page")

# A room, and what it may import of ours. The first room that fits a module is its own.
MAY_IMPORT = {
    "schemas": ("schemas",),
    "connectors": ("schemas", "connectors"),
    "pipelines.page": ("schemas", "connectors.clickhouse", "pipelines.page", "pipelines core"),
    "pipelines.worker": ("schemas", "connectors", "pipelines.worker", "pipelines core"),
    "pipelines.cli": ("schemas", "connectors", "pipelines"),
    "pipelines": ("schemas", "pipelines core"),
}

CORE = ("intake", "policy", "fold", "state", "alerts", "incidents")
"""Rooms of the core, each of which may import those before it."""

# The core gets time and records as arguments. Libraries for arithmetic and validation are welcome, no others,
# and of the standard library nothing that waits, talks, or reads a clock.
CORE_LIBRARIES = {"numba", "numpy", "pyarrow", "pydantic", "yaml"}
NOT_IN_CORE = {
    "asyncio", "concurrent", "ftplib", "glob", "http", "io", "logging", "multiprocessing", "os", "pathlib", "queue",
    "random", "sched", "secrets", "select", "selectors", "shutil", "signal", "smtplib", "socket", "socketserver",
    "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "urllib",
}  # fmt: skip
NOT_CALLED_IN_CORE = {"input", "open", "print"}
CLOCKS = {"now", "today", "utcnow"}  # of datetime and date


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def is_core(module: str) -> bool:
    return within(module, "pipelines") and not any(within(module, room) for room in SHELL)


def imported(module: str, is_package: bool, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that is imported, inside functions and by name at run time too."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(module=source, names=names, level=0):
                # `from connectors import kafka` names the module connectors.kafka
                yield from ((node.lineno, f"{source}.{name.name}") for name in names)
            case ast.ImportFrom(module=source, names=names, level=level):
                up = level - 1 if is_package else level
                base = ".".join(module.split(".")[: len(module.split(".")) - up] + ([source] if source else []))
                yield from ((node.lineno, f"{base}.{name.name}") for name in names)
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def is_below(module: str, other: str) -> bool:
    """Whether the order of the rooms of the core lets a module import another one of the core."""
    room, others = (name.split(".")[1] for name in (module, other))
    if room not in CORE:
        return True  # partition, windows ...: they put the rooms together
    return others in CORE and CORE.index(others) <= CORE.index(room)


def outside_calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=called)) if called in NOT_CALLED_IN_CORE:
                yield node.lineno, called
            case ast.Call(func=ast.Attribute(attr=called)) if called in CLOCKS:
                yield node.lineno, called


def violations(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """What a module imports, or the core calls, against the directions."""
    tree = ast.parse(source)
    room = next(room for room in MAY_IMPORT if within(module, room))
    found = []
    for line, name in imported(module, is_package, tree):
        if name.split(".", maxsplit=1)[0] in ROOMS:
            allowed = any(is_core(name) if own == "pipelines core" else within(name, own) for own in MAY_IMPORT[room])
            if is_core(module) and is_core(name):
                allowed = is_below(module, name)
        elif is_core(module):
            top = name.split(".", maxsplit=1)[0]
            allowed = top in CORE_LIBRARIES or (top in sys.stdlib_module_names and top not in NOT_IN_CORE)
        else:
            allowed = not within(name, "tests")
        if not allowed:
            found.append(f"{module}:{line} imports {name}")
    if is_core(module):
        found += [f"{module}:{line} calls {called}" for line, called in outside_calls(tree)]
    return found


def modules() -> Iterator[tuple[str, Path]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def test_no_module_imports_against_the_directions() -> None:
    seen = dict(modules())
    found = [
        problem
        for module, path in seen.items()
        for problem in violations(module, path.read_text("utf-8"), is_package=path.name == "__init__.py")
    ]
    assert found == []
    assert {"schemas.topics", "connectors.kafka.connection", "pipelines.worker"} <= set(seen)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("schemas.topics", "import connectors.kafka.admin"),
        ("schemas.topics", "def f():\n    from pipelines import scoring"),
        ("connectors.kafka.admin", "from pipelines.worker.settings import Settings"),
        ("connectors.kafka.admin", "if True:\n    import pipelines"),
        ("connectors.kafka.admin", "import importlib\nimportlib.import_module('pipelines.fold.scoring')"),
        ("connectors.kafka.admin", "from ...pipelines import scoring"),
        ("connectors.kafka.admin", "import tests.conftest"),
        ("pipelines.fold.scoring", "from connectors.kafka.connection import KafkaConnection"),
        ("pipelines.fold.scoring", "from pipelines.worker import settings"),
        ("pipelines.fold.scoring", "from ..worker import settings"),
        ("pipelines.fold.scoring", "import faust"),
        ("pipelines.fold.scoring", "async def f():\n    import aiokafka"),
        ("pipelines.fold.scoring", "from confluent_kafka import Consumer"),
        ("pipelines.fold.scoring", "import asyncio"),
        ("pipelines.fold.scoring", "import socket"),
        ("pipelines.fold.scoring", "from time import time"),
        ("pipelines.fold.scoring", "from datetime import datetime\nnow = datetime.now()"),
        ("pipelines.fold.scoring", "open('policy.yaml')"),
        ("pipelines.fold.scoring", "from pipelines.alerts.bands import band_alerts"),
        ("pipelines.fold.scoring", "from pipelines.partition import CustomerPartition"),
        ("pipelines.fold.scoring", "from ..incidents import watch"),
        ("pipelines.worker.agents", "import pipelines.cli.main"),
        ("pipelines.worker.agents", "from pipelines.page import board"),
        ("pipelines.page.board", "from connectors.kafka.admin import apply_topics"),
        ("pipelines.page.board", "from pipelines.worker.settings import Settings"),
    ],
)
def test_a_planted_violation_is_found(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("connectors.kafka.admin", "import asyncio, socket, confluent_kafka\nfrom schemas.topics import topics"),
        (
            "pipelines.fold.scoring",
            "import math\nimport numpy as np\nfrom datetime import UTC\nfrom schemas import wire",
        ),
        ("pipelines.fold.scoring", "clocks.open(case)"),
        ("pipelines.fold.scoring", "from pipelines.policy.rules import Rules\nfrom . import signals"),
        ("pipelines.page.board", "from connectors.clickhouse.client import connect\nimport nicegui"),
        ("pipelines.worker.agents", "import faust, time\nfrom connectors.kafka import admin\nopen('x')"),
        ("pipelines.cli.main", "from pipelines.worker import settings\nfrom pipelines.page import board"),
    ],
)
def test_what_the_directions_allow_is_allowed(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_a_relative_import_of_a_package_begins_at_the_package() -> None:
    source = "from .kafka import admin"
    assert violations("connectors", source, is_package=True) == []
    assert len(violations("pipelines", "from ..worker import settings", is_package=True)) == 1
