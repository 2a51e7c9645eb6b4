"""What a policy says of those who act on alerts: how customers want to be contacted, and which team has what."""

from typing import Annotated, Literal

from pydantic import Field

from pipelines.policy.calendar_model import Zone
from pipelines.policy.terms import Name, Said, Text


class CustomerPreferences(Said):
    """Interactions that say how a customer wants to be contacted. zone: of quiet hours."""

    kinds: Annotated[tuple[Text, ...], Field(min_length=1)] = ("customer.preferences",)
    zone: Zone = "UTC"


AlertType = Literal[
    "band_entered", "clock_warning", "clock_breached", "still_waiting", "repeat_contact", "social_risk",
    "touchpoint_incident",
]  # fmt: skip


class Team(Said):
    """Which alerts are a team's: those for which all holds that is said; all of them when nothing is.

    per_hour: how many it is given in an hour, None for as many as there are.
    """

    types: tuple[AlertType, ...] = ()
    segments: tuple[Name, ...] = ()
    subjects: tuple[Text, ...] = ()
    per_hour: Annotated[int, Field(ge=1, le=1000, strict=True)] | None = None

    @property
    def takes_all(self) -> bool:
        """Whether it has no conditions."""
        return not (self.types or self.segments or self.subjects)

    def has(self, kind: str, segment: str, subject: str | None) -> bool:
        """Whether an alert of a type, of a customer of a segment, about a subject, is the team's."""
        return (
            (not self.types or kind in self.types)
            and (not self.segments or segment in self.segments)
            and (not self.subjects or subject in self.subjects)
        )


class AlertBudgets(Said):
    """Whose alerts are whose, and how many. never_held: alerts of this priority or a lower number always pass."""

    never_held: int = Field(default=1, ge=0, le=5, strict=True)
    teams: dict[Text, Team] = Field(min_length=1, max_length=32)

    def team_of(self, kind: str, segment: str, subject: str | None) -> str | None:
        """Return the team whose alert it is, the first one that has it; None for nobody's."""
        return next((name for name, team in self.teams.items() if team.has(kind, segment, subject)), None)
