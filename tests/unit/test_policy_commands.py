"""`friction policy`: what a policy does, what is probably wrong with it, and what differs from another."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli.exits import ExitCode
from pipelines.cli.main import exit_code
from pipelines.partition import CustomerPartition
from pipelines.policy.changes import policy_changes
from pipelines.policy.kinds import effects
from pipelines.policy.marks import MARK_KINDS
from pipelines.policy.policy import parse_policy
from pipelines.worker.policy_file import load_policy
from schemas.errors import PolicyError
from schemas.vocabulary import VOCABULARY
from tests.batches import BEGIN_MS, batch_of, event
from tests.policies import RELIEF, TEXT, changed


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
