"""Replies that do not say how they were made: for the conditions of a policy they are ``unknown``."""

import numpy as np

from pipelines.fold.facts import VALUES, Facts
from pipelines.policy.rule_compiler import Compiled
from pipelines.policy.rules import CONDITIONS, first_rule, rule_word
from schemas.arrays import Int32s

REPLY = "reply"


class UnknownReplies:
    """Counts interactions of the kinds of which some rule asks for the attribute ``reply``, where it is not told."""

    def __init__(self, compiled: Compiled) -> None:
        self._column = VALUES + compiled.attributes.number.get(REPLY, -1)
        asked = [
            kind
            for kind in range(len(compiled.kinds))
            for r in range(first_rule(compiled.rules, kind), first_rule(compiled.rules, kind + 1))
            for c in range(CONDITIONS, CONDITIONS + 6, 2)
            if self._column >= VALUES and VALUES + rule_word(compiled.rules, r, c) == self._column
        ]
        self._asked = np.isin(np.arange(len(compiled.kinds)), asked)

    def count(self, kind: Int32s, facts: Facts) -> int:
        """How many of n interactions they are; kind: int32[n], below 0 for those that are not looked at."""
        if not self._asked.any():
            return 0
        asked = (kind >= 0) & self._asked[np.maximum(kind, 0)]
        return int((facts.code[asked, self._column] == 0).sum())
