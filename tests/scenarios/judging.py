"""Holds what came of a scenario against what its file expects, and says what is different."""

from collections.abc import Sequence

from pipelines.alerts.alert import Alert, OpenClock
from pipelines.incidents.muting import Muting
from tests.scenarios.playing import NOBODY, Played, Standing, played
from tests.scenarios.scenario_files import Bound, Case, Contact, Expected, Moment, ScenarioFile

_TOLERANCE_MS = 1_000


def moments_of(file: ScenarioFile, expect: Sequence[Expected]) -> list[int]:
    """When something is judged."""
    bounds = [b for e in expect for b in (e.score, e.heat, *e.heats.values()) if b is not None]
    moments = [e.when for e in expect] + [m for e in expect for m in (e.at, e.by) if m is not None]
    return sorted({file.ms(m) for m in [*moments, *(b.share_of for b in bounds if b.share_of is not None)]})


def is_at(file: ScenarioFile, moment: Moment, at_ms: int) -> bool:
    return abs(file.ms(moment) - at_ms) <= _TOLERANCE_MS


def holds(bound: Bound, value: float, of: str, result: Played, e: Expected, other: str = "heat") -> bool:
    """Whether a number is what it may be. other: which number of a time or of somebody else it is compared with."""
    if bound.share_of is not None:
        before = result.standing[result.file.ms(bound.share_of)].get(of, NOBODY)
        return value <= bound.most * float(getattr(before, other))
    if bound.more_than is not None:
        theirs = result.standing[result.file.ms(e.when)]
        assert bound.more_than in theirs, f"nobody is called {bound.more_than}"
        return value > float(getattr(theirs[bound.more_than], other)) + 1e-9
    return bound.least <= value <= bound.most


def clocks_as_said(file: ScenarioFile, clocks: Sequence[OpenClock], said: Expected) -> bool:
    """Whether the open clocks are those that are expected, with the deadlines that are."""
    assert said.open_clocks is not None
    left = list(clocks)
    for expected in said.open_clocks:
        name, moment = (expected, None) if isinstance(expected, str) else next(iter(expected.items()))
        due = [
            c
            for c in left
            if c.clock == name
            and (moment is None or (c.deadline_ms is not None and is_at(file, moment, c.deadline_ms)))
        ]
        if not due:
            return False
        left.remove(due[0])
    return not left


def unlike(e: Expected, told_ms: int, alert: Alert, result: Played) -> list[str]:
    """What of an alert is not as expected."""
    file, found = result.file, []
    plain = {
        "status": (e.status, alert.status), "clock": (e.clock, alert.clock), "case": (e.case, alert.case_id),
        "band": (e.band, alert.band), "channel": (e.channel, alert.channel), "subject": (e.subject, alert.subject),
        "touchpoint": (e.touchpoint, alert.touchpoint), "priority": (e.priority, alert.priority),
        "revision": (e.revision, alert.revision), "team": (e.team, alert.team),
        "handling": (e.handling, alert.handling), "assignee": (e.assignee, alert.assignee),
        "do not contact": (e.do_not_contact, alert.do_not_contact), "held back": (e.held_back, alert.held_back),
    }  # fmt: skip
    found += [f"{key} {got}" for key, (want, got) in plain.items() if want is not None and want != got]
    if e.at is not None and not is_at(file, e.at, alert.raised_ms):
        found.append(f"raised {file.text(alert.raised_ms)}")
    if e.by is not None and alert.raised_ms > file.ms(e.by):
        found.append(f"raised {file.text(alert.raised_ms)}")
    if e.at is not None and not is_at(file, e.when, told_ms):
        found.append(f"told {file.text(told_ms)}")
    if e.deadline is not None and (alert.deadline_ms is None or not is_at(file, e.deadline, alert.deadline_ms)):
        found.append(f"deadline {alert.deadline_ms and file.text(alert.deadline_ms)}")
    if e.not_before is not None and (alert.not_before_ms is None or not is_at(file, e.not_before, alert.not_before_ms)):
        found.append(f"not before {alert.not_before_ms and file.text(alert.not_before_ms)}")
    if e.action is not None and e.action not in (alert.suggested_action or ""):
        found.append(f"action {alert.suggested_action}")
    if e.reason is not None and e.reason not in alert.reason:
        found.append(f"reason {alert.reason}")
    if e.open_clocks is not None and not clocks_as_said(file, alert.open_clocks, e):
        found.append(f"open clocks {[c.clock for c in alert.open_clocks]}")
    if e.made_of is not None and [c.signal for c in alert.contributions] != e.made_of:
        found.append(f"made of {[(c.signal, round(c.heat, 1)) for c in alert.contributions]}")
    for key, bound, value in (
        ("score", e.score, alert.score), ("customers", e.customers, alert.customers), ("share", e.share, alert.share),
        ("muted", e.muted, muted_by(alert, result, e)),
    ):  # fmt: skip
        if bound is not None and (value is None or not holds(bound, value, e.customer or "", result, e)):
            found.append(f"{key} {value}")
    if e.earlier is not None and not are_earlier(e, alert, file):
        found.append(f"earlier {[(file.text(c.occurred_ms), c.channel, c.tried) for c in alert.earlier]}")
    return found


def muting_of(result: Played, e: Expected) -> Muting:
    """What is muted by what had been told."""
    muting = Muting()
    for _, alert in result.told_by(result.file.ms(e.when)):
        muting.take(alert)
    return muting


def muted_by(incident: Alert, result: Played, e: Expected) -> int:
    """How many alerts an incident mutes."""
    return list(muting_of(result, e).muted().values()).count(incident.alert_id) if e.muted is not None else 0


