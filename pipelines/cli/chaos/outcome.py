"""What a run has left in its topics, as read_committed readers see it, decoded without any code of the workers."""

import io
import json
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import fastavro
import fastavro.schema
from confluent_kafka import Message

from connectors.kafka.connection import KafkaConnection
from pipelines.cli.chaos.reading import read_topic
from schemas.topics import ALERTS, DEAD_LETTERS, SCORES, STATE, WAITS, TopicNames, avro_schema

BANDS = ("calm", "warm", "hot", "breaking")
DEAD_LETTER_REASON = "__connect.errors.exception.class.name"

_FORM = struct.Struct("<HI")  # docs/state.md
_ROW = struct.Struct("<qqB")
_ROW_1 = struct.Struct("<qqqqiB3x")
_SECTION = struct.Struct("<BH")
_EPISODE = struct.Struct("<qqi")
_QUIET_MS = 180_000  # retention.quiet of policy.yaml, the shortest that anybody runs with
_WAITS = ("answered", "abandoned", "other_ends", "wait_sum_ms", "wait_max_ms")

Window = tuple[str, str, int]  # touchpoint, channel, start in ms
Revision = tuple[str, int, str, str, str, int]  # alert_id, revision, status, customer, band, raised in ms


@cache
def _schema(schema_name: str) -> Any:
    plain = avro_schema(schema_name).replace('{"type":"long","logicalType":"timestamp-millis"}', '"long"')
    return fastavro.schema.parse_schema(json.loads(plain))


def avro(schema_name: str, message: Message) -> dict[str, Any]:
    """Record of a framed value, times as milliseconds."""
    record: Any = fastavro.schemaless_reader(io.BytesIO((message.value() or b"")[5:]), _schema(schema_name), None)
    return dict(record)


@dataclass(frozen=True, slots=True)
class Row:
    """A customer's stored row. opened_ms, closed_ms: of the last band alert, None as in the model."""

    partition: int
    interactions: int
    updated_ms: int
    band: str
    heat: dict[str, float]
    opened_ms: int | None
    closed_ms: int | None
    revision: int


@dataclass(frozen=True, slots=True)
class Score:
    """The last score that was told of a customer."""

    interactions: int
    scored_ms: int
    score: float
    band: str


@dataclass(slots=True)
class Outcome:
    """What is readable after a run.

    scores: the last of each customer. windows: counts of the last revision of each. alerts: how often each revision
    was told. dead_letters: by reason. offsets, advanced_ms: of each partition's header. told: records of the public
    topics. doubled: records that were told again, in words.
    """

    rows: dict[str, Row]
    scores: dict[str, Score] = field(default_factory=dict)
    alerts: Counter[Revision] = field(default_factory=Counter)
    windows: dict[Window, tuple[int, ...]] = field(default_factory=dict)
    dead_letters: Counter[str] = field(default_factory=Counter)
    offsets: dict[int, dict[str, int]] = field(default_factory=dict)
    advanced_ms: dict[int, int] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    doubled: list[str] = field(default_factory=list)

    @property
    def interactions(self) -> int:
        """How many have counted."""
        return sum(r.interactions for r in self.rows.values())


def outcome(kafka: KafkaConnection, names: TopicNames) -> Outcome:
    """Read it all, rows of layouts 1 and 2.

    Raises:
        StoreUnavailable: a topic cannot be read to its end.
    """
    stored = {(m.partition(), m.key()): m.value() for m in read_topic(kafka, names.of(STATE))}
    headers = {p: json.loads(v) for (p, key), v in stored.items() if key == b"h" and v}
    found = public_outcome(kafka, names)
    found.rows = {
        key[1:].decode(): _row(p, value, headers[p]["signal_sets"])
        for (p, key), value in stored.items()
        if key[:1] == b"c" and value is not None
    }
    found.offsets = {p: header["offsets"] for p, header in headers.items()}
    found.advanced_ms = {p: header["advanced_ms"] for p, header in headers.items()}
    return found


