"""`friction policy`: what a policy does, what is probably wrong with it, and what differs from another."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter

import pytest

from pipelines.alerts.alert import Status
from pipelines.alerts.languages import LANGUAGES
from pipelines.alerts.wording import Sentences, action_of, band_reasons, language_of
from pipelines.cli.exits import ExitCode
from pipelines.cli.main import exit_code
from pipelines.incidents.alerts import incident_reason
from pipelines.incidents.judge import Standing
from pipelines.partition import CustomerPartition
from pipelines.policy.changes import policy_changes
from pipelines.policy.incident_model import IncidentRule
from pipelines.policy.kinds import effects
from pipelines.policy.lint import policy_warnings
from pipelines.policy.marks import MARK_KINDS
from pipelines.policy.policy import parse_policy
from pipelines.policy.wording_terms import OWN_PLACEHOLDERS, PLACEHOLDERS, TEMPLATE_NAMES
from pipelines.worker.policy_file import SHIPPED, load_policy
from schemas.errors import PolicyError
from schemas.vocabulary import VOCABULARY
from tests.batches import BEGIN_MS, batch_of, event

TEXT = """\
version: 1
score: {scale: 40}
calendars: {office: {zone: Europe/Istanbul, hours: {mon-fri: "09:00-18:00"}}}
clocks:
  reply:
    opens: [contact.opened]
    closes: [contact.replied]
    promise: 1h
    warn: 15m
signals:
  form_failure: {kinds: [form.failed], weight: 10, half_life: 1h, cap: 60}
  late: {breaches: [reply], weight: 10, half_life: 1d, cap: 60}
bands:
  cooldown: 15m
  levels:
    - {name: warm, enter: 30, leave: 20}
    - {name: hot, enter: 60, leave: 45, action: Call.}
