"""Latency: from produce() to the alert in the hands of a read_committed consumer, at a steady rate."""

import re
import threading
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any, Self

import numpy as np
from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from connectors.kafka.connection import KafkaConnection
from pipelines.cli.bench.live import Live, Template, crowd_templates, template
from pipelines.cli.bench.outputs import reader
from pipelines.cli.bench.process import MeasuredWorker, cpu_seconds
from pipelines.cli.bench.stand import BenchFailed, Stand
from schemas.interactions import Interaction, InteractionEncoder
from schemas.topics import ALERTS, INTERACTIONS

ONE_IN = 100  # customers, and interactions, that alert
WARM_S = 60.0  # a broker that has just been started compiles its own code, most of it in the first minute
SPELL = 200_000  # interactions of the crowd that are made; they are told again and again, with new ids and times
_LONG_WAIT_MS = 64 * 60_000  # five doublings of the tolerated two minutes: heat 60, score 78, band hot
_LAST_ALERTS_S = 15.0
_HALF_LIFE_OF_WAITS = re.compile(r"(?m)^(  wait:\n(?:    .*\n)*?    half_life: )\S+")

Place = tuple[bytes, int]  # customer, event time in ms


def latency(
    stand: Stand, *, rate: float, seconds: float, customers: int, policy: Path, warm_s: float = WARM_S
) -> dict[str, Any]:
    """Measure one worker with windows and checkpoints on.

    One customer in a hundred waits too long whenever it comes, and has cooled down when it comes again: an alert each
    time. The others are the simulated crowd.

    Raises:
        BenchFailed: an alert is missing, the rate was not kept, or the worker ended.
    """
    watched = max(1, customers // ONE_IN)
    short = stand.directory / "latency.yaml"
    short.write_text(_short_memory(policy, half_life_ms=max(1, round(customers / rate * 1000 / 6))), "utf-8")
    spell = min(SPELL, int(rate * (seconds + warm_s)) + 1)
    templates = crowd_templates(stand, events=spell, customers=max(1, customers - watched))
    told = _with_alerting(templates, _long_waits(stand, watched))
    app_id = f"{stand.names.prefix}latency"
    worker = MeasuredWorker(stand, app_id=app_id, settings={"policy_file": short})
    worker.start()
    try:
        worker.wait_until_ready()
        with _AlertReader(stand.kafka, stand.names.of(ALERTS)) as alerts:
            live = Live(stand, told, rate, on_send=alerts.expect)
            with live:
                stand.say(f"{rate:,.0f} interactions a second for {warm_s:g} s, and then {seconds:g} s that count")
                _sleep(warm_s, live, worker)
                alerts.begin()
                sent, begun_s, cpu_s = live.sent, time.monotonic(), cpu_seconds(worker.pid)
                _sleep(seconds, live, worker)
                took_s, cpu_s = time.monotonic() - begun_s, cpu_seconds(worker.pid) - cpu_s
                sent = live.sent - sent
                alerts.end()
            found_ms = alerts.found(_LAST_ALERTS_S)
        worker.stop()
    finally:
        worker.kill()
    if sent < 0.97 * rate * took_s:
        raise BenchFailed(f"Only {sent / took_s:,.0f} interactions a second could be sent here: ask for a lower --rate")
    return {
        "rate_per_s": round(sent / took_s),
        "p50_ms": round(float(np.percentile(found_ms, 50)), 1),
        "p99_ms": round(float(np.percentile(found_ms, 99)), 1),
        "max_ms": round(float(found_ms.max()), 1),
        "cores": round(cpu_s / took_s, 3),
        "seconds": round(took_s, 1),
        "alerts": int(found_ms.shape[0]),
        "customers": customers,
    }


class _AlertReader:
    """Remembers when interactions that must lead to an alert were handed over, and takes the alerts."""

    def __init__(self, kafka: KafkaConnection, topic: str) -> None:
        self._sent_s: dict[Place, float] = {}
        self._found_ms: list[float] = []
        self._counts = False
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._read = reader("alert")
        self._consumer = Consumer(
            kafka.confluent(
                group_id="bench-alerts",  # never joined
                enable_auto_commit=False,
                isolation_level="read_committed",
                fetch_wait_max_ms=100,
            )
        )
        found = self._consumer.list_topics(topic, timeout=10.0).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, p, OFFSET_END) for p in found])
        self._thread = threading.Thread(target=self._run, name="alerts")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def begin(self) -> None:
        """What is sent from now on counts."""
        self._counts = True

    def end(self) -> None:
        """What is sent from now on does not count any more."""
        self._counts = False

    def expect(self, sent: Template, occurred_ms: int) -> None:
        """Note an interaction that is handed to the producer now."""
        if self._counts and sent.key.startswith(_WATCHED):
            self._sent_s[sent.key, occurred_ms] = time.time()

    def found(self, within_s: float) -> "np.ndarray[Any, np.dtype[np.float64]]":
        """Latencies in ms of all that counted, float64[n].

        Raises:
            BenchFailed: some alerts have not come.
        """
        end_s = time.monotonic() + within_s
        while self._sent_s and time.monotonic() < end_s and self._thread.is_alive():
            time.sleep(0.05)
        if self._failure is not None:
            raise self._failure
        if self._sent_s or not self._found_ms:
            raise BenchFailed(f"{len(self._sent_s)} alerts have not come, {len(self._found_ms)} have")
        return np.array(self._found_ms)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                message = self._consumer.poll(0.1)
                if message is None or message.error() is not None:
                    continue
                now_s = time.time()
                alert = self._read(message.value())
                if alert["status"] == "opened":
                    place = message.key(), round(alert["raised_at"].timestamp() * 1000)
                    sent_s = self._sent_s.pop(place, None)
                    if sent_s is not None:
                        self._found_ms.append((now_s - sent_s) * 1000)
        except BaseException as error:  # noqa: BLE001 - raised where the figures are asked for
            self._failure = error


_WATCHED = b"alerting."


def _long_waits(stand: Stand, customers: int) -> Iterator[Template]:
    encoder = InteractionEncoder(stand.schema_ids[INTERACTIONS])
    waits = [
        Interaction(
            event_id="-",
            customer_id=f"{_WATCHED.decode()}{n}",
            kind="wait.measured",
            channel="phone",
            touchpoint="support/line",
            occurred_ms=time.time_ns() // 1_000_000,
            duration_ms=_LONG_WAIT_MS,
            attributes={"outcome": "answered"},
        )
        for n in range(customers)
    ]
    return cycle([template(encoder, wait) for wait in waits])


def _with_alerting(crowd: list[Template], alerting: Iterator[Template]) -> Iterator[Template]:
    for number, one in enumerate(cycle(crowd), 1):
        yield next(alerting) if number % ONE_IN == 0 else one


def _short_memory(policy: Path, *, half_life_ms: int) -> str:
    """A policy with waits that are forgotten before the customer comes again."""
    text, count = _HALF_LIFE_OF_WAITS.subn(rf"\g<1>{half_life_ms}ms", policy.read_text("utf-8"))
    assert count == 1, policy  # noqa: S101 - those that come with us have one
    return text


def _sleep(seconds: float, live: Live, worker: MeasuredWorker) -> None:
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        worker.must_run()
        if live.ended:
            live.stop()
            raise BenchFailed("The interactions ended before the measurement did")
        time.sleep(min(0.2, left_s))
