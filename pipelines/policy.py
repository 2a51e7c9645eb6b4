"""The policy: what interactions mean. Read from YAML, checked, compiled once, frozen.

Errors are PolicyError and name file, line and key: ``default.yaml:14 signals.wait.half_life: must be > 0, got 0s``.
"""

import hashlib
import json
import math
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipelines.durations import DURATION_FORM, duration_ms
from schemas.arrays import Float64s
from schemas.errors import PolicyError

DurationText = Annotated[str, Field(pattern=f"^{DURATION_FORM}$", examples=["500ms", "30s", "2m", "1h", "7d"])]
DurationMs = Annotated[int, BeforeValidator(duration_ms, json_schema_input_type=DurationText)]
Points = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]  # strict: neither "12" nor yes is a number
ScoreValue = Annotated[float, Field(gt=0, lt=100, strict=True)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]
Kinds = Annotated[tuple[Text, ...], Field(min_length=1)]


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Signal(_Said):
    """What adds heat to a customer."""

    kinds: Kinds
    weight: Points
    half_life: DurationMs
    cap: Points
    magnitude: Literal["one", "wait"] = "one"
    tolerated: DurationMs | None = None

    @model_validator(mode="after")
    def _tolerated_belongs_to_wait(self) -> "Signal":
        if (self.magnitude == "wait") != (self.tolerated is not None):
            raise ValueError("tolerated is needed for magnitude wait, and only there")
        return self


class Score(_Said):
    """How heat becomes a score."""

    scale: Points


class Level(_Said):
    """A band above calm."""

    name: Name
    enter: ScoreValue
    leave: ScoreValue
    priority: int = Field(default=3, ge=1, le=5, strict=True)
    action: Text | None = None

    @model_validator(mode="after")
    def _hysteresis(self) -> "Level":
        if self.leave >= self.enter:
            raise ValueError(f"leave must be below enter, got leave {self.leave} and enter {self.enter}")
        return self


class Bands(_Said):
    """The bands above calm, upwards."""

    cooldown: DurationMs
    levels: tuple[Level, ...] = Field(min_length=1, max_length=8)

    @model_validator(mode="after")
    def _upwards(self) -> "Bands":
        names = ["calm", *(level.name for level in self.levels)]
        for n, name in enumerate(names):
            if name in names[:n]:
                raise ValueError(f"levels must have different names, and calm is the one below them: {name} is taken")
        for low, high in zip(self.levels, self.levels[1:], strict=False):
            if high.enter <= low.enter or high.leave <= low.leave:
                raise ValueError(f"levels must rise, but {high.name} is not above {low.name}")
        return self


class Windows(_Said):
    """Tumbling windows of waits, in event time."""

    kinds: Kinds
    length: DurationMs
    lateness: DurationMs


class Acceptance(_Said):
    """What event times are accepted, against the broker's append time."""

    max_age: DurationMs
    max_ahead: DurationMs


class PolicyFile(_Said):
    """The whole file."""

    version: Literal[1]
    score: Score
    signals: dict[Name, Signal] = Field(min_length=1, max_length=64)
    bands: Bands
    windows: Windows
    acceptance: Acceptance

    @field_validator("signals")
    @classmethod
    def _a_kind_feeds_one_signal(cls, signals: dict[str, Signal]) -> dict[str, Signal]:
        fed: dict[str, str] = {}
        for name, signal in signals.items():
            for kind in signal.kinds:
                if kind in fed:
                    raise ValueError(f"kind {kind} feeds both {fed[kind]} and {name}")
                fed[kind] = name
        return signals


