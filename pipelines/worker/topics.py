"""The topics on the cluster, held against what a worker needs of them, and that they stay the ones they are."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from connectors.kafka.admin import diff_topics
from connectors.kafka.connection import KafkaConnection
from connectors.kafka.identities import TopicIds
from connectors.kafka.refusals import cluster_metadata
from connectors.kafka.rights import READ, WRITE, refuse_missing_rights
from schemas.errors import SettingsError, StoreUnavailable, TopicMismatch
from schemas.topics import (
    INCIDENT_PARTIALS,
    INCIDENT_STATE,
    INTERACTIONS,
    REKEYED,
    STATE,
    TOUCHPOINT_STATE,
    WAIT_PARTIALS,
    TopicNames,
    default_partitions,
    topics,
)

log = logging.getLogger(__name__)

LOOK_S = 2.0
_MISSED = 3  # looks in a row without a topic, after which it is gone: a broker that starts may not know it yet


def partition_counts(kafka: KafkaConnection, names: TopicNames) -> dict[str, int]:
    """Partitions of each group of topics, as they are on the cluster.

    Raises:
        SettingsError: Kafka refuses us.
        StoreUnavailable: Kafka does not answer.
        TopicMismatch: a topic is missing, or topics of a group have different counts.
    """
    on_cluster = cluster_metadata(kafka).topics
    counts: dict[str, int] = dict.fromkeys(default_partitions(), 0)
    for topic in topics().values():
        name = names.of(topic.name)
        if name not in on_cluster:
            TopicIds(kafka).ask([name])  # which tells when it is only hidden from us
            raise TopicMismatch(f"topic {name} does not exist; run `friction topics apply`")
        found = len(on_cluster[name].partitions)
        if counts[topic.partitions] not in (0, found):
            raise TopicMismatch(
                f"topic {name} has {found} partitions, other {topic.partitions} topics have "
                f"{counts[topic.partitions]}: they must be the same, since a record stays in its source's partition. "
                "Make the topics anew with the same number (friction topics diff)."
            )
        counts[topic.partitions] = found
    return counts


def refuse_forgetful_state(kafka: KafkaConnection, names: TopicNames) -> None:
    """See that Kafka keeps the last value of every key of the state, and deletes none for its age.

    Raises:
        StoreUnavailable: Kafka does not answer.
        TopicMismatch: a state topic is not compacted, or not only compacted.
    """
    state = {names.of(STATE), names.of(TOUCHPOINT_STATE), names.of(INCIDENT_STATE)}
    try:
        changes = diff_topics(kafka, names)
    except SettingsError as error:  # only that: we may read and write, and that is what we need
        log.warning("the topics' settings cannot be looked at (the right DescribeConfigs): %s", error)
        return
    for change in changes:
        if change.topic in state and change.action == "mismatch":
            raise TopicMismatch(
                f"topic {change.topic} {change.detail}. Kafka would delete state that is needed; "
                "`friction topics diff` shows when it is right."
            )


def refuse_what_we_may_not(kafka: KafkaConnection, names: TopicNames, group: str) -> None:
    """See that this user may read and write what a worker reads and writes, and join its group.

    Raises:
        SettingsError: a right is missing.
        StoreUnavailable: Kafka does not answer.
    """
    both = {REKEYED, WAIT_PARTIALS, INCIDENT_PARTIALS, STATE, TOUCHPOINT_STATE, INCIDENT_STATE}
    needed = {names.of(topic): (READ, WRITE) if topic in both else (WRITE,) for topic in topics()}
    refuse_missing_rights(kafka, {**needed, names.of(INTERACTIONS): (READ,)}, group)


def identities(kafka: KafkaConnection, names: TopicNames) -> dict[str, str]:
    """Kafka's id of every topic, by its name on the cluster.

    Raises:
        StoreUnavailable: Kafka does not tell them all.
    """
    wanted = [names.of(topic) for topic in topics()]
    found = TopicIds(kafka).ask(wanted)
    for topic in wanted:
        if topic not in found:
            raise StoreUnavailable(f"Kafka at {kafka.bootstrap_servers} does not tell the id of topic {topic}")
    return found


async def watch_topics(
    kafka: KafkaConnection, ids: Mapping[str, str], *, same: frozenset[str], fail: Callable[[BaseException], None]
) -> None:
    """Call ``fail`` when a topic of ``ids`` is gone, or when one of ``same`` is another than it was."""
    asking, missed = TopicIds(kafka), dict.fromkeys(ids, 0)
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            now = await asyncio.to_thread(asking.ask, ids)
        except (StoreUnavailable, SettingsError) as error:  # what it needs it is told where it is needed
            log.debug("the topics cannot be looked at: %s", error)
            continue
        for topic, was in ids.items():
            missed[topic] = 0 if topic in now else missed[topic] + 1
            if topic in same and now.get(topic, was) != was:
                fail(
                    TopicMismatch(
                        f"topic {topic} was deleted and made anew while the worker ran. What it did since the last "
                        "checkpoint is dropped; the next start says what can be done."
                    )
                )
                return
            if missed[topic] >= _MISSED:
                fail(TopicMismatch(f"topic {topic} was deleted while the worker ran. Nothing is committed without it."))
                return
