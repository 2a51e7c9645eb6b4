"""Alerts of touchpoint incidents."""

from pipelines.alerts import Alert, Status, alert_id
from pipelines.durations import duration_text
from pipelines.incident_judge import Standing
from pipelines.incident_model import IncidentRule

TYPE = "touchpoint_incident"


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
    policy: str,
) -> Alert:
    """A revision. about_ms: which incident of the place. at_ms: the end of the slot of which it speaks."""
    name, where = place
    about = "silence" if standing.how == "silence" else "failures"
    is_silence = standing.how == "silence"
    return Alert(
        alert_id=alert_id(TYPE, name, where, about, about_ms),
        revision=revision,
        type=TYPE,
        status=status,
        customer_id=None,
        raised_ms=at_ms,
        reason=_reason(place, rule, standing, status),
        policy=policy,
        touchpoint=where if rule.by == "touchpoint" else None,
        priority=rule.priority,
        suggested_action=rule.action,
        subject=where if rule.by == "subject" else None,
        customers=None if is_silence else standing.customers,
        share=standing.share,
        members=standing.members,
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
