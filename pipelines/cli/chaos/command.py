"""``friction chaos``."""

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelines.cli.exits import ExitCode
from pipelines.cli.options import settings_of
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from pipelines.cli.chaos.plan import Report

Planted = Literal["skip-row", "double-offset", "lose-chunk", "lose-row", "send-twice", "early-time"]


def chaos(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long interactions come in.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Names the interactions, and what is done to whom and when.")] = 1,
    broker: Annotated[bool, typer.Option("--broker", help="Kill the broker too, for 2 s and for 12 s.")] = False,
    plant: Annotated[
        Planted | None, typer.Option(metavar="BUG", help="Plant a bug in one worker: then the comparison must fail.")
    ] = None,
    policy: Annotated[
        Literal["three", "full"],
        typer.Option(help="three: signals and bands. full: clocks, cases, contacts and their alerts are compared too."),
    ] = "three",
    rate: Annotated[float, typer.Option(min=10, max=100_000, help="Interactions a second.")] = 3000.0,
    workers: Annotated[int, typer.Option(min=1, max=8, help="Worker processes, besides guests.")] = 2,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="New directory for Kafka's data and the logs; kept."),
    ] = None,
    jars: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Kafka's jars, for a machine that is offline.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and what happens on stderr.")] = False,
) -> int:
    """Kill, freeze, stop and start workers while interactions come in; then compare with a recomputation.

    Ends with exit code 0 only if nothing was lost and nothing counted twice. Runs a broker and a registry of its own.

    Example: `friction chaos --minutes 5 --seed 7 --broker`
    """
    settings = settings_of(None, None, jars=jars).settings
    if policy == "full" and plant == "double-offset":
        raise SettingsError(
            "--plant double-offset does no harm with --policy full: what comes twice is recognised by its event id"
        )
    from pipelines.cli.chaos.embedded import run_on_embedded
    from pipelines.cli.chaos.plan import Plan
    from pipelines.cli.chaos.run import SESSION_S
    from pipelines.cli.chaos.schedule import drawn

    plan = Plan(
        seed=seed,
        seconds=minutes * 60,
        rate=rate,
        workers=workers,
        actions=drawn(seed, minutes * 60, workers=workers, session_s=SESSION_S, broker=broker),
        plant=plant,
        policy=policy,
    )

    def say(text: str) -> None:
        print(text, file=sys.stderr if as_json else sys.stdout, flush=True)

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: everything is stopped, and told
    report = run_on_embedded(plan, directory=data, jars=settings.embedded.jars, say=say)
    if as_json:
        print(json.dumps(report.as_json(), ensure_ascii=False))
    else:
        _print(report)
    return ExitCode.DONE if report.ok else ExitCode.FAILED


def _print(report: "Report") -> None:
    print(f"\nsent {report.sent:,} interactions, some late, some twice; {report.checkpoints:,} checkpoints")
    print("done:      " + _listed(report.done))
    print("injected:  " + _listed(report.faults))
    print("told:      " + _listed(report.told))
    print("compared:  " + _listed(report.counts))
    for said in report.planted:
        print(f"planted:   {said}")
    for problem in report.problems:
        print(f"PROBLEM:   {problem}")
    print("nothing lost, nothing counted twice" if report.ok else f"{len(report.problems)} problems")


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{what} {count:,}" for what, count in counts.items()) or "nothing"
