"""Settings come from defaults, file, environment and flags; each knows its source, and no secret is shown."""

import re
import traceback
from pathlib import Path

import pytest

from pipelines.cli.sources import CONFIG_VARIABLE, Loaded, known_keys, load_settings, variable
from schemas.errors import SettingsError

SECRET = "correct-horse"


def loaded(
    tmp_path: Path, text: str = "", *, variables: dict[str, str] | None = None, **flags: tuple[object, str]
) -> Loaded:
    file = tmp_path / "friction.toml"
    file.write_text(text, "utf-8")
    named = {key.replace("__", "."): given for key, given in flags.items()}
    return load_settings(file=file, environment=variables or {}, flags=named)


def test_flags_win_over_variables_over_the_file_over_defaults(tmp_path: Path) -> None:
    text = '[worker]\napp_id = "file"\nsession_timeout_s = 20\ninstance_id = "file"\n'
    variables = {"FRICTION_WORKER__APP_ID": "variable", "FRICTION_WORKER__INSTANCE_ID": "variable"}
    settings = loaded(tmp_path, text, variables=variables, worker__instance_id=("flag", "--instance")).settings
    assert settings.worker.instance_id == "flag"
    assert settings.worker.app_id == "variable"
    assert settings.worker.session_timeout_s == 20.0
    assert settings.worker.checkpoint_interval_s == 1.0


def test_every_value_knows_its_source(tmp_path: Path) -> None:
    text = 'topic_prefix = "a-"\n\n[kafka]\nbootstrap_servers = "kafka:9092"\n'
    found = loaded(tmp_path, text, variables={"FRICTION_LOG__LEVEL": "debug"}, data=(Path("d"), "--data"))
    sources = {key: source for key, _, source in found.rows()}
    file = tmp_path / "friction.toml"
    assert sources["topic_prefix"] == f"{file}:1"
    assert sources["kafka.bootstrap_servers"] == f"{file}:4"
    assert sources["log.level"] == "FRICTION_LOG__LEVEL"
    assert sources["data"] == "--data"
    assert sources["registry.url"] == "default"
    assert sources.keys() == known_keys().keys()


def test_a_file_is_found_by_flag_then_variable_then_in_the_directory(tmp_path: Path) -> None:
    for name in ("flag", "variable", "friction"):
        (tmp_path / f"{name}.toml").write_text(f'topic_prefix = "{name}"', "utf-8")
    variables = {CONFIG_VARIABLE: str(tmp_path / "variable.toml")}

    def prefix(file: Path | None, environment: dict[str, str]) -> str:
        return load_settings(file=file, environment=environment, directory=tmp_path).settings.topic_prefix

    assert prefix(tmp_path / "flag.toml", variables) == "flag"
    assert prefix(None, variables) == "variable"
    assert prefix(None, {}) == "friction"
    assert load_settings(file=None, environment={}, directory=tmp_path / "empty").given == {}


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml cannot be read: No such file"):
        load_settings(file=tmp_path / "nowhere.toml", environment={})