windows: {kinds: [wait.measured], length: 5m, lateness: 1h}
acceptance: {max_age: 7d, max_ahead: 5m}
"""
RELIEF = "  thanks: {kinds: [case.resolved], relief: true, weight: 5, half_life: 6h, cap: 9}\n"


def changed(good: str, bad: str) -> str:
    assert TEXT.count(good) == 1
    return TEXT.replace(good, bad)


def ended(capsys: pytest.CaptureFixture[str], *command: str) -> tuple[int, str, str]:
    code = exit_code(["policy", *command])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT, "utf-8")
    return path


def test_the_default_policy_knows_the_whole_vocabulary() -> None:
    """What is told of alerts is known to every policy that looks at details."""
    default = load_policy(Path("default"))
    assert set(VOCABULARY) - set(default.compiled.kinds) == set(MARK_KINDS)
    core, kinds = CustomerPartition(0, 1, default), (*VOCABULARY, "article.liked")
    told = [event(kind, BEGIN_MS + n, event_id=kind) for n, kind in enumerate(kinds)]
    assert core.apply(batch_of(told)).rare.unknown_kinds == 1
    said = {effect.kind: effect.said for effect in effects(default.file)}
    assert said["article.viewed"] == said["identity.linked"] == "known, without effect"


@pytest.mark.parametrize("name", SHIPPED)
def test_nothing_is_to_be_said_of_the_policies_that_come_with_us(name: str) -> None:
    assert policy_warnings(load_policy(Path(name)).file) == []


def test_nothing_is_to_be_said_of_the_policy_of_these_tests() -> None:
    assert policy_warnings(parse_policy(TEXT, "mine.yaml").file) == []


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ("warn: 15m", "warn: 1h", "clocks.reply.warn: 1h before a promise of 1h is not after the opening"),
        (
            "[contact.opened]",
            "[{kind: contact.opened, promise: 10m}]",
            "clocks.reply.opens.0.warn: 15m before a promise of 10m is not after the opening",
        ),
        (
            "[contact.opened]",
            "[{kind: contact.opened, warn: 2h}]",
            "clocks.reply.opens.0.warn: 2h before a promise of 1h is not after the opening",
        ),
        (
            "promise: 1h\n    warn: 15m",
            "promise: 1bd\n    warn: 9h\n    calendar: office",
            "clocks.reply.warn: 9h before a promise of 1bd is not after the opening",
        ),
        (
            "warn: 15m",
            "still_waiting: [30m, 2h, 1d]",
            "clocks.reply.still_waiting: 2h, 1d is beyond the promise",
        ),
        ("half_life: 1h", "half_life: 9s", "signals.form_failure.half_life: 9s is gone before anybody sees it"),
        (
            "[form.failed]",
            "[form.fialed]",
            "signals.form_failure.kinds: the vocabulary has no form.fialed (did you mean form.failed?)",
        ),
        ("[form.failed]", "[my.kind]", "signals.form_failure.kinds: the vocabulary has no my.kind"),
        (
            "kinds: [form.failed]",
            "derived: repeated",
            "signals.form_failure: nothing feeds it: repeated needs contacts",
        ),
        (
            "promise: 1h\n    warn: 15m",
            "still_waiting: [1h]",
            "signals.late: nothing feeds it: clock reply has no promise",
        ),
        (
            "[contact.replied]",
            "[contact.answered]",
            "clocks.reply.closes: the vocabulary has no contact.answered",
        ),
        ("bands:\n", RELIEF + "bands:\n", "signals.thanks.half_life: 6h is shorter than the 1d of late"),
        (
            "[form.failed]",
            "[{kind: form.failed, where: {sentiment: negativ}}]",
            "signals.form_failure.kinds.0.where.sentiment: negativ is none of negative, neutral, positive",
        ),
        (
            "[contact.replied]",
            "[{kind: contact.replied, where: {repy: personal}}]",
            "clocks.reply.closes.0.where.repy: the vocabulary has no such attribute (did you mean reply?)",
        ),
        (
            "[form.failed]",
            "[{kind: form.failed, where: {segment: loyal}}]",
            "signals.form_failure.kinds.0.where.segment: loyal is nothing that the policy names",
        ),
        (
            "[form.failed]",
            "[{kind: form.failed, where: {feedback: bad}}]",
            "signals.form_failure.kinds.0.where.feedback: nothing is good or bad without the section feedback",
        ),
        (
            "[contact.opened]",
            "[contact.opened, {kind: contact.opened, promise: 30m}]",
            "clocks.reply.opens.1: is never asked, for an entry before it takes all of contact.opened",
        ),
        ("    warn: 15m", "    repeat: 1s", "clocks.reply.repeat: 1s says it again 3,600 times an hour"),
        (
            "    warn: 15m",
            "    resets: [case.resumed]",
            "clocks.reply.resets: brings no new deadline, for the clock has no",
        ),
        (
            "cap: 60}\n  late",
            "cap: 60, magnitude: wait, tolerated: {other: 1m, queu: 2m}}\n  late",
            "signals.form_failure.tolerated: queu is none of the stages other, queue, counter, hold, page, callback",
        ),
        (
            "[reply], weight",
            "[reply], repeats: 0.5, weight",
            "signals.late.repeats: adds nothing, for no clock of its breaches has a repeat",
        ),
    ],
)
def test_what_is_probably_not_meant_is_told_by_its_key(good: str, bad: str, told: str) -> None:
    (warning,) = policy_warnings(parse_policy(changed(good, bad), "mine.yaml").file)
    assert warning.startswith(told)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("warn: 15m", "warn: 59m"),
        ("promise: 1h\n    warn: 15m", "promise: 2bd\n    warn: 9h\n    calendar: office"),
        ("warn: 15m", "still_waiting: [30m, 2h]\n    calendar: office"),
        ("promise: 1h\n    warn: 15m", "promise: 1bd\n    still_waiting: [23h]"),
        ("half_life: 1h", "half_life: 10s"),
        ("bands:\n", RELIEF.replace("6h", "1d") + "bands:\n"),
    ],
)
def test_what_may_be_meant_is_not_told(good: str, bad: str) -> None:
    assert policy_warnings(parse_policy(changed(good, bad), "mine.yaml").file) == []


def test_a_check_tells_warnings_on_standard_error_and_is_done(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine.write_text(changed("warn: 15m", "warn: 2h"), "utf-8")
    code, out, err = ended(capsys, "check", "mine.yaml")
    assert code == ExitCode.DONE
    assert out.startswith("ok: policy ")
    assert err.startswith("warning: clocks.reply.warn: 2h")


@pytest.mark.parametrize("command", [["check"], ["kinds", "--policy"], ["diff", "three"]])
def test_too_many_rules_of_a_kind_are_an_error_whoever_reads_the_policy(
    mine: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    mine.write_text(changed("[form.failed]", f"[{', '.join(['form.failed'] * 63)}]"), "utf-8")
    code, _, err = ended(capsys, *command, "mine.yaml")
    assert code == ExitCode.USAGE
    assert "mine.yaml: form.failed has 63 rules; at most 62 fit" in err


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ("warn: 15m", "warn: soon", "mine.yaml:9 clocks.reply.warn: must be a duration"),
        (
            "[form.failed]",
            f"[{', '.join(f'{{kind: form.failed, where: {{a: v{n % 9}}}}}' for n in range(63))}]",
            "mine.yaml: form.failed has 63 rules; at most 62 fit",
        ),
        (
            "[form.failed]",
            f"[{{kind: form.failed, where: {{city: [unknown, {', '.join(f'c{n}' for n in range(62))}]}}}}]",
            "mine.yaml: conditions name 62 values of city; at most 61 fit",
        ),
    ],
)
def test_a_policy_that_cannot_be_is_wrong_usage(
    mine: Path, capsys: pytest.CaptureFixture[str], good: str, bad: str, told: str
) -> None:
    mine.write_text(changed(good, bad), "utf-8")
    code, out, err = ended(capsys, "check", "mine.yaml")
    assert (code, out) == (ExitCode.USAGE, "")
    assert told in err


def test_the_kinds_are_those_of_the_vocabulary_and_of_the_policy(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.write_text(changed("[form.failed]", "[{kind: form.failed, where: {a: [x, y]}, times: 2}, my.kind]"), "utf-8")
    code, out, err = ended(capsys, "kinds", "--policy", str(mine))
    lines = out.splitlines()
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines if not line.startswith(" ")}
    assert (code, err) == (ExitCode.DONE, "")
    assert set(rows) == {*VOCABULARY, "my.kind"}
    assert rows["contact.opened"] == "opens clock reply: promise 1h, warned 15m before"
    assert rows["form.failed"] == "signal form_failure: 20 (where a x|y)"
    assert rows["my.kind"] == "signal form_failure: 10"
    assert rows["article.viewed"] == "nothing"


@pytest.mark.parametrize(("policy", "does"), [("default", True), ("three", False)])
def test_what_teams_tell_of_alerts_does_something_where_a_policy_looks_at_it(
    capsys: pytest.CaptureFixture[str], policy: str, does: bool
) -> None:
    _, out, _ = ended(capsys, "kinds", "--policy", policy)
    rows = dict(line.split(maxsplit=1) for line in out.splitlines() if not line.startswith(" "))
    for kind in MARK_KINDS:
        assert ("alert" in rows[kind]) == does
        assert (rows[kind] == "nothing") == (not does)


def test_every_rule_of_the_default_policy_is_an_effect() -> None:
    policy = load_policy(None)
    assert {effect.kind for effect in effects(policy.file)} == set(policy.compiled.kinds)
    others = ("windows.", "incidents.", "preferences.", "known")  # no rules of the kernels
    rules = [effect for effect in effects(policy.file) if not effect.key.startswith(others)]
    assert len(rules) == int(policy.compiled.rules.words[policy.compiled.rules.words[1] + len(policy.compiled.kinds)])


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ("half_life: 1h", "half_life: 60m", []),
        ("weight: 10, half_life: 1h", "weight: 12, half_life: 1h", ["signals.form_failure.weight: 10 -> 12"]),
        ("promise: 1h", "promise: 2bd", ["clocks.reply.promise: 1h -> 2bd"]),
        ("    warn: 15m\n", "", ["clocks.reply.warn: 15m -> -"]),
        ("warn: 15m", "warn: 15m\n    priority: 1", ["clocks.reply.priority: 3 -> 1"]),
        ("warn: 15m", "warn: 15m\n    priority: 3", []),
        ("enter: 60", "enter: 61", ["bands.levels.hot.enter: 60 -> 61"]),
        (
            "[form.failed]",
            "[{kind: form.failed, where: {a: x}}]",
            ["signals.form_failure.kinds: [form.failed] -> [{kind: form.failed, where: {a: x}}]"],
        ),
        (
            "bands:\n",
            RELIEF + "bands:\n",
            [
                "signals.thanks.kinds: - -> [case.resolved]",
                "signals.thanks.weight: - -> 5",
                "signals.thanks.half_life: - -> 6h",
                "signals.thanks.cap: - -> 9",
                "signals.thanks.relief: - -> true",
            ],
        ),
    ],
)
def test_a_difference_is_told_by_its_key_as_it_is_written(
    mine: Path, capsys: pytest.CaptureFixture[str], good: str, bad: str, told: list[str]
) -> None:
    other = mine.with_name("other.yaml")
    other.write_text(changed(good, bad), "utf-8")
    code, out, _ = ended(capsys, "diff", str(mine), str(other))
    assert out.splitlines() == told
    assert code == (ExitCode.FAILED if told else ExitCode.DONE)


def test_a_default_is_told_as_it_would_be_written() -> None:
    rule = "{failures: [form.failed], lookback: 5m, min_customers: 8, learn: 2h}"
    text = TEXT + f"incidents: {{slot: 30s, lateness: 15m, quiet: 15m, rules: {{form: {rule}}}}}\n"
    before, after = parse_policy(text, "a.yaml"), parse_policy(text.replace(", learn: 2h", ""), "b.yaml")
    assert policy_changes(before, after) == [("incidents.rules.form.learn", "2h", "1h")]


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("segments: {vip: {}}\n", "segments.vip"),
        ("preferences: {}\n", "preferences"),
        ("budgets: {teams: {desk: {}}}\n", "budgets.teams.desk"),
    ],
)
def test_an_entry_that_says_nothing_of_its_own_is_a_difference(more: str, key: str) -> None:
    without, policy = parse_policy(TEXT, "mine.yaml"), parse_policy(TEXT + more, "mine.yaml")
    assert [tuple(change) for change in policy_changes(without, policy)] == [(key, "-", "{}")]
    assert [tuple(change) for change in policy_changes(policy, without)] == [(key, "{}", "-")]
    assert policy_changes(policy, policy) == []


def test_an_entry_that_says_nothing_is_as_one_that_says_the_default() -> None:
    policies = [parse_policy(f"{TEXT}segments: {{vip: {said}}}\n", "mine.yaml") for said in ("{}", "{patience: 1}")]
    assert policy_changes(*policies) == policy_changes(*policies[::-1]) == []


def test_the_policies_that_come_with_us_differ_from_each_other_and_not_from_themselves() -> None:
    three, default = load_policy(Path("three")), load_policy(None)
    assert policy_changes(three, three) == policy_changes(default, default) == []
    keys = [change.key for change in policy_changes(three, default)]
    assert {"signals.wait.half_life", "clocks.refund.promise", "cases.silence"} <= set(keys)


def test_the_name_of_a_policy_stands_for_it_unless_a_file_has_that_name(mine: Path) -> None:
    assert load_policy(Path("three")).file.signals.keys() == {"wait", "form_failure", "return"}
    assert load_policy(Path("default")).digest == load_policy(None).digest
    mine.rename(mine.with_name("three"))
    assert load_policy(Path("three")).file.clocks.keys() == {"reply"}
    with pytest.raises(PolicyError, match=r"^the policy threee cannot be read"):
        load_policy(Path("threee"))


def test_of_two_policies_of_the_same_name_an_error_says_which_it_is(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = mine.parent / "other" / mine.name
    other.parent.mkdir()
    other.write_text(TEXT.replace("version: 1", "version: 2"), "utf-8")
    _, _, err = ended(capsys, "diff", str(mine), str(other))
    assert err.startswith(f"friction: {other}:1 version: must be 1, got 2")


@pytest.mark.parametrize("command", ["check", "kinds", "diff"])
def test_every_command_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ended(capsys, command, "--help")
    assert code == ExitCode.DONE
    assert f"Example: friction policy {command}" in out


def test_help_loads_no_policy() -> None:
    code = "import sys; from pipelines.cli import policies; sys.exit('pipelines.policy.policy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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


def test_what_is_wrong_is_told_with_the_line_of_its_entry_and_with_what_may_be_said() -> None:
    text = changed("    promise: 1h", "    promise: 1h\n    calendar: ofice").replace(
        "weight: 10, half_life: 1h", "wieght: 9"
    )
    with pytest.raises(PolicyError) as caught:
        parse_policy(text.replace("cooldown: 15m", "cooldown: 15m\n  colour: red"), "mine.yaml")
    assert str(caught.value).splitlines() == [
        "mine.yaml:9 clocks: reply.calendar must be one of always, office, got ofice",
        "mine.yaml:12 signals.form_failure.weight: is missing",
        "mine.yaml:12 signals.form_failure.half_life: is missing",
        "mine.yaml:12 signals.form_failure.wieght: is unknown (did you mean weight?)",
        "mine.yaml:16 bands.colour: is unknown; may be cooldown, levels",
    ]


def test_clocks_share_one_attribute_for_their_deadlines() -> None:
    first = "    deadline: due\n    warn: 15m\n  call: {opens: [a.b], closes: [a.c], promise: 1d, deadline: at}"
    with pytest.raises(PolicyError, match=r"call\.deadline must be due, the one attribute of all, as in reply; got at"):
        parse_policy(changed("    warn: 15m", first), "mine.yaml")


def test_the_order_of_teams_is_a_difference_and_so_is_that_of_clocks_for_what_is_stored() -> None:
    teams = ["social: {types: [social_risk], per_hour: 1}", "desk: {per_hour: 60}"]
    policies = [
        parse_policy(f"{TEXT}budgets: {{teams: {{{', '.join(order)}}}}}\n", "mine.yaml")
        for order in (teams, teams[::-1])
    ]
    assert policy_changes(*policies) == [("budgets.teams", "social, desk", "desk, social")]
    assert policies[0].digest != policies[1].digest
    one, two = (
        "  first: {opens: [a.b], closes: [a.c], promise: 1h}\n",
        "  other: {opens: [a.b], closes: [a.c], promise: 2h}\n",
    )
    stored = [
        parse_policy(changed("signals:\n", f"{clocks}signals:\n"), "p").digest for clocks in (one + two, two + one)
    ]
    assert stored[0] != stored[1], "rows have numbers of clocks"
