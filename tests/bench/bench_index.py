"""From customer to row: our index, and what else could do it (`make bench BENCH=index`)."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import fields

import numpy as np

from pipelines.intake.index import TextIndex
from schemas.arrays import Bytes, Int32s, Int64s

CUSTOMERS = 1_000_000
BATCH = 20_000
LOOKED_UP = 2_000_000

Batch = tuple[Bytes, Int64s, Int32s]


def laid_out(numbers: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Batch:
    raw = [b"customer-%012d" % n for n in numbers.tolist()]
    length = np.array([len(r) for r in raw], np.int32)
    return np.frombuffer(b"".join(raw), np.uint8), (np.cumsum(length) - length).astype(np.int64), length


def cut(batch: Batch) -> list[bytes]:
    data, start, length = batch
    whole = data.tobytes()
    return [whole[a : a + n] for a, n in zip(start.tolist(), length.tolist(), strict=True)]


def timed(work: Callable[[Batch], object], batches: list[Batch]) -> tuple[float, float]:
    """Nanoseconds for each text, and the longest batch in milliseconds."""
    took = []
    for batch in batches:
        begun_s = time.perf_counter()
        work(batch)
        took.append(time.perf_counter() - begun_s)
    return sum(took) / (len(batches) * BATCH) * 1e9, max(took) * 1000


def test_the_index_costs_less_than_a_dict_and_no_batch_waits_for_its_growth() -> None:
    random = np.random.default_rng(1)
    new = [laid_out(np.arange(at, at + BATCH)) for at in range(0, CUSTOMERS, BATCH)]
    known = [laid_out(random.integers(0, CUSTOMERS, BATCH)) for _ in range(0, LOOKED_UP, BATCH)]
    TextIndex(["warm"]).remove(np.zeros(1, np.int64))

    by_bytes: dict[bytes, int] = {}
    by_text: dict[str, int] = {}
    by_hash: dict[int, int] = {}
    ours = TextIndex()

    def with_dict(batch: Batch) -> list[int]:
        return [by_bytes.setdefault(text, len(by_bytes)) for text in cut(batch)]

    def with_texts(batch: Batch) -> list[int]:
        return [by_text.setdefault(text.decode(), len(by_text)) for text in cut(batch)]

    def with_hashes(batch: Batch) -> list[int]:  # two customers of one hash would be one: only to see what it costs
        return [by_hash.setdefault(hash(text), len(by_hash)) for text in cut(batch)]

    def with_ours(batch: Batch) -> Int32s:
        return ours.add(*batch)

    figures = {}
    for name, work in {
        "dict of bytes": with_dict, "dict of str": with_texts, "dict of hashes": with_hashes, "TextIndex": with_ours,
    }.items():  # fmt: skip
        adding_ns, longest_ms = timed(work, new)
        finding_ns, _ = timed(work, known)
        figures[name] = {
            "add_ns": round(adding_ns),
            "find_ns": round(finding_ns),
            "longest_batch_ms": round(longest_ms),
        }
    arrays = [getattr(ours, field.name) for field in fields(ours)]
    size = {
        "dict of bytes": sys.getsizeof(by_bytes) + sum(map(sys.getsizeof, by_bytes)) + 32 * CUSTOMERS,
        "dict of str": sys.getsizeof(by_text) + sum(map(sys.getsizeof, by_text)) + 32 * CUSTOMERS,
        "dict of hashes": sys.getsizeof(by_hash) + 2 * 32 * CUSTOMERS,
        "TextIndex": sum(a.nbytes for a in arrays if isinstance(a, np.ndarray)),
    }
    for name, figure in figures.items():
        figure["bytes_each"] = round(size[name] / CUSTOMERS)
    sys.stdout.write(json.dumps(figures) + "\n")
    index, plain = figures["TextIndex"], figures["dict of bytes"]
    assert ours.numbers == len(by_bytes) == CUSTOMERS
    assert index["find_ns"] < plain["find_ns"]
    assert index["bytes_each"] * 2 < plain["bytes_each"]
    assert index["longest_batch_ms"] < 50
