"""What customers say about it: answers to a question, and public mentions."""

from connectors.simulator.visit import LATER, Journey, Visit

_FARTHEST = 2_000_000  # people: nobody of the crowd is better known


def rate(visit: Visit, touchpoint: str, *, content: bool) -> Journey:
    """An answer from 0 to 10 to one of the four questions; a high one to effort says that it was hard."""
    question = visit.pick("csat", "nps", "effort", "again_in_a_month")
    off = int(11 * visit.random.random() ** 2.5)  # most are near one end, few at the other
    rating = 10 - off if content != (question == "effort") else off
    yield visit.tell("feedback.given", touchpoint, rating=float(rating), attributes={"question": question})


def mention(visit: Visit, *, content: bool) -> Journey:
    """A post that many or few may see, and at times an answer of the company; it names no case."""
    visit.channel, visit.case_id = visit.pick("social_x", "social_instagram"), None
    strength = 0.1 + 0.9 * visit.random.random()
    yield visit.tell(
        "social.mentioned",
        "social/mentions",
        rest_s=LATER,
        subject=visit.customer.subject,
        sentiment=round(strength if content else -strength, 2),
        reach=min(_FARTHEST, int(40 / (1.0 - visit.random.random()))),  # a Pareto tail: one in a hundred over 4,000
    )
    if visit.chance(0.4):
        yield visit.tell("social.replied", "social/mentions", subject=visit.customer.subject)


def speak_up(visit: Visit) -> Journey:
    """Somebody says what they think, unasked or in a survey, long after whatever it was."""
    content = visit.chance(0.55)
    if visit.chance(0.5):
        yield from mention(visit, content=content)
    else:
        visit.channel = visit.pick("email", "app")
        yield from rate(visit, "survey/monthly", content=content)
