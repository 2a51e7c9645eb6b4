"""State that was written under another policy: heats, segments and clocks go on by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.partition import CustomerPartition
from pipelines.policy.policy import Policy, parse_policy
from pipelines.state.restoring import RowRestore
from pipelines.state.whole_rows import form_of
from pipelines.translation import Translation
from tests.batches import BEGIN_MS, MINUTE_MS, batch_of, event
from tests.clocks import clocks_by_customer

FULL = (Path(__file__).parents[2] / "schemas" / "policy" / "default.yaml").read_text("utf-8")


def without(text: str, section: str, name: str) -> str:
    """The policy without one entry of a section, indented by two."""
    head, rest = text.split(f"\n{section}:\n", 1)
    lines, kept, inside = rest.split("\n"), [], False
    for line in lines:
        inside = line.startswith(f"  {name}:") or (inside and (line.startswith("    ") or not line.strip()))
        if not inside:
            kept.append(line)
    return f"{head}\n{section}:\n" + "\n".join(kept)


def without_section(text: str, section: str) -> str:
    """The policy without a section."""
    head, rest = text.split(f"\n{section}:\n", 1)
    return f"{head}\n" + rest.split("\n\n", 1)[1]


ONE = np.zeros(1, np.int64)
OLD = parse_policy(FULL, "old")
NEW = parse_policy(
    without(
        without(FULL, "signals", "wait").replace("breaches: [first_response, reply, ", "breaches: [first_response, "),
        "clocks",
        "reply",
    ),
    "new",
)


def carried_over(old: CustomerPartition, policy: Policy, texts: dict[int, str]) -> CustomerPartition:
    """A partition under ``policy`` that has read what another one has stored."""
    stored = old.rows.copied(np.arange(old.rows.numbers), old.form).stored()
    keys = [old.rows.customers.raw(n) for n in range(old.rows.numbers)]
    new = CustomerPartition(0, 1, policy)
    restore = RowRestore(new.rows, new.form)
    data = np.frombuffer(b"".join(keys) + stored.data, np.uint8)
    lengths = np.array([len(k) for k in keys], np.int32)
    ends = stored.end + int(lengths.sum())
    starts = np.concatenate([[lengths.sum()], ends[:-1]]).astype(np.int64)
    restore.take(
        data, (np.cumsum(lengths) - lengths).astype(np.int64), lengths, starts, (ends - starts).astype(np.int32)
    )
    restore.finish({}, Translation(new, texts, old.advanced_ms).take)
    new.restore_times(watermark_ms=old.windows.watermark_ms, advanced_ms=old.advanced_ms)
    return new


def test_the_policies_differ_as_the_test_needs_it() -> None:
    assert set(OLD.signal_names) - set(NEW.signal_names) == {"wait"}
    assert set(OLD.file.clocks) - set(NEW.file.clocks) == {"reply"}
    assert form_of(OLD.digest) != form_of(NEW.digest)


@pytest.mark.parametrize("policy", [OLD, NEW], ids=["the same policy", "another policy"])
def test_what_is_open_goes_on_under_a_new_policy(policy: Policy) -> None:
    old = CustomerPartition(0, 1, OLD)
    told = old.apply(
        batch_of(
            [
                event("contact.opened", BEGIN_MS, event_id="1", case_id="ç-1", subject="iade", segment="loyal"),
                event("contact.customer_replied", BEGIN_MS + MINUTE_MS, event_id="2", case_id="ç-1"),
                event("contact.transferred", BEGIN_MS + 2 * MINUTE_MS, event_id="3", case_id="ç-1"),
                event("wait.measured", BEGIN_MS + 2 * MINUTE_MS, event_id="4", duration_ms=600_000),
                event("return.requested", BEGIN_MS + 3 * MINUTE_MS, event_id="5"),
            ]
        )
    ).alerts
    told.add(old.advance(BEGIN_MS + 50 * MINUTE_MS))
    warning = next(a for a in told if a.type == "clock_warning")
    new = carried_over(old, policy, {old.form: FULL})

    before = dict(
        zip(OLD.signal_names, (old.rows.heat[0] + old.rows.held(np.zeros(1, np.int64))[0]).tolist(), strict=True)
    )
    after = dict(
        zip(policy.signal_names, (new.rows.heat[0] + new.rows.held(np.zeros(1, np.int64))[0]).tolist(), strict=True)
    )
    assert after == {name: before[name] for name in policy.signal_names}
    assert after["transfer"] > 0
    assert after["return"] > 0
    assert policy.segment_names[int(new.rows.segments(np.zeros(1, np.int64))[0])] == "loyal"
    clocks = {c.clock for c in clocks_by_customer(new)[b"ana"]}
    assert clocks == {"first_response", "resolution", "refund", *(["reply"] if policy is OLD else [])}

    repeated = event("contact.transferred", BEGIN_MS + 2 * MINUTE_MS, event_id="3", case_id="ç-1")
    answer = event(
        "contact.replied", BEGIN_MS + 55 * MINUTE_MS, event_id="6", case_id="ç-1", attributes={"reply": "personal"}
    )
    applied = new.apply(batch_of([repeated, answer]))
    assert applied.rare.duplicates == 1
    assert [(a.type, a.status, a.alert_id, a.revision) for a in applied.alerts if a.clock == "first_response"] == [
        ("clock_warning", "resolved", warning.alert_id, 2)
    ]


def test_rows_of_a_policy_whose_text_is_gone_are_refused() -> None:
    old = CustomerPartition(0, 1, OLD)
    old.apply(batch_of([event("contact.opened", BEGIN_MS, event_id="1", case_id="c")]))
    with pytest.raises(ValueError, match="whose text is not kept"):
        carried_over(old, NEW, {})


@pytest.mark.parametrize(("was", "now"), [(8, 3), (3, 8), (8, 64), (64, 8), (0, 8), (8, 0)])
@pytest.mark.parametrize("count", [2, 5, 13, 70])
def test_the_last_event_ids_are_known_under_a_policy_that_remembers_more_or_fewer(
    was: int, now: int, count: int
) -> None:
    told = [event("return.requested", BEGIN_MS + n, event_id=str(n)) for n in range(count)]
    texts = [FULL.replace("remembered: 8", f"remembered: {n}") for n in (was, now)]
    before, after = (parse_policy(text, "policy") for text in texts)
    old = CustomerPartition(0, 1, before)
    old.apply(batch_of(told))
    new = carried_over(old, after, {old.form: texts[0]})
    known = min(was, now, count)
    last = told[count - known :]
    assert new.apply(batch_of(last)).rare.duplicates == len(last)
    if now >= was:  # it forgets none of them sooner than it would have done
        more = [event("return.requested", BEGIN_MS + count + n, event_id=f"more {n}") for n in range(now - known)]
        new.apply(batch_of(more))
        assert new.apply(batch_of(last)).rare.duplicates == len(last)


THREE = (Path(__file__).parents[2] / "schemas" / "policy" / "three.yaml").read_text("utf-8")


@pytest.mark.parametrize("text", [THREE, without_section(FULL, "cases")], ids=["three", "without cases"])
def test_what_open_cases_held_decays_under_a_policy_that_has_no_cases(text: str) -> None:
    old, policy = CustomerPartition(0, 1, OLD), parse_policy(text, "new")
    told = [
        event("contact.opened", BEGIN_MS, event_id="1", case_id="ç-1"),
        event("return.requested", BEGIN_MS, event_id="2", case_id="ç-1"),
        event("return.requested", BEGIN_MS + MINUTE_MS, event_id="3"),
    ]
    old.apply(batch_of(told))
    held, free = (dict(zip(OLD.signal_names, x[0].tolist(), strict=True)) for x in (old.rows.held(ONE), old.rows.heat))
    assert held["return"] == 15.0
    new = carried_over(old, policy, {old.form: FULL})
    heat = dict(zip(policy.signal_names, new.rows.heat[0].tolist(), strict=True))
    assert heat["return"] == held["return"] + free["return"]
    assert not new.rows.held(ONE).any()
    again = new if policy.needs_details is False else carried_over(new, policy, {})
    assert dict(zip(policy.signal_names, again.rows.heat[0].tolist(), strict=True)) == heat


@pytest.mark.parametrize(
    ("says", "minutes"),
    [
        ("still_waiting: [2m, 5m]", []),
        ("still_waiting: [1m]", []),
        ("still_waiting: [1m, 3m, 4m, 10m]", [10]),
        ("still_waiting: [30s, 20m]", [20]),
        ("promise: 3m\n    repeat: 1m", []),
        ("promise: 7m\n    repeat: 2m", []),  # it keeps its deadline: none
    ],
)
def test_a_clock_that_has_said_that_somebody_waits_says_next_what_is_to_come_by_the_new_policy(
    says: str, minutes: list[int]
) -> None:
    old, policy = CustomerPartition(0, 1, OLD), parse_policy(FULL.replace("still_waiting: [2m, 5m]", says), "new")
    told = old.apply(batch_of([event("wait.started", BEGIN_MS, event_id="1", session_id="s")])).alerts
    told.add(old.advance(BEGIN_MS + 6 * MINUTE_MS))
    assert [(a.type, a.status) for a in told] == [("still_waiting", "opened"), ("still_waiting", "escalated")]
    (about,) = {a.alert_id for a in told}

    new = carried_over(old, policy, {old.form: FULL})
    more = list(new.advance(BEGIN_MS + 22 * MINUTE_MS))
    late = event("contact.transferred", BEGIN_MS + 20 * MINUTE_MS, event_id="2", session_id="s")
    more += new.apply(
        batch_of([late, event("wait.ended", BEGIN_MS + 23 * MINUTE_MS, event_id="3", session_id="s")])
    ).alerts
    said = [a for a in more if a.type == "still_waiting"]
    assert {a.alert_id for a in said} == {about}
    assert [(a.status, (a.raised_ms - BEGIN_MS) / MINUTE_MS, a.revision) for a in said] == [
        *(("escalated", minute, n) for n, minute in enumerate(minutes, 3)),
        ("resolved", 23, 3 + len(minutes)),
    ]


def test_an_alert_of_a_band_is_resolved_under_a_policy_in_which_no_band_alerts() -> None:
    old = CustomerPartition(0, 1, OLD)
    wait: dict[str, Any] = {"duration_ms": 3_600_000, "attributes": {"stage": "queue"}}
    told = [event("wait.measured", BEGIN_MS, event_id="1", **wait)]
    (opened,) = old.apply(batch_of(told)).alerts
    assert (opened.type, opened.status) == ("band_entered", "opened")
    silent = parse_policy(
        FULL.replace(", action: Call the customer before the next contact.", "").replace(
            ", action: Call the customer now.", ""
        ),
        "silent",
    )
    assert silent.alerting is None
    new = carried_over(old, silent, {old.form: FULL})
    (resolved,) = new.advance(BEGIN_MS + 24 * 60 * MINUTE_MS)
    assert (resolved.alert_id, resolved.status, resolved.revision) == (opened.alert_id, "resolved", 2)


@pytest.mark.parametrize("count", [2, 3, 6])
def test_a_repeated_contact_goes_on_where_it_was_under_a_policy_that_counts_to_another_number(count: int) -> None:
    hour_ms = 60 * MINUTE_MS
    contacts = [event("contact.opened", BEGIN_MS + k * hour_ms, event_id=f"{k}", subject="iade") for k in range(5)]
    old = CustomerPartition(0, 1, OLD)
    assert [a.status for a in old.apply(batch_of(contacts[:4])).alerts if a.type == "repeat_contact"] == [
        "opened",
        "escalated",
    ]
    new = carried_over(old, parse_policy(FULL.replace("count: 3", f"count: {count}"), "counts"), {old.form: FULL})
    (told,) = [a for a in new.apply(batch_of(contacts[4:])).alerts if a.type == "repeat_contact"]
    assert (told.status, told.revision) == ("escalated", 3)
