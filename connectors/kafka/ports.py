"""The two loopback ports of the embedded broker: chosen once, and kept for its directory while they are free."""

import random
import socket
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import EmbeddedUnavailable

HOST = "127.0.0.1"
_RANGE = range(20000, 32000)  # below those that Linux gives to outgoing connections


class Ports(BaseModel):
    """Where clients connect, and where the broker talks with itself."""

    model_config = ConfigDict(frozen=True)

    port: int
    controller_port: int


def choose_ports(memory: Path, *, wanted: int | None) -> Ports:
    """Return free ports and write them to the file ``memory``: the wanted one, else those it has, else new ones.

    Raises:
        EmbeddedUnavailable: the wanted port is taken, or none is free.
    """
    known = _remembered(memory)
    if wanted is not None and not is_free(wanted):
        raise port_taken(wanted)
    port = wanted or (known.port if known and is_free(known.port) else _free_port())
    controller_port = known.controller_port if known else port
    if controller_port == port or not is_free(controller_port):
        controller_port = _free_port(but=port)
    ports = Ports(port=port, controller_port=controller_port)
    memory.write_text(ports.model_dump_json(), "utf-8")
    return ports


def is_free(port: int) -> bool:
    """Whether a server could listen on the port of loopback now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the broker does: TIME_WAIT is free
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def port_taken(port: int) -> EmbeddedUnavailable:
    """The error that names a taken port and what to do."""
    return EmbeddedUnavailable(
        f"port {port} on {HOST} is taken by another program, so Kafka cannot listen there. Stop that program "
        f"(`ss -ltnp | grep {port}` names it), give another port, or give none to have a free one chosen."
    )


def _remembered(memory: Path) -> Ports | None:
    try:
        return Ports.model_validate_json(memory.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:  # a torn write: the ports are chosen again
        return None


def _free_port(*, but: int | None = None) -> int:
    for port in random.sample(_RANGE, k=200):
        if port != but and is_free(port):
            return port
    raise EmbeddedUnavailable(
        f"no free port was found on {HOST} between {_RANGE.start} and {_RANGE.stop - 1}: give one."
    )
