"""One customer's block: taken apart into the scratch, and written back."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np

from pipelines.fold.items import (
    CLASS,
    CONTACT_ITEM,
    FIRED,
    FIRED_MS,
    HEAD,
    HELD,
    ITEM_WORDS,
    NEXT_MS,
    POINTS,
    SEEN_MS,
    TAG,
    TEXT,
    TEXT_BYTES,
    TEXT_KEPT,
    TRIED_LENGTH,
    TRIED_TEXT,
    USED,
    WIDE,
    copy_words,
    give_block,
    held_at,
    kind_of,
    number_of,
    size_class,
    take_block,
    text_length,
    texts_length,
    work_at,
)
from pipelines.fold.packing import begin_items, carried_words, pack_base, pack_list, unpack_base, unpack_list
from schemas.arrays import Bytes, Int64s
from schemas.bits import as_float, as_word
from schemas.compiled import compiled, step
from schemas.growing import grown
from schemas.words import copy_bytes

LISTS = 5
"""Lists that a block keeps: BASE ... LIVE."""
MOST_RECENT = 32
"""Interactions of a customer that can be put right; of more, the older half is for good."""
MOST_CLOSED = 16
"""Closed cases of a customer, and estimates, that are remembered for what may come back to them."""
MAX_EVENT_TEXT = 16_384
SPARE = 48
"""More items than an interaction, and the clocks that run out before it, may add to a list."""
_UNUSED_TEXT = 256
"""Bytes, and half of those that were kept, of texts that nobody has any more before they are looked for."""

BASE, RECENT, BEFORE, TOLD_LIST, LIVE, HEAT_LIST, WANTED, TEXT_USED, SETTLED = range(9)
NEED_ITEMS, NEED_WORDS, NEED_NOTES, NEED_TEXT = range(9, 13)
DUE_MS = 20  # behind what a fold counts (items.HEAT_COUNT ...)
COUNTS = 21
_PLACE_BITS = 32
_PLACE = (1 << _PLACE_BITS) - 1


class Blocks(NamedTuple):
    """The side store: see pipelines/fold/items.py."""

    arena: Int64s
    free: Int64s


class Scratch(NamedTuple):
    """Copies of one customer's lists and texts.

    lists: int64[7, m, WIDE], by the constants BASE ... WANTED. text: uint8[b]. count: int64[21]: how long each list
    is, how many bytes of text, how many heats are settled; what there was no room for (NEED_); what has been counted
    for good (fold.ORPHANS ...); and when something is due next. packed: int64[5 * m * WIDE], for lists that are
    written. carried: see pipelines/fold/packing.py.
    """

    lists: Int64s
    text: Bytes
    count: Int64s  # type: ignore[assignment]  # tuples have a method of that name, which nobody asks for
    packed: Int64s
    carried: Int64s


def new_scratch(items: int, text_bytes: int) -> Scratch:
    """Room for so many items in each list."""
    lists, packed = np.zeros((7, items, WIDE), np.int64), np.zeros((LISTS * items + 1) * WIDE, np.int64)
    return Scratch(lists, np.zeros(text_bytes, np.uint8), np.zeros(COUNTS, np.int64), packed, carried_words())


@step
def is_loadable(block: int, arena: Int64s, scratch: Scratch) -> bool:
    """Whether the scratch has room for a block, and for what may be added to it."""
    most = SPARE
    for k in range(LISTS):
        most = max(most, arena[block + k] + SPARE)
    text_bytes = arena[block + TEXT_BYTES]
    if most <= scratch.lists.shape[1] and text_bytes + MAX_EVENT_TEXT <= scratch.text.shape[0]:
        return True
    scratch.count[NEED_ITEMS] = max(scratch.count[NEED_ITEMS], 2 * most)
    scratch.count[NEED_TEXT] = max(scratch.count[NEED_TEXT], text_bytes + MAX_EVENT_TEXT)
    return False


@step
def load_block(block: int, signals: int, arena: Int64s, scratch: Scratch) -> bool:
    """Copy a block's lists and texts to the scratch; whether they fit, with what may be added."""
    counts = scratch.count
    for k in range(SETTLED + 1):
        counts[k] = 0
    for k in range(7):
        scratch.lists[k, scratch.lists.shape[1] - 1, TAG] = 0  # not full
    counts[FIRED] = 0
    if block == 0:
        return True
    if not is_loadable(block, arena, scratch):
        return False
    text_bytes = arena[block + TEXT_BYTES]
    at = unpack_lists(block, signals, arena, scratch)
    counts[BASE] = arena[block + BASE]
    at = unpack_base(arena, at, counts[BASE], scratch.lists[LIVE], scratch.carried, scratch.lists[BASE])
    copy_bytes(arena.view(np.uint8), 8 * at, text_bytes, scratch.text, 0)
    counts[TEXT_USED], counts[FIRED] = text_bytes, arena[block + FIRED_MS]
    return True


