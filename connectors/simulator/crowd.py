"""Who the customers are: the same number is the same person in every run."""

# ruff: noqa: RUF001 - names and subjects are written in their own letters

from dataclasses import dataclass

_GIVEN = (
    "ayşe", "mehmet", "şule", "ömer", "çağla", "ışıl", "gülşah", "ibrahim",
    "maria", "łukasz", "søren", "zoë", "иван", "νίκος", "李娜", "さくら",
    "amélie", "john", "فاطمة", "ananya",
)  # fmt: skip
_FAMILY = (
    "yılmaz", "öztürk", "çelik", "şahin", "güneş", "doğan", "kılıç",
    "garcía", "wójcik", "müller", "smith", "петров", "rossi",
)  # fmt: skip
_SUBJECTS = (
    "kargo gecikmesi", "refund", "şifre sıfırlama", "delivery", "fatura", "account",
    "değişim", "iade ücreti", "promo code", "Rücksendung", "возврат", "返品",
)  # fmt: skip
# of sixteen customers; None: their segment was never told
_SEGMENTS = ("new", "new", "new", "loyal", "loyal", "vulnerable", *(None,) * 10)


@dataclass(frozen=True, slots=True)
class Customer:
    """What stays the same about a customer: identifier, segment and the subject that they write about."""

    customer_id: str
    segment: str | None
    subject: str


def customer(number: int) -> Customer:
    """The customer of that number, from 0; neither seed nor time of a run changes who it is."""
    given = _GIVEN[number % len(_GIVEN)]
    family = _FAMILY[number // len(_GIVEN) % len(_FAMILY)]
    scattered = number * 2_654_435_761 >> 8  # Knuth's multiplicative hash: neighbours differ
    return Customer(
        customer_id=f"{given}.{family}.{number}",
        segment=_SEGMENTS[scattered & 15],
        subject=_SUBJECTS[(scattered >> 4) % len(_SUBJECTS)],
    )


def card_id(who: Customer) -> str:
    """The identifier of that customer's store card, another name of the same person."""
    return f"card.{who.customer_id.rpartition('.')[2]}"


def skewed(chance: float, customers: int) -> int:
    """Number of the customer who comes next, for a ``chance`` in [0, 1).

    Few customers come often: the first hundredth of them is 14 % of the visits, the first of all 44 times the mean.
    """
    least = 0.1
    return int(customers * ((chance + least) ** 3 - least**3) / ((1 + least) ** 3 - least**3))
