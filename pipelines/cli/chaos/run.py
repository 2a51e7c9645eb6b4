"""A chaos run: the parts are started, disturbed by the schedule, drained and stopped; then the outcome is compared."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from connectors.kafka.admin import apply_topics
from connectors.kafka.broker import EmbeddedBroker
from connectors.kafka.connection import KafkaConnection
from connectors.registry.client import SchemaRegistry, register_contract
from connectors.registry.connection import RegistryConnection
from pipelines.cli.chaos.judging import judged, policy_text
from pipelines.cli.chaos.plan import Plan, Report
from pipelines.cli.chaos.production import Production, crowd
from pipelines.cli.chaos.reading import read_topic
from pipelines.cli.chaos.schedule import Action
from pipelines.cli.chaos.witness import ways
from pipelines.cli.chaos.workers import START_S, WorkerProcess, lag
from pipelines.cli.exits import ExitCode
from pipelines.worker.faults import FAULTS_VARIABLE
from schemas.errors import FrictionError, StoreUnavailable
from schemas.topics import INTERACTIONS, TopicNames

SESSION_S = 6.0
PARTITIONS = 4
APP_ID = "chaos"
WITNESS = "chaos.witness"
NOT_FOUND = "was not found: the comparison is worth nothing"

_DRAIN_S = 120.0
_SETTLE_ATTEMPTS = 6
_FORGIVEN_S = 90.0  # after a broker's death: a worker may say that Kafka does not answer, and end
_RESTART_S = 1.0
_TICK_S = 0.05
_LATE_S = 0.5  # less than that is made up for


class Run:
    """One run on a broker and a registry that answer. ``broker`` is killed when the plan says so.

    Call ``execute`` once, from the main thread; ``say`` is told what happens, with seconds since the production began.
    """

    def __init__(
        self,
        plan: Plan,
        kafka: KafkaConnection,
        registry: RegistryConnection,
        names: TopicNames,
        directory: Path,
        *,
        broker: EmbeddedBroker | None,
        say: Callable[[str], None],
    ) -> None:
        self.report = Report(plan.seed)
        self._plan = plan
        self._kafka = kafka
        self._registry = registry
        self._names = names
        self._directory = directory
        self._broker = broker
        self._say = say
        self._app_id = f"{names.prefix}{APP_ID}"
        self._witness = f"{names.prefix}{WITNESS}"
        self._policy = directory / "policy.yaml"
        self._begun_s = time.monotonic()
        self._workers: dict[int, WorkerProcess] = {}
        self._wanted: dict[int, float] = {}  # workers that should run, and since when
        self._broker_died_s: float | None = None
        self._starter = ThreadPoolExecutor(1)  # its thread lives as long as we do, and so may the broker
        self._starting: Future[KafkaConnection] | None = None

    def execute(self) -> Report:
        """Do it all. What is found goes into the report.

        Raises:
            FrictionError: the run itself could not be done.
        """
        with ExitStack() as stack:
            stack.callback(self._kill_all)
            production = self._prepared()
            stack.callback(production.give_up)
            self._begun_s = time.monotonic()
            production.start()
            self._disturb(production)
            self.report.sent = production.result(timeout_s=180.0).produced
            self._note(f"{self.report.sent:,} interactions were sent; draining")
            begun_s = time.monotonic()
            if self._drain():
                self.report.drain_s = time.monotonic() - begun_s
                self._note(f"drained in {self.report.drain_s:.1f} s; comparing")
                self._compare()
        self._count_faults()
        return self.report

    def _prepared(self) -> Production:
        apply_topics(self._kafka, self._names, partitions={"customers": PARTITIONS, "touchpoints": 2})
        new = NewTopic(self._witness, num_partitions=PARTITIONS, replication_factor=1)
        admin = AdminClient(self._kafka.confluent())
        for created in admin.create_topics([new]).values():
            created.result(30.0)
        ids = register_contract(SchemaRegistry(self._registry), self._names)
        self._policy.write_text(policy_text(self._plan.policy), "utf-8")
        for number in range(1, self._plan.workers + 1):
            self._start(number)
        end_s = time.monotonic() + START_S
        while not all(worker.works for worker in self._workers.values()):
            if time.monotonic() > end_s:
                raise FrictionError(f"the workers did not begin to work within {START_S:g} s; {self._logs()}")
            time.sleep(_TICK_S)
        plan = self._plan
        return Production(self._kafka, self._names, ids[INTERACTIONS], told=crowd(plan), rate=plan.rate)

    # -- what is done to the parts ------------------------------------------------------------------------------

    def _disturb(self, production: Production) -> None:
        """Do what the schedule says until the production is over, and start again what ended by itself.

        What took long, such as a worker that stops slowly, moves all that follows: the distances stay.
        """
        left, moved_s = list(self._plan.actions), 0.0
        while production.is_alive():
            late_s = time.monotonic() - self._begun_s - moved_s - left[0].at_s if left else -1.0
            if late_s >= 0:
                moved_s += late_s if late_s > _LATE_S else 0.0
                self._do(left.pop(0))
            else:
                self._look_after()
                time.sleep(_TICK_S)
        for worker in self._workers.values():  # nobody stays frozen, nor the broker away
            worker.thaw()
        if self._broker is not None:
            self._starter.submit(self._broker.start).result()

    def _do(self, action: Action) -> None:
        worker = self._workers.get(action.worker)
        self.report.done[action.deed] += 1
        self._note(f"{action.deed} {action.worker or ''}".rstrip())
        match action.deed:
            case "start":
                self._start(action.worker)
            case "kill broker":
                self._kill_broker()
            case "start broker" if self._broker is not None:
                self._starting = self._starter.submit(self._broker.start)
            case "kill" if worker is not None:
                self._wanted.pop(action.worker, None)
                worker.kill()
            case "stop" if worker is not None:
                self._wanted.pop(action.worker, None)
                self._judge(action.worker, worker.stop())
            case "freeze" if worker is not None:
                worker.freeze()
            case "thaw" if worker is not None:
                worker.thaw()
            case _:
                raise FrictionError(f"there is nothing to {action.deed} {action.worker}: this is a bug of the schedule")

    def _start(self, number: int) -> None:
        if number not in self._workers:
            self._workers[number] = self._worker(number)
        if not self._workers[number].running:
            self._workers[number].start()
        self._wanted[number] = time.monotonic()

    def _worker(self, number: int) -> WorkerProcess:
        plant = self._plan.plant if number == 1 else None
        more = {"seed": self._plan.seed * 1000 + number, "witness": self._witness, "plant": plant}
        return WorkerProcess(
            self._kafka, self._registry, self._names, self._directory,
            app_id=self._app_id,
            instance=f"static-{number}" if number % 2 == 0 else None,
            name=f"worker-{number}",
            env={
                "FRICTION_CONFIG": "/dev/null",
                "FRICTION_POLICY_FILE": str(self._policy),
                FAULTS_VARIABLE: self._plan.faults.model_copy(update=more).model_dump_json(),
            },
        )  # fmt: skip

    def _kill_broker(self) -> None:
        if self._broker is None:
            raise FrictionError("the schedule wants to kill a broker that is not ours")
        if self._starting is not None:
            self._starting.result()
        os.kill(self._broker.pid, signal.SIGKILL)
        while self._broker.failure() is None:  # its process is gone a moment later
            time.sleep(_TICK_S)
        self._broker_died_s = time.monotonic()

    def _look_after(self) -> None:
        """Start workers again that ended by themselves, and judge how they did."""
        for number, since_s in list(self._wanted.items()):
            worker = self._workers[number]
            code = worker.exit_code
            if code is not None and since_s < time.monotonic() - _RESTART_S:
                self._note(f"worker {number} ended by itself (exit code {code}): {worker.last_line[:300]}")
                self.report.done["ended by itself"] += 1
                self._judge(number, code)
                self._start(number)

    def _judge(self, number: int, code: int) -> None:
        """Note how a worker ended, unless it should: in order, before it had begun, or for want of a broker."""
        worker, died_s = self._workers[number], self._broker_died_s
        fine = {0}
        if not worker.works:
            fine.add(-signal.SIGTERM)
        if died_s is not None and time.monotonic() - died_s < _FORGIVEN_S:
            fine |= {ExitCode.UNAVAILABLE, -signal.SIGKILL}
        if code not in fine:
            self.report.problems.append(f"worker {number} ended with exit code {code}: {worker.last_line[:500]}")

    # -- the end ------------------------------------------------------------------------------------------------

    def _drain(self) -> bool:
        """Wait until both stages have processed everything, then stop the workers; what is left changes no more.

        The last checkpoints of the first stage may be the second one's work: then it goes on for a while.
        """
        for attempt in range(_SETTLE_ATTEMPTS):
            for number in range(1, self._plan.workers + 1):
                if attempt == 0 or number == 1:
                    self._start(number)
            left = self._wait_until_processed()
            if left:
                self.report.problems.append(f"not processed within {_DRAIN_S:g} s: {left}; {self._logs()}")
                return False
            for number in list(self._wanted):
                del self._wanted[number]
                self._judge(number, self._workers[number].stop())
            left = lag(self._kafka, self._names, self._app_id)
            if not left:
                return True
            self._note(f"stopping left work behind, going on: {left}")
        self.report.problems.append(f"the workers leave work behind whenever they stop: {left}")
        return False

    def _wait_until_processed(self) -> dict[tuple[str, int], int]:
        end_s = time.monotonic() + _DRAIN_S
        while True:
            self._look_after()
            try:
                left = lag(self._kafka, self._names, self._app_id)
            except StoreUnavailable:  # it was restarted a moment ago
                left = {("?", 0): 1}
            if not left or time.monotonic() > end_s:
                return left
            time.sleep(0.2)

    def _compare(self) -> None:
        begun_s, report = time.monotonic(), self.report
        way = ways(read_topic(self._kafka, self._witness))
        told, comparison = judged(self._kafka, self._names, self._plan.policy, way, PARTITIONS)
        report.told, report.counts = told, comparison.counts
        if comparison.counts["interactions sent"] != report.sent:
            there = comparison.counts["interactions sent"]
            report.problems.append(f"the topic holds {there} interactions, {report.sent} were sent")
        report.planted = [said for w in way.values() for said in w.planted]
        report.checkpoints = sum(w.checkpoints for w in way.values())
        report.problems += comparison.problems + [said for w in way.values() for said in w.problems]
        if self._plan.plant is not None and not report.planted:
            report.problems.append(f"the planted bug {self._plan.plant} did not take effect: the run proves nothing")
        elif self._plan.plant is not None and report.ok:
            report.problems.append(f"the planted bug {self._plan.plant} took effect and {NOT_FOUND}")
        report.compare_s = time.monotonic() - begun_s
        self._note(f"compared in {report.compare_s:.1f} s")

    def _count_faults(self) -> None:
        for worker in self._workers.values():
            log = worker.log
            self.report.faults["batches thrown away"] += log.count("fault: thrown away")
            self.report.faults["rewinds"] += log.count("fault: back to")
            self.report.faults["time-outs"] += log.count("fault: time-out")
            self.report.faults["fenced"] += log.count("another worker owns it")

    def _kill_all(self) -> None:
        for worker in self._workers.values():
            worker.kill()

    def _logs(self) -> str:
        return f"the logs are in {self._directory}"

    def _note(self, what: str) -> None:
        at_s = time.monotonic() - self._begun_s
        self.report.deeds.append((at_s, what))
        self._say(f"{at_s:7.2f} s  {what}")
