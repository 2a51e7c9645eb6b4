"""``friction chaos``: workers and broker are killed while interactions come in; the outcome must not know."""
