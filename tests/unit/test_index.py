"""Texts get dense numbers, the same text always the same, and only those of the partition."""

import numpy as np
import pytest
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import index
from pipelines.index import ABSENT, ELSEWHERE, TextIndex, murmur2
from schemas.arrays import Bytes, Int32s, Int64s


def laid_out(texts: list[str]) -> tuple[Bytes, Int64s, Int32s]:
    raw = [t.encode() for t in texts]
    length = np.array([len(r) for r in raw], np.int32)
    start = (np.cumsum(length) - length).astype(np.int64)
    return np.frombuffer(b"".join(raw), np.uint8), start, length


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.text(max_size=20))))
def test_numbers_are_those_of_a_dictionary(batches: list[list[str]]) -> None:
    texts, known = TextIndex(), dict[str, int]()
    for batch in batches:
        want = [known.setdefault(t, len(known)) for t in batch]
        assert texts.add(*laid_out(batch)).tolist() == want
    assert [texts.text(i) for i in range(len(texts))] == list(known)


def test_a_hundred_thousand_texts_keep_their_numbers() -> None:
    texts = TextIndex()
    names = [f"müşteri-{i}" for i in range(100_000)]
    for at in range(0, 100_000, 7_000):
        texts.add(*laid_out(names[at : at + 7_000]))
    assert np.array_equal(texts.find(*laid_out(names)), np.arange(100_000))
    assert texts.find(*laid_out(["nobody"])).tolist() == [ABSENT]


def test_what_is_not_wanted_is_not_added() -> None:
    texts = TextIndex(["a"])
    assert texts.add(*laid_out(["b", "a", "c"]), wanted=np.array([0, 1, 1], np.uint8)).tolist() == [ABSENT, 0, 1]


@given(st.binary(max_size=40))
def test_murmur2_is_that_of_kafka(key: bytes) -> None:
    with np.errstate(over="ignore"):
        ours = murmur2(np.frombuffer(key, np.uint8), 0, len(key))
    assert ours == aiokafka_murmur2(key) & 0x7FFFFFFF


def test_a_text_of_another_partition_is_found_to_be_elsewhere() -> None:
    names = [f"c{i}" for i in range(300)]
    texts = TextIndex()
    number = texts.add(*laid_out(names), partition=1, partitions=3)
    here = [aiokafka_murmur2(n.encode()) % (1 << 31) % 3 == 1 for n in names]
    assert [n != ELSEWHERE for n in number.tolist()] == here
    assert len(texts) == sum(here)


def test_the_kernel_gives_the_same_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["ana", "", "çağla", "ana", "a-much-longer-name-than-eight-bytes"] * 3
    want = TextIndex().add(*laid_out(names), partition=0, partitions=2)
    monkeypatch.setattr(index, "number_texts_compiled", index.number_texts)
    with np.errstate(over="ignore"):
        assert TextIndex().add(*laid_out(names), partition=0, partitions=2).tolist() == want.tolist()
