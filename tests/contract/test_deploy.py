"""What deploy/ says, judged by the validators of Docker and Compose and by our own settings: no daemon is needed."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cli.sources import known_keys, load_settings, variable
from schemas.errors import SettingsError

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
COMPOSE = ROOT / "deploy/compose/docker-compose.yaml"
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
EXAMPLE = ROOT / "deploy/compose/.env.example"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
OURS = ("init", "worker-1", "worker-2", "landing")

# Imports all our modules where only the distributions of a lock file (argument 1) can be imported; prints what fails.
IMPORT_ALL = """
import importlib, pkgutil, re, sys
from importlib.metadata import packages_distributions
named = {re.sub(r"[_.]", "-", line.split("==")[0]) for line in open(sys.argv[1]) if "==" in line}
there = packages_distributions()

class OnlyTheLock:
    def find_spec(self, name, path=None, target=None):
        owners = {re.sub(r"[_.]", "-", owner.lower()) for owner in there.get(name.partition(".")[0], ())}
        if owners and not owners & (named | {"friction-signals"}):
            raise ModuleNotFoundError(f"{name} is of {owners}")

sys.meta_path.insert(0, OnlyTheLock())
for room in ("schemas", "connectors", "pipelines"):
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(package.__path__, room + "."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                print(module.name, error)
"""


def example_variables() -> dict[str, str]:
    lines = [line for line in EXAMPLE.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", maxsplit=1) for line in lines)


def compose(environment: dict[str, str], *arguments: str, file: Path = COMPOSE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "docker-compose", "--file", file, "--env-file", "/dev/null", "config", *arguments],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """The services as Compose understands them, with every password of .env.example chosen."""
    chosen = {name: value or "chosen" for name, value in example_variables().items()}
    run = compose(chosen, "--format", "json")
    assert run.returncode == 0, run.stderr
    found: dict[str, dict[str, Any]] = json.loads(run.stdout)["services"]
    return found


def test_compose_refuses_to_start_without_passwords() -> None:
    run = compose({})
    assert run.returncode != 0
    for name in ("CLICKHOUSE_PASSWORD", "CLICKHOUSE_GRAFANA_PASSWORD", "GRAFANA_PASSWORD"):
        assert f"{name} is missing a value: choose it in .env" in run.stderr


def test_the_example_of_env_names_every_variable_and_no_other() -> None:
    assert set(re.findall(r"\$\{([A-Z_]+)", COMPOSE.read_text("utf-8"))) == set(example_variables())


def test_the_example_of_env_chooses_no_password() -> None:
    assert {value for name, value in example_variables().items() if name.endswith("PASSWORD")} == {""}


def test_compose_is_seen_to_refuse_a_file_that_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "docker-compose.yaml"
    wrong.write_text(COMPOSE.read_text("utf-8").replace("depends_on:", "depend_on:"), "utf-8")
    assert compose(example_variables(), "--quiet", file=wrong).returncode != 0


def test_every_image_has_a_version(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        assert re.fullmatch(r"[a-z/-]+:\d+\.\d+(\.\d+)?", service["image"])
    assert {services[name]["image"] for name in OURS} == {f"friction-signals:{VERSION}"}
    assert f'image.version="{VERSION}"' in DOCKERFILE.read_text("utf-8")


def test_ports_are_open_on_loopback_only(services: dict[str, dict[str, Any]]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 4
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_a_service_waits_until_what_it_needs_is_well(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        for name, need in service.get("depends_on", {}).items():
            if need["condition"] == "service_healthy":
                assert services[name]["healthcheck"]["test"]
            else:
                assert (name, need["condition"]) == ("init", "service_completed_successfully")
    for name in OURS:
        assert services[name]["depends_on"]


def test_data_outlives_the_containers(services: dict[str, dict[str, Any]]) -> None:
    for name, place in {
        "kafka": "/var/lib/kafka/data",
        "clickhouse": "/var/lib/clickhouse",
        "grafana": "/var/lib/grafana",
    }.items():
        volumes = {volume["target"]: volume["type"] for volume in services[name]["volumes"]}
        assert volumes[place] == "volume"
    assert services["kafka"]["environment"]["KAFKA_LOG_DIRS"] == "/var/lib/kafka/data"


def test_what_is_mounted_exists(services: dict[str, dict[str, Any]]) -> None:
    mounted = [v for s in services.values() for v in s.get("volumes", []) if v["type"] == "bind"]
    assert mounted
    for volume in mounted:
        assert Path(volume["source"]).exists(), volume["source"]
        assert volume["read_only"]


@pytest.mark.parametrize("name", OURS)
def test_our_settings_accept_what_a_service_is_given(
    services: dict[str, dict[str, Any]], name: str, tmp_path: Path
) -> None:
    loaded = load_settings(file=None, environment=services[name]["environment"], directory=tmp_path)
    settings = loaded.settings
    assert settings.kafka.bootstrap_servers == "kafka:9092"
    assert settings.registry.url == "http://registry:8081"
    assert settings.clickhouse.url == "http://clickhouse:8123"
    assert settings.clickhouse.password.get_secret_value() == "chosen"


def test_a_misspelled_variable_is_refused(services: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    environment = {**services["landing"]["environment"], "FRICTION_KAFKA__BOOTSTRAP_SERVER": "kafka:9092"}
    with pytest.raises(SettingsError, match="FRICTION_KAFKA__BOOTSTRAP_SERVER"):
        load_settings(file=None, environment=environment, directory=tmp_path)


def test_each_worker_is_a_static_member_of_its_own(services: dict[str, dict[str, Any]]) -> None:
    name = variable("worker.instance_id")
    assert [services[worker]["environment"][name] for worker in ("worker-1", "worker-2")] == ["worker-1", "worker-2"]


def test_a_service_runs_a_command_that_exists(services: dict[str, dict[str, Any]]) -> None:
    import typer

    from pipelines.cli.main import app

    commands = typer.main.get_command(app)
    for name in OURS:
        found: Any = commands
        for word in services[name]["command"]:
            found = found.commands[word]
        assert found.callback is not None


def test_dashboards_read_with_a_user_that_cannot_write(services: dict[str, dict[str, Any]]) -> None:
    users = (ROOT / "deploy/compose/clickhouse-users.xml").read_text("utf-8")
    (secret,) = re.findall(r'<password from_env="(\w+)"/>', users)
    assert services["clickhouse"]["environment"][secret] == "chosen"
    assert "<readonly>2</readonly>" in users
    assert re.findall(r"<query>(.+)</query>", users) == ["GRANT SELECT ON friction.*"]


def test_grafana_asks_clickhouse_as_that_user(services: dict[str, dict[str, Any]]) -> None:
    mounted = {v["target"]: Path(v["source"]) for v in services["grafana"]["volumes"] if v["type"] == "bind"}
    folder = mounted["/etc/grafana/provisioning/datasources"]
    (source,) = yaml.safe_load((folder / "clickhouse.yaml").read_text("utf-8"))["datasources"]
    environment = services["grafana"]["environment"]

    def expanded(text: str) -> str:
        return re.sub(r"\$\{?(\w+)\}?", lambda found: environment[found[1]], text)

    assert expanded(source["jsonData"]["username"]) == "grafana"
    assert expanded(source["secureJsonData"]["password"]) == "chosen"
    assert (source["jsonData"]["host"], source["jsonData"]["port"]) == ("clickhouse", 8123)
    plugin = environment["GF_PLUGINS_PREINSTALL_SYNC"].split("@")
    assert plugin[0] == source["type"]

    providers = yaml.safe_load((mounted["/etc/grafana/provisioning/dashboards"] / "friction.yaml").read_text("utf-8"))
    assert [provider["options"]["path"] for provider in providers["providers"]] == ["/var/lib/grafana/dashboards"]
    assert list(mounted["/var/lib/grafana/dashboards"].glob("*.json"))


def hadolint(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BIN / "hadolint", "--no-color", file], capture_output=True, text=True, check=False)


def test_hadolint_has_nothing_to_say_about_the_image() -> None:
    run = hadolint(DOCKERFILE)
    assert (run.returncode, run.stdout) == (0, "")


def test_hadolint_is_seen_to_speak(tmp_path: Path) -> None:
    careless = tmp_path / "Dockerfile"
    careless.write_text("FROM python\nRUN cd /tmp && pip install numpy\n", "utf-8")
    assert hadolint(careless).returncode != 0


def test_the_image_does_not_run_as_root() -> None:
    *_, last = re.findall(r"^USER (.+)$", DOCKERFILE.read_text("utf-8"), re.MULTILINE)
    assert last == "10001:10001"


def test_the_image_sets_variables_that_exist() -> None:
    known = {variable(key) for key in known_keys()}
    used = set(re.findall(r"FRICTION_\w+", DOCKERFILE.read_text("utf-8")))
    assert used
    assert used - known == set()


PICTURES = tuple(f"pipelines.cli.explain.{name}" for name in ("heats", "panels", "picture"))
"""The extra picture: workers draw nothing."""


def test_the_image_has_what_every_module_imports_but_those_of_the_page_and_of_pictures() -> None:
    lock = ROOT / "requirements-server.lock"
    run = subprocess.run([sys.executable, "-c", IMPORT_ALL, lock], cwd=ROOT, capture_output=True, text=True, check=True)
    missing = [line.split()[0] for line in run.stdout.splitlines()]
    assert "pipelines.page.view" in missing, "nicegui was to be out of reach"
    assert [name for name in missing if not name.startswith("pipelines.page.") and name not in PICTURES] == []


def test_the_build_is_sent_what_it_copies() -> None:
    ignored, *sent = [
        line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and not line.startswith("#")
    ]
    assert ignored == "*"
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text("utf-8"), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    assert sources == {line.removeprefix("!") for line in sent if line.startswith("!")}
    for source in sources:
        assert (ROOT / source).exists(), source


def test_the_compose_file_is_one_document_of_plain_yaml() -> None:
    documents = list(yaml.safe_load_all(COMPOSE.read_text("utf-8")))
    assert [document["name"] for document in documents] == ["friction"]
