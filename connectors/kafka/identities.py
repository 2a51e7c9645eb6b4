"""Which topic it is: Kafka gives each one an id, and a topic that is deleted and made anew gets another."""

from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from connectors.kafka.connection import KafkaConnection
from schemas.errors import SettingsError, StoreUnavailable

_TIMEOUT_S = 5.0


class TopicIds:
    """Asks for the ids of topics, over one connection that it keeps. Its methods block."""

    def __init__(self, kafka: KafkaConnection) -> None:
        self._client = AdminClient({**kafka.confluent(), "log_level": 0})

    def ask(self, topics: Iterable[str]) -> dict[str, str]:
        """The id of each topic that exists.

        Raises:
            StoreUnavailable: Kafka did not answer in time, or not for all of them.
            SettingsError: this user may not see one, which Kafka's list of all topics leaves out.
        """
        asked = self._client.describe_topics(TopicCollection(list(topics)), request_timeout=_TIMEOUT_S)
        found = {}
        for topic, answer in asked.items():
            try:
                found[topic] = str(answer.result(_TIMEOUT_S + 1.0).topic_id)
            except KafkaException as error:
                code = error.args[0].code()
                if code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    raise SettingsError(
                        f"topic {topic} does not exist, or this user may not see it; in that case it needs the right "
                        f"Describe: Kafka's kafka-acls --add --operation Describe --topic {topic}"
                    ) from error
                if code != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise StoreUnavailable(f"Kafka did not tell the id of {topic}: {error.args[0].str()}") from error
            except TimeoutError as error:
                raise StoreUnavailable(f"Kafka did not tell the id of {topic} in time") from error
        return found
