"""What a batch led to, and what was seldom of its interactions: counted and told, and no error."""

from dataclasses import dataclass
from operator import add, sub
from typing import NamedTuple

from pipelines.alerts.tables import Alerts
from schemas.arrays import Int64s


class RareCounts(NamedTuple):
    """How often each was seen; the names are those of ``summary.json``.

    duplicates: interactions that were sent again. late: waits that came after their window was closed. unknown_kinds,
    unknown_replies, unknown_questions: what the policy does not know, of interactions, replies and ratings.
    unknown_marks: marks of alerts that the customer does not have. bad_preferences, bad_deadlines, bad_shipping:
    attributes that cannot be read, and count as not told. given_up: clocks and cases that ended for others of the same
    customer.
    """

    duplicates: int = 0
    late: int = 0
    unknown_kinds: int = 0
    unknown_marks: int = 0
    bad_preferences: int = 0
    bad_deadlines: int = 0
    bad_shipping: int = 0
    unknown_replies: int = 0
    unknown_questions: int = 0
    given_up: int = 0

    def plus(self, more: "RareCounts") -> "RareCounts":
        """Both together."""
        return RareCounts(*map(add, self, more))

    def since(self, before: "RareCounts") -> "RareCounts":
        """What has been added to ``before``."""
        return RareCounts(*map(sub, self, before))


NOTHING_RARE = RareCounts()


@dataclass(frozen=True, slots=True)
class Applied:
    """What a batch led to.

    misrouted, unrated: int64[k], rows of the batch whose customers belong to another partition, and those whose
    rating is not on the scale of its question. Neither has been counted. rare: of the others.
    """

    alerts: Alerts
    misrouted: Int64s
    unrated: Int64s
    rare: RareCounts
