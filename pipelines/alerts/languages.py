"""The languages in which reasons of alerts are told: sentences, and how numbers and spans of time are said."""

from typing import NamedTuple

_DAY_MIN, _HOUR_MIN = 1440, 60


class Language(NamedTuple):
    """What is said in a language.

    templates: by type of alert, at times with a status (wording_terms.TEMPLATE_NAMES). units: of days, hours,
    minutes and seconds. decimal: what stands before the decimals. less: before a relief. nothing: what a score is made
    of that has cooled down.
    """

    templates: dict[str, str]
    units: tuple[str, str, str, str]
    decimal: str
    less: str
    nothing: str

    def number(self, value: float, digits: int = 0) -> str:
        """A number with so many decimals."""
        return f"{value:.{digits}f}".replace(".", self.decimal)

    def span(self, minutes: int) -> str:
        """How long something lasts: days and hours from two days on, else hours and minutes, where there are any."""
        days, hours, mins, _ = self.units
        if minutes >= 2 * _DAY_MIN:
            whole, left = divmod(minutes // _HOUR_MIN, 24)
            return f"{whole} {days} {left} {hours}" if left else f"{whole} {days}"
        if minutes < _HOUR_MIN:
            return f"{minutes} {mins}" if minutes > 0 else f"< 1 {mins}"
        whole, left = divmod(minutes, _HOUR_MIN)
        return f"{whole} {hours} {left} {mins}" if left else f"{whole} {hours}"

    def lookback(self, ms: int) -> str:
        """How long something lasts, exactly: of whole minutes as a span, else seconds."""
        if ms % 60_000 == 0:
            return self.span(ms // 60_000)
        return f"{ms / 1000:g} {self.units[3]}".replace(".", self.decimal)


ENGLISH = Language(
    {
        "clock_warning": "{clock}: {left} left until the promise of {deadline} is broken.",
        "clock_warning.escalated": "{clock}: the promise of {deadline} has been broken.",
        "clock_breached": "{clock}: the promise of {deadline} has been broken.",
        "still_waiting": "{clock}: the customer still waits, for {waited} now.",
        "repeat_contact": "The customer asks about {subject} again: contact number {level}.",
        "social_risk": "A public complaint by a customer with an open case.",
        "band_entered": "The friction is {score} of 100 ({band}), made of {made_of}.",
        "band_entered.resolved": "The friction has cooled down to {score} of 100 ({band}).",
        "touchpoint_incident": (
            "{rule}: {customers} customers failed at {place}, up to {share}% of all within {within}; usually {usual}%."
        ),
        "touchpoint_incident.uncounted": (
            "{rule}: {customers} customers failed at {place}; usually {usual} within {within}."
        ),
        "touchpoint_incident.subject": (
            "{rule}: {customers} customers spoke of {place}; usually {usual} within {within}."
        ),
        "touchpoint_incident.silence": (
            "{rule}: customers who came to {place} within {within}: {customers}, usually {usual}."
        ),
        "touchpoint_incident.resolved": "{rule}: at {place} all is as usual again.",
        "touchpoint_incident.retracted": "{rule}: what arrived late shows that nothing unusual happened at {place}.",
        "touchpoint_incident.subject.resolved": "{rule}: {place} is spoken of as usual again.",
        "touchpoint_incident.subject.retracted": (
            "{rule}: what arrived late shows that nothing unusual was said of {place}."
        ),
        "social_risk.resolved": "The public complaint has been answered, or its case is over.",
        "repeat_contact.resolved": "A case about {subject} has been closed, or nobody has asked again.",
        "resolved": "{clock}{subject_if_none}: the customer does not wait any more.",
        "retracted": "What arrived late shows that this should not have been said.",
        "paused": " The customer has waited for {waited}, of which the clock stood still for {paused}.",
        "do_not_contact": "Do not contact the customer. What would be done otherwise: {action}",
        "not_before": "Not before {time}: {action}",
    },
    units=("d", "h", "min", "s"),
    decimal=".",
    less="less",
    nothing="nothing any more",
)

TURKISH = Language(
    {
        "clock_warning": "{clock}: {deadline} için verilen sözün süresinin dolmasına {left} kaldı.",
        "clock_warning.escalated": "{clock}: {deadline} için verilen söz tutulmadı.",
        "clock_breached": "{clock}: {deadline} için verilen söz tutulmadı.",
        "still_waiting": "{clock}: müşteri hâlâ bekliyor, şu ana dek {waited}.",
        "repeat_contact": "Müşteri {subject} konusunu {level}. kez soruyor.",
        "social_risk": "Açık kaydı olan bir müşteriden herkese açık şikâyet.",
        "band_entered": "Müşterinin yaşadığı zorluk 100 üzerinden {score} ({band}); nedeni: {made_of}.",
        "band_entered.resolved": "Müşterinin yaşadığı zorluk 100 üzerinden {score} düzeyine indi ({band}).",
        "touchpoint_incident": (
            "{rule}: {place} noktasında {customers} müşterinin işlemi başarısız oldu, {within} içinde en çok %{share}; "
            "olağan oran %{usual}."
        ),
        "touchpoint_incident.uncounted": (
            "{rule}: {place} noktasında {customers} müşterinin işlemi başarısız oldu; "
            "{within} içinde olağan sayı {usual}."
        ),
        "touchpoint_incident.subject": (
            "{rule}: {customers} müşteri {place} konusundan söz etti; {within} içinde olağan sayı {usual}."
        ),
        "touchpoint_incident.silence": (
            "{rule}: {place} noktasına {within} içinde {customers} müşteri geldi; olağan sayı {usual}."
        ),
        "touchpoint_incident.resolved": "{rule}: {place} noktasında durum olağana döndü.",
        "touchpoint_incident.retracted": (
            "{rule}: geç gelen bilgi, {place} noktasında olağan dışı bir şey olmadığını gösteriyor."
        ),
        "touchpoint_incident.subject.resolved": "{rule}: {place} konusunda durum olağana döndü.",
        "touchpoint_incident.subject.retracted": (
            "{rule}: geç gelen bilgi, {place} konusunda olağan dışı bir şey olmadığını gösteriyor."
        ),
        "social_risk.resolved": "Herkese açık şikâyet yanıtlandı ya da kaydı kapandı.",
        "repeat_contact.resolved": "{subject} konusunda bir kayıt kapandı ya da yeniden soran olmadı.",
        "resolved": "{clock}{subject_if_none}: müşteri artık beklemiyor.",
        "retracted": "Geç gelen bilgi, bunun söylenmemesi gerektiğini gösteriyor.",
        "paused": " Müşteri toplam {waited} bekledi; bunun {paused} boyunca saat durdu.",
        "do_not_contact": "Müşteriyle iletişime geçmeyin. Aksi durumda yapılacak olan: {action}",
        "not_before": "{time} saatinden önce değil: {action}",
    },
    units=("gün", "sa", "dk", "sn"),
    decimal=",",
    less="eksi",
    nothing="artık bir şey yok",
)

LANGUAGES = {"en": ENGLISH, "tr": TURKISH}
"""By their names in a policy."""
