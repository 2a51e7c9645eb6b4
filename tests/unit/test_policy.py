"""The policy: what it means, what is wrong with it by file, line and key, and that what is written about it is so."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.partition import CustomerPartition
from pipelines.policy.clock_model import Clock
from pipelines.policy.durations import duration_ms
from pipelines.policy.model import PolicyFile
from pipelines.policy.policy import Policy, parse_policy, schema_for_editors
from pipelines.policy.terms import When
from schemas.errors import PolicyError
from tests.batches import batch_of, event
from tests.desk import FULL_TEXT

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "schemas" / "policy" / "policy.schema.json"
SHIPPED = ROOT / "schemas" / "policy"
DOCUMENT = (ROOT / "docs" / "policy.md").read_text("utf-8")
CONDITIONAL = {"When", "Fed", "Opening"}  # kinds with conditions: kind and where are documented once

TEXT = """\
version: 1
score: {scale: 40}
signals:
  wait:
    kinds: [wait.measured]
    weight: 12
    half_life: 2h
    cap: 60
    magnitude: wait
    tolerated: 2m
  form_failure: {kinds: [form.failed], weight: 10, half_life: 1h, cap: 60}
bands:
  cooldown: 15m
  levels:
    - {name: warm, enter: 30, leave: 20}
    - {name: hot, enter: 60, leave: 45, priority: 2, action: Call.}
windows: {kinds: [wait.measured], length: 5m, lateness: 1h}
acceptance:
  max_age: 7d
  max_ahead: 5m
