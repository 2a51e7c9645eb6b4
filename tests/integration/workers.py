"""Workers that tests wait for: until they work, and until everything is processed."""

from collections.abc import Callable

from connectors.kafka.connection import KafkaConnection
from pipelines.cli.chaos import workers
from pipelines.cli.chaos.workers import START_S, lag
from schemas.errors import StoreUnavailable
from schemas.topics import TopicNames
from tests.polling import wait_until


class WorkerProcess(workers.WorkerProcess):
    """``friction worker``, which dies with the tests."""

    def start(self, *, ready: bool = True, **env: str) -> None:
        """Start; ``ready`` waits until it goes on with some partition. ``env``: variables from this start on."""
        assert not self.running
        self.env.update(env)
        super().start()

        def goes_on() -> bool:
            assert self.running, self.log
            return self.works

        if ready:
            wait_until(goes_on, START_S)


NewWorker = Callable[..., WorkerProcess]
"""The fixture new_worker: ``instance``, ``at`` another registry, and variables; see conftest.py."""


def wait_until_processed(
    kafka: KafkaConnection,
    names: TopicNames,
    app_id: str,
    timeout_s: float = 60.0,
    *,
    by: WorkerProcess | None = None,
) -> None:
    """Wait until both stages have committed the end of each of their input partitions; ``by`` must live so long."""
    left: dict[tuple[str, int], int] = {}

    def processed() -> bool:
        assert by is None or by.running, by.log
        try:
            now = lag(kafka, names, app_id)
        except StoreUnavailable:  # a broker that has just come back
            return False
        left.clear()
        left.update(now)
        return not left

    try:
        wait_until(processed, timeout_s, every_s=0.2)
    except AssertionError as error:
        raise AssertionError(f"not processed within {timeout_s:g} s: {left}\n{by.log if by else ''}") from error
