"""What is not promised by aiokafka and Faust is where we think it is, and nothing else of the kind is used."""

import ast
import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from connectors.kafka.private_names import RELIED_ON

ROOT = Path(__file__).parents[2]
ALLOWED_IN = {"connectors/kafka/transport.py", "connectors/kafka/fetched.py", "pipelines/worker/app.py"}
PUBLIC_ALIASES = {"_FENCED", "_PARTITION_EOF"}  # of KafkaError: these are their public names

PLACES = [(place, name) for place, names in RELIED_ON.items() for name in names]


@pytest.mark.parametrize(("place", "name"), PLACES, ids=[f"{place}.{name}" for place, name in PLACES])
def test_a_name_is_where_it_was(place: str, name: str) -> None:
    module, _, class_name = place.partition(":")
    owner = getattr(importlib.import_module(module), class_name)
    annotated = any(name in getattr(c, "__annotations__", {}) for c in owner.__mro__)
    assert hasattr(owner, name) or annotated or re.search(rf"self\.{name}\b.*=", inspect.getsource(owner)), (
        f"{place} has no {name} any more: look at what it is used for before you raise the version"
    )


def foreign_private_names(path: Path) -> Iterator[str]:
    """Private names that are not defined by the module itself."""
    tree = ast.parse(path.read_text("utf-8"))
    own = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    attributes = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute)]
    own |= {n.attr for n in attributes if isinstance(n.ctx, ast.Store) and ast.unparse(n.value) == "self"}
    own |= {n.target.id for n in ast.walk(tree) if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
    for n in attributes:
        if re.fullmatch(r"_[^_]\w*", n.attr) and n.attr not in own | PUBLIC_ALIASES:
            yield n.attr


def test_no_other_private_name_of_a_library_is_used_and_none_elsewhere() -> None:
    known = {name for names in RELIED_ON.values() for name in names}
    libraries = re.compile(r"^(?:import|from) (?:aiokafka|faust)", re.MULTILINE)
    for package in ("connectors", "pipelines"):
        for path in (ROOT / package).rglob("*.py"):
            where = str(path.relative_to(ROOT))
            if libraries.search(path.read_text("utf-8")):
                assert set(foreign_private_names(path)) <= (known if where in ALLOWED_IN else set()), where


@pytest.mark.parametrize("library", ["aiokafka", "faust-streaming"])
def test_the_versions_are_pinned_to_the_minor_that_is_installed(library: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (pin,) = [d for d in project["dependencies"] if re.match(rf"{library}\b", d)]
    major, minor, *_ = version(library).split(".")
    assert f",<{major}.{int(minor) + 1}" in pin
