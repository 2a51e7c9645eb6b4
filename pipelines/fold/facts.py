"""What interactions say besides their kind: attributes as numbers, ratings on one scale, identities as hashes."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pipelines.intake.index import TextIndex
from pipelines.intake.interactions import Details, InteractionBatch, Texts
from pipelines.intake.text_table import text_hash
from pipelines.intake.written import number_at, time_at
from pipelines.policy.model import PolicyFile
from pipelines.policy.rule_compiler import Attributes
from pipelines.policy.rules import STAGES
from pipelines.policy.terms import UNKNOWN
from schemas.arrays import Bytes, Float64s, Int16s, Int32s, Int64s
from schemas.compiled import compiled

NO_SEGMENT = -1
OTHER = 62  # a value that the policy does not name; no condition holds for it
_SENTIMENT_BOUND = 0.25  # on -1 .. 1: what is nearer to 0 is neutral


# columns of Facts.word, hashes first; of Facts.number; of Facts.code, before the values that conditions ask for
EVENT_ID, CASE_ID, SUBJECT_ID, CHANNEL_ID, PLACE_ID, SESSION_ID, DEADLINE_MS, REACH_COUNT = range(8)
RATED, AMOUNT_OF, SHIPPING, MOOD = range(4)
STAGE, SEGMENT_CODE, VALUES = range(3)
_NO_TIME = -1  # a deadline that was told and is no time
_NO_NUMBER = math.inf  # shipping costs that were told and are no number


class Facts(NamedTuple):
    """What is said of n interactions.

    word: int64[n, 8], hashes of event, case, subject, channel, touchpoint and session, 0 when not told; the deadline in
    epoch ms, 0 when not told; the reach, -1 when not told.
    number: float64[n, 4], NaN when not told: the rating, 0 the worst answer and 1 the best, below 0 when it is not on
    its scale; amount, shipping, sentiment.
    code: int16[n, 2 + a], the stage; the segment, NO_SEGMENT when not told, 0 for one not in the policy; the value of
    each attribute that conditions ask for.
    text: int64[n, 12], start and length of event_id, case_id, subject, channel, touchpoint, tried.
    """

    word: Int64s
    number: Float64s
    code: Int16s
    text: Int64s


def identify(data: Bytes, start: Int64s, length: Int32s, column: int, facts: Facts) -> None:
    """Write the hash of each text to a column of ``word``, above 0, 0 for no text; and to ``text`` where it is."""
    for i in range(start.shape[0]):
        hashed = np.int64(0)
        if length[i] > 0:
            hashed = max(np.int64(1), np.int64(text_hash(data, start[i], length[i]) >> np.uint64(1)))
        facts.word[i, column] = hashed
        if column < SESSION_ID:
            facts.text[i, 2 * column], facts.text[i, 2 * column + 1] = start[i], length[i]


identify_compiled = compiled(identify, allocates=False)


def read_attributes(
    data: Bytes,
    entry_start: Int64s,
    entry_count: Int32s,
    key: Int32s,
    value: Int32s,
    value_start: Int64s,
    value_length: Int32s,
    role: Int32s,
    meaning: Int16s,
    facts: Facts,
    question: Int32s,
) -> None:
    """Read the attributes of n interactions.

    entry_start: int64[n], entry_count: int32[n]. key, value: int32[e], numbers of the texts, below 0 when the policy
    does not know them. value_start, value_length: of the values. role: int32[names, 2], what a name is for: the column
    among the values or -1, and -1 or one of: 0 stage, 1 shipping, 2 deadline, 3 tried, 4 question.
    meaning: int16[2, names, values + 1], number of a value of that name, for conditions and as the stage or question
    that it is; in the last column of one not named.
    facts: written. question: int32[n], written.
    """
    for i in range(entry_start.shape[0]):
        for e in range(entry_start[i], entry_start[i] + entry_count[i]):
            k = key[e]
            if k < 0:
                continue
            if role[k, 0] >= 0:  # the last value, for -1, is that of texts that the policy does not name
                facts.code[i, VALUES + role[k, 0]] = meaning[0, k, value[e]]
            part = role[k, 1]
            if part == 0:
                facts.code[i, STAGE] = meaning[1, k, value[e]]
            elif part == 1:
                shipping = number_at(data, value_start[e], value_length[e])
                facts.number[i, SHIPPING] = _NO_NUMBER if math.isnan(shipping) and value_length[e] > 0 else shipping
            elif part == 2:
                at_ms = time_at(data, value_start[e], value_length[e])
                facts.word[i, DEADLINE_MS] = at_ms if at_ms > 0 or value_length[e] == 0 else _NO_TIME
            elif part == 3:
                facts.text[i, 10] = value_start[e]
                facts.text[i, 11] = value_length[e]
            elif part == 4:
                question[i] = meaning[1, k, value[e]]


read_attributes_compiled = compiled(read_attributes, allocates=False)


def judge(
    rating: Float64s,
    sentiment: Float64s,
    question: Int32s,
    worst: Float64s,
    best: Float64s,
    bad: float,
    good: float,
    feedback_column: int,
    sentiment_column: int,
    facts: Facts,
) -> None:
    """Bring ratings to 0 (worst) .. 1 (best), and say what is bad and what negative.

    question: int32[n], number of the question, below 0 for one that the policy does not know. worst, best: float64[q].
    feedback_column, sentiment_column: among the values, below 0 when no condition asks for it.
    """
    for i in range(rating.shape[0]):
        facts.number[i, RATED] = math.nan
        q = question[i]
        if q >= 0 and not math.isnan(rating[i]):
            share = (rating[i] - worst[q]) / (best[q] - worst[q])
            facts.number[i, RATED] = share if 0.0 <= share <= 1.0 else -1.0
            if feedback_column >= 0 and 0.0 <= share <= 1.0:
                facts.code[i, VALUES + feedback_column] = 1 if share < bad else 3 if share >= good else 2
        if sentiment_column >= 0 and not math.isnan(sentiment[i]):
            s = sentiment[i]
            facts.code[i, VALUES + sentiment_column] = (
                1 if s <= -_SENTIMENT_BOUND else 3 if s >= _SENTIMENT_BOUND else 2
            )


judge_compiled = compiled(judge, allocates=False)

_PARTS = {"stage": 0, "shipping": 1, "tried": 3, "question": 4}
_COLUMNS = ("channel", "segment")  # conditions may ask for them as if they were attributes


class FactReader:
    """Reads the facts that a policy asks for.

    bad_deadlines, bad_shipping: how many deadlines of the last batch are no time, and shipping costs no number; they
    count as not told. unknown_questions: how many of its ratings answer a question that the policy does not know.
    """

    def __init__(self, file: PolicyFile, attributes: Attributes, deadline: str | None) -> None:
        parts = {**_PARTS, **({deadline: 2} if deadline else {})}
        names = [*attributes.number, *(p for p in parts if p not in attributes.number)]  # by the numbers of the former
        questions = list(file.feedback.questions) if file.feedback else []
        default = questions.index(file.feedback.question) if file.feedback else -1
        own = {"stage": _as_written({s: n for n, s in enumerate(STAGES)})}
        own["question"] = {**_as_written({q: n for n, q in enumerate(questions)}), "": default}
        unknown = {UNKNOWN: 0, "": 0}
        asked = {name: _as_written({**attributes.values[at], **unknown}) for name, at in attributes.number.items()}
        values = list(dict.fromkeys(text for known in (*asked.values(), *own.values()) for text in known))
        self._names, self._values = TextIndex(names), TextIndex(values)
        self._role = np.full((len(names), 2), -1, np.int32)
        self._meaning = np.zeros((2, len(names), len(values) + 1), np.int16)
        for n, name in enumerate(names):
            self._role[n] = attributes.number.get(name, -1), parts.get(name, -1)
            for of, known, other in ((0, asked, OTHER), (1, own, -1 if name == "question" else 0)):
                self._meaning[of, n] = [*(known.get(name, {}).get(text, other) for text in values), other]
        self.bad_deadlines = self.bad_shipping = self.unknown_questions = 0
        self._attributes = attributes
        self._segments = TextIndex(["", *file.segments])
        self._unknown = TextIndex([UNKNOWN])  # as those say it who are told no channel
        self._feedback = file.feedback
        self._worst = np.array([q.worst for q in file.feedback.questions.values()] if file.feedback else [], np.float64)
        self._best = np.array([q.best for q in file.feedback.questions.values()] if file.feedback else [], np.float64)
        self._default_question = default

    def read(self, batch: InteractionBatch) -> Facts:
        """Facts of a batch; without details everything is unknown."""
        n, details = len(batch), batch.details
        self.bad_deadlines = self.bad_shipping = self.unknown_questions = 0
        if details is None:
            return no_facts(n, len(self._attributes.number))
        facts = self._identities(batch, details, len(self._attributes.number))
        question = np.full(n, self._default_question, np.int32)
        key = self._names.find(batch.data, details.entry_key.start, details.entry_key.length)
        value = self._values.find(batch.data, details.entry_value.start, details.entry_value.length)
        read_attributes_compiled(
            batch.data, details.entry_start, details.entry_count, key, value, details.entry_value.start,
            details.entry_value.length, self._role, self._meaning, facts, question,
        )  # fmt: skip
        bad = facts.word[:, DEADLINE_MS] == _NO_TIME
        self.bad_deadlines = int(bad.sum())
        facts.word[bad, DEADLINE_MS] = 0
        bad = np.isinf(facts.number[:, SHIPPING])
        self.bad_shipping = int(bad.sum())
        facts.number[bad, SHIPPING] = np.nan
        for name in _COLUMNS:
            if name in self._attributes.number:
                self._column(batch, details.segment if name == "segment" else batch.channel, name, facts)
        said = self._feedback
        if said:
            self.unknown_questions = int(((question < 0) & ~np.isnan(details.rating)).sum())
        bounds = (said.bad, said.good) if said else (0.0, 0.0)
        numbers = self._attributes.number
        judge_compiled(
            details.rating, details.sentiment, question, self._worst, self._best, *bounds,
            numbers.get("feedback", -1), numbers.get("sentiment", -1), facts,
        )  # fmt: skip
        return facts

    def _column(self, batch: InteractionBatch, texts: Texts, name: str, facts: Facts) -> None:
        at = self._attributes.number[name]
        number = self._values.find(batch.data, texts.start, texts.length)
        meant = self._meaning[0, at][number]  # -1, not named, is the last one
        facts.code[:, VALUES + at] = np.where(texts.length > 0, meant, 0)

    def _identities(self, batch: InteractionBatch, details: Details, attributes: int) -> Facts:
        facts = no_facts(len(batch), attributes)
        texts = (
            details.event_id, details.case_id, details.subject, batch.channel, batch.touchpoint, details.session_id,
        )  # fmt: skip
        for column, text in enumerate(texts):
            identify_compiled(batch.data, text.start, text.length, column, facts)
        is_unknown = self._unknown.find(batch.data, batch.channel.start, batch.channel.length) >= 0
        facts.word[is_unknown, CHANNEL_ID] = 0
        facts.word[:, REACH_COUNT] = details.reach
        facts.number[:, AMOUNT_OF], facts.number[:, MOOD] = details.amount, details.sentiment
        found = self._segments.find(batch.data, details.segment.start, details.segment.length)
        facts.code[:, SEGMENT_CODE] = np.where(details.segment.length > 0, np.maximum(found, 0), NO_SEGMENT)
        return facts


def _as_written(values: Mapping[str, int]) -> dict[str, int]:
    """The numbers of values, also as True and TRUE for true; what is a value itself is that one.

    Upper and lower case are those of Turkish, too, where the dot stays with the letter.
    """
    written = dict(values)
    for value, number in values.items():
        small = value.replace("İ", "i").replace("I", "ı").lower()
        large = value.replace("i", "İ").upper()
        for other in (value.lower(), value.capitalize(), value.upper(), small, large[:1] + small[1:], large):
            written.setdefault(other, number)
    return written


def no_facts(n: int, attributes: int) -> Facts:
    """Nothing is said of n interactions."""
    word, code = np.zeros((n, 8), np.int64), np.zeros((n, VALUES + attributes), np.int16)
    word[:, REACH_COUNT], code[:, SEGMENT_CODE] = -1, NO_SEGMENT
    return Facts(word, np.full((n, 4), np.nan), code, np.zeros((n, 12), np.int64))
