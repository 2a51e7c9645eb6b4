"""Where things are and how they run, as one frozen object. What they mean is the policy.

``pipelines.cli.sources`` builds it from defaults, friction.toml, FRICTION_* and flags; below a command a function
takes the values that it uses, never ``Settings``. docs/settings.md lists every key.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from connectors.clickhouse.connection import ClickHouseConnection
from connectors.kafka.connection import KafkaConnection
from connectors.registry.connection import RegistryConnection

OFF = "off"  # TOML and the environment have no null


def _off_is_none(value: object) -> object:
    return None if value == OFF else value


Port = Annotated[int, Field(ge=1, le=65535)]
PortOrOff = Annotated[Port | None, BeforeValidator(_off_is_none)]
CountOrOff = Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_off_is_none)]
Seconds = Annotated[float, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)  # an input may be a secret


class WorkerOptions(_Part):
    """How a worker runs: group, checkpoints, limits."""

    app_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,100}$")
    """Consumer group, and the beginning of every transactional id; ``<topic_prefix>friction`` unless given."""
    instance_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,100}$")
    """Name of a static member: a restart within the session timeout moves no partition."""
    checkpoint_interval_s: Seconds = 1.0
    alert_gap_s: float = Field(default=0.05, ge=0)
    """Shortest time between two transactions of a partition; the broker client stalls for less."""
    session_timeout_s: float = Field(default=10.0, ge=6)
    """A dead worker's partitions move after this. Kafka's brokers refuse less than 6 s by default."""
    fetch_max_bytes: int = Field(default=4 * 1024 * 1024, ge=64 * 1024)
    """Most bytes of one partition in one fetch."""
    fetch_min_bytes: int = Field(default=40_000, ge=1)
    """The broker answers a fetch when it has so much, or after ``fetch_wait_ms``."""
    fetch_wait_ms: int = Field(default=25, ge=1, le=5_000)
    fetch_check_crc: bool = True
    """Verify the checksum of every fetched batch."""
    buffer_bytes: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024)
    """So much, unpacked, may wait to be processed; then no more is taken, whatever the number of partitions."""
    transaction_timeout_s: Seconds = 10.0
    accept_loss: bool = False
    """Go on although records between the committed offset and the topic's begin are gone."""
    dead_letter_limit: CountOrOff = None
    """Stop when a source partition has had so many dead letters; ``off`` for no limit."""
    state_layout: int | None = Field(default=None, ge=1, le=2)
    """Layout in which rows of the state are written; as they are there unless given, the newest in a new partition."""


class LandingOptions(_Part):
    """How records come to ClickHouse."""

    group_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,100}$")
    """Consumer group; ``<topic_prefix>friction.landing`` unless given."""
    instance_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,100}$")
    """Name of a static member: a restart has its partitions back at once. No two may use the same."""


class MetricsOptions(_Part):
    """Where each process serves its Prometheus metrics; no port, no server."""

    host: str = "127.0.0.1"
    port: PortOrOff = 9464


class LogOptions(_Part):
    """How a process logs, to its standard error."""

    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"


class EmbeddedOptions(_Part):
    """What ``friction up`` runs itself. A port that is not given is chosen free."""

    kafka_port: Port | None = None
    registry_port: Port | None = None
    clickhouse_port: Port | None = None
    page_port: Port | None = None
    jars: Path | None = None
    """Folder with the broker's jars, for a machine that cannot download them."""


class Settings(_Part):
    """Everything that can be set, built once by the command."""

    kafka: KafkaConnection = KafkaConnection()
    registry: RegistryConnection = RegistryConnection()
    clickhouse: ClickHouseConnection = ClickHouseConnection()
    topic_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,100}$")
    """Stands before every topic's name, so that one cluster can serve several systems."""
    data: Path = Path(".friction")
    """Where ``friction up`` keeps everything."""
    policy_file: Path | None = None
    worker: WorkerOptions = WorkerOptions()
    landing: LandingOptions = LandingOptions()
    metrics: MetricsOptions = MetricsOptions()
    log: LogOptions = LogOptions()
    embedded: EmbeddedOptions = EmbeddedOptions()

    @property
    def app_id(self) -> str:
        """Group of the workers: two systems on a cluster with the same one would fence each other without end."""
        return self.worker.app_id or f"{self.topic_prefix}friction"
