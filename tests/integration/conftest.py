"""Workers of a test, which do not outlive it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.kafka.connection import KafkaConnection
from connectors.registry.connection import RegistryConnection
from schemas.topics import TopicNames
from tests.integration.senders import app_of
from tests.integration.workers import NewWorker, WorkerProcess


@pytest.fixture
def new_worker(
    kafka: KafkaConnection, registry: RegistryConnection, created_topics: TopicNames, tmp_path: Path
) -> Iterator[NewWorker]:
    """Makes workers of one group on ``created_topics``; ``at``: another registry. They are killed at the end.

    They have three signals, as the model has, unless they are given another policy.
    """
    workers: list[WorkerProcess] = []

    def new(instance: str | None = None, *, at: RegistryConnection = registry, **env: str) -> WorkerProcess:
        app_id = app_of(created_topics)
        given = {"FRICTION_POLICY_FILE": "three", **env}
        workers.append(WorkerProcess(kafka, at, created_topics, tmp_path, app_id=app_id, instance=instance, env=given))
        return workers[-1]

    yield new
    for worker in workers:
        worker.kill()
