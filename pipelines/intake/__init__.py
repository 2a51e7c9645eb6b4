"""Interactions as columns, and the numbers of their texts."""
