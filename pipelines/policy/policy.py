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
from typing import Any

import numpy as np
import yaml
from pydantic import ValidationError

from pipelines.policy.keys import allowed_keys, nearest
from pipelines.policy.model import PolicyFile, least_quiet
from pipelines.policy.rule_compiler import Compiled, compile_rules
from pipelines.policy.signal_model import Signal
from schemas.arrays import Float64s, Int64s
from schemas.errors import PolicyError

_QUIET_MS = 90 * 86_400_000


@dataclass(frozen=True)
class Policy:
    """A checked policy with what the kernels need. ``digest`` is the short hash that stands on every output.

    text: as it was written.
    """

    file: PolicyFile
    digest: str
    text: str = ""

    @cached_property
    def signal_names(self) -> tuple[str, ...]:
        """Names of the signals; their order is that of the heats in a row."""
        return tuple(self.file.signals)

    @cached_property
    def by_name(self) -> Int64s:
        """int64[s]: the signals in the order of their names."""
        return np.argsort(np.array(self.signal_names)).astype(np.int64)

    @cached_property
    def signals(self) -> tuple[Signal, ...]:
        """The signals, in the order of their names."""
        return tuple(self.file.signals.values())

    @cached_property
    def clock_names(self) -> tuple[str, ...]:
        """Names of the clocks, by their numbers."""
        return tuple(self.file.clocks)

    @cached_property
    def half_life_ms(self) -> Float64s:
        """float64[s]: half-life of each signal."""
        return np.array([s.half_life for s in self.signals], np.float64)

    @cached_property
    def cap(self) -> Float64s:
        """float64[s]: most heat of each signal that counts in a score."""
        return np.array([s.cap for s in self.signals], np.float64)

    @cached_property
    def factor(self) -> Float64s:
        """float64[s]: what a point of each signal counts, below 0 for a relief."""
        return np.array([-self.file.score.relief if s.relief else 1.0 for s in self.signals])

    @cached_property
    def band_names(self) -> tuple[str, ...]:
        """calm, and the levels above it."""
        return ("calm", *(level.name for level in self.file.bands.levels))

    @cached_property
    def alerting(self) -> int | None:
        """Number of the lowest band with an action, at which an alert is opened."""
        return next((n for n, level in enumerate(self.file.bands.levels, 1) if level.action is not None), None)

    @cached_property
    def quiet_ms(self) -> int:
        """How long a customer must have been quiet to be forgotten: 90 days, or more if what counts lasts longer."""
        if self.file.retention is not None:
            return self.file.retention.quiet
        return max(_QUIET_MS, *(ms for ms, _ in least_quiet(self.signals, self.file.acceptance, self.file.bands)))

    @cached_property
    def segment_names(self) -> tuple[str, ...]:
        """The empty one, of customers without a segment or of one that the policy does not know, and the segments."""
        return ("", *self.file.segments)

    @cached_property
    def scale(self) -> Float64s:
        """float64[g]: the scale of each segment, its patience included."""
        patience = [1.0, *(segment.patience for segment in self.file.segments.values())]
        return self.file.score.scale * np.array(patience)

    @cached_property
    def enter_heat(self) -> Float64s:
        """float64[g, b]: capped heat at which each band is entered; calm always."""
        own = np.array([0.0, *(self.heat_of(level.enter) for level in self.file.bands.levels)])
        return np.outer(self.scale / self.file.score.scale, own)

    @cached_property
    def leave_heat(self) -> Float64s:
        """float64[g, b]: capped heat below which each band is left; calm never."""
        own = np.array([0.0, *(self.heat_of(level.leave) for level in self.file.bands.levels)])
        heat = np.outer(self.scale / self.file.score.scale, own)
        heat[:, 0] = -1.0
        return heat

    @cached_property
    def compiled(self) -> Compiled:
        """What its kinds do."""
        return compile_rules(self.file)

    @cached_property
    def needs_details(self) -> bool:
        """Whether it asks of interactions for more than kind, times and places."""
        return self.compiled.has_details

    @cached_property
    def remembered(self) -> int:
        """By how many event ids of a customer interactions are recognised that are sent twice."""
        if self.file.corrections is not None:
            return self.file.corrections.remembered
        return 8 if self.needs_details else 0

    @cached_property
    def shift(self) -> Int64s:
        """int64[g]: what each segment adds to the priority of an alert, which is 1 (first) to 5."""
        return np.array([0, *(segment.priority for segment in self.file.segments.values())], np.int64)

    def team_of(self, kind: str, segment: int, subject: str | None) -> str | None:
        """Return the team whose alert it is, the first one that has it; None for nobody's."""
        budgets = self.file.budgets
        return None if budgets is None else budgets.team_of(kind, self.segment_names[segment], subject)

    def heat_of(self, score: float) -> float:
        """Return the capped heat that gives a score of customers without a segment: the inverse of score_of."""
        return -self.file.score.scale * math.log1p(-score / 100.0)

    def score_of(self, heat: float, segment: int = 0) -> float:
        """Return 100 * (1 - exp(-heat / scale)), the scale being the segment's (design, section 6)."""
        return -100.0 * math.expm1(-heat / self.scale.item(segment))


