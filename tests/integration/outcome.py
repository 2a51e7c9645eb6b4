"""A run of workers, held against the independent model."""

from functools import partial

from connectors.kafka.connection import KafkaConnection
from pipelines.cli.chaos.comparison import compared, recomputed
from pipelines.cli.chaos.model import Model
from pipelines.cli.chaos.outcome import Outcome
from schemas.topics import TopicNames


def models(kafka: KafkaConnection, names: TopicNames, policy: str) -> dict[int, Model]:
    """One model for each partition of friction.interactions, fed with what it holds."""
    return recomputed(kafka, names, partial(Model, policy)).models


def assert_exactly_once(found: Outcome, want: dict[int, Model]) -> None:
    """State, scores, alerts and windows are those of the model: nothing lost, nothing counted twice."""
    comparison = compared(found, want)
    assert comparison.problems == []
    assert comparison.counts["interactions"] == found.interactions > 0
