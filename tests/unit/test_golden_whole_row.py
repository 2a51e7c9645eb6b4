"""A stored row of layout 3 or 4, of a version before: what it holds goes on, also under a policy that has changed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipelines.intake.interactions import NO_TIME
from pipelines.partition import CustomerPartition
from pipelines.policy.policy import parse_policy
from pipelines.state.restoring import RowRestore
from pipelines.translation import Translation
from tests.batches import MINUTE_MS, batch_of, event
from tests.clocks import clocks_by_customer
from tests.stored import laid_out

GOLDEN: dict[str, Any] = yaml.safe_load((Path(__file__).parents[1] / "golden" / "whole_row.yaml").read_text("utf-8"))
CUSTOMER, HOLDS = GOLDEN["customer"].encode(), GOLDEN["holds"]
ROW = np.zeros(1, np.int64)


@pytest.mark.parametrize("layout", ["stored", "packed"])
@pytest.mark.parametrize(
    ("now", "then"), [("weight: 10", "weight: 10"), ("weight: 10", "weight: 11")], ids=["same policy", "another"]
)
def test_a_stored_row_goes_on_where_it_was(now: str, then: str, layout: str) -> None:
    policy = parse_policy(GOLDEN["policy"].replace(now, then), "policy.yaml")
    core = CustomerPartition(0, 1, policy)
    restore = RowRestore(core.rows, core.form)
    restore.take(*laid_out([(CUSTOMER, bytes.fromhex(GOLDEN[layout]))]))
    restore.finish({}, Translation(core, {GOLDEN["form"]: GOLDEN["policy"]}, core.advanced_ms).take)
    core.restore_times(watermark_ms=NO_TIME, advanced_ms=GOLDEN["advanced_ms"])

    rows = core.rows
    assert (int(rows.updated_ms[0]), int(rows.interactions[0])) == (HOLDS["updated_ms"], HOLDS["interactions"])
    assert policy.segment_names[int(rows.segments(ROW)[0])] == HOLDS["segment"]
    assert dict(zip(policy.signal_names, rows.heat[0].tolist(), strict=True)) == HOLDS["heat"]
    assert dict(zip(policy.signal_names, rows.held(ROW)[0].tolist(), strict=True)) == HOLDS["held"]
    clocks = [[c.clock, c.opened_ms, c.deadline_ms, c.case_id] for c in clocks_by_customer(core)[CUSTOMER]]
    assert clocks == HOLDS["clocks"]

    again, answer = (
        event(kind, GOLDEN["advanced_ms"] + MINUTE_MS, event_id=n, customer_id=GOLDEN["customer"], case_id="ç-1",
              attributes={"reply": "personal"})
        for kind, n in (("contact.transferred", "2"), ("contact.replied", "4"))
    )  # fmt: skip
    applied = core.apply(batch_of([again, answer]))
    assert applied.rare.duplicates == 1
    told = [(a.alert_id, a.status, a.revision) for a in applied.alerts if a.type == "clock_warning"]
    assert told == [(HOLDS["warning"], "resolved", 2)]
