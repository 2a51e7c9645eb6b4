"""The clocks of all customers, listed by a kernel, are those that stand in what is kept of each."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.alerts.alert import OpenClock
from pipelines.alerts.open_clocks import list_clocks, open_clocks
from pipelines.fold.blocks import SPARE, new_scratch
from pipelines.fold.scoring import BLOCK
from tests.batches import MINUTE_MS, Event
from tests.clocks import clocks_by_customer
from tests.desk import Run, plain

WHO = ("Ayşe", "Ömer", "bob")
KINDS = ("contact.opened", "contact.replied", "case.pending", "case.resolved", "wait.started", "callback.promised")
STEPS = st.lists(
    st.tuples(st.sampled_from(WHO), st.sampled_from(KINDS), st.sampled_from(["", "dosya-ğ", "P-2"])), max_size=12
)


def told(steps: list[tuple[str, str, str]]) -> list[Event]:
    return [
        plain(kind, n * MINUTE_MS, customer_id=who, channel="chat", case_id=case_id or None)
        for n, (who, kind, case_id) in enumerate(steps)
    ]


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_the_list_of_all_is_that_of_each(steps: list[tuple[str, str, str]]) -> None:
    core = Run().apply(*told(steps)).core
    each = {
        who.encode(): [
            OpenClock(c.clock, c.opened_ms, None if c.stands_still else c.deadline_ms, c.case_id)
            for c in core.opened(who.encode()).clocks
        ]
        for who in WHO
    }
    assert clocks_by_customer(core) == {who: clocks for who, clocks in each.items() if clocks}


def test_the_kernel_lists_the_same_when_it_is_not_compiled() -> None:
    steps = [(who, kind, case) for who in WHO for kind in KINDS for case in ("", "dosya-ğ")]
    rows = Run().apply(*told(steps)).core.rows
    words, arena = rows.kernel.words[: rows.numbers], rows.blocks.arena
    out = np.zeros((64, 6), np.int64)
    which = np.flatnonzero(words[:, BLOCK])
    n = list_clocks(which, words, arena, len(rows.signal_names), new_scratch(64 + SPARE, 0), out)
    fast = open_clocks(rows)
    assert n == fast.row.shape[0] > 0
    assert out[:n, :4].tolist() == np.column_stack([fast.row, fast.clock, fast.opened_ms, fast.deadline_ms]).tolist()
    raw = arena.view(np.uint8).tobytes()
    assert [raw[at : at + size] for at, size in out[:n, 4:].tolist()] == fast.case_id.raw()
