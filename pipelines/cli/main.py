"""The command ``friction``."""

import os
import sys
from collections.abc import Sequence

import typer

from pipelines.cli import doctor, export, land, policies, simulate, status, topics, up, version, worker
from pipelines.cli.backtest import command as backtest
from pipelines.cli.bench import command as bench
from pipelines.cli.chaos import command as chaos
from pipelines.cli.exits import EPILOG, ExitCode, code_of, tell
from pipelines.cli.explain import command as explain
from pipelines.cli.sources import DEBUG_VARIABLE

_DEBUG = "--debug"

app = typer.Typer(
    name="friction",
    help="How much friction each customer carries, why, who waits and what fails for many.\n\n"
    "Example: `friction up --demo`",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command("up", epilog=EPILOG)(up.up)
app.command("status", epilog=EPILOG)(status.status)
app.command("doctor", epilog=EPILOG)(doctor.doctor)
app.command("worker", epilog=EPILOG)(worker.worker)
app.command("land", epilog=EPILOG)(land.land)
app.command("simulate", epilog=EPILOG)(simulate.simulate)
app.command("backtest", epilog=EPILOG)(backtest.backtest)
app.command("explain", epilog=EPILOG)(explain.explain)
app.command("export", epilog=EPILOG)(export.export)
app.add_typer(policies.app, name="policy")
app.add_typer(topics.app, name="topics")
app.command("chaos", epilog=EPILOG)(chaos.chaos)
app.add_typer(bench.app, name="bench")
app.command("version", epilog=EPILOG)(version.version)


def run() -> None:
    """Console entry point."""
    sys.exit(exit_code(sys.argv[1:]))


def exit_code(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; what went wrong is told on standard error."""
    given = [one for one in arguments if one != _DEBUG]
    if len(given) < len(arguments):
        os.environ[DEBUG_VARIABLE] = "1"  # for child processes too
    try:
        code = app(args=given, prog_name="friction", standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the edge: every error becomes one paragraph and a code
        tell(error)
        return code_of(error)
    return code if isinstance(code, int) else ExitCode.DONE


if __name__ == "__main__":
    run()
