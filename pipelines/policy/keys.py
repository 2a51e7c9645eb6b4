"""Which keys a section of a policy may have, for those who have written another one."""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from pipelines.policy.model import PolicyFile

_MOST_TOLD = 20


def allowed_keys(path: Sequence[str | int]) -> list[str]:
    """The keys of the section at ``path``, in their order; of all that it may be, where it may be several."""
    schema = PolicyFile.model_json_schema()
    sections: Iterable[Any] = [schema]
    for part in path:
        inner = [one for section in _simple(sections, schema["$defs"]) for one in _inner(section, part)]
        sections = inner or sections  # else it is a name that pydantic gives to one of several
    return list(dict.fromkeys(key for section in _simple(sections, schema["$defs"]) for key in section["properties"]))


def nearest(said: str, allowed: Sequence[str]) -> str:
    """What may be said instead, to be told behind it; nothing when there is nothing."""
    near = did_you_mean(said, allowed, 0.6)
    return near or (f"; may be {', '.join(allowed)}" if 0 < len(allowed) <= _MOST_TOLD else "")


def did_you_mean(said: str, known: Iterable[str], likeness: float) -> str:
    """What was probably meant, of what is known; nothing when nothing is as like (0 to 1) as that."""
    near = get_close_matches(said, known, n=1, cutoff=likeness)
    return f" (did you mean {near[0]}?)" if near else ""


def _simple(sections: Iterable[Any], definitions: Any) -> Iterator[Any]:
    for section in sections:
        if "$ref" in section:
            yield from _simple([definitions[section["$ref"].rpartition("/")[2]]], definitions)
        elif "anyOf" in section or "oneOf" in section:
            yield from _simple(section.get("anyOf", section.get("oneOf")), definitions)
        else:
            yield {"properties": {}, **section}


def _inner(section: Any, part: str | int) -> Iterator[Any]:
    if isinstance(part, int):
        if "items" in section:
            yield section["items"]
    elif part in section["properties"]:
        yield section["properties"][part]
    else:
        yield from section.get("patternProperties", {}).values()  # of names, all of which are of one kind
