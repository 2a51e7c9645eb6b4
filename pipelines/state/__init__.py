"""What is remembered of customers, and how it is stored."""
