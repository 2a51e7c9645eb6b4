"""Contacts: who has to ask again about the same subject, on whatever channel, and what was tried."""

from pipelines.fold.cases import add_points, note_channel
from pipelines.fold.items import (
    AT,
    CASE,
    CHANNEL,
    CONTACT_ITEM,
    ENDS,
    LAST,
    LEVEL,
    REPEAT,
    SUBJECT,
    TAG,
    TEXT,
    TRIED_KIND,
    TRIED_LENGTH,
    TRIED_TEXT,
    drop_item,
    find_item,
    new_item,
    number_of,
    tag_of,
    text_length,
    texts_length,
    touch,
)
from pipelines.policy.rules import (
    COUNT,
    REPEATED,
    WITHIN_MS,
    Rules,
    derived_weight,
    section,
)
from schemas.arrays import Int64s
from schemas.compiled import step

MOST_CONTACTS = 16
"""Of a customer that are remembered, in all subjects; an older one is not counted any more."""


@step
def keep_newest(items: Int64s, count: int, tag: int, most: int) -> int:
    """Drop the oldest items of a tag that are too many; return the count."""
    there = 0
    for at in range(count):
        there += items[at, TAG] == tag
    at = 0
    while there > most:
        if items[at, TAG] == tag:
            count = drop_item(items, count, at)
            there -= 1
        else:
            at += 1
    return count


@step
def make_contact(
    items: Int64s, count: int, event: Int64s, in_case: bool, rules: Rules, heats: Int64s, tally: Int64s
) -> int:
    """Count a contact about a subject, unless it is one inside an open case; return the count of items."""
    last, earlier = -1, 1
    for at in range(count):
        item = items[at]
        same = item[TAG] == tag_of(CONTACT_ITEM, 0) and item[SUBJECT] == event[SUBJECT]
        if same and item[AT] > event[AT] - section(rules, WITHIN_MS):
            last = at
            earlier += 1
    if in_case or event[SUBJECT] == 0:
        return count
    if last >= 0:
        channel = items[last, CHANNEL]
        count = note_channel(items, count, last, event, rules, heats, tally)
        items[last, CHANNEL] = channel
    count = keep_newest(items, count, tag_of(CONTACT_ITEM, 0), MOST_CONTACTS - 1)
    count = new_item(items, count, tag_of(CONTACT_ITEM, 0), event)
    items[count - 1, CHANNEL] = event[CHANNEL]
    r = find_item(items, count, tag_of(REPEAT, 0), SUBJECT, event[SUBJECT])
    goes_on = r >= 0 and items[r, LAST] + section(rules, WITHIN_MS) > event[AT]
    if section(rules, COUNT) == 0 or not (goes_on or earlier >= section(rules, COUNT)):
        return count
    if not goes_on:
        count = new_item(items, count, tag_of(REPEAT, 0), event)
        r = count - 1
    items[r, LEVEL] = max(items[r, LEVEL] + 1, earlier)
    items[r, LAST], items[r, ENDS] = event[AT], 0
    touch(items[r])
    s = section(rules, REPEATED)
    if s >= 0:
        count = add_points(items, count, heats, tally, s, derived_weight(rules, 0), event[AT], event[CASE], False)
    return count


@step
def note_tried(items: Int64s, count: int, event: Int64s) -> None:
    """What the company did goes to the newest contact of the case, or of the subject, or at all."""
    for at in range(count - 1, -1, -1):
        item = items[at]
        if item[TAG] != tag_of(CONTACT_ITEM, 0):
            continue
        by_case = event[CASE] != 0 and item[CASE] == event[CASE]
        by_subject = event[CASE] == 0 and event[SUBJECT] != 0 and item[SUBJECT] == event[SUBJECT]
        if by_case or by_subject or (event[CASE] == 0 and event[SUBJECT] == 0):
            length = text_length(event, 5)
            if length > 0 or item[TRIED_LENGTH] == 0:
                item[TRIED_TEXT] = event[TEXT] + texts_length(event) - length if length > 0 else 0
                item[TRIED_LENGTH] = length
                item[TRIED_KIND] = number_of(event) + 1
            return