def judge_to_act_on(e: Expected, result: Played) -> str | None:
    """What is wrong with the types of alerts that a team should act on."""
    muted = muting_of(result, e).muted()
    stand = [a for a in result.newest(result.file.ms(e.when)).values() if a.status in {"opened", "escalated"}]
    left = [a for a in stand if not a.held_back and a.handling != "dismissed" and a.alert_id not in muted]
    types = sorted(a.type for a in left)
    return None if types == sorted(e.to_act_on or []) else f"to act on are {types}"


def are_earlier(e: Expected, alert: Alert, file: ScenarioFile) -> bool:
    """Whether the contacts before an alert are those that are expected."""
    said = e.earlier or []
    if len(said) != len(alert.earlier):
        return False
    for entry, got in zip(said, alert.earlier, strict=True):
        want = Contact(channel=entry) if isinstance(entry, str) else entry
        same_time = want.at is None or is_at(file, want.at, got.occurred_ms)
        if want.channel != got.channel or want.tried not in {None, got.tried} or not same_time:
            return False
    return True


def judge_alert(e: Expected, result: Played) -> str | None:
    """What is wrong with an expected alert."""
    told = [(at, a) for at, a in result.told_by(result.file.ms(e.when)) if a.type == e.alert]
    told = [(at, a) for at, a in told if e.customer is None or a.customer_id == e.customer]
    if e.only and len({a.alert_id for _, a in told}) > 1:
        return f"there should be only one, but there are\n{result.shown(told)}"
    tried = [unlike(e, at, a, result) for at, a in told]
    if any(not wrong for wrong in tried):
        return None
    best = min(tried, key=len, default=[])
    nearest = f"\n  nearest: {', '.join(best)}" if tried else ""
    return f"is not among what was told:\n{result.shown(told)}{nearest}"


def judge_standing(e: Expected, file: ScenarioFile, case: Case, result: Played) -> str | None:
    """What is wrong with how a customer is expected to stand."""
    at_ms = file.ms(e.when)
    if e.deflections is not None:
        counted = {key: result.deflections[at_ms][key] for key in e.deflections}
        return None if counted == e.deflections else f"counted are {counted}"
    assert e.customer is not None, f"{e.when.text}: of whom is it expected? customer is missing"
    now, wrong = result.standing[at_ms].get(e.customer, NOBODY), []
    for key, bound, value in (("score", e.score, now.score), ("heat", e.heat, now.heat)):
        if bound is not None and not holds(bound, value, e.customer, result, e, key):
            wrong.append(f"{key} is {value:.2f}")
    for signal, bound in e.heats.items():
        if not holds(bound, now.heats.get(signal, 0.0), e.customer, result, e):
            wrong.append(f"heat of {signal} is {now.heats.get(signal, 0.0):.2f}")
    if e.band is not None and now.band != e.band:
        wrong.append(f"band is {now.band}, score {now.score:.1f}")
    if e.made_of is not None and list(now.heats) != e.made_of:
        wrong.append(f"made of { {s: round(h, 2) for s, h in now.heats.items()} }")
    if e.open_clocks is not None and not clocks_as_said(file, now.clocks, e):
        wrong.append(f"open clocks are {[(c.clock, c.deadline_ms and file.text(c.deadline_ms)) for c in now.clocks]}")
    if e.standing is not None:
        stand = [a for a in result.newest(at_ms).values() if a.customer_id == e.customer]
        types = sorted(a.type for a in stand if a.status in {"opened", "escalated"})
        if types != sorted(e.standing):
            wrong.append(f"standing are {types}")
    if e.as_in is not None:
        other = file.cases[e.as_in]
        theirs = played(file, other, file.events_of(other), [at_ms]).standing[at_ms].get(e.customer, NOBODY)
        wrong += differences(theirs, now)
    return "; ".join(wrong) if wrong else None


def differences(one: Standing, other: Standing) -> list[str]:
    """What is different between two ways in which a customer stands, but for rounding."""
    wrong = []
    for signal in sorted({*one.heats, *other.heats}):
        a, b = one.heats.get(signal, 0.0), other.heats.get(signal, 0.0)
        if abs(a - b) > 1e-9 * max(1.0, abs(a)):
            wrong.append(f"heat of {signal} is {b!r}, not {a!r}")
    if one.clocks != other.clocks:
        wrong.append(f"open clocks are {other.clocks}, not {one.clocks}")
    return wrong


def judged(file: ScenarioFile, case: Case) -> list[str]:
    """What is not as expected."""
    result = played(file, case, file.events_of(case), moments_of(file, case.expect))
    wrong = []
    for e in case.expect:
        if e.alert is not None:
            told = judge_alert(e, result)
        elif e.to_act_on is not None:
            told = judge_to_act_on(e, result)
        elif e.no_alert is not None:
            since_ms = file.ms(e.since) if e.since else 0
            found = [(at, a) for at, a in result.told_by(file.ms(e.when)) if a.raised_ms >= since_ms]
            found = [(at, a) for at, a in found if e.customer in {None, a.customer_id}]
            found = [(at, a) for at, a in found if e.no_alert in {"any", a.type}]
            told = f"but there is\n{result.shown(found)}" if found else None
        else:
            told = judge_standing(e, file, case, result)
        if told is not None:
            wrong.append(f"{described(e)}: {told}")
    return wrong


def described(e: Expected) -> str:
    """An expectation as it is written."""
    said = []
    for key in Expected.model_fields:
        if key in e.model_fields_set:
            value = getattr(e, key)
            said.append(f"{key.replace('_', ' ')}: {getattr(value, 'text', value)}")
    return f"{{{', '.join(said)}}}"
