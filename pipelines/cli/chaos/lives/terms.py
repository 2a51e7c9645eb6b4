"""A policy's text as plain values: what is said of each kind of interactions, and whether its conditions hold."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from pipelines.cli.chaos.intake import milliseconds

Record = Mapping[str, Any]  # an interaction: Avro field names, occurred_at in ms


def _maybe_ms(text: str | None) -> int | None:
    return None if text is None else milliseconds(text)


_Conditions = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Entry:
    """A kind in a list of kinds, with its conditions and what else stands beside it."""

    kind: str
    where: _Conditions = ()
    times: float = 1.0
    promise_ms: int | None = None
    warn_ms: int | None = None


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def entries(listed: Iterable[Any] | None) -> list[Entry]:
    """The entries of a list of kinds."""
    found = []
    for one in listed or ():
        if isinstance(one, str):
            found.append(Entry(one))
            continue
        where = tuple(
            (attribute, tuple(_text(v) for v in (values if isinstance(values, list) else [values])))
            for attribute, values in one.get("where", {}).items()
        )
        times = float(one.get("times", 1.0))
        found.append(Entry(one["kind"], where, times, _maybe_ms(one.get("promise")), _maybe_ms(one.get("warn"))))
    return found


@dataclass(frozen=True)
class ClockTerms:
    """What a clock's section says."""

    name: str
    opens: list[Entry]
    closes: list[Entry]
    resets: list[Entry]
    breaks: list[Entry]
    pauses: list[Entry]
    resumes: list[Entry]
    match: str
    resets_again: bool
    promise_ms: int | None
    deadline: str | None
    warn_ms: int | None
    still_ms: list[int]
    repeat_ms: int | None


def _clock(name: str, said: Mapping[str, Any]) -> ClockTerms:
    if said.get("calendar", "always") != "always":
        raise ValueError(f"clocks.{name}: the model knows no calendars")
    lists = {key: entries(said.get(key)) for key in ("opens", "closes", "resets", "breaks", "pauses", "resumes")}
    return ClockTerms(
        name=name,
        **lists,
        match=said.get("match", "case"),
        resets_again=said.get("again", "keep") == "reset",
        promise_ms=_maybe_ms(said.get("promise")),
        deadline=said.get("deadline"),
        warn_ms=_maybe_ms(said.get("warn")),
        still_ms=[milliseconds(age) for age in said.get("still_waiting", ())],
        repeat_ms=_maybe_ms(said.get("repeat")),
    )


@dataclass(frozen=True)
class Terms:
    """What a policy says. ``said`` is its text, read."""

    said: Mapping[str, Any]

    @staticmethod
    def of(text: str) -> "Terms":
        return Terms(yaml.safe_load(text))

    @cached_property
    def clocks(self) -> list[ClockTerms]:
        return [_clock(name, said) for name, said in self.said.get("clocks", {}).items()]

    @cached_property
    def signals(self) -> dict[str, dict[str, Any]]:
        """By name, as they are said, with kinds, until and estimates as entries."""
        lists = ("kinds", "until", "estimates")
        return {n: {**s, **{key: entries(s.get(key)) for key in lists}} for n, s in self.said["signals"].items()}

    @cached_property
    def lists(self) -> dict[str, list[Entry]]:
        """Lists of kinds by section and key, such as ``cases.opens``; empty where nothing is said."""
        found: dict[str, list[Entry]] = {}
        for section, keys in {
            "cases": ("opens", "resolves", "reopens", "answered", "customer"),
            "contacts": ("kinds", "tried"),
            "social": ("kinds", "answers"),
            "deflection": ("searches", "contacts"),
        }.items():
            said = self.said.get(section) or {}
            found |= {f"{section}.{key}": entries(said.get(key)) for key in keys}
        return found

    def duration(self, section: str, key: str) -> int | None:
        """A duration of a section, None where none is said."""
        return _maybe_ms((self.said.get(section) or {}).get(key))

    @cached_property
    def patience(self) -> dict[str, float]:
        return {n: float((s or {}).get("patience", 1.0)) for n, s in (self.said.get("segments") or {}).items()}

    @cached_property
    def levels(self) -> list[tuple[float, float]]:
        """Scores at which each band above calm is entered and left."""
        return [(float(level["enter"]), float(level["leave"])) for level in self.said["bands"]["levels"]]

    # -- what an interaction says -------------------------------------------------------------------------------

    def found(self, listed: list[Entry], record: Record) -> Entry | None:
        """The first entry of a list that is about the interaction."""
        return next((e for e in listed if e.kind == record["kind"] and self._holds(e, record)), None)

    def _holds(self, entry: Entry, record: Record) -> bool:
        return all((self._told(name, record) or "unknown") in values for name, values in entry.where)

    def _told(self, name: str, record: Record) -> str | None:
        value: str | None
        match name:
            case "feedback":
                value = self.feedback(record)
            case "sentiment":
                value = _sentiment(record.get("sentiment"))
            case "channel" | "segment":
                value = record.get(name)
            case _:
                value = (record.get("attributes") or {}).get(name)
        return value

    def place_of_rating(self, record: Record) -> float | None:
        """From 0, the worst answer to its question, to 1; beyond that, it is no answer. None: it says nothing."""
        said, rating = self.said.get("feedback"), record.get("rating")
        if said is None or rating is None:
            return None
        question = (record.get("attributes") or {}).get("question") or said["question"]
        scale = said["questions"].get(question)
        return None if scale is None else float((rating - scale["worst"]) / (scale["best"] - scale["worst"]))

    def feedback(self, record: Record) -> str | None:
        """Bad, fair or good."""
        place, said = self.place_of_rating(record), self.said.get("feedback")
        if place is None or said is None:
            return None
        return "bad" if place < said["bad"] else "good" if place >= said["good"] else "fair"


def _sentiment(value: float | None) -> str | None:
    if value is None:
        return None
    return "negative" if value <= -0.25 else "positive" if value >= 0.25 else "neutral"
