"""How a watched place is stored: as JSON, its state at the end of the last settled slot and what was told of it."""

import json
from typing import Any

from pipelines.incidents.base import NO_RATE, Base, Hour, Rate
from pipelines.incidents.judge import Standing, State
from pipelines.incidents.places import Partial, Told, Watched

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def stored(watched: Watched, slot_ms: int, lookback: int) -> bytes:
    """A place under a rule with such slots and lookbacks, which come first: what has others is not comparable."""
    settled = watched.settled if watched.is_stored else None
    told = {key: [t.revision, t.status, t.standing, t.about] for key, t in watched.told.items()}
    return json_of([slot_ms, lookback, settled, watched.newest, watched.states[0], told])


def json_of(said: Any) -> bytes:
    """As JSON, in as few bytes as can be."""
    return _ENCODER.encode(said).encode()


def partial_of(said: list[Any]) -> Partial:
    """A partial as it was stored."""
    offset, tried, failed, attempted, members = said
    return Partial(offset, tuple(tried), tuple(failed), attempted, tuple(members))


def restored(said: list[Any]) -> Watched:
    """A place as ``stored`` wrote it, without its slots."""
    settled, newest, state, told = said
    known = {key: Told(revision, status, _standing(s), about) for key, (revision, status, s, about) in told.items()}
    return Watched(settled or 0, [_state(state, newest)], told=known, is_stored=settled is not None, newest=newest)


def _standing(said: list[Any]) -> Standing:
    found = Standing(*said)
    return found._replace(members=tuple(found.members))


def _state(said: list[Any], newest: int) -> State:
    """newest: when somebody came last, for states that were stored before they said it."""
    (share, slow, fast, hours), failing, silent, _, unusual_to, is_new, *more = said
    heard, meanwhile = more or (newest, None)
    base = Base(Rate(*share), Rate(*slow), Rate(*fast), _hours(hours))
    began = failing and _standing(failing), silent and _standing(silent)
    return State(base, *began, (), unusual_to, is_new, heard, meanwhile and _hours(meanwhile))


def _hours(said: list[Any]) -> tuple[Hour, ...]:
    both = (hour if isinstance(hour[0], list) else [hour, NO_RATE] for hour in said)  # before, there was one of an hour
    return tuple(Hour(Rate(*usual), Rate(*odd)) for usual, odd in both)
