"""A seeded, realistic crowd of customers."""
