"""The outcome of a run under the whole meaning held against the lives of its customers."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pipelines.cli.chaos.comparison import Comparison
from pipelines.cli.chaos.intake import added
from pipelines.cli.chaos.lives.life import Life
from pipelines.cli.chaos.lives.model import LivesModel, alert_id
from pipelines.cli.chaos.standing import Standing, Stored, Waiting


def compared_whole(found: Standing, want: Mapping[int, LivesModel]) -> Comparison:
    """Hold what is stored, the last word on alerts, scores, windows and dead letters against those of the models."""
    c = Comparison()
    lives = lives_of(found, want)
    compare_lives(c, found, lives, want)
    _hold_scores(c, found, lives, want)
    c.hold("windows", found.public.windows, {place: tuple(waits) for place, waits in added(want.values()).items()})
    c.hold("dead letters by reason", found.public.dead_letters, sum((m.rejected for m in want.values()), Counter()))
    c.once(found.public.doubled)
    return c


def lives_of(found: Standing, want: Mapping[int, LivesModel]) -> dict[str, tuple[int, Life]]:
    """By customer the partition and the life up to the time to which the partition has been advanced."""
    to_ms = found.advanced_ms
    return {name: (p, model.life(name, to_ms.get(p, 0))) for p, model in want.items() for name in model.customers}


def compare_lives(
    c: Comparison, found: Standing, lives: Mapping[str, tuple[int, Life]], want: Mapping[int, LivesModel]
) -> None:
    """Hold what is stored, and the last word on alerts, against lives."""
    gone = {n for n, (p, life) in lives.items() if n not in found.customers and want[p].may_be_gone(n, life)}
    here = {name: one for name, one in lives.items() if name not in gone}
    c.counts |= {"customers forgotten": len(gone), "sent again": sum(model.repeated for model in want.values())}
    _hold_customers(c, found.customers, here, want)
    _hold_alerts(c, found, {name: life for name, (_, life) in lives.items()})


def _hold_customers(
    c: Comparison, found: Mapping[str, Stored], here: Mapping[str, tuple[int, Life]], want: Mapping[int, LivesModel]
) -> None:
    c.counts["interactions"] = sum(life.interactions for _, life in here.values())
    c.hold(
        "customers",
        {name: (s.partition, s.interactions, s.segment) for name, s in found.items()},
        {name: (p, life.interactions, life.known_segment) for name, (p, life) in here.items()},
    )
    c.hold("open clocks", _some({n: s.clocks for n, s in found.items()}), _some({n: _clocks(v) for n, v in _of(here)}))
    c.hold(
        "open cases",
        _some({name: s.cases for name, s in found.items()}),
        _some({n: sorted((case.case_id, case.opened_ms) for case in life.open_cases()) for n, life in _of(here)}),
    )
    since_ms = {name: life.contacts_since_ms for name, life in _of(here)}
    c.hold(
        "recent contacts",
        _some({n: [at_ms for at_ms in s.contacts_ms if at_ms > since_ms.get(n, 0)] for n, s in found.items()}),
        _some({name: life.recent_contacts_ms for name, life in _of(here)}),
    )
    c.near(
        "heats",
        {(name, signal): heat for name, s in found.items() for signal, heat in s.heat.items() if heat > _NO_HEAT},
        {(n, signal): h for n, life in _of(here) for signal, h in life.heat().items() if h > _NO_HEAT},
    )
    exact = {name for name, (p, _) in here.items() if want[p].customers[name].has_band}
    c.hold(
        "bands",
        {name: s.band for name, s in found.items() if name in exact},
        {name: life.band for name, life in _of(here) if name in exact},
    )
    c.counts["bands that may differ by path"] = len(here) - len(exact)
    left = [name for name, life in _of(here) if name in found and life.would_leave(found[name].band)]
    c.problems += [f"band of {name!r} should have been left by decay" for name in left[:1]]


_NO_HEAT = 1e-6  # what is left of old heat may be stored or not


def _of(here: Mapping[str, tuple[int, Life]]) -> list[tuple[str, Life]]:
    return [(name, life) for name, (_, life) in here.items()]


def _some(found: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Those of whom there is something."""
    return {name: some for name, some in found.items() if some}


def _clocks(life: Life) -> list[Waiting]:
    clocks = [
        Waiting(k.name, k.opened_ms, k.due_ms, k.said_case_id, k.breached, k.paused_at_ms is not None)
        for k in life.clocks
    ]
    return sorted(clocks, key=repr)


def _hold_alerts(c: Comparison, found: Standing, lives: Mapping[str, Life]) -> None:
    """The last word on each alert; what was retracted has never been said."""
    want = {
        alert_id(name, about): (about[0], status)
        for name, life in lives.items()
        for about, status in life.alerts.items()
    }
    stands = {about: said for about, said in found.alerts.items() if said[1] != "retracted"}
    for kind in ("clock_warning", "clock_breached", "still_waiting", "repeat_contact", "social_risk"):
        c.hold(
            kind,
            {about: status for about, (of, status) in stands.items() if of == kind},
            {about: status for about, (of, status) in want.items() if of == kind},
        )
    c.counts["retracted"] = len(found.alerts) - len(stands)


def _hold_scores(
    c: Comparison, found: Standing, lives: Mapping[str, tuple[int, Life]], want: Mapping[int, LivesModel]
) -> None:
    scores = found.public.scores
    c.hold(
        "last scores",
        {name: score.interactions for name, score in scores.items()},
        {name: life.interactions for name, (_, life) in lives.items()},
    )
    told = {name: score for name, score in scores.items() if name in lives}
    c.near(
        "values of last scores",
        {name: score.score for name, score in told.items()},
        {name: want[lives[name][0]].life(name, score.scored_ms).score(score.scored_ms) for name, score in told.items()},
    )
