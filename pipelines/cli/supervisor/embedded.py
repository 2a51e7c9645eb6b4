"""The embedded broker and ClickHouse engine as parts that are looked after."""

import os

from connectors.clickhouse.embedded import EmbeddedClickHouse
from connectors.kafka.broker import EmbeddedBroker


class BrokerProcess:
    """The broker; a new start finds its data and its port again."""

    hopeless = False

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._broker = broker

    def start(self) -> None:
        """Return when it answers."""
        self._broker.start()

    def stop(self) -> None:
        """Stop it in order."""
        self._broker.stop()

    def death(self) -> str | None:
        """Return how it ended, without the end of its log, or None while it runs."""
        failure = self._broker.failure()
        return None if failure is None else f"died: {failure.splitlines()[0].rstrip(':')}"


class BridgeProcess:
    """The ClickHouse engine behind its bridge; a new start finds its data and its port again."""

    hopeless = False

    def __init__(self, engine: EmbeddedClickHouse) -> None:
        self._engine = engine
        self.url = ""

    def start(self) -> None:
        """Return when it answers."""
        self.url = self._engine.start().url

    def stop(self) -> None:
        """Stop it in order."""
        self._engine.stop()

    def death(self) -> str | None:
        """Return how it ended, or None while it runs."""
        pid = self._engine.pid
        if pid is None:
            return "has not been started"
        try:
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return "has ended"
        if ended is None:
            return None
        how = "was killed by signal" if ended.si_code == os.CLD_KILLED else "ended with exit code"
        return f"{how} {ended.si_status}"
