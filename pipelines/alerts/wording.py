"""The reason of an alert as one sentence, in the language of the policy, by templates that it may replace."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from string import Formatter
from typing import Any

from pipelines.alerts.languages import ENGLISH, LANGUAGES, Language
from pipelines.policy.policy import Policy
from pipelines.policy.wording_terms import (
    BAND,
    INCIDENT,
    NOT_BEFORE,
    PAUSED,
    REFUSES,
    REPEAT_CONTACT,
    SOCIAL_RISK,
    subject_name,
)  # fmt: skip

_MOST_KNOWN = 50_000  # sentences
_MADE_OF = "\x1fmade of\x1f"  # stands where a sentence says what a score is made of


class Sentences:
    """Reasons in a policy's language, remembered by what they speak of: most alerts say what others have said."""

    def __init__(self, policy: Policy) -> None:
        language = language_of(policy)
        self._templates = language.templates
        spans = dict.fromkeys(("left", "waited", PAUSED), language.span)
        self._words: Mapping[str, Callable[[Any], str]] = {"deadline": _time, **spans}
        self._known: dict[tuple[object, ...], str] = {}

    def reasons(self, kind: str, status: str, clock: str, said: Mapping[str, Sequence[object]]) -> list[str]:
        """One sentence for each alert of a type, a status and a clock (empty for none).

        said: by placeholder what it speaks of, for each alert: whole minutes for ``deadline`` (of the epoch, 0 for
        none), ``left``, ``waited`` and ``paused``. Those of the clock are not asked for.
        """
        for_all = status if status in {"resolved", "retracted"} else kind
        template = self._templates.get(f"{kind}.{status}") or self._templates[for_all]
        parts = [part for part in _parts_of(template) if part in said]
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        known, made = self._known, []
        paused = [
            (still, waited) if still else (0, 0) for still, waited in zip(said[PAUSED], said["waited"], strict=True)
        ]
        for still, *values in zip(paused, *(said[part] for part in parts), strict=True):
            about = (template, clock, still, *values)
            sentence = known.get(about)
            if sentence is None:
                own = {PAUSED: still[0], **dict(zip(parts, values, strict=True))}
                sentence = known[about] = self._sentence(template, clock, still, own)
            made.append(sentence)
        return made

    def _sentence(self, template: str, clock: str, paused: tuple[object, object], values: Mapping[str, Any]) -> str:
        words = {name: self._words.get(name, str)(value) for name, value in values.items()}
        sentence = template.format(
            **words, clock=clock.replace("_", " "), subject_if_none="" if clock else words.get("subject", "")
        )
        if not paused[0]:
            return sentence
        return sentence + self._templates[PAUSED].format(
            paused=self._words[PAUSED](paused[0]), waited=self._words["waited"](paused[1])
        )


def action_of(action: str | None, policy: Policy, *, refuses: bool, not_before: datetime | None) -> str | None:
    """What to do for a customer who does not want to be contacted, or not before a local time; None for nothing."""
    if action is None:
        return None
    if refuses:
        return language_of(policy).templates[REFUSES].format(action=action)
    if not_before is not None:
        return language_of(policy).templates[NOT_BEFORE].format(action=action, time=f"{not_before:%Y-%m-%d %H:%M %Z}")
    return action


def band_reasons(told: Iterable[tuple[str, str, float, Sequence[tuple[str, float]]]], language: Language) -> list[str]:
    """Why band alerts are told.

    told: of each its status, band, score, and the names of signals with their heats, the largest first. Numbers are
    whole ones: what sentences have in common is made once.
    """
    frames: dict[tuple[str, str, float], list[str]] = {}
    parts: dict[tuple[str, float], str] = {}
    reasons = []
    for status, band, score, made_of in told:
        frame = frames.get((status, band, score))
        if frame is None:
            template = language.templates.get(f"{BAND}.{status}") or language.templates[BAND]
            sentence = template.format(score=language.number(score), band=band, made_of=_MADE_OF)
            frame = frames[status, band, score] = sentence.split(_MADE_OF)
        listed = []
        for one in made_of:
            if not one[1]:
                continue
            part = parts.get(one)
            if part is None:
                less = "" if one[1] > 0 else f"{language.less} "
                part = parts[one] = f"{less}{one[0].replace('_', ' ')} {language.number(abs(one[1]))}"
            listed.append(part)
        reasons.append((", ".join(listed) or language.nothing).join(frame))
    return reasons


def language_of(policy: Policy) -> Language:
    """The language of the policy, with its own sentences in the place of ours."""
    own = policy.file.wording
    if own is None:
        return ENGLISH
    language = LANGUAGES[own.language]
    ours = dict(language.templates)
    for name in own.templates:
        if name in {"resolved", "retracted"}:  # of all types, but those that speak of no clock or subject
            ours.pop(f"{SOCIAL_RISK}.{name}", None)
            ours.pop(f"{REPEAT_CONTACT}.{name}", None)
        elif name.startswith(INCIDENT):  # what is said of touchpoints is said of subjects too
            ours.pop(subject_name(name), None)
        else:
            ours.pop(f"{name}.escalated", None)
    return language._replace(templates={**ours, **own.templates})


@lru_cache(256)
def _parts_of(template: str) -> tuple[str, ...]:
    """What the sentences of a template depend on."""
    parts = (name for _, name, _, _ in Formatter().parse(template) if name is not None)
    return tuple({"subject" if part == "subject_if_none" else part: None for part in parts if part != PAUSED})


def _time(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%d %H:%M UTC") if minute else "-"
