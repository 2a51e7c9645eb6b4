"""How to reach a schema registry that speaks the Confluent API: any, or the embedded one."""

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator, model_validator


class RegistryConnection(BaseModel):
    """Address and credentials of a schema registry. ``url`` may have a path: https://host:port/registry."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)  # an input may be a secret

    url: str = "http://127.0.0.1:8081"
    user: str | None = None
    password: SecretStr | None = None
    ca_file: str | None = None

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        if "@" in url:  # before anything that repeats it
            raise ValueError("must not hold a password: give user and password by themselves")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"must be http://host:port or https://host:port, got {url!r}")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _complete(self) -> "RegistryConnection":
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together")
        return self
