"""The input: interactions of the simulated crowd, told within the day before now, already in the topic."""

import os
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from connectors.kafka.producing import Sender
from connectors.simulator.simulation import crowd_interactions
from pipelines.cli.bench.stand import Stand
from schemas.interactions import InteractionEncoder
from schemas.topics import INTERACTIONS

SPAN_MS = 24 * 3600 * 1000
SPELL_EVENTS = 250_000  # told by one crowd; the next one begins where it ends
_AHEAD = 3  # made before they are sent, some 100 MB each

# As a producer with a backlog: full batches. Ours for live events differs in the linger alone.
BULK = {"linger_ms": 50, "queue_buffering_max_messages": 500_000, "queue_buffering_max_kbytes": 524_288}


@dataclass(slots=True)
class Filled:
    """What the topic holds, counted before it was sent.

    by_customer: interactions by key. waits: how many are measured waits. value_bytes: of all values.
    """

    events: int = 0
    waits: int = 0
    value_bytes: int = 0
    by_customer: Counter[bytes] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Spell:
    """A piece of the input, made in a process of its own: keys and values in order."""

    records: list[tuple[bytes, bytes]]
    waits: int


def fill(stand: Stand, *, events: int, customers: int, seed: int = 1) -> Filled:
    """Send ``events`` of a crowd of ``customers`` to friction.interactions, as they were told in the last 24 hours.

    Raises:
        StoreUnavailable: not all of them arrived.
    """
    stand.say(f"Telling {events:,} interactions of {customers:,} customers")
    begun_s = time.monotonic()
    filled, sender, topic = Filled(), Sender(stand.kafka, **BULK), stand.names.of(INTERACTIONS)
    for spell in spells(stand.schema_ids[INTERACTIONS], events=events, customers=customers, seed=seed):
        for key, value in spell.records:
            sender.send(topic, key, value)
            filled.value_bytes += len(value)
        filled.by_customer.update(key for key, _ in spell.records)
        filled.events += len(spell.records)
        filled.waits += spell.waits
    sender.flush(timeout_s=300.0)
    stand.say(
        f"{filled.events:,} interactions of {len(filled.by_customer):,} customers are in {topic}, "
        f"{filled.value_bytes / filled.events:.0f} bytes each, after {time.monotonic() - begun_s:.0f} s"
    )
    return filled


def spells(schema_id: int, *, events: int, customers: int, seed: int) -> Iterator[Spell]:
    """The input in pieces, in order of telling; as many processes make them as there are cores."""
    rate = events / (SPAN_MS / 1000)
    start_ms = time.time_ns() // 1_000_000 - SPAN_MS
    sizes = [min(SPELL_EVENTS, events - at) for at in range(0, events, SPELL_EVENTS)]
    starts = [start_ms + round(at / rate * 1000) for at in range(0, events, SPELL_EVENTS)]
    if len(sizes) == 1:
        yield _spell(schema_id, seed, starts[0], rate, sizes[0], customers)
        return
    with ProcessPoolExecutor(min(len(sizes), os.cpu_count() or 1), mp_context=get_context("spawn")) as makers:
        ahead: deque[Future[Spell]] = deque()
        for start, size in zip(starts, sizes, strict=True):
            ahead.append(makers.submit(_spell, schema_id, seed, start, rate, size, customers))
            if len(ahead) > _AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _spell(schema_id: int, seed: int, start_ms: int, rate: float, count: int, customers: int) -> Spell:
    encoder, waits = InteractionEncoder(schema_id), 0
    records = []
    for told in crowd_interactions(seed=seed, start_ms=start_ms, rate=rate, total=count, customers=customers):
        waits += told.kind == "wait.measured"
        records.append((told.customer_id.encode(), encoder.encode(told)))
    return Spell(records, waits)