@step
def unpack_lists(block: int, signals: int, arena: Int64s, scratch: Scratch) -> int:
    """Read the lists of a block, all but ``base``, to the scratch, which has room; return where ``base`` begins."""
    at = block + HEAD + signals
    begin_items(scratch.carried)
    for k in range(RECENT, LISTS):
        scratch.count[k] = arena[block + k]
        at = unpack_list(arena, at, scratch.count[k], scratch.carried, scratch.lists[k])
    return at


@step
def texts_at(block: int, signals: int, arena: Int64s) -> int:
    """At which byte of the arena the texts of a block begin."""
    return 8 * (block + HEAD + signals + arena[block + ITEM_WORDS])


@step
def longest_text(scratch: Scratch) -> int:
    """Most bytes that the texts of an item have."""
    most = 0
    for at in range(scratch.count[LIVE]):
        item = scratch.lists[LIVE, at]
        total = texts_length(item)
        if kind_of(item) == CONTACT_ITEM:
            total += item[TRIED_LENGTH]
        most = max(most, total)
    for at in range(scratch.count[TOLD_LIST]):
        most = max(most, texts_length(scratch.lists[TOLD_LIST, at]))
    return most


@step
def hold(scratch: Scratch, signals: int, arena: Int64s, at: int) -> None:
    """Write what open cases hold of each signal to ``arena``, from ``at`` on."""
    for s in range(signals):
        arena[at + s] = 0
    live = scratch.lists[LIVE]
    for k in range(scratch.count[LIVE]):
        if kind_of(live[k]) == HELD:
            to = at + number_of(live[k])
            arena[to] = as_word(as_float(arena[to]) + as_float(live[k, POINTS]))


@step
def keep_texts(items: Int64s, count: int, text: Bytes, out: Bytes, used: int, moved: Int64s) -> int:
    """Copy the texts of a list to ``out``; items that share theirs go on sharing; return the bytes used.

    moved: int64[b], for each byte of ``text`` where a text that begins there is now and how long it is, 0 for none.
    """
    for at in range(count):
        item = items[at]
        total = texts_length(item)
        if total > 0:
            used, item[TEXT] = keep_text(item[TEXT], total, text, out, used, moved)
        if kind_of(item) == CONTACT_ITEM and item[TRIED_LENGTH] > 0:
            used, item[TRIED_TEXT] = keep_text(item[TRIED_TEXT], item[TRIED_LENGTH], text, out, used, moved)
    return used


@step
def keep_text(start: int, length: int, text: Bytes, out: Bytes, used: int, moved: Int64s) -> tuple[int, int]:
    """Copy one text, unless it is there; return the bytes used, and where it is."""
    there = moved[start]
    if there >> _PLACE_BITS >= length:
        return used, there & _PLACE
    copy_bytes(text, start, length, out, used)
    moved[start] = length << _PLACE_BITS | used
    return used + length, used


@step
def texts_moved(moved: Int64s, text_bytes: int) -> None:
    """Let no text have moved."""
    part = moved[:text_bytes]
    for b in range(text_bytes):
        part[b] = 0


@step
def pack_lists(scratch: Scratch, settled: int) -> int:
    """Write the lists to ``packed``, without so many settled heats; return how many words they take."""
    counts, lists, carried, packed = scratch.count, scratch.lists, scratch.carried, scratch.packed
    begin_items(carried)
    at = pack_list(lists[RECENT], 0, counts[RECENT], carried, packed, 0)
    at = pack_list(lists[HEAT_LIST], settled, counts[HEAT_LIST], carried, packed, at)
    at = pack_list(lists[TOLD_LIST], 0, counts[TOLD_LIST], carried, packed, at)
    at = pack_list(lists[LIVE], 0, counts[LIVE], carried, packed, at)
    return pack_base(lists[BASE], counts[BASE], lists[LIVE], counts[LIVE], carried, packed, at)


@step
def words_needed(signals: int, scratch: Scratch) -> int:
    """Words of the largest block that the scratch may become; a text, and what was tried in it, may lie there twice."""
    counts = scratch.count
    items = (
        counts[RECENT] + counts[HEAT_LIST] + counts[TOLD_LIST] + counts[WANTED] + 2 * max(counts[BASE], counts[LIVE])
    )
    items += SPARE
    return HEAD + signals + items * WIDE + (2 * counts[TEXT_USED]) // 8 + 2


