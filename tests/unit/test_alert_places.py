"""Where alerts say that a customer can be reached, and what they are about, also where no interaction says it."""

from datetime import datetime

import numpy as np
import pytest

from pipelines.intake.written import time_at
from tests.batches import MINUTE_MS
from tests.desk import Run, mark, plain

CASE = {"case_id": "K", "subject": "iade", "channel": "telefon", "touchpoint": "çağrı/iade"}


def explained() -> Run:
    """Hot an hour later, when the promise of an answer is broken, with nothing arriving."""
    run = Run().apply(plain("contact.opened", 0, **CASE))
    return run.apply(*(plain("contact.repeated_explanation", n * MINUTE_MS, **CASE) for n in (1, 2, 3)))


def places(run: Run, kind: str) -> list[tuple[str, str | None, str | None]]:
    return [(a.status, a.channel, a.touchpoint) for a in run.alerts if a.type == kind]


def test_a_band_that_time_alone_entered_has_the_place_of_what_is_open() -> None:
    run = explained().advance(60 * MINUTE_MS)
    assert places(run, "band_entered") == [("opened", "telefon", "çağrı/iade")]
    run.apply(mark("acknowledged", 61 * MINUTE_MS, run.last("band_entered").alert_id))
    assert places(run, "band_entered")[1:] == [("opened", "telefon", "çağrı/iade")]


def test_a_band_that_an_interaction_ended_has_the_place_of_that() -> None:
    run = explained().advance(60 * MINUTE_MS)
    run.apply(plain("recovery.done", 62 * MINUTE_MS, channel="app", touchpoint="app/yardım"))
    assert places(run, "band_entered")[1:] == [("resolved", "app", "app/yardım")]


def test_of_what_is_open_the_newest_that_says_it_counts() -> None:
    run = Run().apply(
        plain("contact.opened", 0, **CASE),
        plain("contact.opened", MINUTE_MS, **{**CASE, "case_id": "L", "channel": "sohbet", "touchpoint": "unknown"}),
        *(plain("contact.repeated_explanation", n * MINUTE_MS, case_id="K") for n in (2, 3)),
    )
    run.advance(61 * MINUTE_MS)
    assert places(run, "band_entered") == [("opened", "sohbet", "çağrı/iade")]


def test_an_alert_that_lacks_them_has_subject_and_place_of_its_case() -> None:
    run = explained().apply(
        plain("contact.customer_replied", 5 * MINUTE_MS, case_id="K", channel="unknown", touchpoint="web/kayıt")
    )
    run.advance(200 * MINUTE_MS)
    (reply,) = [a for a in run.alerts if a.type == "clock_warning" and a.clock == "reply"]
    assert (reply.subject, reply.channel, reply.touchpoint) == ("iade", "telefon", "web/kayıt")


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02T15:00+03:00", "2026-03-02T15:00Z", "2026-03-02T15:00:07+0300", "2026-03-02 15:00:07-03",
        "2026-03-02T15:00:07,5Z", "2026-03-02T15:00:07.1239+01:30", "2026-03-02T15:00+0130",
    ],
)  # fmt: skip
def test_a_deadline_is_read_as_other_times_are(text: str) -> None:
    raw = np.frombuffer(b"x" + text.encode() + b"7", np.uint8)
    assert time_at(raw, 1, len(text)) == int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02T15:00", "2026-03-02T15:00:00", "2026-03-02T15Z", "2026-03-02T15:0Z", "2026-03-02T15:00+3",
        "2026-03-02T15:00+03:0", "2026-03-02T15:00:+03:00", "2026-03-02T15:00+03:00:00", "2026-03-02T15:60Z",
        "2026-03-02T15:00+030", "2026-03-02T15:00 Z", "2026-03-02T15:00:0Z",
    ],
)  # fmt: skip
def test_what_is_not_quite_a_time_is_none(text: str) -> None:
    raw = np.frombuffer(b"x" + text.encode() + b"7", np.uint8)
    assert time_at(raw, 1, len(text)) == 0
