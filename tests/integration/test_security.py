"""TLS and passwords reach every client that needs them; what is wrong is said once, and no secret is ever printed."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError
from pydantic import SecretStr

from connectors.child import start_child, stop_child
from connectors.clickhouse.client import connect, connect_async, mapped_errors
from connectors.clickhouse.connection import ClickHouseConnection
from connectors.clickhouse.migrations import migrate
from connectors.kafka.admin import apply_topics
from connectors.kafka.connection import KafkaConnection
from connectors.kafka.credentials import aiokafka_arguments
from connectors.kafka.refusals import cluster_metadata
from connectors.registry.client import SchemaRegistry
from connectors.registry.connection import RegistryConnection
from connectors.registry.server import EmbeddedRegistry
from pipelines.cli.counts import Probe
from pipelines.cli.exits import ExitCode
from schemas.errors import FrictionError, SettingsError, StoreUnavailable
from schemas.topics import INTERACTIONS, TopicNames, avro_schema
from tests.authority import Authority
from tests.integration.secured import (
    CLICKHOUSE_PASSWORD,
    REFUSED_BY_A_PROXY,
    REFUSED_BY_CLICKHOUSE,
    REFUSED_BY_REGISTRY,
    REGISTRY_PASSWORD,
    SECRETS,
    USER,
    WRONG_PASSWORD,
    SecuredKafka,
    behind_tls,
    secured_kafka,
)
from tests.polling import wait_until

COMMAND = (sys.executable, "-m", "pipelines.cli.main")
COUNT = 300


@dataclass(frozen=True)
class Stores:
    """Where everything is, said completely and rightly."""

    kafka: SecuredKafka
    registry: RegistryConnection
    clickhouse: ClickHouseConnection
    stranger: Authority


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, clickhouse: ClickHouseConnection) -> Iterator[Stores]:
    directory = tmp_path_factory.mktemp("secured")
    authority = Authority(directory / "company")
    certificate = authority.sign("gate")
    with ExitStack() as stack:
        kafka = stack.enter_context(secured_kafka(directory / "kafka", authority))
        server = EmbeddedRegistry(kafka.sasl_ssl)
        stack.callback(server.stop)
        registry = server.start().url
        registry_gate = behind_tls(registry, certificate, REGISTRY_PASSWORD, REFUSED_BY_REGISTRY)
        clickhouse_gate = behind_tls(clickhouse.url, certificate, CLICKHOUSE_PASSWORD, REFUSED_BY_CLICKHOUSE)
        yield Stores(
            kafka,
            RegistryConnection(
                url=stack.enter_context(registry_gate),
                user=USER,
                password=SecretStr(REGISTRY_PASSWORD),
                ca_file=str(authority.file),
            ),
            ClickHouseConnection(
                url=stack.enter_context(clickhouse_gate),
                user=USER,
                password=SecretStr(CLICKHOUSE_PASSWORD),
                ca_file=str(authority.file),
                database="secured",
            ),
            stranger=Authority(directory / "stranger"),
        )


# -- commands --------------------------------------------------------------------------------------------------------


def variables(stores: Stores, kafka: KafkaConnection, tmp_path: Path, **more: str) -> dict[str, str]:
    """The environment of a command: our settings and nothing else of ours."""
    said: dict[str, Any] = {"metrics.port": "off", "data": tmp_path / "none"}
    for name, part in (("kafka", kafka), ("registry", stores.registry), ("clickhouse", stores.clickhouse)):
        said |= {f"{name}.{key}": value for key, value in part if value is not None}
    said |= {key.replace("__", "."): value for key, value in more.items()}
    ours = {
        f"FRICTION_{key.upper().replace('.', '__')}": (
            value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        )
        for key, value in said.items()
    }
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("FRICTION_")}
    return {**inherited, **ours, "COLUMNS": "1000"}  # a paragraph in one line


def run(env: Mapping[str, str], *arguments: str, code: int = ExitCode.DONE) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end; nothing that it says may be a secret."""
    done = subprocess.run(
        [*COMMAND, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False, cwd="/"
    )
    assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
    assert_silent_about_secrets(done.stdout + done.stderr)
    return done


def assert_silent_about_secrets(text: str) -> None:
    assert [secret for secret in SECRETS if secret in text] == []


@pytest.mark.parametrize("way_in", ["SASL_SSL", "SSL"])
def test_everything_is_processed_and_landed_by_commands_that_have_only_variables(
    way_in: str, stores: Stores, tmp_path: Path
) -> None:
    kafka, prefix = {"SASL_SSL": stores.kafka.sasl_ssl, "SSL": stores.kafka.ssl}[way_in], f"{way_in}-"
    database = stores.clickhouse.model_copy(update={"database": f"secured_{way_in}"})
    env = variables(replace(stores, clickhouse=database), kafka, tmp_path, topic_prefix=prefix, worker__app_id=way_in)
    migrate(database)
    run(env, "topics", "apply", "--partitions", "customers=2", "--partitions", "touchpoints=1")
    log = tmp_path / "children.log"
    noisy = {**env, "FRICTION_LOG__LEVEL": "debug"}
    children = [start_child([*COMMAND, name], log=log, env=noisy, cwd=tmp_path) for name in ("worker", "land")]
    try:
        run(env, "simulate", "--rate", "1000", "--count", str(COUNT))
        with Probe(kafka, database, TopicNames(prefix), app_id=way_in) as probe:
            try:
                wait_until(lambda: probe.counts().complete and probe.counts().landed["friction_scores"], 120)
            except (AssertionError, FrictionError) as error:
                raise AssertionError(f"{error}\n{log.read_text('utf-8')}") from error
        status = json.loads(run(env, "status", "--json").stdout)
        assert (status["produced"], status["processed"], status["landed"]["interactions"]) == (COUNT, COUNT, COUNT)
        checks = run(env, "doctor").stdout.splitlines()
        assert {line.split()[1] for line in checks} >= {"broker", "topics", "clock", "registry", "clickhouse"}
        assert [stop_child(child, timeout_s=30) for child in children] == [0, 0]
    finally:
        for child in children:
            stop_child(child, timeout_s=0)
    said = log.read_text("utf-8")
    assert "goes on at" in said
    assert_silent_about_secrets(said)


Change = Callable[[Stores], dict[str, str]]


@pytest.mark.parametrize(
    ("change", "commands", "words"),
    [
        (
            lambda _: {"FRICTION_KAFKA__SASL_PASSWORD": WRONG_PASSWORD},
            ("topics apply", "simulate --count 1", "status", "worker", "land"),
            (f"refuses user '{USER}'", "Invalid username or password", "kafka.sasl_password"),
        ),
        (
            lambda stores: {"FRICTION_KAFKA__SSL_CA_FILE": str(stores.stranger.file)},
            ("land",),
            ("is not trusted", "kafka.ssl_ca_file"),
        ),
        (
            lambda _: {"FRICTION_REGISTRY__PASSWORD": WRONG_PASSWORD},
            ("topics apply", "simulate --count 1", "worker"),
            ("does not let this user", "registry.password"),
        ),
        (
            lambda _: {"FRICTION_CLICKHOUSE__PASSWORD": WRONG_PASSWORD},
            ("status", "land"),
            (f"refuses user '{USER}'", "clickhouse.password"),
        ),
    ],
    ids=["kafka-password", "kafka-authority", "registry-password", "clickhouse-password"],
)
def test_what_is_wrong_ends_every_command_with_one_paragraph_and_its_exit_code(
    change: Change, commands: tuple[str, ...], words: tuple[str, ...], stores: Stores, tmp_path: Path
) -> None:
    names = TopicNames(prefix="refused-")
    apply_topics(stores.kafka.sasl_ssl, names, partitions={"customers": 1, "touchpoints": 1})
    migrate(stores.clickhouse)
    env = {**variables(stores, stores.kafka.sasl_ssl, tmp_path, topic_prefix=names.prefix), **change(stores)}

    def ended(command: str) -> str:
        return run(env, *command.split(), code=ExitCode.USAGE).stderr

    with ThreadPoolExecutor(2) as threads:
        for command, said in zip(commands, threads.map(ended, commands), strict=True):
            *log, paragraph = said.splitlines()
            assert paragraph.startswith("friction: "), (command, said)
            assert [word for word in words if word not in paragraph] == [], (command, paragraph)
            assert "Traceback" not in said, (command, said)
            assert len(log) <= 1, (command, said)


def test_doctor_says_of_each_store_why_it_refuses_and_a_traceback_shows_no_secret(
    stores: Stores, tmp_path: Path
) -> None:
    wrong = dict.fromkeys(("kafka__sasl_password", "registry__password", "clickhouse__password"), WRONG_PASSWORD)
    env = variables(stores, stores.kafka.sasl_ssl, tmp_path, **wrong)
    checks = {line.split()[1]: line for line in run(env, "doctor", code=ExitCode.FAILED).stdout.splitlines()}
    assert {subject for subject, line in checks.items() if line.startswith("BAD")} >= {
        "broker",
        "registry",
        "clickhouse",
    }
    assert "kafka.sasl_password" in checks["broker"]
    assert "registry.password" in checks["registry"]
    assert "clickhouse.password" in checks["clickhouse"]
    assert "Traceback" in run(env, "topics", "diff", "--debug", code=ExitCode.USAGE).stderr


# -- Kafka, both libraries -------------------------------------------------------------------------------------------


@pytest.fixture(params=["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "certificate", "in the clear"])
def way_in(request: pytest.FixtureRequest, stores: Stores) -> KafkaConnection:
    match request.param:
        case "certificate":
            return stores.kafka.ssl
        case "in the clear":
            return stores.kafka.sasl_plaintext
        case mechanism:
            return stores.kafka.with_mechanism(mechanism)


def test_both_libraries_write_and_read(way_in: KafkaConnection, names: TopicNames) -> None:
    apply_topics(way_in, names, partitions={"customers": 1, "touchpoints": 1})
    topic = names.of(INTERACTIONS)
    ours = aiokafka_arguments(way_in)
    producer = Producer(way_in.confluent())
    producer.produce(topic, b"by librdkafka")
    assert producer.flush(20) == 0

    async def write_and_read() -> list[bytes]:
        writer = AIOKafkaProducer(**ours)
        reader = AIOKafkaConsumer(topic, auto_offset_reset="earliest", **ours)
        async with asyncio.timeout(30), writer, reader:
            await writer.send_and_wait(topic, b"by aiokafka")
            return [(await reader.getone()).value for _ in range(2)]

    assert asyncio.run(write_and_read()) == [b"by librdkafka", b"by aiokafka"]


@pytest.mark.parametrize(
    ("way_in", "change", "words"),
    [
        ("sasl_ssl", {"sasl_password": SecretStr(WRONG_PASSWORD)}, r"refuses user 'ana'.*kafka\.sasl_password"),
        (
            "sasl_ssl",
            {"sasl_mechanism": "SCRAM-SHA-512", "sasl_password": SecretStr(WRONG_PASSWORD)},
            r"refuses user 'ana'.*SCRAM-SHA-512.*kafka\.sasl_password",
        ),
        ("sasl_plaintext", {"sasl_mechanism": "SCRAM-SHA-256"}, r"supported mechanisms: PLAIN.*kafka\.sasl_mechanism"),
        ("sasl_ssl", {"ssl_ca_file": None}, r"is not trusted.*kafka\.ssl_ca_file"),
        ("ssl", {"ssl_certificate_file": None, "ssl_key_file": None}, r"wants a certificate.*ssl_certificate_file"),
        ("ssl", {"ssl_key_password": SecretStr(WRONG_PASSWORD)}, r"kafka\.ssl_certificate_file.*that the password ope"),
    ],
)
def test_a_cluster_that_does_not_let_us_in_says_why_and_which_setting_to_change(
    way_in: str, change: dict[str, object], words: str, stores: Stores
) -> None:
    connection: KafkaConnection = getattr(stores.kafka, way_in)
    with pytest.raises(SettingsError, match=words) as caught:
        cluster_metadata(connection.model_copy(update=change))
    assert_silent_about_secrets(str(caught.value))


def test_another_protocol_than_the_listeners_is_told_as_what_may_be_wrong(stores: Stores) -> None:
    clear = KafkaConnection(bootstrap_servers=stores.kafka.sasl_ssl.bootstrap_servers)
    with pytest.raises(StoreUnavailable, match="security protocol, PLAINTEXT, right"):
        cluster_metadata(clear, timeout_s=1.0)


# -- ClickHouse ------------------------------------------------------------------------------------------------------


def answers(connection: ClickHouseConnection) -> int:
    """What the client of the landing, the migrations and the commands gets."""
    client = connect(connection, database="default")
    with mapped_errors(connection):
        rows = client.query("SELECT 40 + 2").result_rows
    client.close()
    return int(rows[0][0])


def answers_the_page(connection: ClickHouseConnection) -> int:
    async def ask() -> int:
        client = await connect_async(connection, database="default")
        with mapped_errors(connection):
            rows = (await client.query("SELECT 40 + 2")).result_rows
        await client.close()
        return int(rows[0][0])

    return asyncio.run(ask())


@pytest.fixture(params=[answers, answers_the_page])
def ask(request: pytest.FixtureRequest) -> Callable[[ClickHouseConnection], int]:
    asked: Callable[[ClickHouseConnection], int] = request.param
    return asked


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")  # what verify=False means
def test_clickhouse_answers_whom_it_knows_over_tls(ask: Callable[[ClickHouseConnection], int], stores: Stores) -> None:
    assert ask(stores.clickhouse) == 42
    assert ask(stores.clickhouse.model_copy(update={"ca_file": None, "verify": False})) == 42


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": SecretStr(WRONG_PASSWORD)}, r"refuses user 'ana'.*clickhouse\.user and clickhouse\.password"),
        ({"user": "eve"}, r"refuses user 'eve'.*clickhouse\.user and clickhouse\.password"),
        ({"ca_file": None}, r"certificate of ClickHouse.*is not trusted.*clickhouse\.ca_file"),
    ],
)
def test_clickhouse_refuses_by_the_setting_to_change(
    ask: Callable[[ClickHouseConnection], int], change: dict[str, object], words: str, stores: Stores
) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        ask(stores.clickhouse.model_copy(update=change))
    assert_silent_about_secrets(str(caught.value))


def test_a_proxy_before_clickhouse_that_does_not_know_us_is_told_like_clickhouse_itself(
    ask: Callable[[ClickHouseConnection], int], stores: Stores, clickhouse: ClickHouseConnection, tmp_path: Path
) -> None:
    company = Authority(tmp_path / "company")
    with behind_tls(clickhouse.url, company.sign("proxy"), WRONG_PASSWORD, REFUSED_BY_A_PROXY) as url:
        there = stores.clickhouse.model_copy(update={"url": url, "ca_file": str(company.file)})
        with pytest.raises(SettingsError, match=r"refuses user 'ana'.*clickhouse\.password"):
            ask(there)


# -- the registry ----------------------------------------------------------------------------------------------------


def test_the_registry_is_reached_by_our_client_and_by_confluents(stores: Stores, names: TopicNames) -> None:
    connection, subject = stores.registry, names.subject(INTERACTIONS)
    ours = SchemaRegistry(connection).register(subject, avro_schema("interaction"))
    settings = {"url": connection.url, "ssl.ca.location": connection.ca_file, "max.retries": 0}
    known = SchemaRegistryClient({**settings, "basic.auth.user.info": f"{USER}:{REGISTRY_PASSWORD}"})
    assert known.get_latest_version(subject).schema_id == ours
    with pytest.raises(SchemaRegistryError, match="401"):
        SchemaRegistryClient(settings).get_latest_version(subject)
