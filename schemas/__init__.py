"""What is said: schemas, topics, tables, policy, and the records in between."""