"""


@pytest.fixture(scope="module")
def three() -> Policy:
    return parse_policy((SHIPPED / "three.yaml").read_text("utf-8"), "three.yaml")


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ("version: 1", "version: 2", "1 version: must be 1, got 2"),
        ("version: 1\n", "", "1 version: is missing"),
        ("version: 1", "version: 1\nversion: 1", "2 version: is written twice"),
        ("version: 1", "version: 2024-13-45", "1 is no YAML: month must be in 1..12"),
        ("version: 1", "versoin: 1", "1 version: is missing"),
        ("version: 1", "1: 1", "1 version: is missing"),
        ("{scale: 40}", "{scale: 0}", "2 score.scale: must be greater than 0, got 0"),
        ("{scale: 40}", "{scale: .inf}", "2 score.scale: must be a finite number, got inf"),
        ("{scale: 40}", "{scale: .nan}", "2 score.scale: must be a finite number, got nan"),
        ("{scale: 40}", "{scale: '40'}", "2 score.scale: must be a valid number, got '40'"),
        (
            "weight: 12",
            "weight: 1.0e+308",
            "6 signals.wait.weight: must be less than or equal to 1000000000000, got 1e+308",
        ),
        ("{scale: 40}", "{scale: yes}", "2 score.scale: must be a valid number, got True"),
        ("{scale: 40}", "40", "2 score: must be keys with values, got 40"),
        ("{scale: 40}", "{}", "2 score.scale: is missing"),
        ("{scale: 40}", "&s {scale: *s}", "2 score.scale: must be a valid number, got {"),
        ("half_life: 2h", "half_life: 0s", "7 signals.wait.half_life: must be > 0, got 0s"),
        ("half_life: 2h", "half_life: 0.1ms", "7 signals.wait.half_life: must be > 0, got 0.1ms"),
        ("half_life: 2h", "half_life: -5m", "7 signals.wait.half_life: must be a duration such as"),
        ("half_life: 2h", "half_life: 120", "7 signals.wait.half_life: must be a duration such as"),
        ("half_life: 2h", "half_life: 3651d", "7 signals.wait.half_life: must be at most 3650d, got 3651d"),
        ("half_life: 2h", f"half_life: {'9' * 400}d", "7 signals.wait.half_life: must be at most 3650d, got 999"),
        ("    half_life: 2h\n", "", "4 signals.wait.half_life: is missing"),
        ("half_life: 2h", "half_live: 2h", "4 signals.wait.half_life: is missing"),
        ("weight: 12", "weight: -1", "6 signals.wait.weight: must be greater than 0, got -1"),
        ("cap: 60\n    m", "cap: many\n    m", "8 signals.wait.cap: must be a valid number, got 'many'"),
        ("magnitude: wait", "magnitude: often", "9 signals.wait.magnitude: must be 'one', 'wait', 'amount', 'r"),
        ("    tolerated: 2m\n", "", "4 signals.wait: tolerated is needed for magnitude wait, and only there"),
        ("    magnitude: wait\n", "", "4 signals.wait: tolerated is needed for magnitude wait, and only there"),
        (
            "    kinds: [wait.measured]",
            "    kinds: []",
            "4 signals.wait: kinds, breaches or derived must say what feeds it",
        ),
        ("    kinds: [wait.measured]", "    kinds: wait", "5 signals.wait.kinds: must be a list, got 'wait'"),
        ("    kinds: [wait.measured]", "    kinds: [a, '']", "5 signals.wait.kinds.1.kind: must not be empty, got ''"),
        ("[form.failed]", "[{kind: form.failed, were: {}}]", "11 signals.form_failure.kinds.0.were: is unknown"),
        (
            "[form.failed]",
            "[{kind: form.failed, where: {a: 1, b: 1, c: 1, d: 1}}]",
            "11 signals.form_failure.kinds.0.where: must have at most 3 entries",
        ),
        (
            "[form.failed]",
            "[form.failed], breaches: [refund]",
            "11 signals: form_failure.breaches must name clocks (there are",
        ),
        (
            "magnitude: wait",
            "magnitude: amount",
            "4 signals.wait: tolerated is needed for magnitude wait, and only there",
        ),
        ("tolerated: 2m", "tolerated: {hold: 1m}", "4 signals.wait: tolerated must say how long for the stage other"),
        ("  wait:", "  Wait!:", "4 signals.Wait!: must be small letters, digits and _, a letter first, got 'Wait!'"),
        ("  form_failure:", "  wait:", "11 signals.wait: is written twice"),
        ("leave: 20", "leave: 30", "15 bands.levels.0: leave must be below enter, got leave 30.0 and enter 30.0"),
        ("leave: 20", "leave: 0", "15 bands.levels.0.leave: must be greater than 0, got 0"),
        ("enter: 60", "enter: 100", "16 bands.levels.1.enter: must be less than 100, got 100"),
        ("enter: 30, leave: 20", "enter: 70, leave: 20", "12 bands: levels must rise, but hot is not above warm"),
        ("leave: 45", "leave: 15", "12 bands: levels must rise, but hot is not above warm"),
        ("name: hot", "name: warm", "12 bands: levels must have different names"),
        ("name: hot", "name: calm", "12 bands: levels must have different names"),
        ("name: hot", "name: Very hot", "16 bands.levels.1.name: must be small letters, digits and _"),
        ("priority: 2", "priority: 6", "16 bands.levels.1.priority: must be less than or equal to 5, got 6"),
        ("priority: 2", "priority: soon", "16 bands.levels.1.priority: must be a valid integer, got 'soon'"),
        ("action: Call.", "action: ''", "16 bands.levels.1.action: must not be empty, got ''"),
        ("lateness: 1h", "latenes: 1h", "17 windows.lateness: is missing"),
        (
            "  form_failure: {kinds: [form.failed]",
            "".join(
                f"  s{n}: {{kinds: [wait.measured], magnitude: reach, weight: 1, half_life: 1h, cap: 1}}\n"
                for n in "ab"
            )
            + "  form_failure: {kinds: [form.failed]",
            "12 signals: sb.kinds must leave out wait.measured, which feeds wait and sa: an interaction has two",
        ),
        (
            "[form.failed]",
            "[form.failed], derived: switched, weight: 1, half_life: 1h, cap: 1}\n  other: {derived: switched",
            "12 signals: other.derived must be of one signal, but form_failure is switched, too",
        ),
        ("{scale: 40}", "!!bool maybe", "2 is no YAML: 'maybe' is no !!bool"),
        ("{scale: 40}", "!!timestamp soon", "2 is no YAML: 'soon' is no !!timestamp"),
        ("{scale: 40}", "!!int ''", "2 is no YAML: '' is no !!int"),
        ("{scale: 40}", "[" * 5000, "2: lists or keys must not lie so deep in each other"),
        ("max_age: 7d", "max_age: [", "21 is no YAML: "),
        ("max_age: 7d", "max_age: *week", "19 is no YAML: found undefined alias 'week'"),
        (
            "ahead: 5m\n",
            "ahead: 5m\nretention: {quiet: 2d}\n",
            "21 retention: quiet must be at least 60h, 30 ",
        ),
        (
            "ahead: 5m\n",
            "ahead: 5m\nretention: {quiet: 6d}\n",
            "21 retention: quiet must be at least 7d, acc",
        ),
        ("  max_age: 7d\n  max_ahead: 5m\n", "  - 7d\n", "18 acceptance: must be keys with values, got ['7d']"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_key(good: str, bad: str, told: str) -> None:
    assert TEXT.count(good) == 1
    with pytest.raises(PolicyError) as caught:
        parse_policy(TEXT.replace(good, bad), "mine.yaml")
    assert str(caught.value).splitlines()[0].startswith(f"mine.yaml:{told}")


def test_a_key_that_is_misspelled_is_unknown_and_the_right_one_missing() -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(TEXT.replace("half_life: 2h", "half_live: 2h").replace("version: 1", "1: 1"), "mine.yaml")
    assert sorted(str(caught.value).splitlines()) == [
        "mine.yaml:1 1: must be a text, got 1",
        "mine.yaml:1 version: is missing",
        "mine.yaml:4 signals.wait.half_life: is missing",
        "mine.yaml:7 signals.wait.half_live: is unknown (did you mean half_life?)",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "mine.yaml is empty; schemas/policy/default.yaml shows what belongs there"),
        ("# nothing\n", "mine.yaml is empty; schemas/policy/default.yaml shows what belongs there"),
        ("hello", "mine.yaml:1 the policy: must be keys with values, got 'hello'"),
        ("- a\n- b\n", "mine.yaml:1 the policy: must be keys with values, got ['a', 'b']"),
        ("a: b: c", "mine.yaml:1 is no YAML: mapping values are not allowed here"),
        ("---\na: 1\n---\nb: 2\n", "mine.yaml:3 is no YAML: but found another document"),
        ("\n{[1]: 2}", "mine.yaml:2 is no YAML: found unhashable key"),
        ("a: 0x_", "mine.yaml:1 is no YAML: invalid literal for int()"),
        ("\0", "mine.yaml is no YAML: unacceptable character #x0000"),
    ],
)
def test_what_is_no_policy_at_all_is_told_too(text: str, told: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, "mine.yaml")
    assert str(caught.value).startswith(told)


def test_several_errors_are_told_at_once_a_line_each() -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(TEXT.replace("weight: 12", "weight: 0").replace("max_age: 7d", "max_age: 7"), "mine.yaml")
    assert [line.partition(":")[2].partition(":")[0] for line in str(caught.value).splitlines()] == [
        "6 signals.wait.weight",
        "19 acceptance.max_age",
    ]


def test_a_list_whose_one_entry_is_wrong_is_not_told_to_need_one() -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(TEXT + "clocks: {reply: {opens: [{kind: a, when: {}}], closes: [b], promise: 1h}}\n", "mine.yaml")
    assert str(caught.value) == "mine.yaml:21 clocks.reply.opens.0.when: is unknown (did you mean where?)"


def test_three_magnitudes_of_a_kind_are_taken_when_no_interaction_has_them_all() -> None:
    fed = [f"{{kind: wait.measured, where: {{outcome: {said}}}}}" for said in ("answered", "Answered", "abandoned")]
    text = TEXT.replace("kinds: [wait.measured]\n", f"kinds: [{fed[0]}]\n")
    own = "magnitude: reach, weight: 1, half_life: 1h, cap: 1"
    for name, entry, is_right in (("b", fed[1], True), ("c", fed[2], True), ("d", "wait.measured", False)):
        text = text.replace("bands:", f"  {name}: {{kinds: [{entry}], {own}}}\nbands:")
        if is_right:
            assert parse_policy(text, "mine.yaml").digest
    with pytest.raises(PolicyError, match=r"signals: d\.kinds must leave out wait\.measured, which feeds wait and b"):
        parse_policy(text, "mine.yaml")


def test_a_clock_feeds_no_more_signals_than_it_can() -> None:
    late = "{breaches: [reply], weight: 1, half_life: 1h, cap: 1}"
    clocks = "clocks: {reply: {opens: [a], closes: [b], promise: 1h}}\nsignals:\n"
    four = TEXT.replace("signals:\n", clocks + "".join(f"  late{n}: {late}\n" for n in range(4)))
    assert parse_policy(four, "mine.yaml").digest
    told = r"mine\.yaml:9 signals: late4\.breaches must leave out reply, which feeds 4 signals at most: late0, late1, "
    with pytest.raises(PolicyError, match=told):
        parse_policy(four.replace("  wait:\n", f"  late4: {late}\n  wait:\n"), "mine.yaml")


@pytest.mark.parametrize("days", ["²bd", "٥bd", "0bd", "366bd", "9" * 5000 + "bd", "-1bd"])
def test_business_days_are_whole_numbers_up_to_a_year(days: str) -> None:
    clocks = f"clocks: {{reply: {{opens: [a], closes: [b], promise: {days}}}}}\n"
    told = r"clocks\.reply\.promise: must be whole business days such as 5bd, at most 365bd, got "
    with pytest.raises(PolicyError, match=told):
        parse_policy(TEXT + clocks, "mine.yaml")


def test_a_reach_is_at_most_what_all_people_are() -> None:
    social = "social: {kinds: [a], answers: [b], reach: 99999999999999999999}\n"
    with pytest.raises(PolicyError, match=r"social\.reach: must be less than or equal to 10000000000, got 9999"):
        parse_policy(TEXT + social, "mine.yaml")


def test_a_line_is_that_of_the_key_even_when_a_signal_has_the_name_of_a_key() -> None:
    with pytest.raises(PolicyError, match=r"^mine.yaml:5 signals.kinds.kinds.0.kind: must not be empty"):
        parse_policy(
            TEXT.replace("  wait:", "  kinds:").replace("    kinds: [wait.measured]", "    kinds: ['']"), "mine.yaml"
        )


@given(st.text(max_size=60))
def test_any_text_is_a_policy_or_a_policy_error(text: str) -> None:
    with pytest.raises(PolicyError, match=r"^mine\.yaml"):
        parse_policy(text, "mine.yaml")


@given(st.integers(0, len(TEXT)), st.integers(0, 12), st.text("[]{}:-#&*!|>'\"%@`?,~ \n\t0a.", max_size=4))
def test_a_policy_with_a_typing_error_is_a_policy_or_a_policy_error(at: int, length: int, typed: str) -> None:
    with suppress(PolicyError):
        assert parse_policy(TEXT[:at] + typed + TEXT[at + length :], "mine.yaml").digest


def test_the_hash_changes_with_the_meaning_and_with_nothing_else() -> None:
    digest = parse_policy(TEXT, "a.yaml").digest
    assert re.fullmatch(r"[0-9a-f]{12}", digest)
    same = "# mine\n" + TEXT.replace("2m\n", "120s  # two minutes\n").replace("weight: 12", "weight: 12.0")
    assert parse_policy(same, "b.yaml").digest == digest
    lines = TEXT.splitlines(keepends=True)
    assert parse_policy("".join([*lines[2:], *lines[:2]]), "c.yaml").digest == digest
    for good, other in [("weight: 12", "weight: 13"), ("15m", "16m"), ("Call.", "Write."), ("[form.failed]", "[form]")]:
        assert parse_policy(TEXT.replace(good, other), "d.yaml").digest != digest


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("500ms", 500),
        ("30s", 30_000),
        ("2m", 120_000),
        ("1.5h", 5_400_000),
        ("7d", 604_800_000),
        ("3650d", 315_360_000_000),
    ],
)
def test_durations_are_read_as_people_write_them(text: str, milliseconds: int) -> None:
    assert duration_ms(text) == milliseconds


@pytest.mark.parametrize(
    "text", ["", "5", "s", "1 h", " 1h", "1h ", "-1h", "1h30m", "٣h", "1e3s", ".5h", "1w", 5, None, True]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be a duration such as"):
        duration_ms(text)


@given(st.floats(0.001, 99.9))
def test_the_heat_of_a_score_gives_the_score(score: float) -> None:
    policy = parse_policy(TEXT, "a.yaml")
    assert policy.score_of(policy.heat_of(score)) == pytest.approx(score)


def test_bands_are_entered_and_left_at_the_heat_of_their_scores(three: Policy) -> None:
    assert three.band_names == ("calm", "warm", "hot", "breaking")
    assert three.enter_heat.shape == three.leave_heat.shape == (1, 4)
    assert [three.score_of(h) for h in three.enter_heat[0]] == pytest.approx([0, 30, 60, 80])
    assert [three.score_of(h) for h in three.leave_heat[0, 1:]] == pytest.approx([20, 45, 65])


def test_the_scores_of_bands_are_the_same_for_every_segment() -> None:
    policy = parse_policy(TEXT + "segments: {new: {patience: 0.5}, loyal: {patience: 2.0, priority: -1}}\n", "a.yaml")
    assert policy.segment_names == ("", "new", "loyal")
    for segment, heats in enumerate(policy.enter_heat.tolist()):
        assert [policy.score_of(h, segment) for h in heats] == pytest.approx([0, 30, 60])
    assert policy.enter_heat[2].tolist() == pytest.approx((2 * policy.enter_heat[0]).tolist())
    assert policy.shift.tolist() == [0, 0, -1]


def test_a_kind_may_feed_several_signals() -> None:
    both = parse_policy(TEXT.replace("[form.failed]", "[form.failed, wait.measured]"), "a.yaml")
    core = CustomerPartition(0, 1, both)
    core.apply(batch_of([event("wait.measured", 0, duration_ms=240_000)]))
    assert core.rows.heat[0].tolist() == [12.0, 10.0]


def test_the_schema_for_editors_is_current() -> None:
    assert SCHEMA.read_text("utf-8") == schema_for_editors(), (
        "pipelines/policy/policy.py says something else now; write it anew: python -c "
        "'from pipelines.policy.policy import *; print(schema_for_editors(), end=\"\")'"
        " > schemas/policy/policy.schema.json"
    )


@pytest.mark.parametrize(
    "text",
    ["0d", "00.0s", "0.5s", "10m", "05m", "1.50h", "20d", "100ms", "0bd", "00bd", "5bd", "010bd", "365bd", "366bd"],
)
def test_the_schema_takes_the_durations_that_a_policy_takes(text: str) -> None:
    defined = json.loads(schema_for_editors())["$defs"]
    promise = [form for form in defined["Clock"]["properties"]["promise"]["anyOf"] if "pattern" in form]
    try:
        Clock.model_validate({"opens": ["a"], "closes": ["b"], "promise": text})
    except ValueError:
        taken = False
    else:
        taken = True
    assert any(re.search(form["pattern"], text) for form in promise) == taken


def test_the_schema_takes_no_other_names_and_whole_numbers_in_conditions() -> None:
    schema = json.loads(schema_for_editors())
    named = [part for part in parts_of(schema) if "patternProperties" in part]
    assert len(named) > 5
    assert all(part["additionalProperties"] is False for part in named)
    value = schema["$defs"]["When"]["properties"]["where"]["additionalProperties"]["anyOf"]
    assert [one["type"] for one in value] == ["string", "boolean", "integer", "array"]
    assert When.model_validate({"kind": "a", "where": {"proactive": 2}}).where == {"proactive": ("2",)}


def parts_of(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object in a schema."""
    if isinstance(schema, dict):
        yield schema
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from parts_of(part)


