"""``friction policy``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.exits import EPILOG, ExitCode

app = typer.Typer(
    help="Check, read and compare policies: files, or `default` and `three`, which come with us.\n\n"
    "Example: `friction policy check policy.yaml`",
    no_args_is_help=True,
    epilog=EPILOG,
)

_NAMED = "a policy file, or default or three"


@app.command("check", epilog=EPILOG)
def check(file: Annotated[Path, typer.Argument(metavar="FILE", help=f"What to check: {_NAMED}.")]) -> None:
    """Tell what is wrong with a policy, by file, line and key; exit code 2 if anything is.

    What can be read and is probably not what was meant is a warning on standard error.

    Example: `friction policy check policy.yaml`
    """
    from pipelines.policy.lint import policy_warnings
    from pipelines.worker.policy_file import load_policy

    policy = load_policy(file)
    kinds = len(policy.compiled.kinds)
    for warning in policy_warnings(policy.file):
        print(f"warning: {warning}", file=sys.stderr)
    said = policy.file
    print(f"ok: policy {policy.digest}, {kinds} kinds, {len(said.signals)} signals, {len(said.clocks)} clocks")


@app.command("kinds", epilog=EPILOG)
def kinds(
    policy: Annotated[
        Path | None, typer.Option("--policy", metavar="FILE", help=f"{_NAMED.capitalize()}  [default: default]")
    ] = None,
) -> None:
    """List the kinds of interactions and what each does, those of the vocabulary that do nothing too.

    Example: `friction policy kinds --policy default`
    """
    from pipelines.policy.kinds import effects, own_effects
    from pipelines.worker.policy_file import load_policy
    from schemas.vocabulary import VOCABULARY

    does: dict[str, list[str]] = {kind: [] for kind in VOCABULARY}
    found = load_policy(policy)
    for effect in (*effects(found.file), *own_effects(found)):
        does.setdefault(effect.kind, []).append(effect.said)
    width = max(len(kind) for kind in does)
    for kind, said in does.items():
        for n, line in enumerate(said or ["nothing"]):
            print(f"{'' if n else kind:<{width}}  {line}")


@app.command("diff", epilog=EPILOG)
def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help=f"The one before: {_NAMED}.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="The one after.")],
) -> int:
    """Say by key what means something else, before -> after; exit code 1 if anything does.

    Example: `friction policy diff default policy.yaml`
    """
    from pipelines.policy.changes import policy_changes
    from pipelines.worker.policy_file import load_policy

    changes = policy_changes(load_policy(before), load_policy(after))
    for change in changes:
        print(f"{change.key}: {change.before} -> {change.after}")
    return ExitCode.FAILED if changes else ExitCode.DONE
