"""The declared topics on a cluster: what is there, what differs, and making it so."""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal, Self

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.refusals import cluster_metadata
from schemas.errors import SettingsError, StoreUnavailable, TopicMismatch
from schemas.topics import Topic, TopicNames, default_partitions, topics

Action = Literal["create", "alter", "same", "mismatch"]

# Changing these would lose records, or the meaning of their times.
_FIXED_CONFIGS = frozenset({"cleanup.policy", "message.timestamp.type"})
# More than declared is the operator's choice; less loses records, or refuses them.
_LEAST_CONFIGS = frozenset({"retention.ms", "max.message.bytes"})

# Errors of the broker that pass by themselves; its other ones are refusals.
_PASSING = frozenset(
    {
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_CONTROLLER,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
# Errors of the client that do not pass; its other ones have to do with the network.
_LASTING = frozenset({KafkaError._AUTHENTICATION, KafkaError._INVALID_ARG})  # noqa: SLF001 - documented constants


@dataclass(frozen=True, slots=True)
class TopicChange:
    """What `apply_topics` does about one topic; ``detail`` says it in words, with the remedy of a mismatch."""

    topic: str
    action: Action
    detail: str


@dataclass(frozen=True, slots=True)
class ExistingTopic:
    """A declared topic on the cluster.

    ``messages`` counts offsets from begin to end: with compaction or transactions there are fewer records.
    """

    topic: str
    partitions: int
    messages: int


@dataclass(frozen=True, slots=True)
class _Plan:
    change: TopicChange
    new: NewTopic | None = None
    settings: Mapping[str, str] | None = None


def diff_topics(
    kafka: KafkaConnection,
    names: TopicNames,
    *,
    partitions: Mapping[str, int] | None = None,
    replication_factor: int = -1,
    timeout_s: float = 10.0,
) -> list[TopicChange]:
    """Say what `apply_topics` would do, one change for each declared topic, and change nothing.

    Raises:
        SettingsError, StoreUnavailable: as `apply_topics`.
    """
    with _Cluster(kafka, timeout_s) as cluster:
        return [plan.change for plan in _plans(cluster, names, partitions, replication_factor)]


def apply_topics(
    kafka: KafkaConnection,
    names: TopicNames,
    *,
    partitions: Mapping[str, int] | None = None,
    replication_factor: int = -1,
    timeout_s: float = 10.0,
) -> list[TopicChange]:
    """Create the missing topics and set what differs and can be set safely; all or nothing when one mismatches.

    ``partitions``: partitions by group. A group that is not named keeps the count of its topics that exist, or
    gets the declared one. ``replication_factor``: of new topics; -1 is the broker's default.

    Raises:
        TopicMismatch: a topic differs in a way that cannot be changed; the text has the remedy.
        SettingsError: an unknown group, a count below 1, or the cluster refuses us or what we ask for.
        StoreUnavailable: the cluster did not answer within about ``timeout_s``.
    """
    with _Cluster(kafka, timeout_s) as cluster:
        plans = _plans(cluster, names, partitions, replication_factor)
        mismatches = [plan.change for plan in plans if plan.change.action == "mismatch"]
        if mismatches:
            raise TopicMismatch("\n".join(f"{change.topic}: {change.detail}" for change in mismatches))
        cluster.create([plan.new for plan in plans if plan.new is not None])
        cluster.alter({plan.change.topic: plan.settings for plan in plans if plan.settings})
    return [plan.change for plan in plans]


def existing_topics(kafka: KafkaConnection, names: TopicNames, *, timeout_s: float = 10.0) -> list[ExistingTopic]:
    """The declared topics that the cluster has, in the order of the declaration.

    Raises:
        SettingsError, StoreUnavailable: as `apply_topics`.
    """
    with _Cluster(kafka, timeout_s) as cluster:
        counts = cluster.partition_counts(names.of(name) for name in topics())
        messages = cluster.messages(counts)
    return [ExistingTopic(topic, count, messages[topic]) for topic, count in counts.items()]


def _plans(
    cluster: "_Cluster", names: TopicNames, asked: Mapping[str, int] | None, replication_factor: int
) -> list[_Plan]:
    existing = cluster.partition_counts(names.of(name) for name in topics())
    wanted = _wanted_partitions(asked or {}, names, existing)
    configs = cluster.configs(existing)
    plans = []
    for topic in topics().values():
        name, count = names.of(topic.name), wanted[topic.partitions]
        if name not in existing:
            new = NewTopic(name, count, replication_factor, config=dict(topic.config))
            plans.append(_Plan(TopicChange(name, "create", f"{count} partitions"), new=new))
        else:
            plans.append(_plan_existing(topic, name, existing[name], count, configs[name]))
    return plans


def _wanted_partitions(asked: Mapping[str, int], names: TopicNames, existing: Mapping[str, int]) -> dict[str, int]:
    """Partitions of each group: as asked, else as most of its topics have, else as declared."""
    declared = default_partitions()
    for group, count in asked.items():
        if group not in declared:
            raise SettingsError(f"partitions: there is no group {group!r} of topics, only {', '.join(declared)}")
        if count < 1:
            raise SettingsError(f"partitions: {group} must be 1 or more, got {count}")
    wanted = {}
    for group, default in declared.items():
        found = [
            existing[names.of(topic.name)]
            for topic in topics().values()
            if topic.partitions == group and names.of(topic.name) in existing
        ]
        wanted[group] = asked.get(group) or max(found, key=found.count, default=default)
    return wanted


def _plan_existing(topic: Topic, name: str, has: int, wanted: int, config: Mapping[str, str | None]) -> _Plan:
    if has != wanted:
        return _Plan(
            TopicChange(
                name,
                "mismatch",
                f"has {has} partitions, and the topics of the group {topic.partitions!r} must all have {wanted}: a "
                "customer would be in different partitions of them. The number cannot change while records are kept: "
                f"keep it for the whole group (--partitions {topic.partitions}={has}), or delete the topics of the "
                "group, which loses their records, and apply again, or use another topic prefix",
            )
        )
    alter: dict[str, str] = {}
    notes: list[str] = []
    for key, value in topic.config.items():
        found = config.get(key)
        if found is None or _equal(found, value):
            continue
        if key in _FIXED_CONFIGS:
            anew = "" if topic.config.get("cleanup.policy") == "compact" else ", or delete the topic and apply again"
            return _Plan(
                TopicChange(
                    name,
                    "mismatch",
                    f"has {key}={found}, declared is {value}. Changing it under stored records could lose them or "
                    "the meaning of their times, so it is left to you: set it with Kafka's kafka-configs --alter "
                    f"--topic {name} --add-config {key}={value}{anew}",
                )
            )
        if key in _LEAST_CONFIGS and _at_least(found, value):
            notes.append(f"{key}={found} is more than the declared {value} and stays")
        else:
            alter[key] = value
            notes.append(f"{key} from {found} to {value}")
    action: Action = "alter" if alter else "same"
    detail = ", ".join([f"{has} partitions", *notes])
    return _Plan(TopicChange(name, action, detail), settings=alter or None)


def _equal(found: str, declared: str) -> bool:
    try:
        return float(found) == float(declared)
    except ValueError:
        return set(found.split(",")) == set(declared.split(","))


def _at_least(found: str, declared: str) -> bool:
    return int(found) == -1 or int(found) >= int(declared) >= 0  # -1: without a limit


def _is_refusal(code: int) -> bool:
    return code in _LASTING or (code > 0 and code not in _PASSING)


def _passes(error: Exception) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() in _PASSING


class _Cluster:
    """An admin client whose every answer comes within the time left, or as one of our errors."""

    def __init__(self, kafka: KafkaConnection, timeout_s: float) -> None:
        self._kafka = kafka
        self._servers = kafka.bootstrap_servers
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._last_trouble = ""
        try:
            self._client = AdminClient(
                {**kafka.confluent(), "error_cb": self._note, "log_level": 0}  # not on stderr: we say it
            )
        except KafkaException as error:
            raise self._told(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.poll(0)

    def _note(self, error: KafkaError) -> None:
        self._last_trouble = error.str()

    def _left_s(self) -> float:
        return max(0.5, self._deadline - time.monotonic())

    def partition_counts(self, names: Iterable[str]) -> dict[str, int]:
        found = cluster_metadata(self._kafka, timeout_s=self._left_s()).topics
        return {name: len(found[name].partitions) for name in names if name in found}

    def configs(self, names: Iterable[str]) -> dict[str, dict[str, str | None]]:
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        answers = self._all(self._client.describe_configs, resources)
        return {
            resource.name: {key: entry.value for key, entry in answer.items()} for resource, answer in answers.items()
        }

    def messages(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Offsets between begin and end of each topic, summed over its partitions."""
        parts = [TopicPartition(name, p) for name, count in counts.items() for p in range(count)]
        first = self._all(self._client.list_offsets, dict.fromkeys(parts, OffsetSpec.earliest()))
        end = self._all(self._client.list_offsets, dict.fromkeys(parts, OffsetSpec.latest()))
        total = dict.fromkeys(counts, 0)
        for part in parts:
            total[part.topic] += end[part].offset - first[part].offset
        return total

    def create(self, new: list[NewTopic]) -> None:
        """Create the topics and wait until the cluster's metadata has them all."""
        self._all(self._client.create_topics, new, allowed=KafkaError.TOPIC_ALREADY_EXISTS)
        missing = {topic.topic for topic in new}
        while missing := missing - self.partition_counts(missing).keys():
            if time.monotonic() > self._deadline:
                raise StoreUnavailable(
                    f"Kafka at {self._servers} accepted new topics and does not show them after "
                    f"{self._timeout_s:g} s: {', '.join(sorted(missing))}"
                )
            time.sleep(0.05)

    def alter(self, settings: Mapping[str, Mapping[str, str] | None]) -> None:
        resources = [
            ConfigResource(
                ResourceType.TOPIC,
                name,
                incremental_configs=[
                    ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
                    for key, value in (entries or {}).items()
                ],
            )
            for name, entries in settings.items()
        ]
        self._all(self._client.incremental_alter_configs, resources)

    def _all(
        self, call: "Callable[..., dict[Any, Future[Any]]]", what: Any, *, allowed: int | None = None
    ) -> dict[Any, Any]:
        """Ask for ``what`` and return every answer; again while what stands in the way passes by itself.

        The error code ``allowed`` counts as an answer.
        """
        while what:
            answers = {}
            try:
                for key, future in call(what, request_timeout=self._left_s()).items():
                    try:
                        answers[key] = future.result(timeout=self._left_s() + 1.0)
                    except KafkaException as error:
                        if error.args[0].code() != allowed:
                            raise
            except (KafkaException, TimeoutError) as error:
                if _passes(error) and time.monotonic() < self._deadline:
                    time.sleep(0.05)
                    continue
                raise self._told(error) from error
            return answers
        return {}

    def _told(self, error: Exception) -> StoreUnavailable | SettingsError:
        kafka_error = error.args[0] if isinstance(error, KafkaException) else None
        if isinstance(kafka_error, KafkaError) and _is_refusal(kafka_error.code()):
            return SettingsError(f"Kafka at {self._servers} refuses: {kafka_error.str()}")
        if hasattr(self, "_client"):
            self._client.poll(0)  # delivers the reason, when there is one
        reason = self._last_trouble or (kafka_error.str() if isinstance(kafka_error, KafkaError) else str(error))
        return StoreUnavailable(
            f"Kafka at {self._servers} did not answer within {self._timeout_s:g} s ({reason}). "
            "Is it running, and is the address right?"
        )
