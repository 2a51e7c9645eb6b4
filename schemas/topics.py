"""The topics that the system speaks on, as schemas/topics.yaml declares them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

INTERACTIONS = "friction.interactions"
REKEYED = "friction.rekeyed"
SCORES = "friction.scores"
ALERTS = "friction.alerts"
WAIT_PARTIALS = "friction.wait_partials"
INCIDENT_PARTIALS = "friction.incident_partials"
WAITS = "friction.waits"
STATE = "friction.state"
TOUCHPOINT_STATE = "friction.touchpoint_state"
INCIDENT_STATE = "friction.incident_state"
DEAD_LETTERS = "friction.dead_letters"

Compatibility = Literal["BACKWARD_TRANSITIVE", "FULL_TRANSITIVE"]


class Topic(BaseModel):
    """One declared topic. ``partitions`` names a group, ``config`` holds the broker's own words."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    name: str
    purpose: str
    key: str
    partitions: str
    schema_name: str | None
    compatibility: Compatibility | None
    access: Literal["public", "internal"]
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The names of the topics on one cluster: the declared ones behind a prefix that may be empty."""

    prefix: str = ""

    def of(self, topic: str) -> str:
        """Name on the cluster of a declared topic."""
        return self.prefix + topic

    def subject(self, topic: str) -> str:
        """Subject of the topic's value schema in the registry (TopicNameStrategy)."""
        return f"{self.of(topic)}-value"


@cache
def _declaration() -> dict[str, Any]:
    declared: dict[str, Any] = yaml.safe_load(files("schemas").joinpath("topics.yaml").read_text("utf-8"))
    return declared


@cache
def topics() -> Mapping[str, Topic]:
    """Every declared topic by name, in the order of the file."""
    return MappingProxyType(
        {
            name: Topic(name=name, schema_name=said["schema"], **{k: v for k, v in said.items() if k != "schema"})
            for name, said in _declaration()["topics"].items()
        }
    )


def default_partitions() -> dict[str, int]:
    """Partitions of each group of topics, unless told otherwise when they are created."""
    return dict(_declaration()["partitions"])


@cache
def avro_schema(schema_name: str) -> str:
    """Text of ``schemas/avro/<schema_name>.avsc``, without white space that means nothing."""
    text = files("schemas").joinpath("avro", f"{schema_name}.avsc").read_text("utf-8")
    return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)
