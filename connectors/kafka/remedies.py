"""What to do about what Kafka refuses a writer for good, by the error's code."""

from confluent_kafka import KafkaError

REFUSALS = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
"""The same again would be refused again."""


def remedy(code: int, *, transactional_id: str, group_id: str, where: str, most_bytes: int) -> str:
    """What to do, in words; nothing when we do not know.

    where: the topic, or those that it may be. most_bytes: of the largest batch that we write.
    """
    match code:
        case KafkaError.MSG_SIZE_TOO_LARGE | KafkaError.RECORD_LIST_TOO_LARGE:
            return (
                f"set its max.message.bytes to Kafka's default at least, {most_bytes} is always enough: Kafka's "
                f"kafka-configs --alter --topic {where} --add-config max.message.bytes={most_bytes}"
            )
        case KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            return _rights("Write on the transactional id", transactional_id, "--operation Write --transactional-id")
        case KafkaError.GROUP_AUTHORIZATION_FAILED:
            return _rights("Read on the group", group_id, "--operation Read --group")
        case KafkaError.TOPIC_AUTHORIZATION_FAILED:
            return _rights("Write on topic", where, "--operation Write --topic")
        case KafkaError.CLUSTER_AUTHORIZATION_FAILED:
            return (
                "this user needs the right IdempotentWrite on the cluster: Kafka's kafka-acls --add --operation "
                "IdempotentWrite --cluster"
            )
        case _:
            return ""


def _rights(what: str, name: str, flag: str) -> str:
    return f"this user needs the right {what} {name}: Kafka's kafka-acls --add {flag} {name}".rstrip()
