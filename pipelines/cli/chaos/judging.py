"""What a run has left, held against the models of what its interactions mean."""

from collections import Counter
from functools import partial
from importlib.resources import files

from connectors.kafka.connection import KafkaConnection
from pipelines.cli.chaos.comparison import Comparison, compared, recomputed
from pipelines.cli.chaos.lives.model import LivesModel
from pipelines.cli.chaos.model import Model
from pipelines.cli.chaos.outcome import outcome
from pipelines.cli.chaos.plan import Meaning
from pipelines.cli.chaos.standing import standing
from pipelines.cli.chaos.whole import compared_whole
from pipelines.cli.chaos.witness import Way
from pipelines.policy.policy import parse_policy
from schemas.topics import INTERACTIONS, TopicNames


def policy_text(policy: Meaning) -> str:
    """The policy of a run, one that means something within seconds."""
    return files("pipelines.cli.chaos").joinpath(f"{policy}.yaml").read_text("utf-8")


def judged(
    kafka: KafkaConnection, names: TopicNames, policy: Meaning, way: dict[int, Way], partitions: int
) -> tuple[Counter[str], Comparison]:
    """How many records the public topics hold, and the comparison.

    Raises:
        FrictionError: topics or state cannot be read.
    """
    advances, text = {p: w.advances for p, w in way.items()}, policy_text(policy)
    if policy == "three":
        found = outcome(kafka, names)
        models = recomputed(kafka, names, partial(Model, text), advances)
        comparison = compared(found, models.models)
        ends, problems = models.ends, models.problems
    else:
        stands = standing(kafka, names, parse_policy(text, "full.yaml"), partitions)
        lives = recomputed(kafka, names, partial(LivesModel, text), advances)
        comparison, found = compared_whole(stands, lives.models), stands.public
        ends, problems = lives.ends, lives.problems
    comparison.problems[:0] = problems
    comparison.counts["interactions sent"] = sum(ends.values())
    # the group's offsets are at the end, or the drain would not be over; so are the headers' and the witness
    headers = {p: header[INTERACTIONS] for p, header in found.offsets.items() if header[INTERACTIONS]}
    comparison.hold("offsets in headers", headers, ends)
    comparison.hold("offsets of the witness", {p: w.end for p, w in way.items()}, ends)
    return found.told, comparison
