"""The story as one JSON object: times in RFC 3339, alerts with the fields of schemas/avro/alert.avsc."""

import json
from collections.abc import Sequence
from typing import Any

from pipelines.alerts.alert import Alert, alert_columns
from pipelines.cli.backtest.results import alert_lines, time_text
from pipelines.cli.explain.story import Moment, State, Story
from pipelines.cli.explain.timeline import made_of


def record_text(story: Story) -> str:
    """The object as text, on several lines."""
    last = story.last
    said = {
        "customer_id": story.customer,
        "policy": story.policy.digest,
        "until": time_text(story.until_ms),
        **_standing(last, story.until_ms),
        "interactions": last.interactions,
        "open_clocks": [
            {
                "clock": clock.clock,
                "opened_at": time_text(clock.opened_ms),
                "deadline": _time(clock.deadline_ms),
                "case_id": clock.case_id,
                "breached": clock.breached,
                "paused_at": _time(clock.paused_at_ms),
                "paused_ms": clock.paused_ms,
            }
            for clock in last.opened.clocks
        ],
        "open_cases": [{"case_id": one.case_id, "opened_at": time_text(one.opened_ms)} for one in last.opened.cases],
        "moments": [_moment(moment) | {"alerts": alert_records(moment.alerts)} for moment in story.moments],
    }
    return json.dumps(said, indent=2, ensure_ascii=False)


def alert_records(alerts: Sequence[Alert]) -> list[dict[str, Any]]:
    """Alerts as they stand in alerts.jsonl."""
    return [json.loads(line) for line in alert_lines().joined(len(alerts), alert_columns(alerts), "").raw()]


def _standing(state: State, at_ms: int) -> dict[str, Any]:
    return {
        "score": state.score(at_ms),
        "heat": state.capped_at(at_ms),
        "band": state.band_name,
        "contributions": {part.signal: part.heat for part in made_of(state, at_ms)},
    }


def _moment(moment: Moment) -> dict[str, Any]:
    return {
        "at": time_text(moment.at_ms),
        "interactions": [
            {"kind": one.kind, "channel": one.channel, "touchpoint": one.touchpoint, **one.says}
            for one in moment.happenings
        ],
        "repeated": moment.repeated,
        "unknown_kinds": moment.unknown,
        "gained": moment.gained,
        "score_before": moment.before.score(moment.at_ms),
        "band_before": moment.before.band_name,
        **_standing(moment.after, moment.at_ms),
        "clocks": [
            {"what": c.what, "clock": c.clock.clock, "case_id": c.clock.case_id, "deadline": _time(c.clock.deadline_ms)}
            for c in moment.clocks
        ],
        "cases": [{"what": c.what, "case_id": c.case_id} for c in moment.cases],
    }


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else time_text(at_ms)