@pytest.mark.parametrize(
    ("text", "variables", "message"),
    [
        ("[kafka]\nbootstrap_servrs = 'x:1'", {}, r"toml:2: unknown key kafka\.bootstrap_servrs; did you mean kafka"),
        ("kafka = 3", {}, r"toml:1: kafka is a table of settings, got 3"),
        ("[worker]\n\nsession_timeout_s = 1", {}, r"toml:3: worker\.session_timeout_s: .*than or equal to 6, got 1"),
        ("a = ?", {}, r"toml is not TOML: .*line 1"),
        ("", {"FRICTION_KAFK__BOOTSTRAP": "x"}, r"unknown variable FRICTION_KAFK__BOOTSTRAP; did you mean FRICTION_KA"),
        ("", {"FRICTION_METRICS__PORT": "70000"}, r'FRICTION_METRICS__PORT: metrics\.port: .*65535, got "70000"'),
        ("", {"FRICTION_LOG__FORMAT": "xml"}, r"FRICTION_LOG__FORMAT: log\.format: .*'console' or 'json'"),
        ("[kafka]\nsecurity_protocol = 'SASL_SSL'", {}, r"toml:2: kafka: security_protocol SASL_SSL needs sasl_mech"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_its_source_and_what_is_allowed(
    tmp_path: Path, text: str, variables: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        loaded(tmp_path, text, variables=variables)


def test_variables_of_tests_and_of_the_command_are_no_settings(tmp_path: Path) -> None:
    others = {"FRICTION_TEST_KAFKA": "embedded", "FRICTION_DEBUG": "1", "FRICTIONLESS": "x"}
    assert loaded(tmp_path, variables=others).given == {}


def test_off_is_written_where_nothing_is_meant(tmp_path: Path) -> None:
    found = loaded(tmp_path, '[metrics]\nport = "off"', variables={"FRICTION_WORKER__DEAD_LETTER_LIMIT": "off"})
    assert found.settings.metrics.port is None
    assert found.settings.worker.dead_letter_limit is None


def test_secrets_are_not_shown_by_rows_or_errors_or_tracebacks(tmp_path: Path) -> None:
    variables = {
        "FRICTION_KAFKA__SASL_PASSWORD": SECRET,
        "FRICTION_REGISTRY__USER": "me",
        "FRICTION_REGISTRY__PASSWORD": SECRET,
        "FRICTION_CLICKHOUSE__PASSWORD": SECRET,
    }
    found = loaded(tmp_path, variables=variables)
    assert SECRET not in str(list(found.rows()))
    assert SECRET not in repr(found.settings.kafka)
    for wrong in (
        {"FRICTION_KAFKA__SECURITY_PROTOCOL": "SASL_SSL"},
        {"FRICTION_LOG__LEVEL": "loud"},
        {"FRICTION_CLICKHOUSE__URL": f"ftp://me:{SECRET}@clickhouse"},
        {"FRICTION_CLICKHOUSE__URL": f"http://me:{SECRET}@clickhouse:8123"},
    ):
        with pytest.raises(SettingsError) as caught:
            loaded(tmp_path, variables={**variables, **wrong})
        assert SECRET not in str(caught.value)
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, variables={**variables, "FRICTION_KAFKA__SECURITY_PROTOCOL": "SASL_SSL"})
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_child_process_gets_the_same_settings_by_its_environment(tmp_path: Path) -> None:
    parent = loaded(
        tmp_path,
        '[worker]\naccept_loss = true\nsession_timeout_s = 12.5\n[metrics]\nport = "off"\n[kafka]\nsasl_password = "p"',
        data=(tmp_path, "--data"),
    ).override({"kafka.bootstrap_servers": "127.0.0.1:1234"}, where="friction up")
    child = load_settings(file=None, environment=parent.environment(), directory=tmp_path / "none")
    assert child.settings == parent.settings
    assert child.given["kafka.bootstrap_servers"].where == variable("kafka.bootstrap_servers")


def test_the_workers_of_two_systems_on_a_cluster_are_two_groups(tmp_path: Path) -> None:
    assert loaded(tmp_path).settings.app_id == "friction"
    assert loaded(tmp_path, 'topic_prefix = "blue-"').settings.app_id == "blue-friction"
    assert loaded(tmp_path, 'topic_prefix = "blue-"\n[worker]\napp_id = "green"').settings.app_id == "green"


def test_an_override_is_checked_like_a_flag(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"friction up: unknown key kafka\.port"):
        loaded(tmp_path).override({"kafka.port": 1}, where="friction up")


ROOT = Path(__file__).parents[2]


def test_the_documentation_has_every_setting_with_its_default() -> None:
    rows = [line.split("|") for line in (ROOT / "docs/settings.md").read_text("utf-8").splitlines()]
    documented = {row[1].strip(" `"): row[2].strip(" `") for row in rows if len(row) == 5 and row[1].startswith(" `")}
    defaults = load_settings(file=None, environment={}, directory=ROOT / "docs").rows()
    assert documented == {key: "" if value == "none" else value for key, value, _ in defaults}


def test_the_example_file_can_be_used_as_it_is_and_with_its_comments_undone(tmp_path: Path) -> None:
    text = (ROOT / "deploy/friction.example.toml").read_text("utf-8")
    assert loaded(tmp_path, text).settings.kafka.bootstrap_servers == "kafka-1:9092,kafka-2:9092"
    secrets = {"FRICTION_KAFKA__SASL_PASSWORD": SECRET, "FRICTION_REGISTRY__PASSWORD": SECRET}
    undone = re.sub(r"(?m)^# (?=\w+ = )", "", text)
    settings = loaded(tmp_path, undone, variables=secrets).settings
    assert settings.kafka.security_protocol == "SASL_SSL"
    assert settings.worker.dead_letter_limit == 10_000
