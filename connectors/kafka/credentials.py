"""The credentials of a Kafka connection, as Faust and aiokafka want them."""

import logging
from typing import Any

import faust

from connectors.kafka.connection import KafkaConnection


def faust_credentials(kafka: KafkaConnection) -> Any:
    """Credentials object of Faust; None for PLAINTEXT.

    Raises:
        SettingsError: a TLS file cannot be used.
    """
    context = kafka.tls_context()
    if kafka.uses_sasl:
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=_password(kafka),
            ssl_context=context,
            mechanism=kafka.sasl_mechanism,
        )
    return None if context is None else faust.SSLCredentials(context)


def aiokafka_arguments(kafka: KafkaConnection) -> dict[str, Any]:
    """Arguments of a client of aiokafka for the same connection.

    Raises:
        SettingsError: a TLS file cannot be used.
    """
    arguments: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap_servers.replace(" ", "").split(","),
        "security_protocol": kafka.security_protocol,
        "ssl_context": kafka.tls_context(),
    }
    if kafka.uses_sasl:
        arguments |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": _password(kafka),
        }
    return arguments


def _password(kafka: KafkaConnection) -> str | None:
    """Return the password, and see that aiokafka never logs the request in which it sends it."""
    logging.getLogger("aiokafka.conn").setLevel(logging.INFO)  # it does at "debug"
    return kafka.sasl_password.get_secret_value() if kafka.sasl_password else None
