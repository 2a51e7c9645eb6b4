"""Items of a block come back as they were, however few words they take; what is broken is told from what is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.fold.blocks import BASE, BEFORE, HEAT_LIST, LIVE, RECENT, TOLD_LIST, Blocks, contents_of, new_block
from pipelines.fold.items import AT, CASE, HEAD, HEAT, HELD, ITEM_WORDS, MASK, POINTS, TAG, TOLD, WIDE, new_arena
from pipelines.fold.packing import ANEW
from pipelines.state.whole_rows import is_sound
from schemas.arrays import Int64s

WORDS = st.sampled_from([0, 0, 0, 1, -1, 2**40, 2**62, -(2**63)])
SIGNALS = 301
GIVEN = st.lists(st.lists(WORDS, min_size=MASK - 1, max_size=MASK - 1), min_size=1, max_size=3)


@st.composite
def lists_of_items(draw: st.DrawFn) -> dict[int, list[Int64s]]:
    """Lists in which several items are of one interaction, and ``base`` is nearly ``live``."""
    given_words = draw(GIVEN)

    def item(kind: int) -> Int64s:
        made = np.zeros(WIDE, np.int64)
        made[TAG] = kind | draw(st.integers(0, 300)) << 8
        if kind in (HELD, HEAT):
            made[AT], made[CASE], made[POINTS] = draw(WORDS), draw(WORDS), draw(WORDS)
            return made
        made[1:MASK] = draw(st.sampled_from(given_words))
        made[MASK:] = draw(st.lists(WORDS, min_size=WIDE - MASK, max_size=WIDE - MASK))
        return made

    kinds = [kind for kind in range(1, TOLD + 1) if kind != HEAT]
    live = [item(draw(st.sampled_from(kinds))) for _ in range(draw(st.integers(0, 9)))]
    base = [one.copy() for one in live if draw(st.integers(0, 3))]
    for one in base:
        if draw(st.booleans()) and draw(st.booleans()):
            one[MASK] ^= 1
    recent = [item(1) for _ in range(draw(st.integers(0, 3)))]
    return {BASE: base, RECENT: recent, HEAT_LIST: [item(HEAT)], TOLD_LIST: [item(TOLD)], LIVE: live}


def block_of(lists: dict[int, list[Int64s]], text: bytes = b"") -> tuple[Blocks, int]:
    store = Blocks(*new_arena(SIGNALS))
    return new_block(lists, text, seen_ms=1, next_ms=2, fired_ms=3, signals=SIGNALS, blocks=store)


@settings(deadline=None)
@given(lists_of_items(), st.binary(max_size=20))
def test_a_block_holds_the_lists_and_texts_that_it_was_made_of(lists: dict[int, list[Int64s]], text: bytes) -> None:
    blocks, block = block_of(lists, text)
    found, texts = contents_of(block, SIGNALS, blocks.arena)
    for k, items in lists.items():
        assert found[BEFORE if k == HEAT_LIST else k].tolist() == [item.tolist() for item in items]
    assert texts == text
    assert is_sound(blocks.arena, block, SIGNALS)


def test_what_one_interaction_makes_says_what_it_has_given_once() -> None:
    item = np.arange(1, WIDE + 1)
    item[MASK:] = 0
    alone, four = (block_of({LIVE: [item] * n, BASE: [item] * n}) for n in (1, 4))
    words = [int(blocks.arena[block + ITEM_WORDS]) for blocks, block in (alone, four)]
    assert words == [1 + MASK - 1 + 1, 4 + MASK - 1 + 1]  # the last one stands for all of base


@pytest.mark.parametrize("broken", [0, 13, 1 << ANEW | TOLD, ~(2 << 20 | 1), ~1 & ~0xFFFFF])
def test_words_that_are_no_items_are_told(broken: int) -> None:
    item = np.zeros(WIDE, np.int64)
    item[TAG] = TOLD
    blocks, block = block_of({LIVE: [item, item], BASE: [item]})
    assert is_sound(blocks.arena, block, SIGNALS)
    at = block + HEAD + SIGNALS
    assert blocks.arena[at : at + 3].tolist() == [TOLD, TOLD, ~1]
    blocks.arena[at + (2 if broken < 0 else 1)] = broken
    assert not is_sound(blocks.arena, block, SIGNALS)