class _Loader(yaml.SafeLoader):
    """Tells where a value stands that looks like a number or a date, or is said to be one, and is none.

    Keys are names, also ``on``, ``off`` and ``no``, which YAML takes for true and false.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:bool":
                key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error
        except (AttributeError, LookupError) as error:
            tag = str(node.tag).replace("tag:yaml.org,2002:", "!!")
            told = f"{reprlib.repr(node.value)} is no {tag}"
            raise yaml.constructor.ConstructorError(None, None, told, node.start_mark) from error


def parse_policy(text: str, name: str) -> Policy:
    """Compile the text of a policy file called ``name``.

    Raises:
        PolicyError: it is no YAML, a key is unknown, missing or written twice, a value cannot be; the first five are
            told, a line each.
    """
    loader = None
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
    except RecursionError as error:
        where = name if loader is None else f"{name}:{loader.line + 1}"
        raise PolicyError(f"{where}: lists or keys must not lie so deep in each other") from error
    try:
        file = PolicyFile.model_validate(said)
    except ValidationError as error:
        raise PolicyError("\n".join(_told(name, tree, e) for e in _to_tell(error)[:5])) from error
    # in the order of the file: state has numbers of clocks, and the first team that may take an alert has it
    canonical = json.dumps(file.model_dump(mode="json", exclude_defaults=True), separators=(",", ":"))
    return Policy(file, hashlib.sha256(canonical.encode()).hexdigest()[:12], text)


def schema_for_editors() -> str:
    """Text of schemas/policy/policy.schema.json: the policy as a JSON Schema."""
    said = _without_other_names(PolicyFile.model_json_schema())
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **said}, indent=2) + "\n"


def _without_other_names(schema: Any) -> Any:
    """The schema, in which names that fit no pattern are errors, as they are when a policy is read."""
    if isinstance(schema, list):
        return [_without_other_names(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _without_other_names(one) for key, one in schema.items()}
    return {**closed, "additionalProperties": False} if "patternProperties" in schema else closed


_RULES = {
    "missing": "is missing",
    "invalid_key": "must be a text",
    "string_type": "must be a text",
    "too_short": "must have an entry",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must be small letters, digits and _, a letter first",
    "model_type": "must be keys with values",
    "dict_type": "must be keys with values",
    "tuple_type": "must be a list",
}


def _to_tell(error: ValidationError) -> list[Any]:
    """The errors, without that of a list which lacks only the entries that are wrong."""
    errors = error.errors()
    begins = {tuple(e["loc"][:n]) for e in errors for n in range(len(e["loc"]))}
    return [e for e in errors if e["type"] != "too_short" or e["loc"] not in begins]


def _told(name: str, tree: yaml.Node, error: Any) -> str:
    path = [part for part in error["loc"] if part != "[key]"]
    key = ".".join(str(part) for part in path) or "the policy"
    kind, message = error["type"], str(error["msg"])
    if kind == "value_error":
        rule = message.removeprefix("Value error, ")
        about = rule.partition(" ")[0].split(".")
        path += about if len(about) > 1 else []  # of a section that was judged as a whole: the line of the entry
    elif kind == "extra_forbidden":
        rule = f"is unknown{nearest(str(path[-1]), allowed_keys(path[:-1]))}"
    elif kind == "too_long":
        rule = f"must have at most {error['ctx']['max_length']} entries"
    else:
        rule = _RULES.get(kind) or message.replace("Input should be", "must be").replace(" should have", " must have")
        if kind not in {"missing", "too_short"}:
            rule += f", got {reprlib.repr(error['input'])}"
    return f"{name}:{_line(tree, path)} {key}: {rule}"


def _line(node: yaml.Node, path: list[Any]) -> int:
    """Line of the key or entry at ``path``, or of the nearest one above it that exists."""
    line = node.start_mark.line
    for n, part in enumerate(path):
        if isinstance(node, yaml.MappingNode):
            names = {str(part), ".".join(map(str, path[n:]))}  # a name may have dots of its own
            found = next(((k, v) for k, v in node.value if k.value in names), None)
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
