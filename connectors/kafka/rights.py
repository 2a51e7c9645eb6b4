"""Whether this user may do with topics and a group what will be needed, asked before it is needed.

A consumer that may not read, or not join its group, only tries again for ever.
"""

import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient

from connectors.kafka.connection import KafkaConnection
from schemas.errors import SettingsError, StoreUnavailable

READ, WRITE = AclOperation.READ, AclOperation.WRITE

_TIMEOUT_S = 5.0
_LOADING = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}


def refuse_missing_rights(kafka: KafkaConnection, needed: Mapping[str, tuple[AclOperation, ...]], group: str) -> None:
    """See that each topic may be used as ``needed`` says, and the group be joined; who is not told goes on.

    Raises:
        SettingsError: a right is missing.
        StoreUnavailable: Kafka did not answer in time.
    """
    client = AdminClient({**kafka.confluent(), "log_level": 0})
    settings = {"include_authorized_operations": True, "request_timeout": _TIMEOUT_S}
    for topic, answer in client.describe_topics(TopicCollection(list(needed)), **settings).items():
        _refuse(_answered(answer), needed[topic], f"topic {topic}")
    end_s = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            _refuse(_answered(client.describe_consumer_groups([group], **settings)[group]), (READ,), f"group {group}")
        except _Loading:
            if time.monotonic() > end_s:
                return  # joining waits for it too
            time.sleep(0.05)
        else:
            return


class _Loading(Exception):
    """The group's coordinator has just been started."""


def _answered(answer: Any) -> list[AclOperation] | None:
    """The operations that this user may do, none if it may not even ask; None if the broker does not tell."""
    try:
        told: list[AclOperation] | None = answer.result(_TIMEOUT_S + 1.0).authorized_operations
    except KafkaException as error:
        code = error.args[0].code()
        if code in {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED}:
            return []
        if code in _LOADING:
            raise _Loading from error
        raise StoreUnavailable(f"Kafka did not tell what this user may do: {error.args[0].str()}") from error
    except TimeoutError as error:
        raise StoreUnavailable("Kafka did not tell in time what this user may do") from error
    return told or None


def _refuse(may: list[AclOperation] | None, needed: tuple[AclOperation, ...], where: str) -> None:
    for operation in needed:
        if may is not None and operation not in may:
            right = operation.name.capitalize()
            raise SettingsError(
                f"this user needs the right {right} on {where}: Kafka's kafka-acls --add --operation {right} --{where}"
            )
