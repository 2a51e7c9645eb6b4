"""The credentials of a Kafka connection, as Faust and aiokafka want them."""

import ssl
from typing import Any

import faust

from connectors.kafka.connection import KafkaConnection
from schemas.errors import SettingsError


def faust_credentials(kafka: KafkaConnection) -> Any:
    """Credentials object of Faust; None for PLAINTEXT.

    Raises:
        SettingsError: a certificate file cannot be read.
    """
    if kafka.security_protocol == "PLAINTEXT":
        return None
    context = _ssl_context(kafka) if kafka.security_protocol in ("SSL", "SASL_SSL") else None
    if kafka.security_protocol == "SSL":
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=kafka.sasl_username,
        password=kafka.sasl_password.get_secret_value() if kafka.sasl_password else None,
        ssl_context=context,
        mechanism=kafka.sasl_mechanism,
    )


def _ssl_context(kafka: KafkaConnection) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=kafka.ssl_ca_file)
        if kafka.ssl_certificate_file is not None:
            password = kafka.ssl_key_password.get_secret_value() if kafka.ssl_key_password else None
            context.load_cert_chain(kafka.ssl_certificate_file, kafka.ssl_key_file, password)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"the TLS files of kafka cannot be read: {error}") from error
    return context
