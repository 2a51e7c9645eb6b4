"""What a simulated team does with the alerts that it sees."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from connectors.simulator.team import Team
from pipelines.policy.marks import MARK_KINDS
from schemas.errors import SettingsError
from schemas.interactions import Interaction
from schemas.vocabulary import VOCABULARY

NOW_MS = 1_760_000_400_000
LATER_MS = NOW_MS + 24 * 3_600_000
REASONS = {"false_alarm", "known", "cannot_contact", "no_capacity"}


def alert(number: int, **fields: Any) -> dict[str, Any]:
    """The first revision of an alert, as it stands on friction.alerts."""
    return {
        "alert_id": f"{number:032x}", "revision": 1, "type": "clock_breached", "status": "opened",
        "customer_id": f"şule.{number}", "clock": "first_response", "case_id": f"c{number}", "channel": "email",
        "touchpoint": "help/messages", "subject": "iade", "do_not_contact": False, **fields,
    }  # fmt: skip


def done(alerts: Sequence[dict[str, Any]], *, share: float = 1.0, seed: int = 1) -> list[Interaction]:
    team = Team(seed=seed, share=share)
    for one in alerts:
        team.see(one, NOW_MS)
    return list(team.due(LATER_MS))


def test_alerts_are_taken_assigned_answered_and_dismissed_each_after_a_while() -> None:
    steps: dict[str, list[Interaction]] = {}
    for one in done([alert(n) for n in range(400)]):
        steps.setdefault(one.customer_id, []).append(one)
    assert len(steps) == 400
    ways = Counter(tuple(one.kind for one in own) for own in steps.values())
    taken, assigned, answered = "alert.acknowledged", "alert.assigned", "contact.replied"
    ends = {(taken,), (taken, assigned), (taken, assigned, answered), ("alert.dismissed",)}
    assert set(ways) == ends
    assert min(ways.values()) > 30
    for own in steps.values():
        times = [one.occurred_ms for one in own]
        assert times == sorted(set(times))
        assert times[0] >= NOW_MS + 10_000
        assert len({one.event_id for one in own}) == len(own)


def test_what_they_say_is_what_the_vocabulary_says() -> None:
    for one in done([alert(n) for n in range(200)]):
        assert one.kind in VOCABULARY
        assert one.source == "simulator"
        assert (one.channel, one.touchpoint, one.subject) == ("email", "help/messages", "iade")
        assert one.case_id == f"c{one.customer_id.partition('.')[2]}"
        if one.kind in MARK_KINDS:
            assert one.attributes["alert_id"] == f"{int(one.customer_id.partition('.')[2]):032x}"
        else:
            assert one.attributes == {"reply": "personal"}
        if one.kind == "alert.dismissed":
            assert one.attributes["reason"] in REASONS
        if one.kind == "alert.assigned":
            assert one.attributes["assignee"]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"clock": "callback"}, "callback.done"),
        ({"clock": "resolution"}, "case.resolved"),
        ({"clock": None, "type": "social_risk"}, "social.replied"),
        ({"clock": None, "type": "band_entered", "channel": None, "touchpoint": None, "case_id": None}, None),
    ],
)
def test_what_ends_the_wait_is_done_where_there_is_one(fields: dict[str, Any], kind: str | None) -> None:
    kinds = {one.kind for one in done([alert(n, **fields) for n in range(100)])}
    assert kinds - set(MARK_KINDS) == ({kind} if kind else set())


def test_who_does_not_want_to_be_contacted_is_not() -> None:
    marks = done([alert(n, do_not_contact=True) for n in range(50)])
    assert [(m.kind, m.attributes["reason"]) for m in marks] == [("alert.dismissed", "cannot_contact")] * 50


def test_the_seed_names_a_share_of_the_alerts_whatever_their_order() -> None:
    alerts = [alert(n) for n in range(1_000)]
    half = done(alerts, share=0.5)
    assert 400 < len({one.customer_id for one in half}) < 600
    again = done(alerts[::-1], share=0.5)
    assert sorted(again, key=lambda e: e.event_id) == sorted(half, key=lambda e: e.event_id)
    assert {one.customer_id for one in done(alerts, share=0.5, seed=2)} != {one.customer_id for one in half}
    assert done(alerts, share=0.0) == []


def test_later_revisions_and_incidents_are_nobodys_and_what_is_over_is_left_alone() -> None:
    assert done([alert(n, revision=2, status="escalated") for n in range(50)]) == []
    assert done([alert(n, customer_id=None, type="touchpoint_incident") for n in range(50)]) == []
    assert done([alert(1), alert(1, revision=2, status="resolved")]) == []


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(SettingsError, match="team of the simulator must be from 0 to 1"):
        Team(seed=1, share=share)
