"""What a sentence of an alert may be said of, and with which placeholders: checked when the policy is read."""

from string import Formatter
from typing import Annotated

from pydantic import AfterValidator, Field

PLACEHOLDERS = (
    "clock", "subject_if_none", "deadline", "left", "waited", "level", "subject", "channel", "earlier", "paused",
)  # fmt: skip
PAUSED = "paused"
"""The sentence that is added when a clock was paused, and a placeholder."""
REFUSES, NOT_BEFORE = "do_not_contact", "not_before"
"""What becomes of suggested actions for customers who do not want to be contacted, or not yet."""
BAND, INCIDENT = "band_entered", "touchpoint_incident"
REPEAT_CONTACT, SOCIAL_RISK = "repeat_contact", "social_risk"
_OF_BANDS = dict.fromkeys(
    (BAND, f"{BAND}.opened", f"{BAND}.escalated", f"{BAND}.resolved"), ("score", "band", "made_of")
)
_OF_INCIDENTS = {
    INCIDENT: ("rule", "place", "customers", "within", "usual", "share"),
    f"{INCIDENT}.uncounted": ("rule", "place", "customers", "within", "usual"),
    f"{INCIDENT}.silence": ("rule", "place", "customers", "within", "usual"),
    f"{INCIDENT}.resolved": ("rule", "place"),
    f"{INCIDENT}.retracted": ("rule", "place"),
    f"{INCIDENT}.subject": ("rule", "place", "customers", "within", "usual"),
    f"{INCIDENT}.subject.resolved": ("rule", "place"),
    f"{INCIDENT}.subject.retracted": ("rule", "place"),
}
OWN_PLACEHOLDERS = {
    PAUSED: (PAUSED, "waited"), REFUSES: ("action",), NOT_BEFORE: ("action", "time"), **_OF_BANDS, **_OF_INCIDENTS,
}  # fmt: skip
"""Those of templates that speak of something else than clocks, contacts and mentions."""

TYPES = ("clock_warning", "clock_breached", "still_waiting", REPEAT_CONTACT, SOCIAL_RISK)
"""By their numbers (``items.CLOCK_WARNING`` ...)."""
TEMPLATE_NAMES = (
    *(name for kind in TYPES for name in (kind, f"{kind}.opened", f"{kind}.escalated", f"{kind}.resolved")),
    *("resolved", "retracted", *OWN_PLACEHOLDERS),
)
"""Types of alerts, at times with a status; what is over; the pause, what is said of actions; bands and incidents."""


def subject_name(name: str) -> str:
    """The sentence of an incident, said of a subject in the place of a touchpoint; none of a share."""
    if name == f"{INCIDENT}.uncounted":
        return f"{INCIDENT}.subject"
    return name.replace(f"{INCIDENT}.", f"{INCIDENT}.subject.")


def _name(said: str) -> str:
    if said not in TEMPLATE_NAMES:
        kinds = ", ".join(TYPES)
        raise ValueError(
            f"must be one of {kinds}, or one of these with .opened, .escalated or .resolved, or resolved, retracted, "
            f"{', '.join(OWN_PLACEHOLDERS)}, got {said}"
        )
    return said


def _placeholders(template: str, known: tuple[str, ...]) -> None:
    """Check the placeholders of a template.

    Raises:
        ValueError: one is not known or has a format of its own, or a brace is alone.
    """
    allowed = ", ".join(f"{{{name}}}" for name in known)
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"has a brace without its other one ({error}); write {{{{ for a brace itself") from error
    for _, name, form, conversion in parts:
        if name is not None and name not in known:
            raise ValueError(f"must have no other placeholders than {allowed}, got {{{name}}}")
        if form or conversion:
            raise ValueError(f"must have placeholders without a format, got one at {{{name}}}")


def check_placeholders(templates: dict[str, str]) -> None:
    """Check the templates of a policy, by name.

    Raises:
        ValueError: one speaks of what only others speak of, or of nothing that there is, or cannot be filled in.
    """
    for name, template in templates.items():
        try:
            _placeholders(template, OWN_PLACEHOLDERS.get(name, PLACEHOLDERS))
        except ValueError as error:
            raise ValueError(f"templates.{name} {error}") from error


TemplateName = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"enum": list(TEMPLATE_NAMES)})]
Template = Annotated[str, Field(min_length=1)]
