"""How a watched place is stored: as JSON, its state at the end of the last settled slot and what was told of it."""

import json
from typing import Any

import numpy as np

from pipelines.incidents.base import FAST, HOURS, RATE, SHARE, SLOW, Base
from pipelines.incidents.judge import Standing, State
from pipelines.incidents.places import Partial, Told, Watched
from pipelines.incidents.sums import SlotSums

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def stored(watched: Watched, slot_ms: int, lookback: int) -> bytes:
    """A place under a rule with such slots and lookbacks, which come first: what has others is not comparable."""
    settled = watched.settled if watched.is_stored else None
    told = {key: [t.revision, t.status, t.standing, t.about] for key, t in watched.told.items()}
    return json_of([slot_ms, lookback, settled, watched.newest, _said(watched.points[0][1]), told])


def json_of(said: Any) -> bytes:
    """As JSON, in as few bytes as can be."""
    return _ENCODER.encode(said).encode()


def partial_of(said: list[Any]) -> Partial:
    """A partial as it was stored."""
    offset, tried, failed, attempted, members = said
    return Partial(offset, tuple(tried), tuple(failed), attempted, tuple(members))


def restored(said: list[Any], lookback: int) -> Watched:
    """A place as ``stored`` wrote it, without its slots."""
    settled, newest, state, told = said
    known = {key: Told(revision, status, _standing(s), about) for key, (revision, status, s, about) in told.items()}
    points = [(settled or 0, _state(state, newest))]
    return Watched(points, SlotSums(lookback), told=known, is_stored=settled is not None, newest=newest)


def _standing(said: list[Any]) -> Standing:
    found = Standing(*said)
    return found._replace(members=tuple(found.members))


def _said(state: State) -> list[Any]:
    words = state.base.words
    rates = [words[at : at + RATE].tolist() for at in (SHARE, SLOW, FAST)]
    meanwhile = state.meanwhile and _hours_of(state.meanwhile)
    return [[*rates, _hours_of(state.base)], *state[1:-1], meanwhile]


def _hours_of(base: Base) -> list[Any]:
    hours: list[Any] = base.words[HOURS:].reshape(-1, 2, RATE).tolist()
    return hours


def _state(said: list[Any], newest: int) -> State:
    """newest: when somebody came last, for states that were stored before they said it."""
    (*rates, hours), failing, silent, _, unusual_to, is_new, *more = said
    heard, meanwhile = more or (newest, None)
    began = failing and _standing(failing), silent and _standing(silent)
    base = _base(rates, hours)
    return State(base, *began, (), unusual_to, is_new, heard, meanwhile and _base(rates, meanwhile))


def _base(rates: list[Any], hours: list[Any]) -> Base:
    both = [hour if isinstance(hour[0], list) else [hour, [0.0] * RATE] for hour in hours]  # once there was one each
    return Base(np.concatenate([np.ravel(rates), np.ravel(both)]).astype(np.float64))
