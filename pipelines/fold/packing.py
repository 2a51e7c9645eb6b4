"""Items as they lie in a block, in memory and stored: packed, for most of their words are 0 or said before.

An item is a head word, what an interaction gives to everything that it makes (AT ... LENGTHS2), and those of its own
words (MASK ... 17) that are not 0, in their order. The head is the tag, a bit for each own word from bit OWN on, and
the bit ANEW: without it the item is of the interaction of the item before, across the lists of a block, and says
nothing of it again. HELD and HEAT are of no interaction: they say AT and CASE, and are passed over by what follows.

``base`` comes last: a head below 0 stands for items of ``live`` one behind the other, which most of it is.
"""

import numpy as np

from pipelines.fold.items import AT, CASE, HEAT, HELD, MASK, TAG, TOLD, WIDE, copy_words
from schemas.arrays import Int64s
from schemas.compiled import step

OWN, ANEW = 40, 50
_TAG = (1 << OWN) - 1
_RUN_BITS = 20  # of how long a run of ``live`` is, below where it begins
_NEAR = 4  # items of ``live`` among which the next one of ``base`` is looked for
_KIND = 255


def carried_words() -> Int64s:
    """Room for what an interaction has given to the item before."""
    return np.zeros(MASK, np.int64)


@step
def begin_items(carried: Int64s) -> None:
    """The next item is the first of its block."""
    for w in range(MASK):
        carried[w] = 0


@step
def is_alone(tag: int) -> bool:
    """Whether an item is of no interaction."""
    kind = tag & _KIND
    return kind in (HELD, HEAT)


@step
def pack_item(item: Int64s, carried: Int64s, packed: Int64s, at: int) -> int:
    """Write an item from word ``at`` on; return where it ends."""
    out, n, head = packed[at : at + WIDE], 1, item[TAG]
    if is_alone(head):
        out[1], out[2] = item[AT], item[CASE]
        n = 3
    else:
        differs = 0
        for w in range(1, MASK):
            differs |= item[w] ^ carried[w]
        for w in range(1, MASK):
            carried[w] = out[w] = item[w]
        anew = int(differs != 0)
        head |= anew << ANEW
        n += (MASK - 1) * anew
    for w in range(MASK, WIDE):
        there = int(item[w] != 0)
        out[n] = item[w]
        n += there
        head |= there << (OWN + w - MASK)
    out[0] = head
    return at + n


@step
def unpack_item(packed: Int64s, at: int, carried: Int64s, item: Int64s) -> int:
    """Read an item that begins at word ``at``; return where it ends. WIDE more words are there."""
    words, n = packed[at : at + WIDE + 1], 1
    head = words[0]
    item[TAG] = head & _TAG
    if is_alone(head):
        for w in range(1, MASK):
            item[w] = 0
        item[AT], item[CASE] = words[1], words[2]
        n = 3
    else:
        anew = head >> ANEW & 1
        for w in range(1, MASK):
            carried[w] = item[w] = (words[w] & -anew) | (carried[w] & (anew - 1))
        n += (MASK - 1) * anew
    for w in range(MASK, WIDE):
        there = head >> (OWN + w - MASK) & 1
        item[w] = words[n] & -there
        n += there
    return at + n


@step
def pack_list(items: Int64s, first: int, stop: int, carried: Int64s, packed: Int64s, at: int) -> int:
    """Write items ``first`` ... stop - 1 of a list, int64[*, WIDE], from word ``at`` on; return where they end."""
    for k in range(first, stop):
        at = pack_item(items[k], carried, packed, at)
    return at


@step
def unpack_list(packed: Int64s, at: int, count: int, carried: Int64s, items: Int64s) -> int:
    """Read so many items from word ``at`` on to a list; return where they end."""
    for k in range(count):
        at = unpack_item(packed, at, carried, items[k])
    return at


@step
def is_same_item(first: Int64s, second: Int64s) -> bool:
    """Whether two items say the same."""
    differs = 0
    for w in range(WIDE):
        differs |= first[w] ^ second[w]
    return differs == 0


@step
def pack_base(base: Int64s, count: int, live: Int64s, alive: int, carried: Int64s, packed: Int64s, at: int) -> int:
    """Write so many items of ``base``, as runs of ``live``, which has ``alive``, or whole; return where they end."""
    n, near = 0, 0
    while n < count:
        first = near
        while first < min(near + _NEAR, alive) and not is_same_item(base[n], live[first]):
            first += 1
        if first == min(near + _NEAR, alive):
            at = pack_item(base[n], carried, packed, at)
            n += 1
            continue
        length = 1
        while n + length < count and first + length < alive and is_same_item(base[n + length], live[first + length]):
            length += 1
        packed[at] = ~(first << _RUN_BITS | length)
        at += 1
        n += length
        near = first + length
    return at


@step
def unpack_base(packed: Int64s, at: int, count: int, live: Int64s, carried: Int64s, base: Int64s) -> int:
    """Read so many items of ``base`` from word ``at`` on; ``live`` has been read. Returns where they end."""
    n = 0
    while n < count:
        if packed[at] >= 0:
            at = unpack_item(packed, at, carried, base[n])
            n += 1
            continue
        first, length = ~packed[at] >> _RUN_BITS, ~packed[at] & ((1 << _RUN_BITS) - 1)
        copy_words(live.reshape(-1), first * WIDE, length * WIDE, base.reshape(-1), n * WIDE)
        at += 1
        n += length
    return at


@step
def are_items(packed: Int64s, at: int, stop: int, count: int, alive: int) -> int:
    """Where so many items end that begin at word ``at``, below 0 when they are none, or go beyond ``stop``.

    alive: how many items runs may be of; below 0 where none may be.
    """
    n = 0
    while n < count:
        if at >= stop:
            return -1
        head = packed[at]
        at += 1
        if head >= 0:
            if not 1 <= head & _KIND <= TOLD:
                return -1
            at += 2 if is_alone(head) else (MASK - 1) * (head >> ANEW & 1)
            for w in range(MASK, WIDE):
                at += head >> (OWN + w - MASK) & 1
            n += 1
            continue
        first, length = ~head >> _RUN_BITS, ~head & ((1 << _RUN_BITS) - 1)
        if length == 0 or first + length > alive:
            return -1
        n += length
    return at if n == count and at <= stop else -1
