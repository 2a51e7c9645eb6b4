"""Sentences that a policy says in its own words: what they may speak of, and that they are said."""

from datetime import UTC, datetime
from string import Formatter

import pytest

from pipelines.alerts.alert import Status
from pipelines.alerts.languages import LANGUAGES
from pipelines.alerts.wording import Sentences, action_of, band_reasons, language_of
from pipelines.incidents.alerts import incident_reason
from pipelines.incidents.judge import Standing
from pipelines.policy.incident_model import IncidentRule
from pipelines.policy.policy import parse_policy
from pipelines.policy.wording_terms import OWN_PLACEHOLDERS, PLACEHOLDERS, TEMPLATE_NAMES
from schemas.errors import PolicyError
from tests.policies import TEXT


@pytest.mark.parametrize(
    ("templates", "told"),
    [
        ("{resolved: 'Over: {clock}, {{ok}}'}", None),
        ("{clock_warning.escalated: '{left}', paused: ' {paused}'}", None),
        ("{resolved: 'Over: {name}'}", "wording: templates.resolved must have no other placeholders than {clock}, "),
        ("{resolved: '{}'}", "wording: templates.resolved must have no other placeholders than {clock}, "),
        ("{resolved: '{clock.x}'}", "wording: templates.resolved must have no other placeholders than {clock}, "),
        ("{resolved: '{level:d}'}", "wording: templates.resolved must have placeholders without a format, got one at"),
        ("{resolved: '{clock!r}'}", "wording: templates.resolved must have placeholders without a format, got one at"),
        ("{resolved: '{clock'}", "wording: templates.resolved has a brace without its other one"),
        ("{resolved: '{clock:{level}}'}", "wording: templates.resolved must have placeholders without a format"),
        ("{resolved: ''}", "wording.templates.resolved: must not be empty"),
        (
            "{paused: '{clock}'}",
            "wording: templates.paused must have no other placeholders than {paused}, {waited}, got {clock}",
        ),
        ("{band_entered: '{score} {made_of}', touchpoint_incident.silence: '{place}'}", None),
        (
            "{band_entered: '{clock}'}",
            "wording: templates.band_entered must have no other placeholders than {score}, {band}, {made_of}, got ",
        ),
        ("{band_left: Cool}", "wording.templates.band_left: must be one of clock_warning, clock_breached, "),
        ("{clock_broken: Ha}", "wording.templates.clock_broken: must be one of clock_warning, clock_breached, "),
    ],
)
def test_a_template_can_be_filled_in_or_is_an_error(templates: str, told: str | None) -> None:
    text = f"{TEXT}wording: {{templates: {templates}}}\n"
    if told is None:
        assert parse_policy(text, "mine.yaml").digest
        return
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, "mine.yaml")
    assert str(caught.value).startswith(f"mine.yaml:20 {told}")


def test_a_template_with_another_placeholder_is_told_with_its_line_and_what_it_may_have() -> None:
    for name in ("clock_breached", "clock_breached.escalated"):
        text = f"{TEXT}wording:\n  templates:\n    resolved: Over.\n    {name}: '{{score}}'\n"
        with pytest.raises(PolicyError) as caught:
            parse_policy(text, "mine.yaml")
        may = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
        told = f"mine.yaml:23 wording: templates.{name} must have no other placeholders than {may}, got {{score}}"
        assert str(caught.value) == told


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_our_own_templates_are_of_the_types_and_placeholders_that_are_allowed(language: str) -> None:
    assert LANGUAGES[language].templates.keys() == LANGUAGES["en"].templates.keys()
    for name, template in LANGUAGES[language].templates.items():
        assert name in TEMPLATE_NAMES
        used = {part[1] for part in Formatter().parse(template) if part[1] is not None}
        assert used <= set(OWN_PLACEHOLDERS.get(name, PLACEHOLDERS))


@pytest.mark.parametrize("name", TEMPLATE_NAMES)
def test_a_template_with_all_that_is_allowed_is_said(name: str) -> None:
    of_all = name in {"resolved", "retracted", *OWN_PLACEHOLDERS}
    about, status = ("clock_breached", name) if of_all else name.partition(".")[::2]
    every = "".join(f"{{{one}}}" for one in OWN_PLACEHOLDERS.get(name, PLACEHOLDERS))
    policy = parse_policy(f"{TEXT}wording: {{templates: {{{name}: '<<{every}>>'}}}}\n", "mine.yaml")
    said = {"deadline": [2], "left": [1], "waited": [1], "level": [1], "paused": [1], "earlier": [0]}
    texts = {"subject": ["s"], "channel": ["c"]}
    until = datetime(2026, 3, 3, 8, 0, tzinfo=UTC)
    actions = [action_of("Call.", policy, refuses=refuses, not_before=until) or "" for refuses in (True, False)]
    reasons = Sentences(policy).reasons(about, status or "opened", "reply", {**said, **texts})
    status = name.rpartition(".")[2] if "." in name else "opened"
    bands = band_reasons([(status, "hot", 82.0, [("form_failure", 8.0)])], language_of(policy))
    by = "subject" if ".subject" in name else "touchpoint"
    rule = IncidentRule.model_validate({"by": by, "failures": ["form.failed"], "lookback": "5m", "min_customers": 8})
    seen = Standing("silence" if name.endswith("silence") else "share", 1, 9, None, 2.5, (), 9)
    if name == "touchpoint_incident":
        seen = seen._replace(share=0.21)
    over: Status = "resolved" if status == "resolved" else "retracted" if status == "retracted" else "opened"
    incidents = [incident_reason(("form", "form/promo"), rule, seen, over, language_of(policy))]
    assert "<<" in "".join([*reasons, *actions, *bands, *incidents])
