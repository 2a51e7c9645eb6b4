"""A wrong record harms nobody else; what a worker cannot work with makes it say so and stop; nothing is ever lost."""

import json
import re
import struct
import time
from collections import Counter
from functools import partial
from importlib.resources import files
from pathlib import Path

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.kafka.connection import KafkaConnection
from connectors.registry.client import register_contract
from connectors.registry.connection import RegistryConnection
from connectors.registry.server import EmbeddedRegistry
from pipelines.cli.chaos.outcome import outcome
from pipelines.cli.exits import ExitCode
from schemas.topics import DEAD_LETTERS, INTERACTIONS, SCORES, STATE, WAIT_PARTIALS, TopicNames, avro_schema
from schemas.wire import frame_header
from tests.integration.senders import PARTITION, Headers, Sender, app_of, counted, customers, now_ms, send, wait
from tests.integration.workers import NewWorker, wait_until_processed
from tests.polling import wait_until
from tests.reading import read_topic

HEADERS: Headers = [("trace", b"\x00\xff"), ("empty", b""), ("none", None), ("trace", b"again")]
DAY_MS = 86_400_000


def dead_letters(kafka: KafkaConnection, names: TopicNames) -> list[tuple[bytes | None, bytes | None, Headers, str]]:
    """Key, value, original headers and reason of each."""
    found = []
    for m in read_topic(kafka, names.of(DEAD_LETTERS)):
        headers = m.headers() or []
        theirs = [h for h in headers if not h[0].startswith("__connect.errors.")]
        ours = {k.removeprefix("__connect.errors."): (v or b"").decode() for k, v in headers[len(theirs) :]}
        assert ours.keys() == {"topic", "partition", "offset", "stage", "exception.class.name", "exception.message"}
        assert ours["exception.message"]
        source = Consumer(kafka.confluent(group_id="reading", enable_auto_commit=False))
        source.assign([TopicPartition(ours["topic"], int(ours["partition"]), int(ours["offset"]))])
        (record,) = source.consume(1, 10.0)
        source.close()
        if m.value() is not None:  # it is told where the record is, and that is where it is
            assert (record.key(), record.value(), record.headers() or []) == (m.key(), m.value(), theirs)
        found.append((m.key(), m.value(), theirs, ours["exception.class.name"]))
    return found


def test_each_bad_record_becomes_a_dead_letter_and_the_good_ones_around_it_count(
    kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames, new_worker: NewWorker
) -> None:
    names = created_topics
    sender = Sender(kafka, registry, names)
    framed = frame_header(sender.schema_id)
    fields = json.loads(avro_schema("interaction"))
    fields["fields"] = [f for f in fields["fields"] if f["name"] != "occurred_at"]
    without_time = sender.registry.register(f"{names.prefix}elsewhere-value", json.dumps(fields))
    unknown = without_time + 1
    later = sender.bad()[5:]
    a_year_ms = 365 * DAY_MS
    bad: list[tuple[str, bytes | None]] = [
        ("NotAvro", framed + b"\xff" * 40),
        ("NotAvro", framed),
        ("NotAvro", sender.bad() + b"\0"),
        ("NotAvro", framed + b"\x04\xc3\x28" + sender.bad()[5:]),  # a text that is not UTF-8
        ("NotFramed", b""),
        ("NotFramed", b"\0\0"),
        ("NotFramed", b'{"customer_id": "json"}'),
        ("NullValue", None),
        ("UnknownSchema", frame_header(unknown) + later),
        ("UnknownSchema", frame_header(2**32 - 1) + later),
        ("SchemaIncompatible", frame_header(without_time) + later),
        ("BadCustomer", sender.bad(customer_id="")),
        ("BadCustomer", sender.bad(customer_id="x" * 1_000_000)),  # nearly as large as the topic takes
        ("BadPlace", sender.bad(touchpoint="\n" * 500_000)),
        ("BadDuration", sender.bad(duration_ms=-1)),
        ("BadDuration", sender.bad(duration_ms=2**62)),
        ("TooOld", sender.bad(occurred_ms=0)),
        ("TooOld", sender.bad(occurred_ms=-(2**63))),
        ("TooFarAhead", sender.bad(occurred_ms=now_ms() + a_year_ms)),
        ("TooFarAhead", sender.bad(occurred_ms=2**63 - 1)),
    ]
    keys = [None if reason == "NullValue" else f"key {n}".encode() for n, (reason, _) in enumerate(bad)]
    mixed: list[tuple[bytes | None, bytes | None]] = [sender.good()]
    for key, (_, value) in zip(keys, bad, strict=True):
        mixed += [(key, value), sender.good()]
    worker = new_worker()
    worker.start()
    send(kafka, names.of(INTERACTIONS), mixed, HEADERS)
    wait_until_processed(kafka, names, app_of(names), by=worker)

    found = dead_letters(kafka, names)
    assert found == [(key, value, HEADERS, reason) for key, (reason, value) in zip(keys, bad, strict=True)]
    assert counted(kafka, names) == Counter(sender.sent)
    for reason, times in Counter(reason for reason, _ in bad).items():
        assert worker.metric("friction_worker_dead_letters_total", reason=reason) == times
    assert worker.metric("friction_worker_interactions_total") == len(sender.sent)

    # registered meanwhile: that it was unknown is not remembered
    evolved = json.loads(avro_schema("interaction"))
    evolved["fields"].append({"name": "mood", "type": "string", "default": ""})
    assert sender.registry.register(f"{names.prefix}elsewhere-else-value", json.dumps(evolved)) == unknown
    key, value = sender.good()
    send(kafka, names.of(INTERACTIONS), [(key, frame_header(unknown) + value[5:] + b"\0")])
    wait_until_processed(kafka, names, app_of(names), by=worker)
    assert len(dead_letters(kafka, names)) == len(bad)
    assert counted(kafka, names) == Counter(sender.sent)

    # what compression has made small is too large for a dead letter, and for being sent on
    large = sender.bad(occurred_ms=0, attributes={"zeros": "0" * 3_000_000})
    astray = sender.encoder.encode(wait(next(customers(PARTITION + 1)), attributes={"zeros": "0" * 1_500_000}))
    send(kafka, names.of(INTERACTIONS), [(b"k", large), (b"k", astray), sender.good()], compression_type="zstd")
    wait_until_processed(kafka, names, app_of(names), by=worker)
    assert dead_letters(kafka, names)[len(bad) :] == [(None, None, [], "TooOld"), (b"k", astray, [], "TooLarge")]
    assert counted(kafka, names) == Counter(sender.sent)
    assert worker.stop() == ExitCode.DONE
    assert "WARNING" not in worker.log.upper()


