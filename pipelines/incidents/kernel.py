"""The kernels of incident slots: who was seen in which slot, counted by how long ago that customer was seen before.

Of each rule, place and customer there is one entry, in an open-addressing table of int64[e, 4]: the number of
place and rule and that of the customer in one, -1 for free; the newest slot in which it was seen; and in which of
the slots before that (bit 0 is the newest) it tried, and in which it failed.
"""

import numpy as np

from schemas.arrays import Bytes, Int32s, Int64s
from schemas.compiled import compiled, step

ATTEMPT, FAILURE = 1, 2

MASK = (1 << 62) - 1  # HISTORY_SLOTS bits: no sign, so that compiled and plain are the same
_FREE = -1
CUSTOMER_BITS = 32  # below the number of place and rule, in the key of an entry


@step
def entry_of(entries: Int64s, who: int) -> int:
    """Row of an entry, or the free one where it would stand."""
    mask = entries.shape[0] - 1
    at = (((who & 0xFFFFFFFF) * 2_654_435_761 >> 11) ^ ((who >> 32) * 1_000_003)) & mask
    while entries[at, 0] != _FREE and entries[at, 0] != who:
        at = (at + 1) & mask
    return int(at)


@step
def slot_of(slot_key: Int64s, what: int, slot: int) -> int:
    """Row of a slot, or the free one where it would stand."""
    mask = slot_key.shape[0] - 1
    at = (what * 1_000_003 + slot) & mask
    while slot_key[at, 0] != _FREE and (slot_key[at, 0] != what or slot_key[at, 1] != slot):
        at = (at + 1) & mask
    return int(at)


@step
def gap_before(bits: int, at: int, most: int) -> int:
    """How many slots before bit ``at`` the one before it is set; ``most`` if it is as far, or nowhere."""
    earlier = bits >> (at + 1)
    for gap in range(1, most):
        if earlier == 0:
            return most
        if earlier & 1:
            return gap
        earlier >>= 1
    return most


@step
def see(
    bits: int, at: int, what: int, slot: int, most: int, first: int, slot_key: Int64s, counts: Int32s, dirty: Bytes
) -> None:
    """Count a customer in the slot of bit ``at``, which is not set yet.

    The customer stands in the column of its gap, ``first`` + gap - 1. The slot of the next bit has a smaller gap now.
    """
    gap = gap_before(bits, at, most)
    row = slot_of(slot_key, what, slot)
    counts[row, first + gap - 1] += 1
    for k in range(1, min(most, at + 1)):
        if (bits >> (at - k)) & 1:
            was = gap_before(bits, at - k, most)
            if was != k:
                row = slot_of(slot_key, what, slot + k)
                counts[row, first + was - 1] -= 1
                counts[row, first + k - 1] += 1
                dirty[row] = 1
            return


