"""How to reach Kafka, said once and handed to both client libraries."""

import ssl
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from connectors.tls import client_context, present

SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class KafkaConnection(BaseModel):
    """Address and credentials of a Kafka cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)  # an input may be a secret

    bootstrap_servers: str = Field(default="127.0.0.1:9092", min_length=3)
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: SaslMechanism | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_file: str | None = None
    ssl_certificate_file: str | None = None
    ssl_key_file: str | None = None
    ssl_key_password: SecretStr | None = None

    @model_validator(mode="after")
    def _complete(self) -> "KafkaConnection":
        if self.uses_sasl:
            missing = [n for n in ("sasl_mechanism", "sasl_username", "sasl_password") if not getattr(self, n)]
            if missing:
                raise ValueError(f"security_protocol {self.security_protocol} needs {', '.join(missing)}")
        if bool(self.ssl_certificate_file) != bool(self.ssl_key_file):
            raise ValueError("ssl_certificate_file and ssl_key_file go together")
        return self

    @property
    def uses_sasl(self) -> bool:
        """Whether we say who we are by a user's name and password."""
        return self.security_protocol.startswith("SASL")

    @property
    def uses_tls(self) -> bool:
        """Whether what is said is encrypted, and the broker shows a certificate."""
        return self.security_protocol.endswith("SSL")

    def confluent(self, **more: Any) -> dict[str, Any]:
        """Configuration of a confluent-kafka client, ``more`` added with its underscores as dots.

        Raises:
            SettingsError: a TLS file cannot be used.
        """
        said: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
        }
        if self.uses_sasl:
            said["sasl.mechanism"] = self.sasl_mechanism
            said["sasl.username"] = self.sasl_username
            said["sasl.password"] = _revealed(self.sasl_password)
        if self.uses_tls:
            if self.ssl_ca_file or self.ssl_certificate_file:
                self.tls_context()  # librdkafka would not say which file it is
            said["ssl.ca.location"] = self.ssl_ca_file
            said["ssl.certificate.location"] = self.ssl_certificate_file
            said["ssl.key.location"] = self.ssl_key_file
            said["ssl.key.password"] = _revealed(self.ssl_key_password)
        config = {name: value for name, value in said.items() if value}
        config.update({name.replace("_", "."): value for name, value in more.items()})
        return config

    def tls_context(self) -> ssl.SSLContext | None:
        """TLS for Python's libraries; None if the protocol has none.

        Raises:
            SettingsError: a TLS file cannot be used.
        """
        if not self.uses_tls:
            return None
        context = client_context(self.ssl_ca_file, setting="kafka.ssl_ca_file")
        if self.ssl_certificate_file and self.ssl_key_file:
            present(
                context,
                self.ssl_certificate_file,
                self.ssl_key_file,
                _revealed(self.ssl_key_password),
                settings="kafka.ssl_certificate_file, ssl_key_file and ssl_key_password",
            )
        return context


def _revealed(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""
