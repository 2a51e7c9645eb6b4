"""What each client library is given of a connection, and which settings are refused, by their names."""

import logging
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from pydantic import BaseModel, SecretStr, ValidationError

from connectors.clickhouse.connection import ClickHouseConnection
from connectors.kafka.connection import KafkaConnection
from connectors.kafka.credentials import aiokafka_arguments, faust_credentials
from connectors.registry.connection import RegistryConnection
from schemas.errors import SettingsError
from tests.authority import Authority, Certificate

SECRET = "correct-horse"
SASL = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "ana", "sasl_password": SECRET}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("connections") / "ours")


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Certificate:
    return authority.sign("client", key_password=SECRET)


@pytest.fixture
def tls(authority: Authority, ours: Certificate) -> dict[str, str]:
    return {
        "ssl_ca_file": str(authority.file),
        "ssl_certificate_file": str(ours.certificate_file),
        "ssl_key_file": str(ours.key_file),
        "ssl_key_password": SECRET,
    }


def kafka(protocol: str, **more: str) -> KafkaConnection:
    return KafkaConnection.model_validate({"bootstrap_servers": "k:9092", "security_protocol": protocol, **more})


def by_faust(connection: KafkaConnection) -> dict[str, Any]:
    """What Faust makes of our credentials, which is what its aiokafka clients get."""
    return dict(credentials_to_aiokafka_auth(faust_credentials(connection)))


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
def test_both_kafka_libraries_get_what_the_protocol_needs_and_no_more(protocol: str, tls: dict[str, str]) -> None:
    connection = kafka(protocol, **SASL, **tls)
    said: dict[str, object] = {"bootstrap.servers": "k:9092", "security.protocol": protocol}
    if protocol.startswith("SASL"):
        said |= {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "ana", "sasl.password": SECRET}
    if protocol.endswith("SSL"):
        said |= {
            "ssl.ca.location": tls["ssl_ca_file"],
            "ssl.certificate.location": tls["ssl_certificate_file"],
            "ssl.key.location": tls["ssl_key_file"],
            "ssl.key.password": SECRET,
        }
    assert connection.confluent() == said

    expected: dict[str, object] = {"security_protocol": protocol}
    if protocol.startswith("SASL"):
        expected |= {"sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": "ana", "sasl_plain_password": SECRET}
    direct = aiokafka_arguments(connection)
    assert direct.pop("bootstrap_servers") == ["k:9092"]
    for given in (direct, by_faust(connection)):
        assert (given.pop("ssl_context", None) is not None) == protocol.endswith("SSL")
        assert given == expected


def test_a_broker_must_show_a_certificate_of_the_named_authority_and_of_its_own_name(tls: dict[str, str]) -> None:
    for context in (one(kafka("SSL", **tls))["ssl_context"] for one in (aiokafka_arguments, by_faust)):
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        subjects = [dict(pair for (pair,) in one["subject"]) for one in context.get_ca_certs()]
        assert subjects == [{"commonName": "authority ours"}]


def test_without_a_named_authority_those_of_the_system_are_trusted() -> None:
    assert "ssl.ca.location" not in kafka("SSL").confluent()
    context = kafka("SSL").tls_context()
    assert context is not None
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_settings_of_a_client_come_with_dots_and_last() -> None:
    config = kafka("PLAINTEXT").confluent(group_id="g", enable_auto_commit=False)
    assert (config["group.id"], config["enable.auto.commit"]) == ("g", False)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"security_protocol": "SASL_SSL"}, "SASL_SSL needs sasl_mechanism, sasl_username, sasl_password"),
        ({"security_protocol": "SASL_PLAINTEXT", **SASL, "sasl_password": ""}, "SASL_PLAINTEXT needs sasl_password"),
        ({"security_protocol": "SSL", "ssl_certificate_file": "c.pem"}, "ssl_certificate_file and ssl_key_file go tog"),
        ({"security_protocol": "SSL", "ssl_key_file": "k.pem"}, "ssl_certificate_file and ssl_key_file go together"),
        ({"security_protocol": "TLS"}, "'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or 'SASL_SSL'"),
        ({"sasl_mechanism": "GSSAPI"}, "'PLAIN', 'SCRAM-SHA-256' or 'SCRAM-SHA-512'"),
    ],
)
def test_incomplete_credentials_of_kafka_are_refused_by_name(values: dict[str, str], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        KafkaConnection.model_validate(values)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"ssl_ca_file": "nowhere.pem"}, r"kafka\.ssl_ca_file: .*nowhere\.pem holds no certificates: No such file"),
        ({"ssl_ca_file": "text.pem"}, r"kafka\.ssl_ca_file: .*text\.pem holds no certificates"),
        (
            {"ssl_key_file": "nowhere.pem"},
            r"kafka\.ssl_certificate_file, ssl_key_file and .*nowhere\.pem.*No such file",
        ),
        ({"ssl_key_file": "other.key"}, r"kafka\.ssl_certificate_file, ssl_key_file and .*other\.key.*MISMATCH"),
        (
            {"ssl_key_password": "guess"},
            r"kafka\.ssl_certificate_file, ssl_key_file and ssl_key_password: .*client\.key",
        ),
        ({"ssl_key_password": ""}, r"kafka\.ssl_certificate_file, ssl_key_file and ssl_key_password: .*client\.key"),
    ],
)
def test_a_tls_file_that_cannot_be_used_is_told_by_its_setting_before_any_client_starts(
    wrong: dict[str, str], reason: str, tls: dict[str, str], authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "text.pem").write_text("no certificate", "ascii")
    authority.sign("other").key_file.rename(tmp_path / "other.key")
    named = {key: str(tmp_path / value) if key.endswith("file") else value for key, value in wrong.items()}
    connection = kafka("SSL", **{**tls, **named})
    for ask in (connection.confluent, partial(faust_credentials, connection), partial(aiokafka_arguments, connection)):
        with pytest.raises(SettingsError, match=reason) as caught:
            ask()
        assert SECRET not in str(caught.value)


