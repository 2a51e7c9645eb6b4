"""schemas/topics.yaml is one contract: nothing in it points nowhere, and nothing beside it is forgotten."""

import json
from importlib.resources import files

import pytest

from schemas import topics as declaration
from schemas.topics import DEAD_LETTERS, Topic, TopicNames, avro_schema, default_partitions, topics

BROKER_MAX_MESSAGE_BYTES = 1048588  # Kafka's max.message.bytes for a topic that says nothing

every_topic = pytest.mark.parametrize("topic", topics().values(), ids=list(topics()))


def max_message_bytes(topic: Topic) -> int:
    return int(topic.config.get("max.message.bytes", BROKER_MAX_MESSAGE_BYTES))


@every_topic
def test_a_topic_belongs_to_a_declared_group_of_partitions(topic: Topic) -> None:
    assert topic.partitions in default_partitions()


@every_topic
def test_the_schema_of_a_topic_is_an_avro_record(topic: Topic) -> None:
    if topic.schema_name is None:
        assert topic.compatibility is None, "bytes of our own have no compatibility"
    else:
        assert json.loads(avro_schema(topic.schema_name))["type"] == "record"
        assert topic.compatibility is not None


@every_topic
def test_what_comes_in_evolves_backward_and_what_goes_out_evolves_fully(topic: Topic) -> None:
    if topic.schema_name is not None:
        incoming = topic.schema_name == "interaction"
        assert topic.compatibility == ("BACKWARD_TRANSITIVE" if incoming else "FULL_TRANSITIVE")


@every_topic
def test_a_topic_says_how_long_its_records_are_kept(topic: Topic) -> None:
    match topic.config["cleanup.policy"]:
        case "delete":
            assert int(topic.config["retention.ms"]) > 0
        case policy:
            assert policy == "compact"
            assert "retention.ms" not in topic.config


def test_the_memory_of_the_workers_is_compacted_and_nothing_else_is() -> None:
    compacted = {name for name, topic in topics().items() if topic.config["cleanup.policy"] == "compact"}
    assert compacted == {declaration.STATE, declaration.TOUCHPOINT_STATE, declaration.INCIDENT_STATE}


def test_what_workers_judge_by_append_time_gets_it_from_the_broker() -> None:
    stamped = {
        name for name, topic in topics().items() if topic.config.get("message.timestamp.type") == "LogAppendTime"
    }
    assert stamped == {
        declaration.INTERACTIONS,
        declaration.REKEYED,
        declaration.WAIT_PARTIALS,
        declaration.INCIDENT_PARTIALS,
    }


def test_no_group_of_partitions_is_without_topics() -> None:
    assert {topic.partitions for topic in topics().values()} == set(default_partitions())


def test_no_schema_is_without_a_topic() -> None:
    folder = files("schemas").joinpath("avro")
    named = {f"{topic.schema_name}.avsc" for topic in topics().values() if topic.schema_name}
    assert {file.name for file in folder.iterdir()} == named


def test_no_name_in_the_code_is_without_a_topic() -> None:
    named = {value for value in vars(declaration).values() if isinstance(value, str) and value.startswith("friction.")}
    assert named == set(topics())


def test_dead_letters_have_room_for_the_largest_record_and_its_headers() -> None:
    read = (declaration.INTERACTIONS, declaration.REKEYED, declaration.WAIT_PARTIALS, declaration.INCIDENT_PARTIALS)
    largest = max(max_message_bytes(topics()[name]) for name in read)
    assert max_message_bytes(topics()[DEAD_LETTERS]) >= largest + 65536


def test_a_prefix_is_part_of_every_name() -> None:
    names = TopicNames(prefix="eu-")
    assert names.of(declaration.SCORES) == "eu-friction.scores"
    assert names.subject(declaration.SCORES) == "eu-friction.scores-value"
