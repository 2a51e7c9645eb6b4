"""Alerts of touchpoint incidents."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pipelines.alerts.alert import Alert, Status, alert_id
from pipelines.alerts.languages import ENGLISH, Language
from pipelines.alerts.wording import language_of
from pipelines.incidents.judge import Standing
from pipelines.incidents.muting import muted_signals
from pipelines.policy.acting_model import AlertBudgets
from pipelines.policy.incident_model import IncidentRule
from pipelines.policy.policy import Policy
from pipelines.policy.wording_terms import INCIDENT, subject_name


class Labels(NamedTuple):
    """What alerts of incidents have of a policy besides their rules: hash, what they mute by rule, teams, language."""

    policy: str = ""
    mutes: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    budgets: AlertBudgets | None = None
    language: Language = ENGLISH

    @classmethod
    def of(cls, policy: Policy) -> "Labels":
        """Those of a policy."""
        return cls(policy.digest, muted_signals(policy), policy.file.budgets, language_of(policy))


NO_LABELS = Labels()
"""Of no policy."""


def told_key(standing: Standing) -> str:
    """What tells an incident from others of its place."""
    return f"{'silence' if standing.how == 'silence' else 'failing'}/{standing.opened}"


def incident_alert(
    place: tuple[str, str],
    rule: IncidentRule,
    standing: Standing,
    *,
    about_ms: int,
    status: Status,
    revision: int,
    at_ms: int,
    began_ms: int,
    labels: Labels,
) -> Alert:
    """A revision. about_ms: which incident of the place. at_ms: the end of the slot of which it speaks.

    began_ms: the beginning of the first lookback.
    """
    name, where = place
    about = "silence" if standing.how == "silence" else "failures"
    is_silence = standing.how == "silence"
    subject = where if rule.by == "subject" else None
    return Alert(
        alert_id=alert_id(INCIDENT, name, where, about, about_ms),
        revision=revision,
        type=INCIDENT,
        status=status,
        customer_id=None,
        raised_ms=at_ms,
        reason=incident_reason(place, rule, standing, status, labels.language),
        policy=labels.policy,
        touchpoint=where if rule.by == "touchpoint" else None,
        priority=rule.priority,
        suggested_action=None if is_over(status) else rule.action,
        subject=subject,
        customers=None if is_silence else standing.customers,
        share=standing.share,
        members=standing.members,
        team=None if labels.budgets is None else labels.budgets.team_of(INCIDENT, "", subject),
        began_ms=began_ms,
        mutes=() if is_silence else labels.mutes.get(name, ()),
    )


def is_over(status: Status) -> bool:
    """Whether nothing is left to do about an incident."""
    return status in {"resolved", "retracted"}


def incident_reason(
    place: tuple[str, str], rule: IncidentRule, standing: Standing, status: Status, language: Language
) -> str:
    """Why an incident is told, in one sentence. place: the rule, and the touchpoint or subject."""
    name, where = place
    said = {"rule": name.replace("_", " "), "place": where}

    def template(name: str) -> str:
        own = language.templates.get(subject_name(name)) if rule.by == "subject" else None
        return own or language.templates[name]

    if is_over(status):
        return template(f"{INCIDENT}.{status}").format(**said)
    said |= {"customers": str(standing.customers), "within": language.lookback(rule.lookback)}
    if standing.how == "silence":
        return template(f"{INCIDENT}.silence").format(**said, usual=language.number(standing.usual))
    if standing.share is None:
        return template(f"{INCIDENT}.uncounted").format(**said, usual=language.number(standing.usual, 1))
    share, usual = language.number(100 * standing.share), language.number(100 * standing.usual, 1)
    return template(INCIDENT).format(**said, share=share, usual=usual)
