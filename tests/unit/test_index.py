"""Texts get dense numbers, the same text always the same, and only those of the partition."""

import numpy as np
import pytest
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.intake import index, text_table
from pipelines.intake.index import TextIndex
from pipelines.intake.text_table import ABSENT, ELSEWHERE, murmur2
from schemas.arrays import Bytes, Int32s, Int64s
from schemas.errors import InvariantBroken


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


def test_a_text_that_is_too_long_is_told_and_none_of_its_batch_is_added() -> None:
    texts, longest = TextIndex(), "x" * index.MAX_BYTES
    batch = laid_out(["a", longest + "x"])
    with pytest.raises(InvariantBroken, match=r"has 4097 bytes, at most 4096"):
        texts.add(*batch)
    assert len(texts) == 0
    assert texts.add(*batch, wanted=np.array([1, 0], np.uint8)).tolist() == [0, ABSENT]
    assert texts.add(*laid_out([longest])).tolist() == [1]


def test_a_hundred_thousand_texts_keep_their_numbers() -> None:
    texts = TextIndex()
    names = [f"müşteri-{i}" for i in range(100_000)]
    for at in range(0, 100_000, 7_000):
        texts.add(*laid_out(names[at : at + 7_000]))
    assert np.array_equal(texts.find(*laid_out(names)), np.arange(100_000))
    assert texts.find(*laid_out(["nobody"])).tolist() == [ABSENT]


changes = st.lists(st.tuples(st.booleans(), st.lists(st.sampled_from([f"{n}" * (n % 40) for n in range(60)]))))


@settings(max_examples=100, deadline=None)
@given(changes)
def test_removed_texts_are_gone_and_their_numbers_are_given_again(steps: list[tuple[bool, list[str]]]) -> None:
    texts, known = TextIndex(), dict[str, int]()
    for removes, some in steps:
        if removes:
            gone = [t for t in dict.fromkeys(some) if t in known]
            texts.remove(np.array([known.pop(t) for t in gone], np.int64))
            assert (texts.find(*laid_out(gone)) == ABSENT).all()
        else:
            for text, number in zip(some, texts.add(*laid_out(some)).tolist(), strict=True):
                assert known.setdefault(text, number) == number
        assert len(texts) == len(known)
        assert len(set(known.values())) == len(known), "no two texts have one number"
        assert texts.find(*laid_out(list(known))).tolist() == list(known.values())
        assert [texts.text(n) for n in known.values()] == list(known)


def test_texts_that_come_and_go_take_no_more_room_than_the_most_that_were_there() -> None:
    texts = TextIndex()
    for turn in range(30):
        numbers = texts.add(*laid_out([f"customer-{turn}-{n}" for n in range(1_000)]))
        assert texts.numbers == 1_000
        texts.remove(numbers.astype(np.int64))
    assert len(texts) == 0


def test_all_but_those_that_are_kept_are_gone() -> None:
    index = TextIndex(["a", "b", "c", "d"])
    index.remove(np.array([1]))
    index.keep(np.array([2, 2]))
    assert len(index) == 1
    assert index.add_text("c") == 2
    assert {index.add_text(text) for text in "abd"} == {0, 1, 3}


def test_while_a_table_is_moved_texts_are_found_removed_and_added() -> None:
    texts, known = TextIndex(), dict[str, int]()
    for turn in range(400):
        names = [f"c{turn}-{n}" for n in range(100)]
        known.update(zip(names, texts.add(*laid_out(names)).tolist(), strict=True))
        old = [f"c{turn // 2}-{n}" for n in range(turn % 3)]
        gone = [t for t in old if t in known]
        texts.remove(np.array([known.pop(t) for t in gone], np.int64))
        if turn % 20 == 0:
            assert texts.find(*laid_out(list(known))).tolist() == list(known.values())
            assert (texts.find(*laid_out(gone)) == ABSENT).all()
    assert len(texts) == len(known)


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
    for name in ("number_texts", "remove_texts", "move_entries", "copy_texts"):
        monkeypatch.setattr(index, f"{name}_compiled", getattr(text_table, name))
    with np.errstate(over="ignore"):
        plain = TextIndex()
        assert plain.add(*laid_out(names), partition=0, partitions=2).tolist() == want.tolist()
        plain.add(*laid_out([f"{n}" for n in range(200)]))
        plain.remove(np.array([0, 5], np.int64))
        assert len(plain) == len(set(want.tolist()) - {ELSEWHERE}) + 200 - 2
