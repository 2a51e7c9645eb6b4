"""The order of interactions of the same millisecond, as the fold has it (folding.comes_before)."""

from collections.abc import Callable

import numpy as np

from pipelines.fold.facts import EVENT_ID, identify_compiled, no_facts
from pipelines.intake.index import TextIndex
from pipelines.intake.interactions import InteractionBatch
from pipelines.policy.policy import Policy
from pipelines.policy.rules import first_rule, phase_of
from schemas.arrays import Int64s

Ties = Callable[[InteractionBatch], tuple[Int64s, Int64s]]
"""Of each interaction of a batch its phase and the hash of its id, int64[n] each: the lower ones come first."""

_FIRST, _LAST = 0, 99  # how customers want to be contacted; and what has no rule, such as what teams do with alerts


def ties_of(policy: Policy) -> Ties:
    """As the rules of a policy have it."""
    kinds, rules = TextIndex(policy.compiled.kinds), policy.compiled.rules
    numbers = range(len(policy.compiled.kinds))
    has_rules = [first_rule(rules, kind) < first_rule(rules, kind + 1) for kind in numbers]
    phases = [phase_of(rules, kind) if has_rules[kind] else _LAST for kind in numbers]
    phase = np.array([*phases, _LAST], np.int64)  # the last one is that of kinds that are not known
    said = policy.file.preferences
    for kind in () if said is None else said.kinds:
        phase[policy.compiled.kinds.index(kind)] = _FIRST

    def ties(batch: InteractionBatch) -> tuple[Int64s, Int64s]:
        facts = no_facts(len(batch), 0)
        if batch.details is not None:
            text = batch.details.event_id
            identify_compiled(batch.data, text.start, text.length, EVENT_ID, facts)
        return phase[kinds.find(batch.data, batch.kind.start, batch.kind.length)], facts.word[:, EVENT_ID]

    return ties
