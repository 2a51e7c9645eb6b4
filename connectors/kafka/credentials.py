"""The credentials of a Kafka connection, as Faust and aiokafka want them."""

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
            password=kafka.sasl_password.get_secret_value() if kafka.sasl_password else None,
            ssl_context=context,
            mechanism=kafka.sasl_mechanism,
        )
    return None if context is None else faust.SSLCredentials(context)
