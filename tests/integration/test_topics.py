"""`friction topics`: what the declaration says becomes true on a cluster, and stays so."""

from connectors.kafka.admin import apply_topics
from connectors.kafka.connection import KafkaConnection
from schemas.topics import TopicNames


def test_applying_twice_changes_nothing(kafka: KafkaConnection, names: TopicNames) -> None:
    assert {change.action for change in apply_topics(kafka, names)} == {"create"}
    assert {change.action for change in apply_topics(kafka, names)} == {"same"}
