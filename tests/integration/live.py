"""Interactions that come in while a test does something to workers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

from connectors.kafka.connection import KafkaConnection
from connectors.registry.client import SchemaRegistry
from connectors.registry.connection import RegistryConnection
from connectors.simulator.producer import simulate
from schemas.topics import TopicNames

POLICY = files("schemas").joinpath("policy", "three.yaml").read_text("utf-8")


@contextmanager
def live(
    kafka: KafkaConnection, registry: RegistryConnection, names: TopicNames, *, seed: int, seconds: float
) -> Iterator[None]:
    """2,000 interactions a second while the block runs, and to the end of ``seconds``."""
    stop = threading.Event()
    settings = {"seed": seed, "rate": 2_000, "seconds": seconds, "customers": 2_000, "stop": stop}
    sending = threading.Thread(target=simulate, args=(kafka, SchemaRegistry(registry), names), kwargs=settings)
    sending.start()
    try:
        yield
    except BaseException:
        stop.set()
        raise
    finally:
        sending.join()
