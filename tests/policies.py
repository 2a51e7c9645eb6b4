"""A small policy, for tests that change something of it."""

TEXT = """\
version: 1
score: {scale: 40}
calendars: {office: {zone: Europe/Istanbul, hours: {mon-fri: "09:00-18:00"}}}
clocks:
  reply:
    opens: [contact.opened]
    closes: [contact.replied]
    promise: 1h
    warn: 15m
signals:
  form_failure: {kinds: [form.failed], weight: 10, half_life: 1h, cap: 60}
  late: {breaches: [reply], weight: 10, half_life: 1d, cap: 60}
bands:
  cooldown: 15m
  levels:
    - {name: warm, enter: 30, leave: 20}
    - {name: hot, enter: 60, leave: 45, action: Call.}
windows: {kinds: [wait.measured], length: 5m, lateness: 1h}
acceptance: {max_age: 7d, max_ahead: 5m}
"""
RELIEF = "  thanks: {kinds: [case.resolved], relief: true, weight: 5, half_life: 6h, cap: 9}\n"


def changed(good: str, bad: str) -> str:
    """It with something else in the place of what it says once."""
    assert TEXT.count(good) == 1
    return TEXT.replace(good, bad)