def test_clickhouse_gets_user_password_and_authority(authority: Authority) -> None:
    connection = ClickHouseConnection(
        url="https://ch.example", user="ana", password=SecretStr(SECRET), ca_file=str(authority.file)
    )
    assert connection.client_arguments() == {
        "host": "ch.example",
        "port": 8443,
        "secure": True,
        "username": "ana",
        "password": SECRET,
        "verify": True,
        "ca_cert": str(authority.file),
    }


def test_clickhouse_is_asked_in_the_clear_only_if_the_address_says_so() -> None:
    arguments = ClickHouseConnection(url="http://ch.example:8124/").client_arguments()
    assert (arguments["port"], arguments["secure"], "verify" in arguments) == (8124, False, False)
    assert ClickHouseConnection(url="https://ch.example", verify=False).client_arguments()["verify"] is False


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"url": "ch.example:8123"}, "must be http://host:port or https://host:port"),
        ({"url": f"https://ana:{SECRET}@ch.example"}, "give user and password by themselves"),
        ({"url": f"ana:{SECRET}@ch.example"}, "give user and password by themselves"),
        ({"url": "https://ch.example:8443/base"}, "must end after host:port"),
        ({"database": "a;b"}, "database"),
    ],
)
def test_a_wrong_address_of_clickhouse_is_refused(values: dict[str, str], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as caught:
        ClickHouseConnection.model_validate(values)
    assert SECRET not in str(caught.value)


def test_authorities_of_clickhouse_that_are_not_there_are_told_by_their_setting(tmp_path: Path) -> None:
    connection = ClickHouseConnection(url="https://ch.example", ca_file=str(tmp_path / "nowhere.pem"))
    with pytest.raises(SettingsError, match=r"clickhouse\.ca_file: .*nowhere\.pem holds no certificates: No such file"):
        connection.client_arguments()


@pytest.mark.parametrize(
    ("model", "secrets", "mistake"),
    [
        (KafkaConnection, {"sasl_password": SECRET, "ssl_key_password": SECRET}, {"security_protocol": "SASL_SSL"}),
        (RegistryConnection, {"password": SECRET}, {"user": None}),
        (ClickHouseConnection, {"password": SECRET}, {"pasword": SECRET}),
    ],
)
def test_neither_a_connection_nor_its_errors_show_a_secret(
    model: type[BaseModel], secrets: dict[str, str], mistake: dict[str, object]
) -> None:
    known = {"user": "ana"} if model is RegistryConnection else {}
    shown = model.model_validate({**secrets, **known})
    assert SECRET not in f"{shown!r} {shown} {shown.model_dump()} {shown.model_dump_json()}"
    with pytest.raises(ValidationError) as caught:
        model.model_validate({**secrets, **mistake})
    assert SECRET not in str(caught.value)


def test_the_credentials_of_faust_do_not_show_the_password() -> None:
    assert SECRET not in repr(faust_credentials(kafka("SASL_PLAINTEXT", **SASL)))


@pytest.mark.parametrize("give", [faust_credentials, aiokafka_arguments])
def test_aiokafka_does_not_log_the_request_that_holds_the_password(give: Callable[[KafkaConnection], object]) -> None:
    requests = logging.getLogger("aiokafka.conn")
    before = requests.level
    requests.setLevel(logging.DEBUG)
    try:
        give(kafka("SASL_SSL", **SASL))
        assert not requests.isEnabledFor(logging.DEBUG)
    finally:
        requests.setLevel(before)
