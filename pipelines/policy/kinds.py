"""What each kind of interactions does under a policy, in words: for people who read it, not for the kernels."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pipelines.policy.clock_model import Clock, Promise
from pipelines.policy.durations import duration_text
from pipelines.policy.marks import ACKNOWLEDGED, ASSIGNED, DISMISSED, MARK_KINDS
from pipelines.policy.model import PolicyFile
from pipelines.policy.policy import Policy
from pipelines.policy.signal_model import Signal
from pipelines.policy.terms import Fed, Opening, When


class Effect(NamedTuple):
    """What an entry of a policy does. key: where it stands, such as ``clocks.reply.opens``."""

    kind: str
    key: str
    said: str


def effects(file: PolicyFile) -> Iterator[Effect]:
    """What every entry of a policy does, by kind in the order of the file: clocks, cases and so on, then signals."""
    yield from _sections(file)
    for name, clock in file.clocks.items():
        yield from _of_clock(name, clock)
    for name, signal in file.signals.items():
        yield from _of_signal(name, signal)
    if file.incidents is not None:
        for name, rule in file.incidents.rules.items():
            key = f"incidents.rules.{name}"
            yield from (Effect(kind, f"{key}.attempts", f"attempt of incident {name}") for kind in rule.attempts)
            yield from (Effect(kind, f"{key}.failures", f"failure of incident {name}") for kind in rule.failures)
    if file.preferences is not None:
        told = "says how to contact the customer"
        yield from (Effect(kind, "preferences.kinds", told) for kind in file.preferences.kinds)
    yield from (Effect(kind, "windows.kinds", "wait windows") for kind in file.windows.kinds)
    yield from (Effect(kind, "known", "known, without effect") for kind in file.known)


def own_effects(policy: Policy) -> Iterator[Effect]:
    """What kinds do that need no entry: marks of alerts, under a policy that looks at more than kinds and times."""
    told = {
        ACKNOWLEDGED: "somebody has seen the alert attributes.alert_id: its next revision says so",
        ASSIGNED: "somebody takes the alert attributes.alert_id: its next revision says who",
        DISMISSED: "the alert attributes.alert_id is not told again in its episode: its next revision says why",
    }
    if policy.needs_details:
        yield from (Effect(kind, "", told[does]) for kind, does in MARK_KINDS.items())


def promise_text(promise: Promise | int) -> str:
    """A promise as it is written."""
    if isinstance(promise, Promise):
        return f"{promise.business_days}bd" if promise.business_days else duration_text(promise.ms)
    return duration_text(promise)


def _sections(file: PolicyFile) -> Iterator[Effect]:
    said: list[tuple[str, str, Iterable[When] | None]] = []
    if (cases := file.cases) is not None:
        said += [
            ("cases.opens", "opens case", cases.opens),
            ("cases.resolves", "closes case", cases.resolves),
            ("cases.reopens", "reopens case", cases.reopens),
            ("cases.answered", "answers in case: silence begins", cases.answered),
            ("cases.customer", "customer speaks in case: silence ends", cases.customer),
        ]
    if (contacts := file.contacts) is not None:
        said += [
            ("contacts.kinds", "contact", contacts.kinds),
            ("contacts.tried", "says what was tried", contacts.tried),
        ]
    if (social := file.social) is not None:
        said += [("social.kinds", "mention", social.kinds), ("social.answers", "answers mention", social.answers)]
    if (pages := file.deflection) is not None:
        said += [
            ("deflection.searches", "search without a result", pages.searches),
            ("deflection.contacts", "contact after a search", pages.contacts),
        ]
    for key, words, whens in said:
        yield from (_effect(when, key, words) for when in whens or ())


def _of_clock(name: str, clock: Clock) -> Iterator[Effect]:
    parts = ("opens", "closes", "resets", "breaks", "pauses", "resumes")
    for part in parts:
        for when in getattr(clock, part) or ():
            told = _told_promise(when, clock) if isinstance(when, Opening) else ""
            yield _effect(when, f"clocks.{name}.{part}", f"{part} clock {name}{told}")


def _told_promise(opening: Opening, clock: Clock) -> str:
    promise, warn = opening.promise or clock.promise, opening.warn or clock.warn
    parts = [f"promise {promise_text(promise)}"] if promise else []
    parts += [f"warned {duration_text(warn)} before"] if warn else []
    return f": {', '.join(parts)}" if parts else ""


def _of_signal(name: str, signal: Signal) -> Iterator[Effect]:
    verb = "relief" if signal.relief else "signal"
    for fed in signal.kinds:
        weight = f"{signal.weight * (fed.times if isinstance(fed, Fed) else 1.0):g}"
        size = "" if signal.magnitude == "one" else f" * {signal.magnitude}"
        yield _effect(fed, f"signals.{name}.kinds", f"{verb} {name}: {weight}{size}")
    yield from (_effect(w, f"signals.{name}.until", f"ends the row of {name}") for w in signal.until or ())
    yield from (_effect(w, f"signals.{name}.estimates", f"shows the cost for {name}") for w in signal.estimates or ())


def _effect(when: When, key: str, said: str) -> Effect:
    where = ", ".join(f"{attribute} {'|'.join(values)}" for attribute, values in when.where.items())
    return Effect(when.kind, key, f"{said} (where {where})" if where else said)
