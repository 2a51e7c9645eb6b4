"""How to reach ClickHouse over HTTP: a server, a cluster, or the embedded engine's bridge."""

from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from connectors.tls import client_context


class ClickHouseConnection(BaseModel):
    """Address and credentials of ClickHouse. ``url`` is http://host:port or https://host:port."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)  # an input may be a secret

    url: str = "http://127.0.0.1:8123"
    database: str = Field(default="friction", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    user: str = "default"
    password: SecretStr = SecretStr("")
    ca_file: str | None = None
    verify: bool = True

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        if "@" in url:  # before anything that repeats it
            raise ValueError("must not hold a password: give user and password by themselves")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"must be http://host:port or https://host:port, got {url!r}")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError(f"must end after host:port, got {url!r}")
        return url.rstrip("/")

    def client_arguments(self) -> dict[str, Any]:
        """Keyword arguments of clickhouse_connect.get_client and get_async_client (database left out).

        Raises:
            SettingsError: the file of authorities cannot be used.
        """
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        arguments: dict[str, Any] = {
            "host": parts.hostname,
            "port": parts.port or (8443 if secure else 8123),
            "secure": secure,
            "username": self.user,
            "password": self.password.get_secret_value(),
        }
        if secure:
            arguments["verify"] = self.verify
            if self.ca_file:
                client_context(self.ca_file, setting="clickhouse.ca_file")  # the library finds out late, and not what
                arguments["ca_cert"] = self.ca_file
        return arguments