def test_garbage_among_the_wait_partials_does_not_stop_the_second_stage(
    kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames, new_worker: NewWorker
) -> None:
    names = created_topics
    sender = Sender(kafka, registry, names)
    ids = register_contract(sender.registry, names)
    frame = frame_header(ids[WAIT_PARTIALS])
    no_record = sender.registry.register(f"{names.prefix}text-value", '"string"')
    recursive = '{"type": "record", "name": "Tree", "fields": [{"name": "next", "type": ["null", "Tree"]}]}'
    foreign = sender.registry.register(f"{names.prefix}tree-value", recursive)
    text = b"\x02a"
    times = b"\x02\x04" + b"\0" * 1  # window of one millisecond, source partition 0
    huge = b"\xfe" + b"\xff" * 8 + b"\x01"  # 2 ** 63 - 1
    garbage = [
        None,
        b"",
        b"no frame at all",
        frame,
        frame + b"\xff" * 50,
        sender.bad(),
        frame_header(2_000_000_000) + b"x",
        frame_header(no_record) + text,
        frame_header(foreign) + b"\0",
        frame + text + text + times + b"\x02" + b"\0" + huge * 6 + b"\0" + text,
        frame + text + text + b"\x02\x04" + b"\x7f" + b"\x02" + b"\0" * 7 + b"\0" + text,  # of source partition -64
    ]
    worker = new_worker()
    worker.start()
    for n in range(2):
        send(kafka, names.of(WAIT_PARTIALS), [(b"k", value) for value in garbage], HEADERS, partition=n)
    sender.send_good(3)
    wait_until_processed(kafka, names, app_of(names), by=worker)
    (window,) = outcome(kafka, names).windows.values()
    assert window == (3, 0, 0, 1_800_000, 600_000)
    found = dead_letters(kafka, names)
    assert Counter((key, value) for key, value, _, _ in found) == Counter((b"k", value) for value in garbage * 2)
    assert worker.metric("friction_worker_dead_letters_total") == 2 * len(garbage)
    assert worker.stop() == ExitCode.DONE


