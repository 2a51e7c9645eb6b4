"""The reason of an alert as one sentence, in the language of the policy, by templates that it may replace."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from pipelines.policy import Policy
from pipelines.wording_terms import NOT_BEFORE, REFUSES


class Told(NamedTuple):
    """What a sentence may speak of; times in epoch ms, durations in ms."""

    type: str
    status: str
    clock: str
    raised_ms: int
    opened_ms: int
    deadline_ms: int
    level: int
    paused_ms: int
    subject: str
    channel: str
    earlier: int


TEMPLATES: dict[str, dict[str, str]] = {
    "en": {
        "clock_warning": "{clock}: {left} left until the promise of {deadline} is broken.",
        "clock_warning.escalated": "{clock}: the promise of {deadline} has been broken.",
        "clock_breached": "{clock}: the promise of {deadline} has been broken.",
        "still_waiting": "{clock}: the customer still waits, said {level} times.",
        "repeat_contact": "The customer asks for the {level}. time about {subject}.",
        "social_risk": "A public complaint by a customer with an open case.",
        "resolved": "{clock}{subject_if_none}: it is over.",
        "retracted": "What arrived late shows that this should not have been said.",
        "paused": " It was paused for {paused} meanwhile.",
        "do_not_contact": "Do not contact the customer. Of this, only what needs no contact: {action}",
        "not_before": "Not before {time}: {action}",
    },
    "tr": {
        "clock_warning": "{clock}: {deadline} sözünün dolmasına {left} kaldı.",
        "clock_warning.escalated": "{clock}: {deadline} sözü tutulmadı.",
        "clock_breached": "{clock}: {deadline} sözü tutulmadı.",
        "still_waiting": "{clock}: müşteri hâlâ bekliyor, {level} kez söylendi.",
        "repeat_contact": "Müşteri {subject} konusunu {level}. kez soruyor.",
        "social_risk": "Açık kaydı olan bir müşteriden herkese açık şikâyet.",
        "resolved": "{clock}{subject_if_none}: sona erdi.",
        "retracted": "Geç gelen bilgi, bunun söylenmemesi gerektiğini gösteriyor.",
        "paused": " Arada {paused} durduruldu.",
        "do_not_contact": "Müşteriyle iletişime geçmeyin. Yalnızca iletişim gerektirmeyen kısmı: {action}",
        "not_before": "{time} saatinden önce değil: {action}",
    },
}


def reason_of(told: Told, policy: Policy) -> str:
    """One sentence in the policy's language."""
    templates = _templates(policy)
    key = told.status if told.status in {"resolved", "retracted"} else f"{told.type}.{told.status}"
    template = templates.get(key) or templates[told.type]
    said = template.format(
        clock=told.clock.replace("_", " "),
        subject_if_none="" if told.clock else told.subject,
        deadline=_time(told.deadline_ms),
        left=_span(max(0, told.deadline_ms - told.raised_ms)),
        waited=_span(max(0, told.raised_ms - told.opened_ms)),
        level=told.level,
        subject=told.subject,
        channel=told.channel,
        earlier=told.earlier,
        paused=_span(told.paused_ms),
    )
    return said + (templates["paused"].format(paused=_span(told.paused_ms)) if told.paused_ms else "")


def action_of(action: str | None, policy: Policy, *, refuses: bool, not_before: datetime | None) -> str | None:
    """What to do for a customer who does not want to be contacted, or not before a local time; None for nothing."""
    if action is None:
        return None
    if refuses:
        return _templates(policy)[REFUSES].format(action=action)
    if not_before is not None:
        return _templates(policy)[NOT_BEFORE].format(action=action, time=f"{not_before:%Y-%m-%d %H:%M %Z}")
    return action


def _templates(policy: Policy) -> dict[str, str]:
    """The sentences of the policy, ours where it has none."""
    own = policy.file.wording
    language = "en" if own is None else own.language
    return {**TEMPLATES[language], **({} if own is None else own.templates)}


def _time(at_ms: int) -> str:
    return _minute(at_ms // 60_000) if at_ms else "-"


@lru_cache(4096)
def _minute(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _span(ms: int) -> str:
    minutes = ms // 60_000
    if minutes >= 2 * 1440:
        return f"{minutes // 1440} d"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