def public_outcome(kafka: KafkaConnection, names: TopicNames, *, scores_again: bool = False) -> Outcome:
    """Read what everybody may read, and not the state.

    scores_again: the same score may be told again, because something else of the customer has changed.

    Raises:
        StoreUnavailable: a topic cannot be read to its end.
    """
    found = Outcome(rows={})
    _read_scores(found, read_topic(kafka, names.of(SCORES)), again=scores_again)
    _read_alerts(found, read_topic(kafka, names.of(ALERTS)))
    _read_windows(found, read_topic(kafka, names.of(WAITS)))
    _read_dead_letters(found, read_topic(kafka, names.of(DEAD_LETTERS)))
    return found


def _row(partition: int, value: bytes, signal_sets: dict[str, list[str]]) -> Row:
    layout, signals = _FORM.unpack_from(value)
    names = signal_sets[str(signals)]
    opened_ms = closed_ms = revision = 0
    if layout == 1:
        updated_ms, interactions, opened_ms, closed_ms, revision, band = _ROW_1.unpack_from(value, _FORM.size)
        at = _FORM.size + _ROW_1.size
    else:
        updated_ms, interactions, band = _ROW.unpack_from(value, _FORM.size)
        at = _FORM.size + _ROW.size
    heats = struct.unpack_from(f"<{len(names)}d", value, at)
    at += 8 * len(names)
    while at < len(value):
        kind, size = _SECTION.unpack_from(value, at)
        if kind == 1:
            opened_ms, closed_ms, revision = _EPISODE.unpack_from(value, at + _SECTION.size)
        at += _SECTION.size + size
    heat = {name: h for name, h in zip(names, heats, strict=True) if h}
    return Row(partition, interactions, updated_ms, BANDS[band], heat, opened_ms or None, closed_ms or None, revision)


def _read_scores(found: Outcome, messages: Iterator[Message], *, again: bool) -> None:
    for message in messages:
        record = avro("score", message)
        score = Score(record["interactions"], record["scored_at"], record["score"], record["band"])
        before = found.scores.get(record["customer_id"])
        if before is not None and ((score == before and not again) or _went_back(before, score)):
            found.doubled.append(f"score of {record['customer_id']} after {score.interactions} interactions")
        found.scores[record["customer_id"]] = score
        found.told["scores"] += 1


def _went_back(before: Score, score: Score) -> bool:
    """Whether interactions are fewer than they were, although nobody can have been forgotten in between.

    The last score before may have been told when the customer had cooled down, after a part of the quiet time.
    """
    return score.interactions < before.interactions and score.scored_ms - before.scored_ms <= _QUIET_MS // 2


def _read_alerts(found: Outcome, messages: Iterator[Message]) -> None:
    for message in messages:
        a = avro("alert", message)
        revision = a["alert_id"], a["revision"], a["status"], a["customer_id"], a["band"], a["raised_at"]
        found.alerts[revision] += 1
        found.told["alerts"] += 1
    once = Counter((alert_id, revision) for (alert_id, revision, *_), n in found.alerts.items() for _ in range(n))
    found.doubled += [f"revision {number} of alert {alert_id}" for (alert_id, number), n in once.items() if n > 1]


def _read_windows(found: Outcome, messages: Iterator[Message]) -> None:
    last: dict[Window, int] = {}
    for message in messages:
        record = avro("wait_window", message)
        place = record["touchpoint"], record["channel"], record["window_start"]
        if record["revision"] != last.get(place, 0) + 1:
            found.doubled.append(f"window {place}: revision {record['revision']} after {last.get(place, 0)}")
        last[place] = record["revision"]
        found.windows[place] = tuple(record[name] for name in _WAITS)
        found.told["windows"] += 1


def _read_dead_letters(found: Outcome, messages: Iterator[Message]) -> None:
    seen: set[tuple[bytes | None, ...]] = set()
    for message in messages:
        said = dict(message.headers() or [])
        source = tuple(said.get(f"__connect.errors.{name}") for name in ("topic", "partition", "offset"))
        if source in seen:
            found.doubled.append(f"dead letter of {source}")
        seen.add(source)
        found.dead_letters[(said.get(DEAD_LETTER_REASON) or b"").decode()] += 1
        found.told["dead letters"] += 1
