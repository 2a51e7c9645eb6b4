"""What a run has written, read back and held against what went in."""

import io
import json
import struct
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, cast

import fastavro
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from connectors.kafka.connection import KafkaConnection
from pipelines.cli.bench.filling import Filled
from pipelines.cli.bench.stand import BenchFailed
from schemas.topics import ALERTS, DEAD_LETTERS, REKEYED, SCORES, STATE, WAITS, TopicNames, avro_schema
from schemas.wire import HEADER_BYTES

_INTERACTIONS_AT = {1: 14, 2: 14, 3: 24, 4: 24}
"""Where a row of each layout says how many it has counted (docs/state.md)."""
_COUNT, _LAYOUT = struct.Struct("<q"), struct.Struct("<H")
_PATIENCE = 300  # looks of 0.1 s


@dataclass(frozen=True, slots=True)
class Written:
    """Records that a read_committed reader gets, and customers in the state."""

    customers: int
    state: int
    scores: int
    alerts: int
    windows: int


def checked(kafka: KafkaConnection, names: TopicNames, filled: Filled) -> Written:
    """Read the outputs of a finished run.

    Every customer's interactions in the state and in the last score are those that were sent, and no more; no alert is
    there twice; the waits of all windows are the waits that were sent; nothing was rejected or sent on.

    Raises:
        BenchFailed: any of it is not so; the text says what.
    """
    state, in_state = 0, Counter[bytes]()
    for key, value in read_all(kafka, names.of(STATE)):
        state += 1
        if key[:1] == b"c":
            in_state[key[1:]] = _counted(value) if value else 0
    _same("the state", in_state, filled.by_customer)
    scores, last_score = _last(kafka, names.of(SCORES))
    read = reader("score")
    _same("the scores", Counter({k: read(v)["interactions"] for k, v in last_score.items()}), filled.by_customer)
    alerts, read = Counter[tuple[str, int]](), reader("alert")
    for _, value in read_all(kafka, names.of(ALERTS)):
        alert = read(value)
        alerts[alert["alert_id"], alert["revision"]] += 1
    doubled = [one for one, count in alerts.items() if count > 1]
    if doubled:
        raise BenchFailed(f"{len(doubled)} revisions of alerts are there twice, such as {doubled[0]}")
    windows, last_window = _last(kafka, names.of(WAITS))
    read = reader("wait_window")
    offered = sum(read(value)["offered"] for value in last_window.values())
    if offered != filled.waits:
        raise BenchFailed(f"The windows hold {offered:,} waits, {filled.waits:,} were sent")
    for topic in (DEAD_LETTERS, REKEYED):
        count = sum(1 for _ in read_all(kafka, names.of(topic)))
        if count:
            raise BenchFailed(f"{count:,} interactions came to {topic}, which are all acceptable and in their place")
    return Written(len(in_state), state, scores, sum(alerts.values()), windows)


def _counted(row: bytes) -> int:
    count: int = _COUNT.unpack_from(row, _INTERACTIONS_AT[_LAYOUT.unpack_from(row)[0]])[0]
    return count


def told(written: Written) -> dict[str, int]:
    """As it is printed."""
    return asdict(written)


def read_all(kafka: KafkaConnection, topic: str) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each readable record of a topic, to its end as it is now. A null value comes as b"".

    Raises:
        BenchFailed: it could not be read to its end.
    """
    consumer = Consumer(
        {
            **kafka.confluent(
                group_id=f"bench-reader-{uuid.uuid4()}",  # never joined
                enable_auto_commit=False,
                enable_partition_eof=True,
                isolation_level="read_committed",
                fetch_wait_max_ms=20,
            ),
            "log_level": 0,
        }
    )
    try:
        open_ = set(consumer.list_topics(topic, timeout=10.0).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in open_])
        looks = 0
        while open_:
            messages = consumer.consume(10_000, 0.1)
            looks = 0 if messages else looks + 1
            if looks > _PATIENCE:
                raise BenchFailed(f"{topic} could not be read to its end")
            for message in messages:
                error = message.error()
                if error is None:
                    yield message.key() or b"", message.value() or b""
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                    open_.discard(message.partition())
                elif not error.retriable():
                    raise BenchFailed(f"{topic} could not be read: {error.str()}")
    finally:
        consumer.close()


def _last(kafka: KafkaConnection, topic: str) -> tuple[int, dict[bytes, bytes]]:
    """How many records there are, and the last value of each key."""
    count, last = 0, {}
    for key, value in read_all(kafka, topic):
        count += 1
        last[key] = value
    return count, last


def reader(schema_name: str) -> Callable[[bytes], dict[str, Any]]:
    """Return what decodes a framed value; times become datetimes."""
    schema = fastavro.parse_schema(json.loads(avro_schema(schema_name)))

    def read(value: bytes) -> dict[str, Any]:
        record = fastavro.schemaless_reader(io.BytesIO(value[HEADER_BYTES:]), schema, None)
        return cast("dict[str, Any]", record)

    return read


def _same(what: str, found: Counter[bytes], sent: Counter[bytes]) -> None:
    if found == sent:
        return
    differ = [name for name in sent.keys() | found.keys() if sent[name] != found[name]]
    one = min(differ)
    raise BenchFailed(
        f"{what} counts {found.total():,} interactions, {sent.total():,} were sent; {len(differ):,} customers differ, "
        f"such as {one.decode()}: {found[one]} instead of {sent[one]}"
    )
