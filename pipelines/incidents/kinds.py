"""Which interactions count for which incident rule, and where."""

import numpy as np

from pipelines.incidents.kernel import ATTEMPT, FAILURE
from pipelines.intake.index import TextIndex
from pipelines.intake.interactions import InteractionBatch, Texts
from pipelines.policy.incident_model import Incidents
from pipelines.policy.terms import UNKNOWN
from schemas.arrays import Bytes, Int16s

NO_RULE = -1


class IncidentKinds:
    """The kinds that the rules speak of, numbered."""

    def __init__(self, incidents: Incidents) -> None:
        roles = {
            kind: (number, role)
            for number, rule in enumerate(incidents.rules.values())
            for role, kinds in ((ATTEMPT, rule.attempts), (FAILURE, rule.failures))
            for kind in kinds
        }
        self._index = TextIndex(roles)
        self._unknown = TextIndex([UNKNOWN])  # as those say it who are told no touchpoint
        # the last entry is that of kinds which are not there: number -1
        self._rule = np.array([*(rule for rule, _ in roles.values()), NO_RULE], np.int16)
        self._role = np.array([*(role for _, role in roles.values()), 0], np.uint8)
        self._by_subject = np.array([rule.by == "subject" for rule in incidents.rules.values()], np.bool_)

    def rules(self, batch: InteractionBatch) -> tuple[Int16s, Bytes]:
        """Number of the rule and role of each interaction, int16[n] and uint8[n]; NO_RULE for none."""
        kind = self._index.find(batch.data, batch.kind.start, batch.kind.length)
        return self._rule[kind], self._role[kind]

    def places(self, batch: InteractionBatch, rule: Int16s) -> Texts:
        """Touchpoint or subject of each interaction, as its rule says; an empty text where none is told."""
        where = batch.touchpoint
        counts = (rule >= 0).view(np.uint8)
        is_unknown = self._unknown.find(batch.data, where.start, where.length, wanted=counts) >= 0
        where = Texts(where.start, np.where(is_unknown, 0, where.length).astype(np.int32))
        if not self._by_subject.any():
            return where
        subject = _subjects(batch)
        by_subject = self._by_subject[rule] & (rule >= 0)
        return Texts(
            np.where(by_subject, subject.start, where.start), np.where(by_subject, subject.length, where.length)
        )


def _subjects(batch: InteractionBatch) -> Texts:
    """Subjects, where batches have them: they are among the details that a policy asks for."""
    subject: Texts | None = getattr(getattr(batch, "details", None), "subject", None)
    return subject or Texts(np.zeros(len(batch), np.int64), np.zeros(len(batch), np.int32))
