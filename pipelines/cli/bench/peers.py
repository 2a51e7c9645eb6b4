"""The peers: the same job on the same topic by others, each in an environment of its own (`make peers`)."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.child import start_child, stop_child
from pipelines.cli.bench.process import cpu_seconds
from pipelines.cli.bench.progress import Group, Steady, steady_part
from pipelines.cli.bench.stand import PARTITIONS, BenchFailed, Stand, delete_topics
from schemas.errors import SettingsError, StoreUnavailable
from schemas.topics import ALERTS, INTERACTIONS, SCORES, avro_schema

ROOMS = Path(".peers")  # tools/peers makes them
PROGRAMS = Path("peers")
WARM_EVENTS = 20_000
STEADY_EVENTS = 200_000
_SLOWEST_PER_S = 300.0
_START_S = 120.0
_STOP_S = 20.0

DURABILITY = {
    "faust": "at least once: table in memory, its changelog in Kafka, offsets committed every 2.8 s",
    "quixstreams": "at least once (its default): RocksDB and a changelog in Kafka, checkpoint every 5 s",
    "bytewax": "at least once out of Kafka: snapshots of state and offsets in SQLite every 10 s",
}

Runner = Callable[[int], Steady]


@dataclass(frozen=True, slots=True)
class Peer:
    """A program of peers/ and the interpreter that has what it needs."""

    name: str
    python: Path
    program: Path
    steady_events: int

    def run(self, stand: Stand, turn: int) -> Steady:
        """Let it work on the interactions until a steady part is measured, then stop it.

        An event is done when its score is in the peer's topic of scores.

        Raises:
            BenchFailed: it ended, or did not get on.
        """
        prefix = f"{stand.names.prefix}{self.name}-{turn}-"
        scores, alerts = f"{prefix}scores", f"{prefix}alerts"
        _create(stand, [scores, alerts])
        directory = stand.directory / prefix
        directory.mkdir()
        log = directory / "log"
        child = start_child(
            [str(self.python.absolute()), str(self.program.absolute())],
            log=log,
            env=self._environment(stand, prefix, scores, alerts, directory),
            cwd=directory,
        )

        def check() -> None:
            if child.poll() is not None:
                raise BenchFailed(f"{self.name} ended while it was measured. It last said:\n{_end_of(log)}")

        try:
            with Group(stand.kafka, f"{prefix}seen", scores) as group:
                total = self._events(stand)
                warm = min(WARM_EVENTS, self.steady_events // 10, total // 10)
                return steady_part(
                    group.produced,
                    lambda: cpu_seconds(child.pid),
                    warm=warm,
                    until=min(warm + self.steady_events, total),
                    check=check,
                    within_s=_START_S + self.steady_events / _SLOWEST_PER_S,
                )
        finally:
            stop_child(child, timeout_s=_STOP_S)
            delete_topics(stand.kafka, _with(stand, prefix))

    def _events(self, stand: Stand) -> int:
        with Group(stand.kafka, "bench-seen", stand.names.of(INTERACTIONS)) as group:
            return group.produced()

    def _environment(self, stand: Stand, prefix: str, scores: str, alerts: str, directory: Path) -> dict[str, str]:
        schemas = {}
        for name in ("interaction", "score", "alert"):
            path = directory / f"{name}.avsc"
            path.write_text(avro_schema(name), "utf-8")
            schemas[name] = str(path)
        job = {
            "bootstrap_servers": stand.kafka.bootstrap_servers,
            "interactions": stand.names.of(INTERACTIONS),
            "scores": scores,
            "alerts": alerts,
            "prefix": prefix,
            "directory": str(directory),
            "partitions": PARTITIONS,
            "schemas": schemas,
            "schema_ids": {"score": stand.schema_ids[SCORES], "alert": stand.schema_ids[ALERTS]},
        }
        return {"BENCH_JOB": json.dumps(job), "PYTHONPATH": str(PROGRAMS.absolute()), "PYTHONHASHSEED": "0"}


def installed_peers(
    stand: Stand, *, steady_events: int = STEADY_EVENTS
) -> tuple[Mapping[str, tuple[Runner, str]], Mapping[str, str]]:
    """Return how each peer that is installed is run, with its durability, and why each other one is not.

    Raises:
        SettingsError: no peer can be run, from here or on this Kafka.
    """
    if not PROGRAMS.is_dir():
        raise SettingsError("--peers needs a checkout: their programs are in peers/, which is not in this directory")
    if stand.kafka.security_protocol != "PLAINTEXT":
        raise SettingsError("--peers needs a Kafka that listens in plain text: their programs know no credentials")
    found: dict[str, tuple[Runner, str]] = {}
    missing = {}
    for name, durability in DURABILITY.items():
        python = ROOMS / name / "bin" / "python"
        if not (ROOMS / name / "installed").exists() or not _starts(python):
            missing[name] = f"not measured: {ROOMS / name} is not installed (`make peers` says why)"
            continue
        peer = Peer(name, python, PROGRAMS / name / "program.py", steady_events)
        found[name] = (lambda turn, peer=peer: peer.run(stand, turn)), durability  # type: ignore[misc]  # the default binds it now
    if not found:
        raise SettingsError("--peers: none is installed; `make peers` installs them")
    return found, missing


def _starts(python: Path) -> bool:
    try:
        return subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def _create(stand: Stand, topics: list[str]) -> None:
    admin = AdminClient({**stand.kafka.confluent(), "log_level": 0})
    try:
        for made in admin.create_topics([NewTopic(topic, PARTITIONS) for topic in topics]).values():
            made.result(30)
    except KafkaException as error:
        raise StoreUnavailable(f"Kafka did not make the topics of a peer: {error.args[0].str()}") from error


def _with(stand: Stand, prefix: str) -> list[str]:
    """Topics of one run: its own, and the changelogs that the peer has made."""
    admin = AdminClient({**stand.kafka.confluent(), "log_level": 0})
    return [topic for topic in admin.list_topics(timeout=10).topics if prefix in topic]


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-8:]) if log.exists() else os.devnull