@step
def has_words(signals: int, blocks: Blocks, scratch: Scratch) -> bool:
    """Whether the arena has room for the block that the scratch becomes."""
    words = 2 * words_needed(signals, scratch) + 128
    if blocks.free[USED] + words > blocks.arena.shape[0]:
        scratch.count[NEED_WORDS] = max(scratch.count[NEED_WORDS], words)
        return False
    return True


@step
def write_block(
    block: int, signals: int, held: int, seen_ms: int, next_ms: int, blocks: Blocks, scratch: Scratch, out: Bytes,
    moved: Int64s,
) -> int:  # fmt: skip
    """Put the scratch back as the customer's block; return where it is now, 0 when nothing is left.

    held: where in the arena what open cases hold stands.
    """
    counts, lists, arena = scratch.count, scratch.lists, blocks.arena
    heats = counts[HEAT_LIST] - counts[SETTLED]
    if counts[BASE] + counts[RECENT] + counts[TOLD_LIST] + counts[LIVE] + heats == 0:
        if block != 0:
            give_block(block, arena, blocks.free)
        return 0
    used, text, kept = counts[TEXT_USED], scratch.text, arena[block + TEXT_KEPT]
    if used > kept + kept // 2 + _UNUSED_TEXT:
        texts_moved(moved, used)
        used, text = 0, out
        for k in (BASE, RECENT, TOLD_LIST, LIVE):
            used = keep_texts(lists[k], counts[k], scratch.text, out, used, moved)
        kept = used
    at = pack_lists(scratch, counts[SETTLED])
    words = HEAD + signals + at + (used + 7) // 8
    if block != 0 and arena[block + CLASS] != size_class(words):
        give_block(block, arena, blocks.free)
        block = 0
    if block == 0:
        block = take_block(words, arena, blocks.free)
    for k in range(LISTS):
        arena[block + k] = counts[k]
    arena[block + BEFORE] = heats
    arena[block + SEEN_MS], arena[block + NEXT_MS] = seen_ms, next_ms
    arena[block + TEXT_BYTES], arena[block + FIRED_MS] = used, counts[FIRED]
    arena[block + ITEM_WORDS], arena[block + TEXT_KEPT] = at, kept
    copy_words(arena, held, signals, arena, held_at(block))
    begin = block + HEAD + signals
    copy_words(scratch.packed, 0, at, arena, begin)
    if used > 0:
        arena[begin + at + (used - 1) // 8] = 0
        copy_bytes(text, 0, used, arena.view(np.uint8), 8 * (begin + at))
    return block


write_block_compiled = compiled(write_block, allocates=False)
load_block_compiled = compiled(load_block, allocates=False)


def contents_of(block: int, signals: int, arena: Int64s) -> tuple[list[Int64s], bytes]:
    """The lists of a block, int64[k, WIDE] each, by BASE ... LIVE, and its texts; nothing of block 0."""
    most = max(int(arena[block + k]) for k in range(LISTS))
    scratch = new_scratch(most + SPARE, int(arena[block + TEXT_BYTES]) + MAX_EVENT_TEXT)
    load_block_compiled(block, signals, arena, scratch)
    return (
        [scratch.lists[k, : scratch.count[k]] for k in range(LISTS)],
        scratch.text[: scratch.count[TEXT_USED]].tobytes(),
    )


def texts_of(item: Int64s, text: bytes) -> list[str]:
    """The six texts of an item: event_id, case_id, subject, channel, touchpoint, tried. text: those of its block."""
    ends = accumulate((text_length(item, k) for k in range(6)), initial=int(item[TEXT]))
    return [text[a:b].decode(errors="replace") for a, b in pairwise(ends)]


def new_block(
    lists: Mapping[int, Sequence[Int64s]], text: bytes, *, seen_ms: int, next_ms: int, fired_ms: int, signals: int,
    blocks: Blocks,
) -> tuple[Blocks, int]:  # fmt: skip
    """A block with these items, int64[WIDE] each, in the lists BASE ... LIVE; and the side store with room for it."""
    scratch = new_scratch(max(map(len, lists.values())) + SPARE, len(text))
    for k, items in lists.items():
        scratch.count[k] = len(items)
        scratch.lists[k, : len(items)] = np.reshape(items, (len(items), WIDE))
    scratch.text[:] = np.frombuffer(text, np.uint8)
    scratch.count[TEXT_USED], scratch.count[FIRED] = len(text), fired_ms
    blocks = Blocks(grown(blocks.arena, int(blocks.free[USED]) + 2 * words_needed(signals, scratch) + 128), blocks.free)
    held = work_at(signals)
    hold(scratch, signals, blocks.arena, held)
    out, moved = np.empty(2 * len(text), np.uint8), np.empty(len(text), np.int64)
    return blocks, write_block_compiled(0, signals, held, seen_ms, next_ms, blocks, scratch, out, moved)
