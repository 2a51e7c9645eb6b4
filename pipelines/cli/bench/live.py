"""Interactions at a rate: the crowd's records, each told anew at the moment at which it is sent."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

from connectors.kafka.producing import Sender
from connectors.simulator.simulation import crowd_interactions
from pipelines.cli.bench.stand import Stand
from schemas.interactions import Interaction, InteractionEncoder
from schemas.topics import INTERACTIONS
from schemas.wire import HEADER_BYTES

PAUSE_S = 0.002


@dataclass(frozen=True, slots=True)
class Template:
    """An encoded interaction without its event id and its time."""

    key: bytes
    frame: bytes
    middle: bytes
    tail: bytes

    def at(self, event_id: bytes, occurred_ms: int) -> bytes:
        """Its value, with an id and a time of its own."""
        return b"".join((self.frame, zigzag(len(event_id)), event_id, self.middle, zigzag(occurred_ms), self.tail))


def zigzag(number: int) -> bytes:
    """An Avro long (specification, binary encoding), for number >= 0."""
    left, out = number << 1, bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


def template(encoder: InteractionEncoder, told: Interaction) -> Template:
    """Encode an interaction, and take its event id and its time out."""
    value = encoder.encode(told)
    before = (told.event_id, told.customer_id, told.kind, told.channel, told.touchpoint)  # the schema's order
    widths = [len(zigzag(len(text.encode()))) + len(text.encode()) for text in before]
    id_end, time_at = HEADER_BYTES + widths[0], HEADER_BYTES + sum(widths)
    time_end = time_at + len(zigzag(told.occurred_ms))
    return Template(told.customer_id.encode(), value[:HEADER_BYTES], value[id_end:time_at], value[time_end:])


def crowd_templates(stand: Stand, *, events: int, customers: int, seed: int = 1) -> list[Template]:
    """The crowd's interactions in order of telling, to be sent with ids and times of their own."""
    stand.say(f"Making {events:,} interactions of {customers:,} customers")
    encoder, start_ms = InteractionEncoder(stand.schema_ids[INTERACTIONS]), time.time_ns() // 1_000_000
    crowd = crowd_interactions(seed=seed, start_ms=start_ms, rate=10_000, total=events, customers=customers)
    return [template(encoder, told) for told in crowd]


class Live:
    """Sends one template after the other at ``rate`` a second, from a thread of its own. Use it in ``with``.

    An interaction has the time at which it is due, also when this process was held up and sends it later: what it leads
    to does not depend on that. on_send: told each template and its time before it is handed to the producer.
    """

    def __init__(
        self,
        stand: Stand,
        told: Iterator[Template],
        rate: float,
        *,
        linger_ms: int = 5,
        on_send: Callable[[Template, int], None] = lambda _template, _at_ms: None,
    ) -> None:
        self.sent = 0
        self._sender = Sender(stand.kafka, linger_ms=linger_ms)
        self._topic = stand.names.of(INTERACTIONS)
        self._told = told
        self._rate = rate
        self._on_send = on_send
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="live")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def ended(self) -> bool:
        """Whether nothing is sent any more."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Send no more, and wait until what was sent has arrived.

        Raises:
            StoreUnavailable: some of it did not.
        """
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _run(self) -> None:
        begun_s, begun_ms = time.monotonic(), time.time_ns() // 1_000_000
        try:
            while not self._stop.wait(PAUSE_S):
                due = int((time.monotonic() - begun_s) * self._rate) - self.sent
                for _ in range(due):
                    one = next(self._told, None)
                    if one is None:
                        self._stop.set()
                        break
                    due_ms = begun_ms + int(self.sent / self._rate * 1000)
                    self._on_send(one, due_ms)
                    self._sender.send(self._topic, one.key, one.at(b"live-%x" % self.sent, due_ms))
                    self.sent += 1
            self._sender.flush()
        except BaseException as error:  # noqa: BLE001 - raised where it is stopped
            self._failure = error