@pytest.mark.parametrize("name", ["default", "three"])
def test_a_policy_of_ours_names_its_schema_for_editors(name: str) -> None:
    text = (SHIPPED / f"{name}.yaml").read_text("utf-8")
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert named is not None
    assert (ROOT / "schemas" / "policy" / named[1]).resolve() == SCHEMA.resolve()


def sections(said: dict[str, Any], steps: str = "") -> Iterator[tuple[str, str]]:
    """The sections that a value may be made of: where in it (.* in a list or by a name), and which."""
    if "$ref" in said:
        yield steps, said["$ref"].rpartition("/")[2]
    for one in said.get("anyOf", []):
        yield from sections(one, steps)
    inner = [said.get("items"), said.get("additionalProperties"), *said.get("patternProperties", {}).values()]
    for one in inner:
        if isinstance(one, dict):
            yield from sections(one, f"{steps}.*")


def keys_of(schema: dict[str, Any], defined: dict[str, Any], path: str = "") -> Iterator[str]:
    """Every key as the documentation names it; a section that is no list has its keys only, and so have conditions."""
    for key, said in schema["properties"].items():
        found = list(sections(said))
        if all(steps for steps, _ in found):
            yield f"{path}{key}"
        for steps, name in found:
            inner = list(keys_of(defined[name], defined, f"{path}{key}{steps}."))
            common = [f"{path}{key}{steps}.{shared}" for shared in When.model_fields] if name in CONDITIONAL else []
            yield from (f"*.{one.rpartition('.')[2]}" if one in common else one for one in inner)


