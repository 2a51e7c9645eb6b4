"""What differs between two policies, by key, in the words of their files."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel

from pipelines.policy.clock_model import Promise
from pipelines.policy.durations import duration_ms, duration_text
from pipelines.policy.policy import Policy
from pipelines.policy.terms import When

NOTHING = "-"


class Change(NamedTuple):
    """A key whose value differs; NOTHING stands for one that is not said and has no default."""

    key: str
    before: str
    after: str


class _Value(NamedTuple):
    """What a key means, how it is written, and whether it is: else it is the default."""

    value: object
    text: str
    is_written: bool


_ABSENT = _Value(None, NOTHING, is_written=False)


def policy_changes(before: Policy, after: Policy) -> list[Change]:
    """The keys that mean something else, in the order of the first file, then of the second.

    Of what one of them has not, such as a signal, those are told that the other one writes.
    """
    old, new = dict(_values(before)), dict(_values(after))
    changes = []
    for key in dict.fromkeys([*old, *new]):
        was, now = old.get(key, _ABSENT), new.get(key, _ABSENT)
        is_told = (was is not _ABSENT and now is not _ABSENT) or was.is_written or now.is_written
        if was.value != now.value and is_told:
            changes.append(Change(key, was.text, now.text))
    changes += _empty_entries(before, after)
    teams, others = (_teams(policy) for policy in (before, after))
    if teams != others and sorted(teams) == sorted(others):  # the first one that may take an alert has it
        changes.append(Change("budgets.teams", ", ".join(teams), ", ".join(others)))
    return changes


def _empty_entries(before: Policy, after: Policy) -> Iterator[Change]:
    """Sections and entries that one of them has, and of which it says nothing: all is the default."""
    old, new = (dict.fromkeys(_entries(policy.file, ())) for policy in (before, after))
    said, says = (yaml.safe_load(policy.text) for policy in (before, after))
    for path in {**old, **new}:
        if path not in new and _written(said, path) == {}:
            yield Change(".".join(path), "{}", NOTHING)
        elif path not in old and _written(says, path) == {}:
            yield Change(".".join(path), NOTHING, "{}")


def _entries(said: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every section and every entry that has a name."""
    named = {name: getattr(said, name) for name in type(said).model_fields} if isinstance(said, BaseModel) else said
    for name, value in named.items() if isinstance(named, dict) else ():
        if isinstance(value, BaseModel) and not isinstance(value, Promise | When):
            yield (*path, name)
        yield from _entries(value, (*path, str(name)))


def _teams(policy: Policy) -> list[str]:
    return [] if policy.file.budgets is None else list(policy.file.budgets.teams)


def _values(policy: Policy) -> Iterator[tuple[str, _Value]]:
    said = yaml.safe_load(policy.text)
    for path, value, is_duration in _leaves(policy.file, ()):
        written = _written(said, path)
        default = value if written is None else written
        text = duration_text(default) if is_duration and isinstance(default, int) else _in_a_line(default)
        yield ".".join(path), _Value(value, text, written is not None)


def _leaves(said: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object, bool]]:
    """Every value of a section, and whether it is a duration in ms. Levels are named, not counted."""
    if isinstance(said, BaseModel) and not isinstance(said, Promise | When):
        for name, field in type(said).model_fields.items():
            value = getattr(said, name)
            if any(getattr(one, "func", None) is duration_ms for one in field.metadata):
                yield (*path, name), value, True
            else:
                yield from _leaves(value, (*path, name))
    elif isinstance(said, dict) and any(isinstance(value, BaseModel) for value in said.values()):
        for name, value in said.items():
            yield from _leaves(value, (*path, name))
    elif isinstance(said, tuple) and said and hasattr(said[0], "name"):
        for one in said:
            yield from _leaves(one, (*path, one.name))
    elif said not in (None, {}, ()):
        yield path, said, False


def _written(said: Any, path: tuple[str, ...]) -> Any:
    """What a file says at a path; None for nothing."""
    for part in path:
        if isinstance(said, list):
            said = next((one for one in said if isinstance(one, dict) and one.get("name") == part), None)
        else:
            said = said.get(part) if isinstance(said, dict) else None
    return said


def _in_a_line(said: object) -> str:
    text = yaml.safe_dump(said, default_flow_style=True, width=float("inf"), allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...").strip()
