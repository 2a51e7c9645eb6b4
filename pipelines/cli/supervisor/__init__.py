"""What ``friction up`` does: one data directory, the embedded parts, the child processes, their order."""
