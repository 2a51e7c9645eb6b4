"""The policy: what interactions mean. Read from YAML, checked, compiled once, frozen.

Errors are PolicyError and name file, line and key: ``default.yaml:14 signals.wait.half_life must be > 0, got 0s``.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pipelines.durations import duration_ms
from schemas.arrays import Float64s
from schemas.errors import PolicyError

DurationMs = Annotated[int, BeforeValidator(duration_ms, json_schema_input_type=str)]
Points = Annotated[float, Field(gt=0, lt=math.inf)]
Kinds = Annotated[tuple[str, ...], Field(min_length=1)]


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


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

    name: str
    enter: float = Field(gt=0, lt=100)
    leave: float = Field(gt=0, lt=100)
    priority: int = Field(default=3, ge=1, le=5)
    action: str | None = None

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
    signals: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Signal] = Field(min_length=1, max_length=64)
    bands: Bands
    windows: Windows
    acceptance: Acceptance

    @model_validator(mode="after")
    def _a_kind_feeds_one_signal(self) -> "PolicyFile":
        fed: dict[str, str] = {}
        for name, signal in self.signals.items():
            for kind in signal.kinds:
                if kind in fed:
                    raise ValueError(f"kind {kind} feeds both {fed[kind]} and {name}")
                fed[kind] = name
        return self


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


def parse_policy(text: str, name: str) -> Policy:
    """Compile the text of a policy file called ``name``.

    Raises:
        PolicyError: it is no YAML, a key is unknown or missing, a value cannot be; the first five are told.
    """
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        said = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise PolicyError(f"{where} is no YAML: {getattr(error, 'problem', error)}") from error
    if tree is None:
        raise PolicyError(f"{name} is empty; schemas/policy/default.yaml shows what belongs there")
    try:
        file = PolicyFile.model_validate(said)
    except ValidationError as error:
        raise PolicyError("\n".join(_told(name, tree, e) for e in error.errors()[:5])) from error
    canonical = json.dumps(file.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return Policy(file, hashlib.sha256(canonical.encode()).hexdigest()[:12])


def _told(name: str, tree: yaml.Node, error: Any) -> str:
    path = [part for part in error["loc"] if part != "[key]"]
    key = ".".join(str(part) for part in path)
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    if error["type"] == "missing":
        message = "is missing"
    elif error["type"] == "extra_forbidden":
        message = "is unknown"
    elif "should" in str(error["msg"]):
        message = f"must be {message}, got {error['input']!r}"
    return f"{name}:{_line(tree, path)} {key or 'the policy'}: {message}"


def _line(node: yaml.Node, path: list[Any]) -> int:
    """Line of the node at ``path``, or of the nearest one above it that exists."""
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if found is None:
                break
            key, node = found
            if part == path[-1]:
                return int(key.start_mark.line) + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            break
    return int(node.start_mark.line) + 1
