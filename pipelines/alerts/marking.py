"""An alert that a team has marked is told again: it is found by its id among those that were told of its customer."""

import numpy as np

from pipelines.alerts.alert import STATUSES, Alert, alert_id
from pipelines.alerts.bands import band_table
from pipelines.alerts.listings import Lister
from pipelines.alerts.noted import NotedAlerts, id_of
from pipelines.fold.blocks import (
    BEFORE,
    HEAT_LIST,
    LIVE,
    NEED_NOTES,
    TOLD_LIST,
    has_words,
    load_block,
    longest_text,
    texts_of,
    write_block,
)
from pipelines.fold.folding import copy_items
from pipelines.fold.items import (
    DISMISSED,
    HANDLING,
    KEY,
    NEXT_MS,
    RAISED,
    REVISION,
    SEEN_MS,
    STATUS,
    held_at,
    is_told_of,
    number_of,
    touch,
)
from pipelines.fold.notes import has_room, write_note, write_risen
from pipelines.fold.scores import with_held
from pipelines.fold.scoring import BLOCK, Rows
from pipelines.fold.work import Work
from pipelines.policy.marks import DISMISSED as WAS_DISMISSED
from pipelines.policy.marks import Mark
from pipelines.policy.policy import Policy
from pipelines.policy.rules import WITHIN_MS, section
from pipelines.state.room import Room
from pipelines.state.rows import CustomerRows
from schemas.columnar.writer import TextColumn
from schemas.compiled import compiled


def note_again(row: int, at: int, dismissed: bool, within_ms: int, signals: int, rows: Rows, work: Work) -> bool:
    """Note the next revision of the told alert number ``at`` of a row; whether there was room for it.

    dismissed: it is not escalated any more; else it is again. within_ms: for how long a contact counts.
    """
    arena, scratch = work.blocks.arena, work.scratch
    block = rows.words[row, BLOCK]
    if not load_block(block, signals, arena, scratch):
        return False
    counts, told, items = scratch.count, scratch.lists[TOLD_LIST, at], scratch.lists[LIVE]
    if not has_words(signals, work.blocks, scratch):
        return False
    if not has_room(work.notes, 1, longest_text(scratch)):
        counts[NEED_NOTES] = 1
        return False
    held = held_at(block)
    told[REVISION] += 1
    told[HANDLING] = DISMISSED if dismissed else 0
    for k in range(0 if dismissed else counts[LIVE]):
        if is_told_of(items[k]):
            touch(items[k])  # what was not told meanwhile is told now
    write_note(
        row, told, told[STATUS], told[RAISED], arena, held, rows, within_ms, items, counts[LIVE], scratch.text,
        work.notes,
    )  # fmt: skip
    copy_items(scratch.lists[BEFORE], counts[BEFORE], scratch.lists[HEAT_LIST])
    counts[HEAT_LIST] = counts[BEFORE]
    rows.words[row, BLOCK] = write_block(
        block, signals, held, arena[block + SEEN_MS], arena[block + NEXT_MS], work.blocks, scratch, work.out, work.moved
    )
    rows.dirty[row] = 1
    return True


note_again_compiled = compiled(note_again)


def list_now(row: int, at_ms: int, within_ms: int, signals: int, rows: Rows, work: Work) -> bool:
    """Note what is open of a row, and which contacts counted at a time; whether there was room for it."""
    ready = load_block(rows.words[row, BLOCK], signals, work.blocks.arena, work.scratch)
    if ready:
        lists, counts = work.scratch.lists, work.scratch.count
        write_risen(0, at_ms, within_ms, lists[LIVE], counts[LIVE], work.scratch.text, work.notes)
    return ready


list_now_compiled = compiled(list_now)


def marked_alerts(mark: Mark, row: int, rows: CustomerRows, policy: Policy, room: Room) -> list[Alert]:
    """The next revision of the alert that a mark speaks of; nothing when the customer of the row has no such alert."""
    told = _told_ids(row, rows, policy)
    if mark.alert_id not in told:
        return _marked_band(mark, row, rows, policy, room)
    dismissed = mark.did == WAS_DISMISSED
    while True:
        work = room.give(rows)
        at = told.index(mark.alert_id)
        if note_again_compiled(
            row, at, dismissed, int(section(policy.compiled.rules, WITHIN_MS)), len(policy.signals), rows.kernel, work
        ):
            return NotedAlerts(policy).of(work.notes, rows, Lister(policy).of(work.notes)).table.alerts()


def _told_ids(row: int, rows: CustomerRows, policy: Policy) -> list[str]:
    """Ids of the alerts that have been told of what is open of a row, in their order."""
    lists, text = rows.contents(row)
    customer = rows.customers.text(row)
    return [id_of(number_of(item), int(item[KEY]), customer, texts_of(item, text), policy) for item in lists[TOLD_LIST]]


def _marked_band(mark: Mark, row: int, rows: CustomerRows, policy: Policy, room: Room) -> list[Alert]:
    """The last band alert of a row, told again as the customer stands now."""
    episode, customer = rows.episode(row), rows.customers.text(row)
    if not episode.opened_ms or alert_id("band_entered", customer, episode.opened_ms) != mark.alert_id:
        return []
    episode = episode.revised()
    rows.set_episode(row, episode)
    number, band, segment = np.array([row], np.int64), int(rows.band[row]), int(rows.segments(np.array([row]))[0])
    escalated = "escalated" if band > (policy.alerting or 0) else "opened"
    status = STATUSES.index(escalated if episode.stands else "resolved")
    word = np.array([[-1, row, episode.closed_ms or episode.opened_ms, band, band, segment]], np.int64)
    heats = with_held(rows.heat[number], rows.held(number))
    work = room.give(rows)
    signals, within_ms = len(policy.signals), int(section(policy.compiled.rules, WITHIN_MS))
    while episode.stands and not list_now_compiled(row, mark.at_ms, within_ms, signals, rows.kernel, work):
        work = room.give(rows)
    listed, only = Lister(policy).of(work.notes), np.zeros(1, np.int64)
    began_ms, revision = np.array([episode.opened_ms]), np.array([episode.revision])
    return band_table(
        TextColumn.of([customer]), began_ms, revision, np.array([status]), word, heats, policy,
        lambda: {**listed.lists_of(only), **listed.places_of(only)},
    ).alerts()  # fmt: skip
