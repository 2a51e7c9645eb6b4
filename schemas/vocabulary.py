"""The kinds of interactions that producers, policies and the simulator speak of; a policy may know others too."""

VOCABULARY = (
    "wait.started", "wait.ended", "wait.measured",
    "contact.opened", "contact.customer_replied", "contact.replied", "contact.transferred",
    "contact.repeated_explanation",
    "case.pending", "case.on_hold", "case.resumed", "case.resolved", "case.reopened", "case.closed",
    "callback.promised", "callback.done", "callback.missed",
    "form.started", "form.failed", "form.submitted", "form.abandoned", "promo.rejected",
    "checkout.cost_estimated", "checkout.cost_revealed", "checkout.abandoned", "order.placed",
    "order.promised", "order.delivered", "order.wrong", "order.delayed",
    "return.requested", "return.fee_charged", "refund.issued",
    "search.no_result", "article.viewed",
    "social.mentioned", "social.replied",
    "feedback.given",
    "onboarding.step_failed", "onboarding.completed",
    "recovery.promised", "recovery.done",
    "alert.acknowledged", "alert.assigned", "alert.dismissed",
    "identity.linked", "customer.preferences",
)  # fmt: skip

ATTRIBUTES = (
    "stage", "outcome", "reply", "urgency", "tried", "deadline", "shipping", "proactive", "question",
    "alert_id", "reason", "assignee", "team", "same_as", "do_not_contact", "quiet_hours", "preferred_channel",
)  # fmt: skip
"""Attributes that they speak of; interactions may have others too."""
