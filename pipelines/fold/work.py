"""What the kernels of a partition work with."""

from typing import NamedTuple

from pipelines.fold.blocks import NEED_NOTES, Blocks, Scratch
from pipelines.fold.notes import Notes, may_list
from pipelines.fold.scoring import Crossings, Senses, bands_of
from pipelines.fold.timers import may_push
from schemas.arrays import Bytes, Int64s
from schemas.compiled import step

DUPLICATES, FOLDED = 0, 1


class Work(NamedTuple):
    """What a kernel works with, besides policy, rows and interactions.

    timers: pipelines/fold/timers.py. out: uint8[b], and moved: int64[b], for texts that are moved.
    counted: int64[3], how many interactions were sent twice, and how many have been folded, added to; and LOOKED.
    """

    blocks: Blocks
    timers: Int64s
    scratch: Scratch
    out: Bytes
    moved: Int64s
    crossed: Crossings
    notes: Notes
    counted: Int64s


@step
def may_go_on(k: int, senses: Senses, work: Work) -> bool:
    """Whether there is room for the crossings that one more interaction or clock leads to, its timer, and its lists."""
    if not may_list(work.notes):
        work.scratch.count[NEED_NOTES] = 1
        return False
    return k + 4 * bands_of(senses) <= work.crossed.word.shape[0] and may_push(work.timers)
