"""How a command ends: its exit code, and one paragraph when it did not do its work."""

import errno
import os
import sys
import textwrap
import traceback
from enum import IntEnum
from shutil import get_terminal_size

import typer

from pipelines.cli.sources import DEBUG_VARIABLE
from schemas.errors import (
    DataDirHeld,
    EmbeddedUnavailable,
    FrictionError,
    InputUnreadable,
    MappingError,
    PolicyError,
    SettingsError,
    StoreUnavailable,
)

# click's own before typer 0.27, a copy inside typer since
UsageError: type[Exception] = typer.BadParameter.__mro__[1]


class ExitCode(IntEnum):
    """The codes of every command; docs/commands.md tells them to users."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNAVAILABLE = 3
    INTERRUPTED = 130


EPILOG = (
    "Exit codes: 0 done; 1 a check or the work failed; 2 wrong usage or settings; "
    "3 something needed is not available (Kafka, the registry, ClickHouse, the data directory, a download); "
    "130 interrupted. `--debug` anywhere, or FRICTION_DEBUG=1, shows the traceback of an error."
)


def code_of(error: BaseException) -> ExitCode:
    """Exit code of a command that ended with ``error``."""
    match error:
        case KeyboardInterrupt():
            return ExitCode.INTERRUPTED
        case SettingsError() | PolicyError() | MappingError() | InputUnreadable() | UsageError():
            return ExitCode.USAGE
        case StoreUnavailable() | EmbeddedUnavailable() | DataDirHeld():
            return ExitCode.UNAVAILABLE
        case _:
            return ExitCode.FAILED


def tell(error: BaseException) -> None:
    """Say on standard error what went wrong, in one paragraph; with its traceback if FRICTION_DEBUG is set.

    What follows a line break, such as the end of a log, is left as it is.
    """
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
    paragraph, _, rest = _paragraph(error).partition("\n")
    if sys.stderr.isatty():  # else somebody may look for lines
        paragraph = textwrap.fill(
            paragraph, get_terminal_size().columns, break_long_words=False, break_on_hyphens=False
        )
    print(paragraph, file=sys.stderr)
    if rest:
        print(rest, file=sys.stderr)


def _paragraph(error: BaseException) -> str:
    match error:
        case KeyboardInterrupt():
            return "friction: interrupted"
        case FrictionError():
            return f"friction: {error}"
        case UsageError():
            context = getattr(error, "ctx", None)
            command = context.command_path if context else "friction"
            said = getattr(error, "format_message", error.__str__)() or "Missing command."
            return f"{command}: {said} (`{command} --help` shows what there is)"
        case OSError(errno=errno.ENOSPC):
            where = f" of {error.filename}" if error.filename else ""
            return f"friction: the disk{where} is full: make room, or have it written elsewhere"
        case _:
            return (
                f"friction: this is a bug of ours: {type(error).__name__}: {error}. "
                "The same command with --debug shows where; please report it."
            )
