"""What waits to be landed is cut in order, and is committed only when it is in its table."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from connectors.clickhouse.blocks import Backlog, BlockLimits, cut

LIMITS = BlockLimits(rows=3, size_bytes=1000, age_s=1.0)


@dataclass(frozen=True)
class Record:
    """As much of a Kafka record as a backlog looks at."""

    at: tuple[str, int, int]
    size: int = 10

    def topic(self) -> str:
        return self.at[0]

    def partition(self) -> int:
        return self.at[1]

    def offset(self) -> int:
        return self.at[2]

    def __len__(self) -> int:
        return self.size


def records(topic: str, partition: int, *offsets: int) -> list[Record]:
    return [Record((topic, partition, offset)) for offset in offsets]


@given(st.integers(0, 50), st.integers(1, 10))
def test_cutting_loses_and_repeats_nothing(number: int, most: int) -> None:
    whole = records("t", 0, *range(number))
    blocks = cut(whole, BlockLimits(rows=most))
    assert [r for block in blocks for r in block] == whole
    assert all(0 < len(block) <= most for block in blocks)


def test_a_block_is_due_by_rows_by_bytes_or_by_age() -> None:
    backlog = Backlog(LIMITS)
    backlog.add(records("rows", 0, 0, 1, 2), now_s=0.0)
    backlog.add(records("young", 0, 0), now_s=0.0)
    backlog.add([Record(("bytes", 0, 0), size=1000)], now_s=0.0)
    assert backlog.due(0.5) == ["rows", "bytes"]
    assert backlog.due(1.0) == ["rows", "young", "bytes"]


def test_nothing_is_committed_before_it_has_landed() -> None:
    backlog = Backlog(LIMITS)
    backlog.add([*records("t", 0, 5, 6, 9), *records("t", 1, 3)], now_s=0.0)
    assert backlog.uncommitted("t") == {0: 5, 1: 3}
    backlog.take("t")
    backlog.add(records("t", 0, 10), now_s=0.0)
    assert backlog.uncommitted("t") == {}
    assert backlog.take("t") == []
    backlog.landed("t")
    assert backlog.uncommitted("t") == {0: 10, 1: 4}
    backlog.commit("t", {0: 10, 1: 4})
    assert backlog.uncommitted("t") == {}


def test_the_position_behind_a_transaction_marker_is_committed_although_no_record_is_there() -> None:
    backlog = Backlog(LIMITS)
    backlog.reach("t", 0, 7)
    assert backlog.due(0.0) == ["t"]
    assert backlog.uncommitted("t") == {0: 7}


def test_a_partition_that_went_to_another_member_is_forgotten() -> None:
    backlog = Backlog(LIMITS)
    backlog.add([*records("t", 0, 1, 2), *records("t", 1, 8)], now_s=0.0)
    backlog.forget("t", 0)
    assert backlog.uncommitted("t") == {1: 8}
    assert backlog.take("t") == [records("t", 1, 8)]
