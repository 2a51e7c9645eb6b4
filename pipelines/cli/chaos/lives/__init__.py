"""What the whole meaning must give, written slowly and obviously from docs/policy.md: an oracle for chaos and tests.

The meaning is a function of the set of a customer's interactions (docs/fold.md). So a ``Life`` takes all interactions
of one customer in the order of their event times and walks through them once, with time passing in between. It imports
nothing of ours but the modules of this package and the intake, and knows neither batches, lateness nor corrections.
"""