def test_a_registry_that_is_away_is_waited_for_and_a_worker_that_waits_can_be_stopped(
    kafka: KafkaConnection, created_topics: TopicNames, new_worker: NewWorker
) -> None:
    names = created_topics
    topic, app = names.of(INTERACTIONS), app_of(names)
    server = EmbeddedRegistry(kafka, topic=f"{names.prefix}own-schemas")
    at = server.start()
    port = int(at.url.rpartition(":")[2])
    sender = Sender(kafka, at, names)

    def evolved(field: str) -> int:
        schema = json.loads(avro_schema("interaction"))
        schema["fields"].append({"name": field, "type": "string", "default": ""})
        return sender.registry.register(f"{names.prefix}{field}-value", json.dumps(schema))

    worker = new_worker(at=at)

    def has_waited(times: int) -> bool:
        return worker.log.count("waiting for the schema registry") == times

    worker.start()
    for times, field in enumerate(("one", "two"), start=1):
        schema_id = evolved(field)
        server.stop()
        key, value = sender.good()
        send(kafka, topic, [sender.good(), (key, frame_header(schema_id) + value[5:] + b"\0"), sender.good()])
        wait_until(partial(has_waited, times))
        if times == 2:
            begun_s = time.monotonic()
            assert worker.stop() == ExitCode.DONE
            assert time.monotonic() - begun_s < 10.0
        server = EmbeddedRegistry(kafka, port=port, topic=f"{names.prefix}own-schemas")
        server.start()
        if times == 2:
            worker.start()
        wait_until_processed(kafka, names, app, by=worker)
        assert counted(kafka, names) == Counter(sender.sent)
        assert has_waited(times), "it is said once"
    assert worker.log.count("the schema registry is back") == 1
    assert worker.log.count("asks for") == 0, "what waits in the worker is not fetched again"
    assert dead_letters(kafka, names) == []
    assert worker.stop() == ExitCode.DONE
    server.stop()


def test_a_policy_that_cannot_mean_what_it_says_is_told_with_its_line(new_worker: NewWorker, tmp_path: Path) -> None:
    policy = tmp_path / "hasty.yaml"
    text = files("schemas").joinpath("policy", "default.yaml").read_text("utf-8")
    line = next(n for n, said in enumerate(text.splitlines(), start=1) if said == "  scale: 40")
    policy.write_text(text.replace("  scale: 40", "  scale: -40"))
    worker = new_worker(FRICTION_POLICY_FILE=str(policy))
    worker.start(ready=False)
    assert worker.ended() == ExitCode.USAGE
    assert worker.last_line.startswith(f"friction: {policy}:{line} score.scale: ")
    assert "Traceback" not in worker.log


def test_topics_that_do_not_fit_are_told_with_what_to_do(
    kafka: KafkaConnection, created_topics: TopicNames, new_worker: NewWorker
) -> None:
    scores = created_topics.of(SCORES)
    admin = AdminClient(kafka.confluent())
    admin.delete_topics([scores])[scores].result(10.0)
    wait_until(lambda: scores not in admin.list_topics(timeout=10.0).topics)
    worker = new_worker()
    worker.start(ready=False)
    assert worker.ended() == ExitCode.FAILED
    assert worker.last_line == f"friction: topic {scores} does not exist; run `friction topics apply`"

    admin.create_topics([NewTopic(scores, 5, 1)])[scores].result(10.0)
    wait_until(lambda: scores in admin.list_topics(timeout=10.0).topics)
    worker.start(ready=False)
    assert worker.ended() == ExitCode.FAILED
    assert worker.last_line.startswith(f"friction: topic {scores} has 5 partitions, other customers topics have 3:")
    assert "Traceback" not in worker.log


def test_a_stored_row_of_another_version_stops_the_worker_and_the_groups_offsets_do_not_matter(
    kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames, new_worker: NewWorker
) -> None:
    names = created_topics
    topic, app = names.of(INTERACTIONS), app_of(names)
    sender = Sender(kafka, registry, names)
    worker = new_worker()
    worker.start()
    sender.send_good(20)
    wait_until_processed(kafka, names, app, by=worker)
    assert worker.stop() == ExitCode.DONE
    before = {(m.partition(), m.offset()) for t in (STATE, SCORES) for m in read_topic(kafka, names.of(t))}

    send(kafka, names.of(STATE), [(b"cfrom the future", struct.pack("<HI", 99, 0) + b"?" * 64)])
    sender.send_good(10)
    worker.start(ready=False)
    assert worker.ended() == ExitCode.FAILED
    assert f"{names.of(STATE)}/{PARTITION}: a stored row has layout 99, this version reads 1" in worker.last_line
    after = {(m.partition(), m.offset()) for t in (STATE, SCORES) for m in read_topic(kafka, names.of(t))}
    assert len(after) == len(before) + 1, "only the row that we wrote"

    # the version that wrote it takes it back; and somebody deletes what the group has committed
    send(kafka, names.of(STATE), [(b"cfrom the future", None)])
    admin = AdminClient(kafka.confluent())

    def group_is_gone() -> bool:
        deleted = admin.delete_consumer_groups([app])[app]
        return deleted.exception(10.0) is None

    wait_until(group_is_gone)
    none = ConsumerGroupTopicPartitions(app, [TopicPartition(topic, PARTITION)])
    told = admin.list_consumer_group_offsets([none])[app].result(10.0)
    assert [tp.offset for tp in told.topic_partitions] == [-1001]
    worker.start()
    wait_until_processed(kafka, names, app, by=worker)
    assert counted(kafka, names) == Counter(sender.sent)
    assert worker.stop() == ExitCode.DONE


