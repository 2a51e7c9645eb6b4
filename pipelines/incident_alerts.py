"""Alerts of touchpoint incidents."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pipelines.acting_model import AlertBudgets
from pipelines.alerts import Alert, Status, alert_id
from pipelines.durations import duration_text
from pipelines.incident_judge import Standing
from pipelines.incident_model import IncidentRule
from pipelines.muting import muted_signals
from pipelines.policy import Policy

TYPE = "touchpoint_incident"


class Labels(NamedTuple):
    """What alerts of incidents have of a policy besides their rules: its hash, what they mute by rule, the teams."""

    policy: str = ""
    mutes: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    budgets: AlertBudgets | None = None

    @classmethod
    def of(cls, policy: Policy) -> "Labels":
        """Those of a policy."""
        return cls(policy.digest, muted_signals(policy), policy.file.budgets)


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
        alert_id=alert_id(TYPE, name, where, about, about_ms),
        revision=revision,
        type=TYPE,
        status=status,
        customer_id=None,
        raised_ms=at_ms,
        reason=_reason(place, rule, standing, status),
        policy=labels.policy,
        touchpoint=where if rule.by == "touchpoint" else None,
        priority=rule.priority,
        suggested_action=rule.action,
        subject=subject,
        customers=None if is_silence else standing.customers,
        share=standing.share,
        members=standing.members,
        team=None if labels.budgets is None else labels.budgets.team_of(TYPE, "", subject),
        began_ms=began_ms,
        mutes=() if is_silence else labels.mutes.get(name, ()),
    )


def _reason(place: tuple[str, str], rule: IncidentRule, standing: Standing, status: Status) -> str:
    name, where = place
    within = duration_text(rule.lookback)
    if status == "retracted":
        return f"{name}: what came late shows that nothing unusual happened at {where}"
    again = "; usual again" if status == "resolved" else ""
    if standing.how == "silence":
        seen = f"{standing.customers} customers came to {where} within {within}, usually {standing.usual:.0f}"
    elif standing.share is not None:
        seen = (
            f"{standing.customers} customers at {where}, up to {standing.share:.0%} of those of {within}, "
            f"usually {standing.usual:.1%}"
        )
    else:
        seen = f"{standing.customers} customers at {where}, usually {standing.usual:.1f} within {within}"
    return f"{name}: {seen}{again}"