def test_every_key_is_documented_and_no_other() -> None:
    schema = PolicyFile.model_json_schema()
    table = DOCUMENT.partition("## Keys")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `([\w.*]+)` \|", table, re.MULTILINE)
    assert set(told) == set(keys_of(schema, schema["$defs"]))
    assert len(told) == len(set(told))


def test_the_worked_example_of_the_documentation_is_what_the_core_gives(three: Policy) -> None:
    rows = re.findall(r"^\| (\d\d):(\d\d) \| (?:`([\w.]+)`(?: (\w+))?)? \| (.+) \|$", DOCUMENT, re.MULTILINE)
    assert len(rows) == 5
    core = CustomerPartition(0, 1, three)
    midnight_ms = 1_790_000_000_000 // 86_400_000 * 86_400_000
    for hour, minute, kind, duration, numbers in rows:
        at_ms = midnight_ms + int(hour) * 3_600_000 + int(minute) * 60_000
        if kind:
            wait_ms = duration_ms(duration) if duration else None
            core.apply(batch_of([event(kind, at_ms, duration_ms=wait_ms)]))
        else:
            core.advance(at_ms)
        age_ms = at_ms - core.rows.updated_ms[0]
        heats = [float(h) * 2 ** -(age_ms / s.half_life) for h, s in zip(core.rows.heat[0], three.signals, strict=True)]
        total = sum(heats)
        told = [*(f"{h:.2f}" for h in (*heats, total)), f"{three.score_of(total):.1f}"]
        assert [cell.strip() for cell in numbers.split("|")] == [*told, three.band_names[core.rows.band[0]]]


def test_names_that_yaml_takes_for_true_and_false_are_names() -> None:
    own = FULL_TEXT.replace("  office:\n", "  off:\n").replace("calendar: office", "calendar: 'off'")
    policy = parse_policy(own, "default.yaml")
    assert "off" in (policy.file.calendars or {})
