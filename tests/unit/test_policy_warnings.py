"""What a policy says that can be read, and probably is not what was meant."""

from pathlib import Path

import pytest

from pipelines.policy.lint import policy_warnings
from pipelines.policy.policy import parse_policy
from pipelines.worker.policy_file import SHIPPED, load_policy
from tests.policies import RELIEF, TEXT, changed


@pytest.mark.parametrize("name", SHIPPED)
def test_nothing_is_to_be_said_of_the_policies_that_come_with_us(name: str) -> None:
    assert policy_warnings(load_policy(Path(name)).file) == []


def test_nothing_is_to_be_said_of_the_policy_of_these_tests() -> None:
    assert policy_warnings(parse_policy(TEXT, "mine.yaml").file) == []


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ("warn: 15m", "warn: 1h", "clocks.reply.warn: 1h before a promise of 1h is not after the opening"),
        (
            "[contact.opened]",
            "[{kind: contact.opened, promise: 10m}]",
            "clocks.reply.opens.0.warn: 15m before a promise of 10m is not after the opening",
        ),
        (
            "[contact.opened]",
            "[{kind: contact.opened, warn: 2h}]",
            "clocks.reply.opens.0.warn: 2h before a promise of 1h is not after the opening",
        ),
        (
            "promise: 1h\n    warn: 15m",
            "promise: 1bd\n    warn: 9h\n    calendar: office",
            "clocks.reply.warn: 9h before a promise of 1bd is not after the opening",
        ),
        (
            "warn: 15m",
            "still_waiting: [30m, 2h, 1d]",
            "clocks.reply.still_waiting: 2h, 1d is beyond the promise",
        ),
        ("half_life: 1h", "half_life: 9s", "signals.form_failure.half_life: 9s is gone before anybody sees it"),
        (
            "[form.failed]",
            "[form.fialed]",
            "signals.form_failure.kinds: the vocabulary has no form.fialed (did you mean form.failed?)",
        ),
        ("[form.failed]", "[my.kind]", "signals.form_failure.kinds: the vocabulary has no my.kind"),
        (
            "kinds: [form.failed]",
            "derived: repeated",
            "signals.form_failure: nothing feeds it: repeated needs contacts",
        ),
        (
            "promise: 1h\n    warn: 15m",
            "still_waiting: [1h]",
            "signals.late: nothing feeds it: clock reply has no promise",
        ),
        (
            "[contact.replied]",
            "[contact.answered]",
            "clocks.reply.closes: the vocabulary has no contact.answered",
        ),
        ("bands:\n", RELIEF + "bands:\n", "signals.thanks.half_life: 6h is shorter than the 1d of late"),
        (
            "[form.failed]",
            "[{kind: form.failed, where: {sentiment: negativ}}]",
            "signals.form_failure.kinds.0.where.sentiment: negativ is none of negative, neutral, positive",
        ),
        (
            "[contact.replied]",
            "[{kind: contact.replied, where: {repy: personal}}]",
            "clocks.reply.closes.0.where.repy: the vocabulary has no such attribute (did you mean reply?)",
        ),
        (
            "[form.failed]",
            "[{kind: form.failed, where: {segment: loyal}}]",
            "signals.form_failure.kinds.0.where.segment: loyal is nothing that the policy names",
        ),
        (
            "[form.failed]",
            "[{kind: form.failed, where: {feedback: bad}}]",
            "signals.form_failure.kinds.0.where.feedback: nothing is good or bad without the section feedback",
        ),
        (
            "[contact.opened]",
            "[contact.opened, {kind: contact.opened, promise: 30m}]",
            "clocks.reply.opens.1: is never asked, for an entry before it takes all of contact.opened",
        ),
        ("    warn: 15m", "    repeat: 1s", "clocks.reply.repeat: 1s says it again 3,600 times an hour"),
        (
            "    warn: 15m",
            "    resets: [case.resumed]",
            "clocks.reply.resets: brings no new deadline, for the clock has no",
        ),
        (
            "cap: 60}\n  late",
            "cap: 60, magnitude: wait, tolerated: {other: 1m, queu: 2m}}\n  late",
            "signals.form_failure.tolerated: queu is none of the stages other, queue, counter, hold, page, callback",
        ),
        (
            "[reply], weight",
            "[reply], repeats: 0.5, weight",
            "signals.late.repeats: adds nothing, for no clock of its breaches has a repeat",
        ),
    ],
)
def test_what_is_probably_not_meant_is_told_by_its_key(good: str, bad: str, told: str) -> None:
    (warning,) = policy_warnings(parse_policy(changed(good, bad), "mine.yaml").file)
    assert warning.startswith(told)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("warn: 15m", "warn: 59m"),
        ("promise: 1h\n    warn: 15m", "promise: 2bd\n    warn: 9h\n    calendar: office"),
        ("warn: 15m", "still_waiting: [30m, 2h]\n    calendar: office"),
        ("promise: 1h\n    warn: 15m", "promise: 1bd\n    still_waiting: [23h]"),
        ("half_life: 1h", "half_life: 10s"),
        ("bands:\n", RELIEF.replace("6h", "1d") + "bands:\n"),
    ],
)
def test_what_may_be_meant_is_not_told(good: str, bad: str) -> None:
    assert policy_warnings(parse_policy(changed(good, bad), "mine.yaml").file) == []