@dataclass(frozen=True)
class Policy:
    """A checked policy with what the kernels need. ``digest`` is the short hash that stands on every output."""

    file: PolicyFile
    digest: str

    @cached_property
    def signal_names(self) -> tuple[str, ...]:
        """Names of the signals; their order is that of the heats in a row."""
        return tuple(self.file.signals)

    @cached_property
    def signals(self) -> tuple[Signal, ...]:
        """The signals, in the order of their names."""
        return tuple(self.file.signals.values())

    @cached_property
    def half_life_ms(self) -> Float64s:
        """float64[s]: half-life of each signal."""
        return np.array([s.half_life for s in self.signals], np.float64)

    @cached_property
    def cap(self) -> Float64s:
        """float64[s]: most heat of each signal that counts in a score."""
        return np.array([s.cap for s in self.signals], np.float64)

    @cached_property
    def band_names(self) -> tuple[str, ...]:
        """calm, and the levels above it."""
        return ("calm", *(level.name for level in self.file.bands.levels))

    @cached_property
    def enter_heat(self) -> Float64s:
        """float64[b]: capped heat at which each band is entered; calm always."""
        return np.array([0.0, *(self.heat_of(level.enter) for level in self.file.bands.levels)])

    @cached_property
    def leave_heat(self) -> Float64s:
        """float64[b]: capped heat below which each band is left; calm never."""
        return np.array([-1.0, *(self.heat_of(level.leave) for level in self.file.bands.levels)])

    def heat_of(self, score: float) -> float:
        """Return the capped heat that gives a score: the inverse of score_of."""
        return -self.file.score.scale * math.log1p(-score / 100.0)

    def score_of(self, heat: float) -> float:
        """Return 100 * (1 - exp(-heat / scale)) (design, section 6)."""
        return -100.0 * math.expm1(-heat / self.file.score.scale)


class _Loader(yaml.SafeLoader):
    """Tells where a value stands that looks like a number or a date and is none."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error


def parse_policy(text: str, name: str) -> Policy:
    """Compile the text of a policy file called ``name``.

    Raises:
        PolicyError: it is no YAML, a key is unknown, missing or written twice, a value cannot be; the first five are
            told, a line each.
    """
    try:
        loader = _Loader(text)
        tree = loader.get_single_node()
        if tree is None:
            raise PolicyError(f"{name} is empty; schemas/policy/default.yaml shows what belongs there")
        twice = [f"{name}:{line} {key}: is written twice" for line, key in _written_twice(tree, "", set())]
        if twice:
            raise PolicyError("\n".join(twice[:5]))
        said = loader.construct_document(tree)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise PolicyError(f"{where} is no YAML: {getattr(error, 'problem', error)}") from error
    try:
        file = PolicyFile.model_validate(said)
    except ValidationError as error:
        raise PolicyError("\n".join(_told(name, tree, e) for e in error.errors()[:5])) from error
    canonical = json.dumps(file.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return Policy(file, hashlib.sha256(canonical.encode()).hexdigest()[:12])


def schema_for_editors() -> str:
    """Text of schemas/policy/policy.schema.json: the policy as a JSON Schema."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **PolicyFile.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"


_RULES = {
    "missing": "is missing",
    "extra_forbidden": "is unknown",
    "invalid_key": "must be a text",
    "too_short": "must have an entry",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must be small letters, digits and _, a letter first",
    "model_type": "must be keys with values",
    "dict_type": "must be keys with values",
    "tuple_type": "must be a list",
}


def _told(name: str, tree: yaml.Node, error: Any) -> str:
    path = [part for part in error["loc"] if part != "[key]"]
    key = ".".join(str(part) for part in path) or "the policy"
    kind, message = error["type"], str(error["msg"])
    if kind == "value_error":
        rule = message.removeprefix("Value error, ")
    else:
        rule = _RULES.get(kind) or message.replace("Input should be", "must be").replace(" should have", " must have")
        if kind not in {"missing", "extra_forbidden", "too_short", "too_long"}:
            rule += f", got {reprlib.repr(error['input'])}"
    return f"{name}:{_line(tree, path)} {key}: {rule}"


def _line(node: yaml.Node, path: list[Any]) -> int:
    """Line of the key or entry at ``path``, or of the nearest one above it that exists."""
    line = node.start_mark.line
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if found is None:
                break
            key, node = found
            line = key.start_mark.line
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
    return int(line) + 1


def _written_twice(node: yaml.Node, path: str, seen: set[int]) -> Iterator[tuple[int, str]]:
    """Lines and keys that are there already: YAML's loader would take the last one and say nothing."""
    if id(node) in seen:
        return  # an alias may lead to what holds it
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for n, entry in enumerate(node.value):
            yield from _written_twice(entry, f"{path}{n}.", seen)
    elif isinstance(node, yaml.MappingNode):
        known = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # the loader refuses it
            if key.value in known:
                yield int(key.start_mark.line) + 1, f"{path}{key.value}"
            known.add(key.value)
            yield from _written_twice(value, f"{path}{key.value}.", seen)