def observe(
    what: Int64s,
    role: Bytes,
    customer: Int32s,
    occurred_ms: Int64s,
    append_ms: Int64s,
    rules: int,
    lookback: Int64s,
    slot_ms: int,
    lateness_ms: int,
    seen_ms: int,
    entries: Int64s,
    slot_key: Int64s,
    counts: Int32s,
    dirty: Bytes,
    journal: Int64s,
) -> tuple[int, int, int, int, int]:
    """Add the interactions of a batch to their slots, in offset order.

    Returns the newest time seen, how many were late, how many entries and how many slots are new, and the length of
    the journal. An interaction happened at ``occurred_ms``, but not after it was appended.

    what: int64[n], number of the place times ``rules`` and that of the rule, below 0 for no rule. role: uint8[n],
    ATTEMPT or FAILURE. customer: int32[n]. occurred_ms, append_ms: int64[n]. lookback: int64[rules], in slots.
    entries: as above; slot_key: int64[c, 2], ``what`` and slot, in a table like it; both have room for the batch.
    counts: int32[c, 2 l + 1], l the longest lookback: customers who tried in the slot, by how many slots before they
    had tried last (the last column of a rule's lookback: that many or more, or never); those who failed, likewise;
    and those with an attempt of its own. dirty: uint8[c].
    journal: int64[n, 4], written: what, customer, slot and role of what was not known yet.
    """
    late = new_entries = new_slots = told = 0
    longest = (counts.shape[1] - 1) // 2
    for i in range(what.shape[0]):
        at_ms = min(occurred_ms[i], append_ms[i])
        seen_ms = max(seen_ms, at_ms)
        if what[i] < 0:
            continue
        slot = at_ms // slot_ms
        if (slot + 1) * slot_ms + lateness_ms <= seen_ms:
            late += 1
            continue
        most = lookback[what[i] % rules]
        entry = entry_of(entries, (what[i] << CUSTOMER_BITS) | customer[i])
        if entries[entry, 0] == _FREE:
            new_entries += 1
            entries[entry, 0] = (what[i] << CUSTOMER_BITS) | customer[i]
            entries[entry, 1] = slot
            entries[entry, 2] = 0
            entries[entry, 3] = 0
        ahead = slot - entries[entry, 1]
        if ahead > 0:
            shift = min(ahead, 62)
            # what is shifted out is cut first: 62 bits never overflow
            entries[entry, 2] = (entries[entry, 2] & (MASK >> shift)) << shift
            entries[entry, 3] = (entries[entry, 3] & (MASK >> shift)) << shift
            entries[entry, 1] = slot
        at = entries[entry, 1] - slot
        if at >= 62:
            late += 1  # the customer's newest slot is further away than is remembered: cannot be within the lateness
            continue
        row = slot_of(slot_key, what[i], slot)
        if slot_key[row, 0] == _FREE:
            new_slots += 1
            slot_key[row, 0] = what[i]
            slot_key[row, 1] = slot
        tried, failed = entries[entry, 2], entries[entry, 3]
        bit = np.int64(1) << at
        fails = role[i] == FAILURE
        known = (failed & bit) != 0 if fails else (tried & bit) != 0
        if known:
            continue
        # who fails has tried
        if ((tried | failed) & bit) == 0:
            see(tried | failed, at, what[i], slot, most, 0, slot_key, counts, dirty)
        if fails:
            see(failed, at, what[i], slot, most, longest, slot_key, counts, dirty)
            entries[entry, 3] = failed | bit
        else:
            counts[row, 2 * longest] += 1
            entries[entry, 2] = tried | bit
        dirty[row] = 1
        journal[told, 0] = what[i]
        journal[told, 1] = customer[i]
        journal[told, 2] = slot
        journal[told, 3] = role[i]
        told += 1
    return seen_ms, late, new_entries, new_slots, told


def move_entries(entries: Int64s, oldest: int, to: Int64s) -> int:
    """Copy the entries whose newest slot is not before ``oldest`` into the empty table ``to``; how many they are."""
    kept = 0
    for i in range(entries.shape[0]):
        if entries[i, 0] != _FREE and entries[i, 1] >= oldest:
            at = entry_of(to, entries[i, 0])
            for k in range(4):
                to[at, k] = entries[i, k]
            kept += 1
    return kept


def move_slots(
    slot_key: Int64s, counts: Int32s, dirty: Bytes, oldest: int, to_key: Int64s, to_counts: Int32s, to_dirty: Bytes
) -> int:
    """Copy the slots that are not before ``oldest`` into an empty table; how many they are."""
    kept = 0
    for i in range(slot_key.shape[0]):
        if slot_key[i, 0] != _FREE and slot_key[i, 1] >= oldest:
            at = slot_of(to_key, slot_key[i, 0], slot_key[i, 1])
            to_key[at, 0] = slot_key[i, 0]
            to_key[at, 1] = slot_key[i, 1]
            for k in range(counts.shape[1]):
                to_counts[at, k] = counts[i, k]
            to_dirty[at] = dirty[i]
            kept += 1
    return kept


observe_compiled = compiled(observe)
move_entries_compiled = compiled(move_entries)
move_slots_compiled = compiled(move_slots)
