"""Workers are killed, frozen and stopped while interactions come in, and nobody can tell; a planted bug is found."""

import json
from pathlib import Path
from typing import get_args

import pytest

from connectors.kafka.connection import KafkaConnection
from connectors.registry.connection import RegistryConnection
from pipelines.cli.chaos.plan import Meaning, Plan, Report
from pipelines.cli.chaos.run import NOT_FOUND, SESSION_S, Run
from pipelines.cli.chaos.schedule import drawn
from pipelines.worker.faults import Bug, Faults
from schemas.topics import TopicNames

SEED = 357
SECONDS = 28.0
OFTEN = Faults(throw_away=0.1, rewind=0.1, time_out=0.1)


def run(plan: Plan, kafka: KafkaConnection, registry: RegistryConnection, names: TopicNames, directory: Path) -> Report:
    return Run(plan, kafka, registry, names, directory, broker=None, say=print).execute()


def test_nothing_is_lost_and_nothing_counts_twice_whatever_happens_to_workers(
    kafka: KafkaConnection, registry: RegistryConnection, names: TopicNames, tmp_path: Path
) -> None:
    actions = drawn(SEED, SECONDS, workers=2, session_s=SESSION_S, broker=False)
    report = run(Plan(SEED, SECONDS, 1_200.0, 2, actions, faults=OFTEN), kafka, registry, names, tmp_path)
    assert report.problems == []
    assert report.sent > SECONDS * 300, "a quarter of what was asked for: nothing was interrupted for long"
    assert {"kill", "freeze", "thaw", "stop", "start"} <= report.done.keys(), (
        "take another seed, which leaves out nothing"
    )
    assert min(report.faults[fault] for fault in ("batches thrown away", "rewinds", "time-outs")) > 0
    assert report.counts["revisions of alerts"] > 100
    assert report.told["windows"] > report.counts["windows"] > 10
    assert json.loads(json.dumps(report.as_json()))["ok"]


def test_clocks_cases_contacts_and_their_alerts_are_what_they_would_be_without_all_that(
    kafka: KafkaConnection, registry: RegistryConnection, names: TopicNames, tmp_path: Path
) -> None:
    actions = drawn(SEED, SECONDS, workers=2, session_s=SESSION_S, broker=False)
    plan = Plan(SEED, SECONDS, 300.0, 2, actions, faults=OFTEN, policy="full")
    report = run(plan, kafka, registry, names, tmp_path)
    assert report.problems == []
    assert (
        min(report.counts[kind] for kind in ("clock_warning", "clock_breached", "still_waiting", "open clocks")) > 300
    )
    assert min(report.counts[what] for what in ("social_risk", "repeat_contact", "retracted", "recent contacts")) > 0
    assert report.counts["bands"] > report.counts["customers"] // 4
    assert report.counts["sent again"] > 100


# what is counted twice is recognised by its event id under the full policy, and does no harm
PLANTED = [("three", bug) for bug in get_args(Bug)] + [("full", b) for b in get_args(Bug) if b != "double-offset"]


@pytest.mark.parametrize(("policy", "bug"), PLANTED)
def test_a_planted_bug_is_found(
    policy: Meaning, bug: Bug, kafka: KafkaConnection, registry: RegistryConnection, names: TopicNames, tmp_path: Path
) -> None:
    plan = Plan(SEED, 2.0, 1_000.0, 1, [], plant=bug, faults=Faults(), customers=500, policy=policy)
    report = run(plan, kafka, registry, names, tmp_path)
    assert len(report.planted) == 1, "it struck once"
    assert not any(NOT_FOUND in problem for problem in report.problems)
    assert not report.ok