def test_records_that_were_deleted_unprocessed_stop_the_worker_unless_their_loss_is_accepted(
    kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames, new_worker: NewWorker
) -> None:
    names = created_topics
    topic, app = names.of(INTERACTIONS), app_of(names)
    sender = Sender(kafka, registry, names)
    admin = AdminClient(kafka.confluent())

    def delete_before(offset: int) -> None:
        asked = TopicPartition(topic, PARTITION, offset)
        admin.delete_records([asked])[asked].result(10.0)

    worker = new_worker(FRICTION_WORKER__FETCH_WAIT_MS="1")
    worker.start()
    sender.send_good(20)
    wait_until_processed(kafka, names, app, by=worker)

    # under a worker that runs, but not at this moment; the first may be in the answer that it is waiting for, which the
    # broker gives within 2 ms: before the second ones are sent
    worker.freeze()
    for _ in range(2):
        sender.send_good(10)
    delete_before(40)
    worker.thaw()
    assert worker.ended(timeout_s=30.0) == ExitCode.FAILED
    lost = re.search(rf"records (20|30) to 39 of {topic}/{PARTITION} were deleted before they were", worker.last_line)
    assert lost, worker.last_line
    assert "worker.accept_loss" in worker.last_line
    kept = Counter(sender.sent[: int(lost[1])])

    # the same when it starts
    worker.start(ready=False)
    assert worker.ended() == ExitCode.FAILED
    assert lost[0] in worker.last_line
    assert counted(kafka, names) == kept

    before = len(sender.sent)
    sender.send_good(5)
    worker.start(FRICTION_WORKER__ACCEPT_LOSS="true")
    wait_until_processed(kafka, names, app, by=worker)
    gone = 40 - int(lost[1])
    assert worker.metric("friction_worker_lost_records_total", topic=topic) == gone
    assert f"worker.accept_loss is set, so it goes on without {gone} records: {lost[0]}" in worker.log
    assert counted(kafka, names) == kept + Counter(sender.sent[before:])
    assert worker.stop() == ExitCode.DONE


def test_a_worker_stops_before_it_passes_the_limit_of_dead_letters_and_goes_on_when_it_is_raised(
    kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames, new_worker: NewWorker
) -> None:
    names = created_topics
    topic, app = names.of(INTERACTIONS), app_of(names)
    sender = Sender(kafka, registry, names)
    worker = new_worker(FRICTION_WORKER__DEAD_LETTER_LIMIT="2")
    worker.start()
    send(kafka, topic, [sender.good(), (b"1", b"bad"), (b"2", b"bad"), sender.good()])
    wait_until_processed(kafka, names, app, by=worker)
    kept = Counter(sender.sent)
    send(kafka, topic, [sender.good(), (b"3", b"bad"), sender.good()])
    for again in (False, True):
        if again:  # as a supervisor does
            worker.start(ready=False)
        assert worker.ended(timeout_s=30.0) == ExitCode.FAILED
        assert f"record 5 of {topic}/{PARTITION} cannot be accepted (NotFramed:" in worker.last_line
        assert "worker.dead_letter_limit allows 2 dead letters" in worker.last_line
    assert [key for key, *_ in dead_letters(kafka, names)] == [b"1", b"2"]
    assert counted(kafka, names) == kept

    worker.start(FRICTION_WORKER__DEAD_LETTER_LIMIT="3")
    wait_until_processed(kafka, names, app, by=worker)
    assert [key for key, *_ in dead_letters(kafka, names)] == [b"1", b"2", b"3"]
    assert counted(kafka, names) == Counter(sender.sent)
    assert worker.stop() == ExitCode.DONE
