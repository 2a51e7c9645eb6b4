"""Conditions of a policy that cannot hold, and entries that others stand before."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from pipelines.policy.keys import did_you_mean
from pipelines.policy.model import PolicyFile
from pipelines.policy.rule_compiler import FEEDBACK, SENTIMENT
from pipelines.policy.terms import UNKNOWN, When
from schemas.vocabulary import ATTRIBUTES

_ATTRIBUTES = (*ATTRIBUTES, "channel", "feedback", "segment", "sentiment")


def condition_warnings(file: PolicyFile) -> Iterator[str]:
    """What entries ask for that never is, a line each: the key, and why."""
    values = {"feedback": FEEDBACK, "sentiment": SENTIMENT, "segment": tuple(file.segments)}
    for key, entries in _lists(file, ()):
        taken: set[str] = set()
        for n, entry in enumerate(entries):
            if entry.kind in taken:
                yield f"{key}.{n}: is never asked, for an entry before it takes all of {entry.kind}"
            if not entry.where:
                taken.add(entry.kind)
            for attribute, said in entry.where.items():
                if attribute not in _ATTRIBUTES and (near := did_you_mean(attribute, _ATTRIBUTES, 0.75)):
                    yield f"{key}.{n}.where.{attribute}: the vocabulary has no such attribute{near}"
                known = values.get(attribute, said)  # of others the policy does not know what they say
                for value in said:
                    if value not in (*known, UNKNOWN):
                        told = f"none of {', '.join(known)}" if known else "nothing that the policy names"
                        yield f"{key}.{n}.where.{attribute}: {value} is {told}"
                if attribute == "feedback" and file.feedback is None:
                    yield f"{key}.{n}.where.feedback: nothing is good or bad without the section feedback"
    fed: dict[str, str] = {}
    for name, signal in file.signals.items():
        if signal.derived is not None and fed.setdefault(signal.derived, name) != name:
            yield f"signals.{name}.derived: {signal.derived} feeds {fed[signal.derived]} alone"


def _lists(said: Any, path: tuple[str, ...]) -> Iterator[tuple[str, tuple[When, ...]]]:
    """Every list of entries with its key."""
    if isinstance(said, BaseModel):
        for name in type(said).model_fields:
            yield from _lists(getattr(said, name), (*path, name))
    elif isinstance(said, dict):
        for name, value in said.items():
            yield from _lists(value, (*path, str(name)))
    elif isinstance(said, tuple) and said and all(isinstance(one, When) for one in said):
        yield ".".join(path), said
