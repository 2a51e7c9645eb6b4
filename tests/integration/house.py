"""A worker, its broker and what it works on, for tests that do something to them."""

from collections import Counter
from dataclasses import dataclass

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from connectors.kafka.admin import apply_topics
from connectors.kafka.connection import KafkaConnection
from pipelines.cli.exits import ExitCode
from pipelines.worker.customer_records import HEADER, POLICY
from schemas.topics import ALERTS, SCORES, STATE, TOUCHPOINT_STATE, TopicNames
from tests.integration.senders import Sender, app_of, counted
from tests.integration.workers import WorkerProcess, wait_until_processed
from tests.polling import wait_until
from tests.reading import read_topic


@dataclass
class House:
    """A worker, which does not run yet, and what it works on."""

    kafka: KafkaConnection
    names: TopicNames
    sender: Sender
    worker: WorkerProcess
    admin: AdminClient

    def send_and_process(self, how_many: int) -> None:
        self.sender.send_good(how_many)
        wait_until_processed(self.kafka, self.names, app_of(self.names), by=self.worker)

    def work_and_stop(self, how_many: int = 20) -> None:
        """Process interactions in a run of the worker of its own."""
        self.worker.start()
        self.send_and_process(how_many)
        assert self.worker.stop() == ExitCode.DONE

    def refused(self, *words: str, code: int = ExitCode.FAILED) -> str:
        """What a worker says that ends by itself; started anew unless it runs."""
        if not self.worker.running:
            self.worker.start(ready=False)
        assert self.worker.ended() == code, self.worker.log
        assert "Traceback" not in self.worker.log
        said = self.worker.last_line
        assert [word for word in words if word not in said] == [], said
        return said

    def delete(self, *declared: str) -> None:
        of = [self.names.of(topic) for topic in declared]
        for deletion in self.admin.delete_topics(of).values():
            deletion.result(10.0)
        wait_until(lambda: not set(of) & self.admin.list_topics(timeout=10.0).topics.keys())

    def make_anew(self, *declared: str) -> None:
        self.delete(*declared)
        apply_topics(self.kafka, self.names)

    def set_config(self, declared: str, key: str, value: str) -> None:
        entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, self.names.of(declared), incremental_configs=[entry])
        self.admin.incremental_alter_configs([resource])[resource].result(10.0)
        asked = ConfigResource(ResourceType.TOPIC, self.names.of(declared))

        def known() -> bool:  # the controller has answered before the broker has heard of it
            said: str = self.admin.describe_configs([asked])[asked].result(10.0)[key].value
            return said == value

        wait_until(known)

    def written(self) -> dict[str, int]:
        """Records of each topic that workers write, but for headers and policies: time alone leads to those."""
        beside = {STATE: (HEADER, POLICY), TOUCHPOINT_STATE: (HEADER,), SCORES: (), ALERTS: ()}
        keys = {t: [m.key() or b"" for m in read_topic(self.kafka, self.names.of(t))] for t in beside}
        return {t: sum(not key.startswith(beside[t]) for key in of) for t, of in keys.items()}

    def counts_all_once(self) -> bool:
        return counted(self.kafka, self.names) == Counter(self.sender.sent)
