"""The reason of an alert as one sentence, in the language of the policy, by templates that it may replace."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from string import Formatter
from typing import Any

from pipelines.policy import Policy
from pipelines.wording_terms import NOT_BEFORE, PAUSED, REFUSES

_MOST_KNOWN = 50_000  # sentences


TEMPLATES: dict[str, dict[str, str]] = {
    "en": {
        "clock_warning": "{clock}: {left} left until the promise of {deadline} is broken.",
        "clock_warning.escalated": "{clock}: the promise of {deadline} has been broken.",
        "clock_breached": "{clock}: the promise of {deadline} has been broken.",
        "still_waiting": "{clock}: the customer still waits, for {waited} now.",
        "repeat_contact": "The customer asks about {subject} again: contact number {level}.",
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
        "still_waiting": "{clock}: müşteri {waited} süredir bekliyor.",
        "repeat_contact": "Müşteri {subject} konusunu {level}. kez soruyor.",
        "social_risk": "Açık kaydı olan bir müşteriden herkese açık şikâyet.",
        "resolved": "{clock}{subject_if_none}: sona erdi.",
        "retracted": "Geç gelen bilgi, bunun söylenmemesi gerektiğini gösteriyor.",
        "paused": " Arada {paused} durduruldu.",
        "do_not_contact": "Müşteriyle iletişime geçmeyin. Yalnızca iletişim gerektirmeyen kısmı: {action}",
        "not_before": "{time} saatinden önce değil: {action}",
    },
}


class Sentences:
    """Reasons in a policy's language, remembered by what they speak of: most alerts say what others have said."""

    def __init__(self, policy: Policy) -> None:
        self._templates = _templates(policy)
        self._known: dict[tuple[object, ...], str] = {}

    def reasons(self, kind: str, status: str, clock: str, said: Mapping[str, Sequence[object]]) -> list[str]:
        """One sentence for each alert of a type, a status and a clock (empty for none).

        said: by placeholder what it speaks of, for each alert: whole minutes for ``deadline`` (of the epoch, 0 for
        none), ``left``, ``waited`` and ``paused``. Those of the clock are not asked for.
        """
        key = status if status in {"resolved", "retracted"} else f"{kind}.{status}"
        template = self._templates.get(key) or self._templates[kind]
        parts = [part for part in _parts_of(template) if part in said]
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        known, made = self._known, []
        for values in zip(said[PAUSED], *(said[part] for part in parts), strict=True):
            about = (template, clock, *values)
            sentence = known.get(about)
            if sentence is None:
                own = dict(zip(parts, values[1:], strict=True))
                sentence = known[about] = self._sentence(template, clock, {PAUSED: values[0], **own})
            made.append(sentence)
        return made

    def _sentence(self, template: str, clock: str, values: Mapping[str, Any]) -> str:
        words = {name: _WORDS.get(name, str)(value) for name, value in values.items()}
        sentence = template.format(
            **words, clock=clock.replace("_", " "), subject_if_none="" if clock else words.get("subject", "")
        )
        return sentence + (self._templates[PAUSED].format(paused=words[PAUSED]) if values[PAUSED] else "")


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


@lru_cache(256)
def _parts_of(template: str) -> tuple[str, ...]:
    """What the sentences of a template depend on."""
    parts = (name for _, name, _, _ in Formatter().parse(template) if name is not None)
    return tuple({"subject" if part == "subject_if_none" else part: None for part in parts if part != PAUSED})


def _time(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%d %H:%M UTC") if minute else "-"


def _span(minutes: int) -> str:
    if minutes >= 2 * 1440:
        return f"{minutes // 1440} d"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


_WORDS: Mapping[str, Callable[[Any], str]] = {"deadline": _time, "left": _span, "waited": _span, PAUSED: _span}
