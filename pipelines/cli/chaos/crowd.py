"""Customers who live short lives of all kinds, for runs under the whole meaning; some late, some too late, some twice.

A life has at most ``MOST`` interactions, each at a millisecond of its own. So what may be put right is never too much
to be kept (docs/policy.md, Corrections), none is forgotten before it is over, and what it means does not depend on the
order in which it is told: the model may walk through it once.
"""

import heapq
from collections.abc import Iterator, Mapping
from random import Random

from schemas.interactions import Interaction

MOST = 28
LATE = 0.08
TWICE = 0.08
_LATE_S = 12.0  # on average
_AGAIN_S = 8.0
_REST_S = 2.5
_TOO_OLD = 0.004
_TOO_OLD_MS = 240_000  # acceptance.max_age of full.yaml is less
_DEADLINES = {"callback.promised", "order.promised", "order.delayed", "recovery.promised"}

_SEGMENTS = (("new",), ("loyal",), (None,), ("new", "loyal", None))  # of a life; most stay in theirs

# kind, attributes, how often
_KINDS: tuple[tuple[str, Mapping[str, str], int], ...] = (
    ("contact.opened", {}, 12),
    ("contact.opened", {"urgency": "critical"}, 3),
    ("contact.replied", {"reply": "personal"}, 6),
    ("contact.replied", {"reply": "template"}, 3),
    ("contact.replied", {"reply": "automatic"}, 1),
    ("contact.replied", {"tried": "restart"}, 2),
    ("contact.customer_replied", {}, 6),
    ("contact.repeated_explanation", {}, 3),
    ("case.pending", {}, 4),
    ("case.resumed", {}, 3),
    ("case.resolved", {}, 6),
    ("case.reopened", {}, 2),
    ("wait.started", {"stage": "queue"}, 4),
    ("wait.ended", {"stage": "queue"}, 4),
    ("wait.measured", {"stage": "hold", "outcome": "answered"}, 3),
    ("wait.measured", {"outcome": "abandoned"}, 3),
    ("callback.promised", {}, 3),
    ("callback.done", {}, 2),
    ("callback.missed", {}, 1),
    ("order.promised", {}, 3),
    ("order.delayed", {}, 1),
    ("order.delayed", {"proactive": "true"}, 1),
    ("order.delivered", {}, 2),
    ("recovery.promised", {}, 2),
    ("recovery.done", {}, 1),
    ("form.failed", {"step": "pay"}, 5),
    ("form.submitted", {}, 1),
    ("checkout.cost_estimated", {}, 2),
    ("checkout.cost_revealed", {}, 2),
    ("return.requested", {}, 2),
    ("feedback.given", {"question": "csat"}, 3),
    ("feedback.given", {"question": "effort"}, 1),
    ("search.no_result", {}, 3),
    ("social.mentioned", {}, 4),
    ("social.replied", {}, 2),
    ("newsletter.read", {}, 1),  # which the policy does not know
)


class _Life:
    """One customer, who lives from one interaction to the next."""

    def __init__(self, number: int, seed: int, random: Random) -> None:
        self.left = random.randint(3, MOST)
        self._name = f"ç{seed:x}-{number:x}"
        self._random = random
        self._told = 0
        self._times: set[int] = set()
        self._segments = random.choice(_SEGMENTS)

    def rest_ms(self) -> int:
        """How long until the next one."""
        return 50 + int(1000 * self._random.expovariate(1 / _REST_S))

    def tell(self, now_ms: int) -> Interaction:
        """What happens now, or a while ago."""
        random = self._random
        kind, attributes, _ = random.choices(_KINDS, [often for *_, often in _KINDS])[0]
        self.left -= 1
        self._told += 1
        at_ms = now_ms - int(1000 * random.expovariate(1 / _LATE_S)) if random.random() < LATE else now_ms
        if random.random() < _TOO_OLD:
            at_ms -= _TOO_OLD_MS
        while at_ms in self._times:
            at_ms -= 1
        self._times.add(at_ms)
        said = dict(attributes)
        if kind in _DEADLINES and random.random() < 0.6:
            said["deadline"] = str(at_ms + random.randint(-1_000, 15_000))
        if kind.startswith("checkout"):
            said["shipping"] = str(random.randint(1, 60))
        keyed = random.random() < 0.85
        mention, waits = kind == "social.mentioned", kind == "wait.measured"
        return Interaction(
            event_id=f"{self._name}-{self._told}",
            customer_id=self._name,
            kind=kind,
            channel=random.choice(("web", "phone", "chat", "")),
            touchpoint=random.choice(("shop", "mağaza")),
            occurred_ms=at_ms,
            session_id=f"s{random.randint(1, 2)}" if keyed else None,
            case_id=f"c{random.randint(1, 3)}" if keyed and random.random() < 0.7 else None,
            subject=random.choice(("iade", "kargo", None)),
            duration_ms=random.randint(0, 20_000) if waits else None,
            amount=random.choice((20.0, 100.0, 350.0)) if kind.startswith(("checkout", "return")) else None,
            rating=float(random.randint(0, 10)) if kind == "feedback.given" else None,
            sentiment=random.choice((-0.9, -0.5, 0.6, None)) if mention else None,
            reach=random.choice((10, 5_000)) if mention else None,
            segment=random.choice(self._segments),
            attributes=said,
        )


def short_lives(*, seed: int, start_ms: int, rate: float, total: int) -> Iterator[Interaction]:
    """So many interactions, at ``rate`` a second from ``start_ms`` on, those that are told again among them."""
    random = Random(f"{seed} lives")
    living: list[tuple[int, int, _Life]] = []
    again: list[tuple[int, int, Interaction]] = []
    born = 0
    for n in range(total):
        now_ms = start_ms + int(1000 * n / rate)
        if again and again[0][0] <= n:
            yield heapq.heappop(again)[2]
            continue
        if living and living[0][0] <= now_ms:
            _, number, life = heapq.heappop(living)
        else:
            born += 1
            number, life = born, _Life(born, seed, random)
        told = life.tell(now_ms)
        yield told
        if life.left:
            heapq.heappush(living, (now_ms + life.rest_ms(), number, life))
        if random.random() < TWICE:
            heapq.heappush(again, (n + 1 + int(random.uniform(0, _AGAIN_S) * rate), n, told))


def moved(interaction: Interaction, by_ms: int) -> tuple[int, Mapping[str, str]]:
    """Event time and attributes of an interaction that happens so much later, its deadline too."""
    attributes = interaction.attributes
    if attributes.get("deadline", "").isdecimal():
        attributes = {**attributes, "deadline": str(int(attributes["deadline"]) + by_ms)}
    return interaction.occurred_ms + by_ms, attributes
