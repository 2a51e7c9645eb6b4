"""What a worker counts, for Prometheus. Names carry their unit, counters end in _total."""

from prometheus_client import Counter, Gauge, Histogram

INTERACTIONS = Counter("friction_worker_interactions_total", "Interactions counted in the state.")
DEAD_LETTERS = Counter("friction_worker_dead_letters_total", "Records not accepted, by reason.", ["reason"])
REKEYED = Counter("friction_worker_rekeyed_total", "Interactions found in another partition than their customer's.")
KEYS_DIFFER = Counter("friction_worker_keys_differ_total", "Interactions whose key is not their customer_id.")
HELD_BACK = Counter("friction_worker_held_back_total", "Revisions of alerts that were held back, by team.", ["team"])
PLACES_LEFT_OUT = Counter(
    "friction_worker_incident_places_left_out_total",
    "Slots of places that are not watched: there are too many.",
)
ALERTS = Counter("friction_worker_alerts_total", "Revisions of alerts raised, by type and status.", ["type", "status"])
TRANSACTIONS = Counter("friction_worker_transactions_total", "Transactions by outcome.", ["stage", "outcome"])
TRANSACTION_SECONDS = Histogram(
    "friction_worker_transaction_seconds",
    "Time from the snapshot of a partition to its outcome.",
    ["stage"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
RECORDS_WRITTEN = Counter("friction_worker_records_written_total", "Records in committed transactions.", ["stage"])
FORGOTTEN = Counter("friction_worker_forgotten_customers_total", "Customers removed after they were quiet for long.")
LOST_RECORDS = Counter("friction_worker_lost_records_total", "Records gone unprocessed, and accepted.", ["topic"])
OWNED = Gauge("friction_worker_partitions", "Partitions that are restored and processed here, by stage.", ["stage"])
RESTORE_SECONDS = Gauge("friction_worker_restore_seconds", "Time of the last restore.", ["stage"])
RARE = {
    "duplicates": Counter(
        "friction_worker_duplicates_total", "Interactions that were sent again, and are not counted."
    ),
    "late": Counter("friction_worker_late_waits_total", "Waits that came after their window was closed."),
    "unknown_kinds": Counter(
        "friction_worker_unknown_kinds_total", "Interactions of a kind that the policy does not know."
    ),
    "unknown_marks": Counter(
        "friction_worker_unknown_marks_total", "Marks of alerts that their customer does not have."
    ),
    "bad_preferences": Counter(
        "friction_worker_bad_preferences_total", "Attributes of customers' preferences that cannot be read."
    ),
    "bad_deadlines": Counter("friction_worker_bad_deadlines_total", "Deadlines that were told and are no time."),
    "bad_shipping": Counter("friction_worker_bad_shipping_total", "Shipping costs that were told and are no number."),
    "unknown_replies": Counter("friction_worker_unknown_replies_total", "Replies that do not say how they were made."),
    "unknown_questions": Counter(
        "friction_worker_unknown_questions_total", "Ratings that answer a question that the policy does not know."
    ),
    "given_up": Counter("friction_worker_given_up_total", "Clocks and cases that ended for others of their customer."),
}
"""By the fields of RareCounts."""
