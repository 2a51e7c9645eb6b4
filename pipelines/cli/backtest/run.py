"""One backtest, from what was asked for to the files."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.cli.backtest.events import Gathered
from pipelines.cli.backtest.given import Given, goes_beyond, shown_progress, time_of
from pipelines.cli.backtest.replay import BATCH_EVENTS, Replay
from pipelines.cli.backtest.results import AlertFile, RejectedFile, replaced, time_text, write_summary
from pipelines.cli.backtest.score_file import write_scores
from pipelines.worker.policy_file import load_policy


@dataclass(frozen=True, slots=True)
class Asked:
    """The options as they were given."""

    events: list[str]
    out: Path
    policy: Path | None = None
    mappings: Sequence[Path] = ()
    format: str | None = None
    order: str = "event"
    from_: str | None = None
    to: str | None = None
    until: str | None = None
    strict: bool = False


def run(asked: Asked) -> dict[str, Any]:
    """Run it and return the summary.

    Raises:
        SettingsError, PolicyError, MappingError, InputUnreadable: an option, a file or a row is wrong.
    """
    begun = time.monotonic()
    policy = load_policy(asked.policy)
    given = Given.of(asked.events, asked.mappings, asked.format, order=asked.order, from_=asked.from_, to=asked.to)
    until_ms = time_of(asked.until, "--until")
    warnings: list[str] = []
    with replaced(asked.out, [source.name for source in given.files]) as results:
        with (
            results["rejected.jsonl"].open("w", encoding="utf-8") as rejected_file,
            results["alerts.jsonl"].open("wb") as alerts_file,
            shown_progress() as progress,
        ):
            rejected, alerts = RejectedFile(rejected_file), AlertFile(alerts_file, sort=given.order == "event")
            reader = given.reader(rejected.write, warnings.append, strict=asked.strict)
            found = given.gathered(reader, policy, lambda n: progress("reading", n, None))
            count = len(found)
            replay = Replay(policy, alerts.write, lambda n: progress("scoring", n, count), given.order)
            for batch in found.in_order(BATCH_EVENTS):
                replay.run(batch)
            end_ms = replay.run_on(until_ms)
        write_scores(results["scores.parquet"], replay.standing, end_ms, policy, *replay.listed_clocks())
        warnings += [*_left_out(replay, rejected, found), *_too_much(replay)]
        if asked.until is not None and until_ms is not None and end_ms is not None and until_ms < end_ms:
            warnings.append(goes_beyond(asked.until, end_ms))
        seconds = time.monotonic() - begun
        summary = {
            "events": found.read + rejected.count - found.refused,
            "accepted": replay.accepted - replay.rare.duplicates,
            "rejected": rejected.count,
            **replay.rare._asdict(),
            "outside": found.outside,
            "skipped": reader.skipped,
            "customers": len(replay.standing),
            "alerts": alerts.by_type(),
            "held_back": alerts.held_back(),
            "muted": alerts.muted(),
            "deflections": {name: replay.tally[name] for name in ("failed", "undecided", "assumed")},
            "closings_without_opening": replay.tally["orphans"],
            "until": None if end_ms is None else time_text(end_ms),
            "policy": policy.digest,
            "order": given.order,
            "seconds": round(seconds, 3),
            "events_per_second": round(found.read / seconds, 1),
            "warnings": warnings,
        }
        write_summary(results["summary.json"], summary)
    return summary


def _left_out(replay: Replay, rejected: RejectedFile, found: Gathered) -> Iterator[str]:
    """What is told of interactions that did not count, when they are most of all."""
    taken, rare = replay.accepted, replay.rare
    if rejected.first is not None and not taken:
        line, reason = rejected.first.line, rejected.first.reason
        yield f"all {rejected.count:,} rows were rejected, the first one in line {line}: {reason}"
    if found.outside and not taken:
        yield f"{found.outside:,} interactions are outside of the time from --from to --to, none is within"
    if 2 * rare.duplicates > taken:
        yield (
            f"{rare.duplicates:,} of {taken:,} interactions have an event_id that their customer had just before, "
            "and were taken as sent twice: what is mapped to event_id must differ from interaction to interaction"
        )
    if rare.bad_deadlines:
        yield (
            f"{rare.bad_deadlines:,} deadlines are no time with an offset, such as 2026-03-01T15:00:00+03:00: their "
            "clocks have the promise of the policy"
        )
    if 2 * rare.unknown_kinds > taken:
        yield (
            f"{rare.unknown_kinds:,} of {taken:,} interactions are of kinds that the policy does not know: "
            "`friction policy kinds` lists those that it knows"
        )


def _too_much(replay: Replay) -> Iterator[str]:
    """What is told where identifiers are not what they should be."""
    if given_up := replay.rare.given_up:
        yield (
            f"{given_up:,} cases and clocks ended because their customer had too many: many seem to share a "
            "customer_id, such as guest or unknown; give each one of their own, or leave these interactions out"
        )
    if left_out := replay.take_left_out():
        yield (
            f"{left_out:,} times somebody was at a touchpoint, or spoke of a subject, that was not watched for "
            "incidents, since there are more than incidents.most_places: leave identifiers out of their names"
        )
