"""How the first stage of incidents is stored: what was seen, once each, in a chunk of each checkpoint.

A chunk's key is the first millisecond of the newest slot that was stored until then, and a number; it is removed when
nothing that it says can matter any more.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from pipelines.incidents.slots import IncidentSlots, Observations
from pipelines.intake.index import TextIndex
from pipelines.intake.interactions import Texts
from schemas.arrays import Bytes, Int64s
from schemas.errors import StateLost

_MOST_BYTES = 400_000  # of names in a chunk: records stay far below Kafka's limit


@dataclass(slots=True)
class Chunks:
    """The chunks of a partition that are in the log: how many each slot has had, by its first millisecond.

    of_slot: in the order of time.
    """

    of_slot: dict[int, int] = field(default_factory=dict)

    def take(self, slots: IncidentSlots, customers: TextIndex, told_ms: int) -> list[tuple[bytes, bytes | None]]:
        """Keys and values to write, null for what is to be removed.

        customers: their ids by their numbers. told_ms: what had been seen when slots were told last.
        """
        seen = slots.take_observations()
        told: list[tuple[bytes, bytes | None]] = []
        needed_ms = slots.oldest_needed(told_ms) * slots.slot_ms
        for start_ms in [s for s in self.of_slot if s < needed_ms]:
            told += [(chunk_key(start_ms, n), None) for n in range(self.of_slot.pop(start_ms))]
        if seen.slot.shape[0]:
            order = np.argsort(seen.slot, kind="stable")
            for part in _parts(order, customers.lengths(seen.customer[order]).astype(np.int64)):
                start_ms = max(int(seen.slot[part[-1]]) * slots.slot_ms, *self.of_slot, 0)
                number = self.of_slot.get(start_ms, 0)
                self.of_slot[start_ms] = number + 1
                chosen = Observations(*(column[part] for column in seen))
                told.append((chunk_key(start_ms, number), _packed(chosen, slots, customers)))
        return told


def restore_chunks(
    slots: IncidentSlots, customers: TextIndex, stored: Mapping[bytes, bytes], seen_ms: int
) -> Chunks:  # fmt: skip
    """Fill empty slots with stored chunks, by key.

    Raises:
        StateLost: a chunk is not as we write them.
    """
    chunks = Chunks()
    try:
        for start_ms, number, value in sorted((*_key_of(key), value) for key, value in stored.items()):
            chunks.of_slot[start_ms] = max(chunks.of_slot.get(start_ms, 0), number + 1)
            _restore(slots, customers, start_ms, value)
    except (ValueError, IndexError, TypeError) as error:
        raise StateLost(f"what was seen for incidents cannot be read: {error}") from error
    slots.seen_ms = seen_ms
    return chunks


def chunk_key(start_ms: int, number: int) -> bytes:
    """Key of a chunk."""
    return json.dumps([start_ms, number], separators=(",", ":")).encode()


def _key_of(key: bytes) -> tuple[int, int]:
    start_ms, number = json.loads(key)
    return start_ms, number


def _parts(which: Int64s, length: Int64s) -> Iterator[Int64s]:
    """``which`` in parts whose customers' names are not too long together."""
    part = np.cumsum(length) // _MOST_BYTES
    yield from np.split(which, np.flatnonzero(np.diff(part)) + 1)


def _packed(seen: Observations, slots: IncidentSlots, customers: TextIndex) -> bytes:
    """The number of observations n, the names of rules and places, and how many are of each slot, as JSON in a line.

    Then columns: uint32[n] which name, uint8[n] role, uint16[n] length of the customer's id, and the ids, in UTF-8.
    seen: by slot.
    """
    what, index = np.unique(seen.rule * slots.places.numbers + seen.place, return_inverse=True)
    pairs = (divmod(one, slots.places.numbers) for one in what.tolist())
    names = [[slots.rules[rule], slots.places.text(place)] for rule, place in pairs]
    ids, _, length = customers.texts(seen.customer)
    of_slot, count = np.unique(seen.slot, return_counts=True)
    runs = np.column_stack([of_slot * slots.slot_ms, count]).tolist()
    head = json.dumps([len(seen.slot), names, runs], ensure_ascii=False, separators=(",", ":")).encode()
    columns = (index.astype("<u4"), seen.role.astype("<u1"), length.astype("<u2"), ids)
    return b"\n".join([head, b"".join(column.tobytes() for column in columns)])


def _restore(slots: IncidentSlots, customers: TextIndex, start_ms: int, value: bytes) -> None:
    """Take a chunk back. start_ms: the slot of its key, which is that of all of one that does not say it."""
    head, _, body = value.partition(b"\n")
    count, names, *runs = json.loads(head)
    first_ms, length = np.array(runs[0] if runs else [[start_ms, count]], np.int64).reshape(-1, 2).T
    slot = np.repeat(first_ms // slots.slot_ms, length)
    index = np.frombuffer(body, "<u4", count)
    role = np.frombuffer(body, "<u1", count, 4 * count)
    id_length = np.frombuffer(body, "<u2", count, 5 * count).astype(np.int32)
    ids: Bytes = np.frombuffer(body, np.uint8, offset=7 * count)
    customer = customers.find(ids, (np.cumsum(id_length) - id_length).astype(np.int64), id_length)
    rules = {name: number for number, name in enumerate(slots.rules)}
    rule_of = np.array([rules.get(rule, -1) for rule, _ in names], np.int64)  # a rule that is gone counts no more
    raw = [place.encode() for _, place in names]
    place_length = np.array([len(r) for r in raw], np.int32)
    place_start = (np.cumsum(place_length) - place_length).astype(np.int64)
    known = np.flatnonzero(customer >= 0)  # all, but for a customer who was deleted on purpose
    seen = Observations(
        rule_of[index][known],
        index[known].astype(np.int64),
        customer[known].astype(np.int64),
        slot[known],
        role[known].astype(np.int64),
    )
    data = np.frombuffer(b"".join(raw), np.uint8)
    slots.restore(seen, data, Texts(place_start[index][known], place_length[index][known]), slots.seen_ms)
