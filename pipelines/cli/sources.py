"""Settings from defaults, friction.toml, the environment and flags, in this order; each value knows its source."""

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from pipelines.worker.settings import OFF, Settings
from schemas.errors import SettingsError

DEFAULT = "default"
VARIABLE_PREFIX = "FRICTION_"
CONFIG_VARIABLE = "FRICTION_CONFIG"
DEBUG_VARIABLE = "FRICTION_DEBUG"
_DEFAULT_FILE = Path("friction.toml")
_NOT_SETTINGS = (CONFIG_VARIABLE, DEBUG_VARIABLE, "FRICTION_TEST_")
_USER_INFO = re.compile(r"://[^/@\s]*@")
_HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Given:
    """A value that somebody wrote, and where: ``friction.toml:3``, a variable, or a flag."""

    value: object
    where: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and who gave what. ``given`` is by dotted key; a key that is not there has its default."""

    settings: Settings
    given: Mapping[str, Given]

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Every key with its value as it may be shown, and its source."""
        for key in known_keys():
            where = self.given[key].where if key in self.given else DEFAULT
            yield key, _shown(_value_of(self.settings, key)), where

    def override(self, values: Mapping[str, object], *, where: str) -> "Loaded":
        """Return the same settings with ``values``, by dotted key, on top of them.

        Raises:
            SettingsError: a key is unknown or a value is out of range.
        """
        return _checked({**self.given, **{key: Given(value, where) for key, value in values.items()}})

    def environment(self) -> dict[str, str]:
        """Return the variables that give these settings to a child process, secrets included."""
        found = {key: _value_of(self.settings, key) for key in self.given}
        return {variable(key): _as_variable(value) for key, value in found.items()}


def load_settings(
    *,
    file: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, tuple[object, str]] | None = None,
    directory: Path = Path(),
) -> Loaded:
    """Build the settings. Later sources win: defaults, file, environment, flags.

    file: named by ``--config``; without it FRICTION_CONFIG names one, or ``friction.toml`` in ``directory`` is read
    if it is there.
    flags: dotted key -> value and the flag's name.

    Raises:
        SettingsError: says source, key, what was found (unless secret) and what is allowed.
    """
    named = file or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    found = named or directory / _DEFAULT_FILE
    given: dict[str, Given] = {}
    if named is not None or found.exists():
        given.update(_from_file(found))
    given.update(_from_environment(environment))
    given.update({key: Given(value, flag) for key, (value, flag) in (flags or {}).items()})
    return _checked(given)


@cache
def known_keys() -> Mapping[str, bool]:
    """Every key, dotted, in the order of the settings; true where its value is a secret."""
    return MappingProxyType(dict(_leaves(Settings, "")))


def variable(key: str) -> str:
    """Name of the environment variable of a dotted key."""
    return VARIABLE_PREFIX + key.upper().replace(".", "__")


def _leaves(model: type[BaseModel], above: str) -> Iterator[tuple[str, bool]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _leaves(field.annotation, f"{above}{name}.")
        else:
            yield above + name, "SecretStr" in str(field.annotation)


def _from_file(file: Path) -> dict[str, Given]:
    try:
        text = file.read_text("utf-8")
        tables = tomllib.loads(text)
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not TOML: {error}") from error
    return {
        key: Given(value, _place(file, text, key))
        for key, value in _flat(tables, "", lambda key: _place(file, text, key))
    }


def _flat(table: Mapping[str, Any], above: str, place: Callable[[str], str]) -> Iterator[tuple[str, object]]:
    tables = {key.rpartition(".")[0] for key in known_keys()}
    for name, value in table.items():
        key = above + name
        if key in tables and isinstance(value, dict):
            yield from _flat(value, f"{key}.", place)
        elif key in known_keys():
            yield key, value
        elif key in tables:
            raise SettingsError(f"{place(key)}: {key} is a table of settings, got {_quoted(value)}")
        else:
            raise SettingsError(f"{place(key)}: unknown key {key}; {_nearest(key)}")


def _place(file: Path, text: str, key: str) -> str:
    """Return file and line of a key, or the file alone if the line is written in an unusual way."""
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            table = header[1]
            if table == key:
                return f"{file}:{number}"
        elif (entry := re.match(r"\s*([\w.-]+)\s*=", line)) and f"{table}.{entry[1]}".lstrip(".") == key:
            return f"{file}:{number}"
    return str(file)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Given]:
    keys = {variable(key): key for key in known_keys()}
    given = {}
    for name, value in environment.items():
        if not name.startswith(VARIABLE_PREFIX) or name.startswith(_NOT_SETTINGS):
            continue
        if name not in keys:
            near = difflib.get_close_matches(name, keys, n=1)
            hint = f"did you mean {near[0]}?" if near else "`friction doctor --settings` lists all"
            raise SettingsError(f"unknown variable {name}; {hint}")
        given[keys[name]] = Given(value, name)
    return given


def _checked(given: Mapping[str, Given]) -> Loaded:
    tree: dict[str, Any] = {}
    for key, one in given.items():
        if key not in known_keys():
            raise SettingsError(f"{one.where}: unknown key {key}; {_nearest(key)}")
        *tables, name = key.split(".")
        branch = tree
        for table in tables:
            branch = branch.setdefault(table, {})
        branch[name] = one.value
    try:
        return Loaded(Settings.model_validate(tree), MappingProxyType(dict(given)))
    except ValidationError as error:
        raise SettingsError("; ".join(_told(e, given) for e in error.errors())) from error


def _told(error: ErrorDetails, given: Mapping[str, Given]) -> str:
    key = _known_part(error["loc"])
    rule = _USER_INFO.sub(f"://{_HIDDEN}@", error["msg"].removeprefix("Value error, "))
    rule = rule[:1].lower() + rule[1:]
    if key in given:
        got = "" if known_keys()[key] or ", got " in rule else f", got {_quoted(given[key].value)}"
        return f"{given[key].where}: {key}: {rule}{got}"
    places = sorted({one.where for name, one in given.items() if name.startswith(f"{key}.")})
    return f"{', '.join(places) or DEFAULT}: {key}: {rule}"


def _known_part(loc: Sequence[int | str]) -> str:
    """Return the longest beginning of ``loc`` that is a key or a table; pydantic adds the branch of a union."""
    parts = [str(part) for part in loc]
    while parts and not any(key == ".".join(parts) or key.startswith(f"{'.'.join(parts)}.") for key in known_keys()):
        parts.pop()
    return ".".join(parts)


def _nearest(key: str) -> str:
    near = difflib.get_close_matches(key, known_keys(), n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else "`friction doctor --settings` lists all"


def _value_of(settings: Settings, key: str) -> object:
    value: object = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _shown(value: object) -> str:
    match value:
        case SecretStr():
            return _HIDDEN if value.get_secret_value() else "none"
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case _:
            return _USER_INFO.sub(f"://{_HIDDEN}@", str(value))


def _quoted(value: object) -> str:
    return _USER_INFO.sub(f"://{_HIDDEN}@", json.dumps(value, ensure_ascii=False, default=str))


def _as_variable(value: object) -> str:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case None:
            return OFF
        case bool():
            return str(value).lower()
        case _:
            return str(value)
