"""One explanation, from what was asked for to the story."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from connectors.files.rejects import RejectedRow
from pipelines.cli.backtest.events import Gathered
from pipelines.cli.backtest.given import Given, goes_beyond, shown_progress, time_of
from pipelines.cli.explain.story import Story, story_of
from pipelines.intake.index import TextIndex
from pipelines.intake.interactions import InteractionBatch
from pipelines.worker.policy_file import load_policy
from schemas.errors import EmbeddedUnavailable, InputUnreadable, SettingsError

_COMPARED = 20_000  # ids that are compared with the one that was asked for; more would take seconds
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """The options as they were given."""

    customer: str
    events: list[str]
    policy: Path | None = None
    mappings: Sequence[Path] = ()
    format: str | None = None
    from_: str | None = None
    to: str | None = None
    until: str | None = None


def explained(asked: Asked, reject: Callable[[RejectedRow], None], warn: Callable[[str], None]) -> Story:
    """Tell the story of a customer, as a backtest over the same files has it. reject: told each row that is not taken.

    Time passes to ``until``, else to the last interaction of anybody in the files.

    Raises:
        SettingsError, PolicyError, MappingError, InputUnreadable: an option or a file is wrong, or nobody has that id.
    """
    try:
        asked.customer.encode()
    except UnicodeEncodeError as error:  # bytes of an argument that are no UTF-8
        raise SettingsError(f"CUSTOMER: must be a text, got {asked.customer!r}") from error
    policy = load_policy(asked.policy)
    given = Given.of(asked.events, asked.mappings, asked.format, from_=asked.from_, to=asked.to)
    until_ms = time_of(asked.until, "--until")
    with shown_progress() as progress:
        reader = given.reader(reject, warn)
        found = given.gathered(reader, policy, lambda n: progress("reading", n, None), details=True)
        ends_ms = max((int(np.minimum(b.occurred_ms, b.append_ms).max()) for _, b in found.parts if len(b)), default=0)
        batch = _of_customer(found, asked.customer)
        if asked.until is not None and until_ms is not None and until_ms < ends_ms:
            warn(goes_beyond(asked.until, ends_ms))
        end_ms = ends_ms if until_ms is None else max(until_ms, ends_ms)
        return story_of(asked.customer, batch, policy, end_ms, lambda n: progress("telling", n, len(batch)))


def check_picture(out: Path) -> None:
    """See that a picture can be drawn to a file, before anything is read.

    Raises:
        SettingsError: it cannot be written, or is no PNG and no SVG.
        EmbeddedUnavailable: what draws it is not installed.
    """
    if out.suffix.lower() not in {".png", ".svg"}:
        raise SettingsError(f"--out: must end with .png or .svg, got {str(out)!r}")
    if not out.parent.is_dir() or out.is_dir():
        raise SettingsError(f"--out: {out} cannot be written: its directory must be there, and it must be no directory")
    if find_spec("matplotlib") is None:
        raise EmbeddedUnavailable("a picture needs matplotlib: pip install 'friction-signals[picture]'")


def _of_customer(found: Gathered, customer: str) -> InteractionBatch:
    """A customer's interactions, in the order in which a backtest takes them."""
    index = TextIndex([customer] if customer else [])
    own = Gathered(ties=found.ties)
    for key, batch in found.parts:
        number = index.add(batch.data, batch.customer.start, batch.customer.length)
        rows = np.flatnonzero(number == 0) if customer else np.zeros(0, np.int64)
        if rows.shape[0]:
            own.parts.append((key[rows], batch.take(rows)))
    if not own.parts:
        others = [index.text(n) for n in range(1 if customer else 0, index.numbers)]
        raise InputUnreadable(_unknown(customer, others, found.outside))
    (batch,) = own.in_order(len(own))
    return batch


def _unknown(customer: str, others: Sequence[str], outside: int) -> str:
    said = f"there is no interaction of customer {customer!r} among those of {len(others):,} customers"
    if outside:
        said += f" ({outside:,} interactions are outside of --from and --to)"
    folded = {_folded(one): one for one in others if abs(len(one) - len(customer)) <= 3}
    near = get_close_matches(_folded(customer), list(folded)[:_COMPARED], _NAMED)
    return f"{said}; did you mean {', '.join(folded[one] for one in near)}?" if near else said


def _folded(name: str) -> str:
    """A name as somebody may type it who has not its letters: small, without marks, an i for a dotless one."""
    letters = unicodedata.normalize("NFKD", name.casefold().replace("\N{LATIN SMALL LETTER DOTLESS I}", "i"))
    return "".join(one for one in letters if not unicodedata.combining(one))
